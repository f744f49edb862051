/** A release that is not well where it runs is given to nobody else, however a machine would come by it, until it is well there again. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { obey, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const OLD = ["a", "b", "c"];
const all = [...OLD, "x"];

/** 1 dies on all that have it, and x comes, which gets 2 by a deployment of its own. */
async function onDeadOne() {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, ...OLD);
  const first = world.deploy("1", WIDE);
  await work(world, OLD, 4);
  for (const name of OLD) await world.say(name, "unhealthy");
  world.pass(5000, ...OLD);
  await world.joinAs({ role: "web", zone: "b" }, "x");
  world.pass(60_000, ...all);
  const second = world.deploy("2", { ...WIDE, targets: "zone=b" });
  return { world, first, second };
}

const lateWait = async (world: World, first: string) => (await viewsOf(world).one(first as never))!.now?.lateWaitsFor;

test.each(["rolled back by hand", "bad"])("a machine that came late waits for what stands to be well; what it gets meanwhile is %s: it gets nothing until then", async (how) => {
  const { world, first, second } = await onDeadOne();
  if (how === "bad") await world.say("x", "failed");
  else {
    await obey(world, "x");
    expect(world.phase(second)).toBe("succeeded");
    world.command(second, "rollback");
  }
  for (let round = 0; round < 3; round += 1) await obey(world, "x");
  world.pass(60_000, ...all);
  world.startEngine();
  world.pass(60_000, ...all);
  expect([world.phase(second), world.wanted("x"), await lateWait(world, first)]).toEqual(["rolled_back", "remove", "app@1 to be healthy where it runs: 0 of 3 are now"]);
  for (const name of OLD) await world.say(name, "healthy");
  world.pass(60_000, ...all);
  await obey(world, "x");
  expect([world.wanted("x"), world.state(first, "x")]).toEqual(["1", "healthy"]);
});

test("what stands is well when the machine goes back, and was not when it got its release: it goes back to that", async () => {
  const { world, first, second } = await onDeadOne();
  await obey(world, "x");
  for (const name of OLD) await world.say(name, "healthy");
  world.pass(5000, ...all);
  world.command(second, "rollback");
  await obey(world, "x");
  world.pass(5000, ...all);
  expect([world.phase(second), world.wanted("x"), await lateWait(world, first)]).toEqual(["rolled_back", "1", ""]);
});

test("what stands dies elsewhere while a machine goes back to it: a drain of that machine, and its end, leave it what it has", async () => {
  const { world, second } = await onDeadOne();
  await obey(world, "x");
  for (const name of OLD) await world.say(name, "healthy");
  world.pass(5000, ...all);
  world.command(second, "rollback");
  for (const name of OLD) await world.say(name, "unhealthy");
  await obey(world, "x");
  world.engine.orders.cordon("x" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await world.say("x", "removed");
  world.pass(5000, ...all);
  world.engine.orders.uncordon("x" as never, { by: "anna", reason: "" });
  world.pass(5000, ...all);
  expect(world.wanted("x")).toBe("1");
});
