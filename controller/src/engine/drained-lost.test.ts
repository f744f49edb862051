/** A machine that is lost with a release that is taken back, and is drained before it is heard, may still run it: the outcome names it, whether the rollout is in memory or in the tables. */
import { expect, test } from "vitest";
import { Scene } from "../history/history.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const by = { by: "anna", reason: "dead" };

async function onTwo() {
  const scene = new Scene();
  await scene.join("a", "b", "c");
  scene.deploy("1", WIDE);
  for (const name of ["a", "b", "c"]) await scene.tell(name, "healthy", "1");
  scene.pass(2000, "a", "b", "c");
  const id = scene.deploy("2", WIDE);
  for (const name of ["a", "b", "c"]) await scene.tell(name, "healthy", "2");
  scene.pass(2000, "a", "b", "c");
  expect(scene.phase(id)).toBe("succeeded");
  // b and c are lost with 2, then it is taken back.
  scene.pass(20_000, "a");
  expect(scene.command(id, "rollback").ok).toBe(true);
  scene.pass(2000, "a");
  return { scene, id };
}
const outcome = async (scene: Scene, id: never) => (await scene.whyDeployment(id)).split("\n")[0]!;

/** b is drained before the rollback ends, which waits for nobody but a. */
async function drainedBeforeTheEnd(afterMs: number) {
  const { scene, id } = await onTwo();
  expect(scene.engine.orders.cordon("b" as never, { drain: true, force: true }, by).ok).toBe(true);
  await scene.tell("a", "healthy", "1");
  scene.pass(afterMs, "a");
  return { scene, id };
}

test("drained after the end, while the rollout is in the tables", async () => {
  const { scene, id } = await onTwo();
  await scene.tell("a", "healthy", "1");
  scene.pass(2000, "a");
  expect([scene.phase(id), scene.engine.rollout(id)]).toEqual(["rolled_back", undefined]);
  expect(scene.engine.orders.cordon("b" as never, { drain: true, force: true }, by).ok).toBe(true);
  scene.pass(20_000, "a");
  expect(await outcome(scene, id as never)).toMatch(/\bb\b.* may (still )?run 2/);
});

test("drained after the end, while the rollout is in memory for c", async () => {
  const { scene, id } = await onTwo();
  await scene.tell("a", "healthy", "1");
  scene.pass(2000, "a");
  await scene.join("c");
  scene.pass(1000, "a", "c");
  expect([scene.state(id, "c"), scene.engine.rollout(id) !== undefined]).toEqual(["reverting", true]);
  expect(scene.engine.orders.cordon("b" as never, { drain: true, force: true }, by).ok).toBe(true);
  await scene.tell("c", "healthy", "1");
  scene.pass(20_000, "a", "c");
  expect(await outcome(scene, id as never)).toMatch(/\bb\b.* may (still )?run 2/);
});

test("drained before the end", async () => {
  const { scene, id } = await onTwo();
  expect([scene.phase(id), scene.state(id, "b")]).toEqual(["rolling_back", "unreachable"]);
  expect(scene.engine.orders.cordon("b" as never, { drain: true, force: true }, by).ok).toBe(true);
  await scene.tell("a", "healthy", "1");
  scene.pass(20_000, "a");
  expect(scene.phase(id)).toBe("rolled_back");
  expect(await outcome(scene, id as never)).toMatch(/\bb\b.* may (still )?run 2/);
});

test("drained before the end, and what becomes of the rollback", async () => {
  const { scene, id } = await drainedBeforeTheEnd(700_000);
  expect(scene.phase(id)).toBe("rolled_back");
});

test.each(["heard, then uncordoned", "uncordoned, then heard"])("it goes back when it is %s", async (order) => {
  const { scene, id } = await drainedBeforeTheEnd(20_000);
  const uncordon = (): unknown => scene.engine.orders.uncordon("b" as never, by);
  if (order.startsWith("uncordoned")) uncordon();
  await scene.join("b");
  scene.pass(1000, "a", "b");
  if (order.startsWith("heard")) {
    await scene.tell("b", "removed", "");
    scene.pass(1000, "a", "b");
    uncordon();
  }
  scene.pass(1000, "a", "b");
  expect(scene.wanted("b")).toBe("1");
  await scene.tell("b", "healthy", "1");
  scene.pass(2000, "a", "b");
  expect(await outcome(scene, id as never)).not.toMatch(/\bb\b.* may (still )?run 2/);
});

test("the same machine, only cordoned", async () => {
  const { scene, id } = await onTwo();
  expect(scene.engine.orders.cordon("b" as never, { drain: false, force: true }, by).ok).toBe(true);
  await scene.tell("a", "healthy", "1");
  scene.pass(20_000, "a");
  expect(scene.phase(id)).toBe("rolled_back");
});
