/** What a rollback, or the tail of one, does about machines that a newer deployment has. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";

const by = { by: "anna", reason: "" };

test("a rollback takes back whoever was left to a newer deployment that ended without telling it anything", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(4), maxFailures: count(1) });
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  // Confirmed: it keeps 2, and says that it is not well for a moment.
  await world.say("a", "unhealthy", world.generation("a"), "app", "2");
  for (const name of ["b", "c", "d"]) await world.say(name, "healthy");
  world.pass(2000, ...NAMES);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["succeeded", "failed"]);
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  world.command(second, "retry");
  world.pass(1000, ...NAMES);
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1) });
  world.pass(1000, ...NAMES);
  expect([world.phase(third), world.state(second, "a")]).toEqual(["rolling", "skipped"]);
  await world.say("a", "healthy", world.generation("a"), "app", "2"); // it recovers
  world.pass(20_000, "b", "c", "d"); // and is cut off
  world.command(third, "abort");
  world.pass(1000, "b", "c", "d");
  expect(world.command(second, "rollback").ok).toBe(true);
  await work(world, ["b", "c", "d"], 5);
  const outcome = (await viewsOf(world).one(second))!.outcome;
  await world.join("a");
  world.pass(3000, ...NAMES);
  await work(world, NAMES, 5);
  expect(outcome).toBe("rolled back, except 1 unreachable: a may still run 2, and goes back when it is heard");
  expect([world.phase(second), NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
});

test("it is no longer given the release, also when it comes back with another disk", async () => {
  const world = await onOne();
  const second = world.deploy("2", { ...WIDE, maxFailures: count(1) });
  for (const name of ["a", "b", "c"]) await world.say(name, "healthy");
  await world.say("d", "reverting");
  await world.say("d", "reverted", world.generation("d"), "app", "1");
  world.pass(2000, ...NAMES);
  expect([world.phase(second), world.state(second, "d")]).toEqual(["succeeded", "failed"]);
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  world.command(second, "retry");
  world.pass(1000, ...NAMES);
  expect(world.state(second, "d")).toBe("pending");
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1) });
  world.pass(1000, ...NAMES);
  expect([world.phase(third), world.state(second, "d")]).toEqual(["rolling", "skipped"]);
  world.pass(20_000, "a", "b", "c");
  world.command(third, "abort");
  world.pass(1000, "a", "b", "c");
  expect(world.command(second, "rollback")).toMatchObject({ ok: true });
  await work(world, ["a", "b", "c"], 5);
  await world.join("d");
  world.pass(3000, ...NAMES);
  await world.loseDisk("d");
  world.pass(3000, ...NAMES);
  expect([world.phase(second), NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
});

test("a machine that waits to go back in an ended rollback is left to the newer deployment that has it", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, NAMES, 12);
  world.pass(20_000, "a", "b");
  world.command(second, "rollback");
  await work(world, ["a", "b"], 8);
  expect([world.phase(second), world.state(second, "c"), world.state(second, "d")]).toEqual(["rolled_back", "unreachable", "unreachable"]);
  await world.join("c", "d");
  world.pass(500, ...NAMES);
  expect(new Set([world.state(second, "c"), world.state(second, "d")])).toEqual(new Set(["healthy", "reverting"]));
  const waits = world.state(second, "c") === "healthy" ? "c" : "d";
  const third = world.deploy("3", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  expect([world.phase(third), world.state(third, waits), world.wanted(waits)]).toEqual(["rolling", "pending", "2"]);
  const wanted: unknown[] = [];
  for (let i = 0; i < 6; i += 1) {
    await work(world, NAMES, 1);
    wanted.push(world.wanted(waits));
  }
  expect(new Set(wanted)).toEqual(new Set(["2"]));
});
