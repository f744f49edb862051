/** What is counted of failures whose machines have left. */
import { expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";


test("a failure that was put up with, and is none any more after the end, does not excuse new ones", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1) });
  await world.say("a", "failed");
  for (const name of ["b", "c"]) await world.say(name, "healthy");
  world.pass(2000, "a", "b", "c");
  expect(world.phase(id)).toBe("succeeded");
  await world.say("a", "healthy");
  expect(world.state(id, "a")).toBe("healthy");
  await world.join("x", "y", "z");
  const told: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    world.pass(2000, "a", "b", "c", "x", "y", "z");
    for (const name of ["x", "y", "z"]) {
      if (world.wanted(name) !== "1" || told.includes(name)) continue;
      told.push(name);
      await world.say(name, "failed");
    }
  }
  const { counts, acknowledgedFailures } = loadRollout(world.journal, id)!.waves[0]!;
  expect([counts.failed, acknowledgedFailures]).toEqual([told.length, 0]);
});

test("what failed on each machine that took it has not succeeded, though these machines were removed", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "x" }, "a");
  await world.join("b", "c", "d");
  world.deploy("2", { waves: [ALL], targets: "zone=x", maxUnavailable: count(9) });
  await world.settle("a");
  world.pass(2000, "a", "b", "c", "d");
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(2) });
  for (const name of ["b", "c"]) await world.say(name, "failed");
  const kept = world.phase(id);
  expect([[...loadRollout(world.journal, id)!.unchanged], kept]).toEqual([["a"], "failed"]);
});

test("the same, when each is removed as it fails", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "x" }, "a");
  await world.join("b", "c", "d");
  world.deploy("2", { waves: [ALL], targets: "zone=x", maxUnavailable: count(9) });
  await world.settle("a");
  world.pass(2000, "a", "b", "c", "d");
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, { by: "anna", reason: "" });
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(2) });
  for (const name of ["b", "c"]) {
    await world.say(name, "reverting");
    world.remove(name);
  }
  world.pass(5000, "a", "d");
  expect([[...loadRollout(world.journal, id)!.unchanged], world.phase(id)]).toEqual([["a"], "failed"]);
});

