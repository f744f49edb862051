/** A machine that was removed, joins again while it runs the release that it is given, and gets another one before anybody has confirmed that. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

async function joinedAgain() {
  const world = await onOne();
  const before = world.generation("a");
  world.remove("a");
  world.pass(1000, "b", "c", "d");
  await world.joinOwing("a");
  await world.say("a", "healthy", before, "app", "1");
  world.pass(500, ...NAMES);
  expect([world.wanted("a"), world.state("d-1" as never, "a")]).toEqual(["1", "updating"]);
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  expect(NAMES.map((name) => world.wanted(name))).toEqual(["2", "2", "2", "2"]);
  return { world, second };
}

test("a rollback gives it what it ran again", async () => {
  const { world, second } = await joinedAgain();
  for (const name of NAMES) await world.say(name, "healthy", world.generation(name), "app", "2");
  world.pass(3000, ...NAMES);
  expect(world.phase(second)).toBe("succeeded");
  world.command(second, "rollback");
  world.pass(3000, ...NAMES);
  expect(NAMES.map((name) => world.wanted(name))).toEqual(["1", "1", "1", "1"]);
});

test("its agent knows what to go back to by itself", async () => {
  const { world } = await joinedAgain();
  expect(NAMES.map((name) => world.engine.assignmentFor(name as never)!.apps[0]!.lastGoodVersion)).toEqual(["1", "1", "1", "1"]);
});

test("it runs what it ran again when the new release fails elsewhere", async () => {
  const { world, second } = await joinedAgain();
  await world.say("b", "reverting", world.generation("b"), "app", "");
  await world.say("b", "reverted", world.generation("b"), "app", "1");
  world.pass(3000, ...NAMES);
  expect(["rolling_back", "rolled_back"]).toContain(world.phase(second));
  await work(world, NAMES, 8);
  world.pass(600_000, ...NAMES);
  expect(world.wanted("a")).toBe("1");
});

test.each(["is on its way with what the others run", "is silent, on that way"])("a new machine that %s when the next release comes has that to go back to", async (how) => {
  const world = await onOne(["a", "b", "c"]);
  await world.join("new");
  world.pass(500, "a", "b", "c", "new");
  expect([world.wanted("new"), world.state("d-1" as never, "new")]).toEqual(["1", "updating"]);
  const there = how.startsWith("is silent") ? ["a", "b", "c"] : ["a", "b", "c", "new"];
  if (there.length === 3) world.pass(20_000, ...there);
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  if (there.length === 3) await world.join("new");
  for (const name of ["b", "c", "new"]) await world.say(name, "healthy");
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(3000, "a", "b", "c", "new");
  await work(world, ["a", "b", "c", "new"], 8);
  expect([world.phase(second), world.wanted("new")]).toEqual(["rolled_back", "1"]);
});

test("a machine that came late to a release goes back with the others to what stood before", async () => {
  const world = await onOne(["a", "b", "c"]);
  const second = world.deploy("2", WIDE);
  await work(world, ["a", "b", "c"], 2);
  const all = ["a", "b", "c", "new"];
  await world.join("new");
  await work(world, all, 3);
  expect([world.phase(second), world.wanted("new"), world.state(second, "new")]).toEqual(["succeeded", "2", "healthy"]);
  world.command(second, "rollback");
  await work(world, all, 4);
  expect([world.phase(second), all.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
});

test("the app is removed from a machine for which nothing stood before", async () => {
  const world = new World();
  await world.join("a");
  await world.joinAs({ role: "db" }, "other");
  world.deploy("1", WIDE);
  await work(world, ["a", "other"], 2);
  const second = world.deploy("2", { ...WIDE, targets: "" });
  await work(world, ["a", "other"], 2);
  expect([world.phase(second), world.wanted("a"), world.wanted("other")]).toEqual(["succeeded", "2", "2"]);
  world.command(second, "rollback");
  await work(world, ["a", "other"], 3);
  expect([world.phase(second), world.wanted("a"), world.wanted("other")]).toEqual(["rolled_back", "1", "remove"]);
});

test("a release that is deployed once more to a machine that is down, and taken back, stands as before: late machines get it", async () => {
  const world = await onOne(["a", "b", "c"]);
  await world.say("c", "unhealthy");
  const again = world.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  expect(world.wanted("c")).toBe("1");
  await world.say("c", "failed");
  world.pass(2000, "a", "b", "c");
  expect(["rolling_back", "rolled_back"]).toContain(world.phase(again));
  await work(world, ["a", "b", "c"], 3);
  expect(world.phase(again)).toBe("rolled_back");
  await world.join("new");
  await work(world, ["a", "b", "c", "new"], 3);
  expect(["a", "b", "c", "new"].map((name) => world.wanted(name))).toEqual(["1", "1", "1", "1"]);
});
