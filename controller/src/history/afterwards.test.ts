/** What is told of a deployment and its machines after the end, when they are other than it ended with. */
import { beforeEach, expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "./four.fixture.ts";
import type { Scene } from "./history.fixture.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await sceneOfFour();
});

const deployed = (version: string) => deployedToFour(scene, version);

const head = (told: string): readonly string[] => told.split("\n").filter((line, index) => index === 0 || line.startsWith("  > "));

test("a success whose machines went down says what is so now, and for what late machines wait", async () => {
  const id = await deployed("1");
  for (const machine of FOUR) await scene.tell(machine, "unhealthy", "1");
  expect(head(await scene.whyDeployment(id))).toEqual([
    "d-1 (app@1) succeeded: 4 of 4 machines ran it. Now 0 of 4 healthy: m-1, m-2 and m-3 unhealthy: exited with code 1; and 1 more.",
    "  > machines that come late wait for app@1 to be healthy where it runs: 0 of 4 are now; muster rollback d-1 takes it back",
  ]);
  expect(head(await scene.whyMachine("m-1"))[0]).toBe("m-1 became healthy with app@1 in wave 1 of d-1; now it is unhealthy: exited with code 1.");
});

test("a machine that is not heard any more is not said to run it", async () => {
  await deployed("1");
  scene.elapse(20_000, "m-1", "m-2", "m-4");
  expect(head(await scene.whyMachine("m-3"))[0]).toBe("m-3 became healthy with app@1 in wave 1 of d-1; now it is not heard.");
});

test("a machine that was stopped and started by a drain, and gives no answer, is not said to run it", async () => {
  const id = await deployed("1");
  scene.engine.orders.cordon("m-3" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  scene.engine.orders.uncordon("m-3" as never, { by: "anna", reason: "" });
  scene.elapse(1000, ...FOUR);
  expect(scene.engine.nowOf(id)).toEqual({ machines: 4, healthy: 3, bad: 0 });
  expect(head(await scene.whyDeployment(id))[0]).toBe("d-1 (app@1) succeeded: 4 of 4 machines ran it. Now 3 of 4 healthy: m-3 without an answer yet.");
  expect(head(await scene.whyMachine("m-3"))[0]).toBe("m-3 became healthy with app@1 in wave 1 of d-1; now it is without an answer yet.");
});

test.each([1000, 400_000])("nor does a deployment that found it there count it as healthy, %d ms later", async (ms) => {
  const first = await deployed("1");
  const again = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  scene.elapse(1000, ...FOUR);
  scene.engine.orders.cordon("m-3" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  scene.engine.orders.uncordon("m-3" as never, { by: "anna", reason: "" });
  scene.elapse(ms, ...FOUR);
  const now = scene.engine.nowOf(first);
  expect(now).toEqual({ machines: 4, healthy: 3, bad: ms < 100_000 ? 0 : 1 });
  expect(await viewsOf(scene).one(again)).toMatchObject({ now: { ...now, text: "3 of 4 healthy: m-3 without an answer yet" } });
});

test("a machine that a drain gave back what it ran before is not said to be healthy with the release", async () => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), onFailure: "abort" });
  await scene.tell("m-1", "healthy", "2");
  await scene.tell("m-2", "reverted", "1");
  scene.engine.orders.cordon("m-1" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await scene.tell("m-1", "removed");
  scene.engine.orders.uncordon("m-1" as never, { by: "anna", reason: "" });
  await scene.tell("m-1", "healthy", "1");
  expect(scene.engine.nowOf(id)).toEqual({ machines: 2, healthy: 0, bad: 1 });
  expect(head(await scene.whyDeployment(id))[0]).toContain("Now 0 of 2 healthy: m-1 back on app@1 since a drain; and 1 more.");
  expect(head(await scene.whyMachine("m-1"))[0]).toBe("m-1 became healthy with app@2 in wave 1 of d-2; now it is back on app@1 since a drain.");
});

test("a rollback names who may still run the release, and why it was taken back", async () => {
  await deployed("1");
  const id = await deployed("2");
  scene.elapse(20_000, "m-1", "m-2", "m-4");
  scene.command(id, "rollback");
  for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "1");
  expect(head(await scene.whyDeployment(id))[0]).toBe(
    "d-2 (app@2) was rolled back, except 1 unreachable: m-3 may still run 2, and goes back when it is heard. The reason: anna rolled it back.",
  );
  expect(await scene.whyDeployment(id)).toContain("rolled_back: rolled back: 3 machines are back on what they ran before; m-3 may still run 2, and goes back when it is heard");
});

test("a success and an abort name who is left", async () => {
  scene.elapse(20_000, "m-1", "m-2", "m-4");
  const first = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "1");
  expect(head(await scene.whyDeployment(first))[0]).toBe("d-1 (app@1) succeeded: 3 of 4 machines run it; m-3 is unreachable and gets it when it is heard.");
  const second = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
  scene.command(second, "abort");
  expect(head(await scene.whyDeployment(second))[0]).toMatch(/^d-2 \(app@2\) was aborted: .*; m-1, m-2 and m-4 are on their way to 2\.$/);
});

test("a retry of what did not fail, but is down now, is refused with what can be done", async () => {
  const id = await deployed("1");
  expect(scene.command(id, "retry")).toMatchObject({ refusal: { message: "d-1 can't be retried: none of its targets has failed" } });
  for (const machine of FOUR) await scene.tell(machine, "unhealthy", "1");
  expect(scene.command(id, "retry")).toMatchObject({
    refusal: {
      message:
        "d-1 can't be retried: none of its targets has failed in it, though 4 of its 4 machines are not well with it now: muster status d-1 says which; muster rollback d-1 takes all of them back, deploying it again assigns it anew to those",
    },
  });
  const again = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  expect(scene.state(again, "m-1")).toBe("updating");
});

test("a rollback that waits for a machine that goes back by itself names it", async () => {
  await deployed("1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await scene.tell("m-1", "reverting", "2", { code: "exited", message: "exited with code 1" });
  expect([scene.phase(id), scene.waitingOn(id)]).toEqual(["rolling_back", "m-1 to go back by itself"]);
});
