/** A release that is not well where it runs is given to nobody else, however a machine would come by it, until it is well there again. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
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

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** 2 went to zone=a by the second deployment; seven of eight got 3 by another one, and are back on 2. */
async function backOnTwo(targets: string) {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, ...NAMES);
  const second = world.deploy("2", { ...WIDE, targets: "zone=a" });
  await work(world, NAMES, 4);
  const third = world.deploy("3", { ...WIDE, targets, waves: [wave(count(7)), { ...ALL, afterMs: 600_000 }] });
  await work(world, NAMES, 4);
  world.command(third, "rollback");
  await work(world, NAMES, 8);
  const back = NAMES.filter((name) => world.state(third, name) === "reverted");
  expect([world.phase(third), back.length, NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["rolled_back", 7, NAMES]);
  return { world, second, back };
}

test.each([
  ["the same machines", "zone=a"],
  ["another selector", "role=web"],
])("machines that went back to a release by the rollback of a deployment to %s say how it does: it dies there, and a late machine waits", async (_what, targets) => {
  const { world, second, back } = await backOnTwo(targets);
  for (const name of back) await world.say(name, "unhealthy");
  world.pass(5000, ...NAMES);
  await world.joinAs({ role: "web", zone: "a" }, "x");
  world.pass(60_000, ...NAMES, "x");
  expect([world.wanted("x"), await lateWait(world, second), world.engine.audit()]).toEqual([undefined, "app@2 to be healthy where it runs: 1 of 8 are now", undefined]);
  world.startEngine();
  world.pass(60_000, ...NAMES, "x");
  expect([world.wanted("x"), await lateWait(world, second)]).toEqual([undefined, "app@2 to be healthy where it runs: 1 of 8 are now"]);
  for (const name of back) await world.say(name, "healthy");
  world.pass(60_000, ...NAMES, "x");
  expect(world.wanted("x")).toBe("2");
});

test("a release that dies where another deployment gave it keeps no late machine from it where it is well, whatever was rolled back in both places", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b", "c");
  await world.joinAs({ role: "web", zone: "b" }, "d", "e", "f");
  const those = ["a", "b", "c", "d", "e", "f"];
  for (const zone of ["a", "b"]) {
    world.deploy("2", { ...WIDE, targets: `zone=${zone}` });
    await work(world, those, 4);
  }
  const third = world.deploy("3", WIDE);
  await work(world, those, 4);
  world.command(third, "rollback");
  await work(world, those, 6);
  expect(those.map((name) => world.wanted(name))).toEqual(those.map(() => "2"));
  for (const name of ["a", "b", "c"]) await world.say(name, "unhealthy");
  await world.joinAs({ role: "web", zone: "a" }, "x");
  await world.joinAs({ role: "web", zone: "b" }, "y");
  world.pass(60_000, ...those, "x", "y");
  expect([world.wanted("x"), world.wanted("y")]).toEqual([undefined, "2"]);
});

test("what a drain gives back to machines says how it does where it was given first", async () => {
  const world = new World();
  const those = ["a", "b", "c", "d"];
  await world.joinAs({ role: "web", zone: "a" }, ...those);
  const second = world.deploy("2", { ...WIDE, targets: "zone=a" });
  await work(world, those, 4);
  world.engine.orders.cordon("d" as never, { drain: false, force: true }, { by: "anna", reason: "" });
  const third = world.deploy("3", WIDE);
  for (const name of ["b", "c"]) world.engine.orders.cordon(name as never, { drain: true, force: true }, { by: "anna", reason: "" });
  world.command(third, "abort");
  for (const name of ["b", "c"]) {
    await world.say(name, "removed");
    world.engine.orders.uncordon(name as never, { by: "anna", reason: "" });
    await world.say(name, "unhealthy");
  }
  await world.joinAs({ role: "web", zone: "a" }, "x");
  world.pass(60_000, ...those, "x");
  expect([...those, "x"].map((name) => world.wanted(name))).toEqual(["3", "2", "2", "2", undefined]);
  expect([world.engine.unsound(second), world.engine.audit()]).toEqual(["app@2 to be healthy where it runs: 1 of 3 are now", undefined]);
});
