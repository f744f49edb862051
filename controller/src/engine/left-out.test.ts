/** Machines that ran the release already when the plan was made, and are left out: what they are now counts. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const IN_A = ["a1", "a2", "a3"];
const IN_B = ["b1", "b2", "b3", "b4"];
const ALL_OF_THEM = [...IN_A, ...IN_B];

/** Zone a runs 2, zone b runs 1. */
async function halfOnTwo(): Promise<World> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, ...IN_A);
  await world.joinAs({ role: "web", zone: "b" }, ...IN_B);
  world.deploy("1", WIDE);
  await work(world, ALL_OF_THEM);
  world.deploy("2", { ...WIDE, targets: "zone=a" });
  await work(world, ALL_OF_THEM);
  return world;
}

const onTheirWay = (world: World): number => IN_B.filter((name) => world.wanted(name) === "2").length;

test("when they fall ill after the plan was made they take places in the window, and give them back", async () => {
  const world = await halfOnTwo();
  world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  expect(onTheirWay(world)).toBe(2);
  await world.say("a1", "unhealthy");
  await world.say("b1", "healthy");
  expect(onTheirWay(world)).toBe(2);
  await world.say("a1", "healthy");
  expect(onTheirWay(world)).toBe(3);
});

test("while they are down they take places in the window", async () => {
  const world = await halfOnTwo();
  for (const name of ["a1", "a2"]) await world.say(name, "unhealthy");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(3) });
  expect(onTheirWay(world)).toBe(1);
  await world.say("a1", "healthy");
  expect(onTheirWay(world)).toBe(2);
});

test("a restart of the controller changes nothing of that", async () => {
  const world = await halfOnTwo();
  for (const name of ["a1", "a2"]) await world.say(name, "unhealthy");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(3) });
  world.startEngine();
  world.pass(1000, ...ALL_OF_THEM);
  expect(onTheirWay(world)).toBe(1);
  await world.say("a1", "healthy");
  expect([onTheirWay(world), world.engine.audit()]).toEqual([2, undefined]);
});

test("while none of them serves they are no evidence: without a canary that has answered the others start one at a time", async () => {
  const world = await halfOnTwo();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(9) });
  for (const name of IN_A) await world.say(name, "unhealthy");
  world.remove("b1");
  world.pass(2000, ...ALL_OF_THEM.filter((name) => name !== "b1"));
  expect([onTheirWay(world), world.phase(id)]).toEqual([1, "rolling"]);
});

test("one that serves is evidence, and one that is removed takes no place", async () => {
  const world = await halfOnTwo();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4) });
  await world.say("a1", "unhealthy");
  world.remove("a2");
  world.remove("b1");
  world.pass(2000, "a1", "a3", "b2", "b3", "b4");
  expect([onTheirWay(world), world.phase(id)]).toEqual([3, "rolling"]);
});

test("one that runs another release by now is no evidence when the rollout is retried, nor when the controller was started anew", async () => {
  const world = await halfOnTwo();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4), onFailure: "abort" });
  await world.say("b1", "reverting");
  await world.say("b1", "reverted");
  world.pass(2000, ...ALL_OF_THEM);
  expect(world.phase(id)).toBe("failed");
  const newer = world.deploy("3", { ...WIDE, targets: "zone=a" });
  await work(world, IN_A, 4);
  expect([world.phase(newer), IN_A.map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3"]]);
  // The host of the canary is off.
  const rest = ALL_OF_THEM.filter((name) => name !== "b1");
  world.pass(60_000, ...rest);
  expect(world.command(id, "retry").ok).toBe(true);
  world.pass(4000, ...rest);
  const others = (): number => rest.filter((name) => world.wanted(name) === "2").length;
  expect(others()).toBe(1);
  world.startEngine({ isHeard: false });
  await world.join(...rest);
  world.pass(4000, ...rest);
  expect([others(), world.engine.audit()]).toEqual([1, undefined]);
});
