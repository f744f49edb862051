/** Where an outcome does not hold on many machines, all are counted as what they are, by whatever asks; names alone are few. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(99) };
const NAMES = Array.from({ length: 30 }, (_, index) => `m-${10 + index}`);

let scene: Scene;

beforeEach(async () => {
  scene = new Scene();
  await scene.join(...NAMES);
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

async function deployed(version: string): Promise<DeploymentId> {
  const id = scene.deploy(version, WIDE);
  for (const name of NAMES) await scene.tell(name, "healthy", version);
  scene.pass(2000, ...NAMES);
  return id;
}

const shown = async (id: DeploymentId) => (await viewsOf(scene).one(id))!;
const why = async (id: DeploymentId): Promise<string> => (await scene.whyDeployment(id)).split("\n")[0]!;

test("a success counts all that were removed after they were lost with the release, once each", async () => {
  const id = await deployed("1");
  const [gone, rest] = [NAMES.slice(0, 15), NAMES.slice(15)];
  scene.pass(30_000, ...rest);
  for (const name of gone) scene.remove(name);
  scene.pass(2000, ...rest);
  expect((await shown(id)).outcome).toBe("succeeded on 15 of 30; m-10, m-11, m-12 and 12 more took it, were lost, and were removed from the fleet");
  expect(await why(id)).toBe("d-1 (app@1) succeeded: 15 of 30 machines run it; m-10, m-11, m-12 and 12 more took it, were lost, and were removed from the fleet.");
  scene.remove(NAMES.at(-1)!);
  expect((await shown(id)).outcome).toContain("succeeded on 14 of 29; ");
  expect(await why(id)).toMatch(/succeeded: 14 of 29 machines run it; m-10, .* from the fleet; 1 more was removed from the fleet\.$/);
});

test("a rollback says who could not go back, though many before it are still unreachable", async () => {
  await deployed("1");
  const id = await deployed("2");
  const [lost, rest] = [NAMES.slice(0, 12), NAMES.slice(12)];
  scene.pass(30_000, ...rest);
  expect(scene.command(id, "rollback").ok).toBe(true);
  for (const name of rest) await scene.tell(name, "healthy", "1");
  const last = lost.at(-1)!;
  await scene.join(last);
  scene.pass(2000, ...rest, last);
  expect((await shown(id)).outcome).toBe(
    "rolled back, except 11 unreachable and 1 under way: m-10, m-11, m-12 and 8 more may still run 2, and go back when they are heard; m-21 is on its way back",
  );
  await scene.tell(last, "failed", "1");
  const deployment = await shown(id);
  const said = "except 11 unreachable and 1 failed: m-10, m-11, m-12 and 8 more may still run 2, and go back when they are heard; m-21 could not go back: exited with code 1";
  expect(deployment.outcome).toBe(`rolled back, ${said}`);
  expect(await why(id)).toBe(`d-2 (app@2) was rolled back, ${said}. The reason: anna rolled it back.`);
  expect(deployment.outstanding!.count).toBe(12);
  expect(deployment.outstanding!.machines.map(({ machine }) => machine)).toEqual([...lost.slice(0, 9), last]);
  expect(deployment.outstanding!.machines.at(-1)!.text).toBe("m-21 could not go back: exited with code 1");
});

test("an abort counts who is heard again, and on the way, beside many who are not", async () => {
  const id = scene.deploy("1", WIDE);
  const rest = NAMES.slice(12);
  for (const name of rest) await scene.tell(name, "healthy", "1");
  scene.pass(30_000, ...rest);
  scene.command(id, "abort");
  await scene.join("m-21");
  const said = "m-10, m-11, m-12 and 8 more may run 1: they were assigned it, and are not heard; m-21 is on its way to 1";
  expect((await shown(id)).outcome).toBe(`aborted; 18 machines kept 1; ${said}`);
  expect(await why(id)).toMatch(new RegExp(`${said}\\.$`));
});

test("a success counts those that newer deployments have by now by what became of each", async () => {
  const id = scene.deploy("1", { ...WIDE, maxFailures: count(20) });
  for (const name of NAMES) await scene.tell(name, name <= "m-22" ? "reverted" : "healthy", "1");
  scene.pass(2000, ...NAMES);
  const said = "m-10, m-11, m-12 and 10 more failed";
  expect((await shown(id)).outcome).toBe(`succeeded on 17 of 30; ${said}`);
  const next = scene.deploy("2", { ...WIDE, targets: "role=web" });
  expect((await shown(id)).outcome).toBe(`succeeded on 17 of 30; ${said}, and ${next} has decided about them since`);
  expect(await why(id)).toContain(`; ${said}, and ${next} has decided about them since`);
});
