/** Rollbacks and `rollback --to` over machines that are lost, drained or dead. */
import { expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { onOne } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

async function onTwo(strategy: Partial<Strategy>, ...names: string[]) {
  const world = new World();
  await world.join(...names);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...names);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), ...strategy });
  await world.settle(...names);
  world.pass(2000, ...names);
  expect(world.phase(id)).toBe("succeeded");
  return { world, id };
}

test.each(["rollback", "rollback --to"])("%s of a release that has silenced all its machines takes them back when they are heard", async (how) => {
  const { world, id } = await onTwo({}, "a", "b");
  await world.join("x");
  await world.settle("x");
  world.pass(20_000, "x");
  let back: string = id;
  world.pass(20_000);
  if (how === "rollback") world.command(id, "rollback");
  else {
    const answer = world.engine.operators.rollbackTo(id, "1", by);
    back = answer.ok ? answer.value.deployment : "";
  }
  world.pass(700_000);
  const phase = world.phase(back as never);
  await world.join("a", "b", "x");
  for (let round = 0; round < 10; round += 1) {
    world.pass(2000, "a", "b", "x");
    for (const name of ["a", "b", "x"]) if (world.wanted(name) === "1") await world.say(name, "healthy");
  }
  expect([phase === "paused", world.wanted("a"), world.wanted("b")]).toEqual([false, "1", "1"]);
});

test.each(["while it goes on"])("a machine that is on its way back, dead, and drained then, is not said to be back (lost %s)", async (when) => {
  const { world, id } = await onTwo({}, "a", "b");
  world.command(id, "rollback");
  expect([world.state(id, "a"), world.state(id, "b")]).toEqual(["reverting", "reverting"]);
  world.pass(5000, "b");
  if (when === "after its end") await world.say("b", "healthy");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  world.pass(20_000, "b");
  if (when !== "after its end") await world.say("b", "healthy");
  world.pass(2000, "b");
  expect([world.phase(id), world.state(id, "a")]).toEqual(["rolled_back", "unreachable"]);
});

test.each([5000, 20_000])("a machine that was drained and switched off %sms before a rollback does not make it fail", async (ms) => {
  const { world, id } = await onTwo({}, "a", "b");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(ms, "b");
  world.command(id, "rollback");
  await world.say("b", "healthy");
  world.pass(200_000, "b");
  expect([world.phase(id), world.state(id, "a")]).toEqual(["rolled_back", "unreachable"]);
});

test("rollback --to goes to no release that was never healthy anywhere", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9), onFailure: "abort" });
  await world.say("a", "failed");
  await world.say("b", "failed");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const answer = world.engine.operators.rollbackTo(id, "1", { by: "anna", reason: "" });
  expect(answer).toMatchObject({ ok: false, refusal: { message: "app@1 was never healthy on any machine, so there is nothing to go back to; deploy it from its deployment file" } });
});

test("a machine that has stopped what it ran, and hangs, is taken back before those that serve", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const world = await onOne(names);
  const id = world.deploy("2", { waves: [{ ...wave(count(1)), maxFailures: count(1) }, ALL], maxUnavailable: count(1), healthyDeadlineMs: 10_000 });
  await world.say("a", "activating");
  world.pass(40_000, ...names);
  for (const name of ["b", "c"]) {
    await world.say(name, "healthy");
    world.pass(3000, ...names);
  }
  await world.say("d", "reverting");
  await world.say("d", "reverted");
  const order: string[] = [];
  for (let round = 0; round < 12; round += 1) {
    const back = names.filter((name) => world.state(id, name) === "reverting");
    order.push(...back.filter((name) => !order.includes(name)));
    for (const name of back.slice(0, 1)) await world.say(name, "healthy");
    world.pass(1000, ...names);
  }
  expect([world.phase(id), order.filter((name) => name !== "d")]).toEqual(["rolled_back", ["a", "c", "b"]]);
});

test("a rollback with spread ends when all are back, though one that is back begins anew in the middle", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, "c", "d");
  const all = ["a", "b", "c", "d"];
  const strategy = { waves: [ALL], maxUnavailable: count(2), spread: "zone" };
  world.deploy("1", strategy);
  await world.settle(...all);
  world.pass(4000, ...all);
  const second = world.deploy("2", strategy);
  await world.settle(...all);
  world.pass(4000, ...all);
  expect(world.phase(second)).toBe("succeeded");
  expect(world.command(second, "rollback")).toMatchObject({ ok: true });
  const fix = world.deploy("3", { ...strategy, onConflict: "queue" });
  world.pass(2000, ...all);
  expect(all.map((name) => world.wanted(name))).toEqual(["2", "2", "1", "1"]);
  await world.say("c", "healthy");
  // The host of c reboots, as patched machines do.
  await world.say("c", "activating");
  await world.say("d", "healthy");
  world.pass(1000, ...all);
  expect([world.phase(second), all.map((name) => world.state(second, name)), all.map((name) => world.wanted(name)), world.phase(fix)]).toEqual(["rolling_back", ["healthy", "healthy", "reverted", "reverted"], ["2", "2", "1", "1"], "pending"]);
});

test("a rollback does not end as failed while a machine that begins to go back by itself in the middle of it has its time", async () => {
  const { world, id } = await onTwo({ progressDeadlineMs: 20_000 }, "a", "b");
  world.command(id, "rollback");
  await world.say("b", "healthy");
  world.pass(70_000, "a", "b");
  await world.say("a", "activating");
  await world.say("a", "reverting");
  world.pass(60_000, "a", "b");
  expect(world.phase(id)).toBe("rolling_back");
  world.pass(60_000, "a", "b");
  expect([world.phase(id), loadRollout(world.journal, id)?.reason?.code]).toEqual(["failed", "revert_failed"]);
});
