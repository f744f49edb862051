/** A machine that goes back by itself had not heard that its release was confirmed: what it is back on is what was good there last. */
import { expect, test } from "vitest";
import { onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

/** 2 is confirmed on a and b, and a, cut off, has not heard of it. */
async function backOnOne(): Promise<World> {
  const world = await onOne(["a", "b"]);
  const id = world.deploy("2", WIDE);
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  expect(world.phase(id)).toBe("succeeded");
  await saysOf(world, "a", "reverting", "2");
  await saysOf(world, "a", "reverted", "1");
  world.pass(2000, "a", "b");
  return world;
}

function saysOf(world: World, machine: string, phase: "reverting" | "reverted" | "unhealthy", runs: string): Promise<void> {
  return world.say(machine, phase, world.generation(machine), "app", runs);
}

test("a later release is taken back to what the machine went back to", async () => {
  const world = await backOnOne();
  const third = world.deploy("3", WIDE);
  await world.settle("a", "b");
  world.command(third, "rollback");
  world.pass(2000, "a", "b");
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "2"]);
});

test("the same when what it went back to is not well now", async () => {
  const world = await backOnOne();
  await saysOf(world, "a", "unhealthy", "1");
  const third = world.deploy("3", WIDE);
  await world.settle("a", "b");
  world.command(third, "rollback");
  world.pass(2000, "a", "b");
  expect(world.wanted("a")).toBe("1");
});

test("the end of a drain starts what it went back to", async () => {
  const world = await backOnOne();
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, by);
  world.pass(2000, "a", "b");
  expect(world.wanted("a")).toBe("1");
});

test("a machine that keeps a confirmed release that is not well goes back to that", async () => {
  const world = await backOnOne();
  await saysOf(world, "b", "unhealthy", "2");
  const third = world.deploy("3", WIDE);
  await world.settle("a", "b");
  world.command(third, "rollback");
  world.pass(2000, "a", "b");
  expect(world.wanted("b")).toBe("2");
});

test("a machine that starts a confirmed release again, fails, and goes back to it keeps it", async () => {
  const world = await onOne(["a", "b"]);
  world.deploy("2", WIDE);
  await world.settle("a", "b");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, by);
  await saysOf(world, "a", "reverted", "2");
  const third = world.deploy("3", WIDE);
  await world.settle("a", "b");
  world.command(third, "rollback");
  world.pass(2000, "a", "b");
  expect(world.wanted("a")).toBe("2");
});

test("a machine that went back to a release that was being taken back from it goes to the one before that", async () => {
  const world = await onOne(["a", "b"]);
  const second = world.deploy("2", WIDE);
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  world.command(second, "rollback");
  world.pass(1000, "a", "b");
  // In its place, before any of them is back on 1.
  world.deploy("3", WIDE);
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  await saysOf(world, "a", "reverted", "2");
  const fourth = world.deploy("4", WIDE);
  await world.settle("a", "b");
  world.command(fourth, "rollback");
  world.pass(2000, "a", "b");
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "3"]);
});
