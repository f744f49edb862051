/** After the end: which machines kept a release for a while only, and which were let go. */
import { beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "../history/four.fixture.ts";
import type { Scene } from "../history/history.fixture.ts";
import { viewsOf } from "./views.fixture.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await sceneOfFour();
});

const outcomeOf = async (id: DeploymentId): Promise<string> => (await viewsOf(scene).one(id))!.outcome;

/** m-1 and m-2 keep 2. */
async function aborted(): Promise<DeploymentId> {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2) });
  for (const machine of ["m-1", "m-2"]) await scene.tell(machine, "healthy", "2");
  scene.command(id, "abort");
  expect(await outcomeOf(id)).toBe("aborted; 2 machines kept 2");
  return id;
}

test("a machine that kept an aborted release, and went back by itself, is not said to run it still", async () => {
  const id = await aborted();
  await scene.tell("m-1", "reverted", "1");
  expect(await outcomeOf(id)).toBe("aborted; 2 machines kept 2, and 1 of them does not run it any more");
  await scene.tell("m-2", "failed", "");
  expect(await outcomeOf(id)).toBe("aborted; 2 machines kept 2, and do not run it any more");
});

test("nor are those about which a newer deployment has decided", async () => {
  const id = await aborted();
  await deployedToFour(scene, "3");
  expect(await outcomeOf(id)).toBe("aborted; 2 machines kept 2, and newer deployments have decided about them since");
});

test("one that failed and was the only one that kept it is told in the singular", async () => {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2), onFailure: "abort" });
  await scene.tell("m-1", "healthy", "2");
  await scene.tell("m-2", "reverted", "1");
  expect(await outcomeOf(id)).toMatch(/^failed; 1 machine kept 2(?:; |$)/);
  await scene.tell("m-1", "reverted", "1");
  expect(await outcomeOf(id)).toMatch(/^failed; 1 machine kept 2, and does not run it any more(?:; |$)/);
});

test("a machine whose labels match no more before its turn is named in a success without it", async () => {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [wave(count(3)), ALL], maxUnavailable: count(4) });
  scene.label({ role: "db" }, "m-4");
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
  expect(scene.phase(id)).toBe("succeeded");
  expect(await outcomeOf(id)).toBe("succeeded on 3 of 4; m-4 was let go, since its labels match no more");
  expect((await scene.whyDeployment(id)).split("\n")[0]).toBe("d-2 (app@2) succeeded: 3 of 4 machines run it; m-4 was let go, since its labels match no more.");
});

test("also when it had failed, and was to be tried again", async () => {
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4), maxFailures: count(1) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
  await scene.tell("m-4", "failed", "");
  scene.elapse(1000, ...FOUR);
  scene.engine.orders.addFreeze({ from: 0 as never, until: null }, { by: "anna", reason: "" });
  expect(scene.command(id, "retry").ok).toBe(true);
  scene.label({ role: "db" }, "m-4");
  scene.elapse(1000, ...FOUR);
  expect([scene.phase(id), scene.state(id, "m-4")]).toEqual(["succeeded", "skipped"]);
  // It took the release, so it is missing still.
  expect(await viewsOf(scene).one(id)).toMatchObject({ outcome: "succeeded on 3 of 4; m-4 was let go, since its labels match no more", outstanding: { count: 1 } });
  expect((await scene.whyDeployment(id)).split("\n")[0]).toMatch(/: 3 of 4 machines run it; m-4 was let go, since its labels match no more\.$/);
});

test("many that were let go are counted", async () => {
  await deployedToFour(scene, "1");
  const more = Array.from({ length: 5 }, (_, index) => `n-${index}`);
  await scene.join(...more);
  for (const machine of more) await scene.tell(machine, "healthy", "1");
  const id = scene.deploy("2", { waves: [wave(count(4)), ALL], maxUnavailable: count(9) });
  for (const machine of more) scene.label({ role: "db" }, machine);
  for (const machine of FOUR) await scene.tell(machine, "healthy", "2");
  const said = "n-0, n-1, n-2 and 2 more were let go, since their labels match no more";
  expect(await outcomeOf(id)).toBe(`succeeded on 4 of 9; ${said}`);
  expect((await scene.whyDeployment(id)).split("\n")[0]).toMatch(new RegExp(`: 4 of 9 machines run it; ${said}\\.$`));
});

test("of those that kept it all are looked at, and not those alone that could be named", async () => {
  await deployedToFour(scene, "1");
  const more = Array.from({ length: 230 }, (_, index) => `n-${100 + index}`);
  await scene.join(...more);
  for (const machine of more) await scene.tell(machine, "healthy", "1");
  const id = scene.deploy("2", { waves: [{ ...wave(count(234)), gates: [{ kind: "soak", forMs: 60_000 }] }], maxUnavailable: count(999) });
  for (const machine of [...FOUR, ...more]) await scene.tell(machine, "healthy", "2");
  scene.command(id, "abort");
  expect(await outcomeOf(id)).toBe("aborted; 234 machines kept 2");
  for (const machine of more) await scene.tell(machine, "reverted", "1");
  expect(await outcomeOf(id)).toBe("aborted; 234 machines kept 2, and 230 of them do not run it any more");
  expect((await scene.whyDeployment(id)).split("\n")[0]).toMatch(/: anna aborted it; 234 of 234 machines ran it\. Now 4 of 234 healthy: /);
});
