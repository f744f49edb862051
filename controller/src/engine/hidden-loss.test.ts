/** Machines that are lost and then drained, used again or removed: what stays known of the release, and what was never its fault. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const SOAK = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 30_000 }] } as never;
const by = { by: "hook", reason: "dead" };

async function canary(changes = {}) {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 300_000, healthyDeadlineMs: 60_000, ...changes });
  return { world, id };
}
const on2 = (world: World) => NAMES.filter((name) => world.wanted(name) === "2");

test("a canary that was lost, drained and uncordoned again without being heard is still lost", async () => {
  const { world, id } = await canary();
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  world.pass(20_000, ...NAMES.slice(1));
  expect(world.state(id, "a")).toBe("unreachable");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  world.engine.orders.uncordon("a" as never, by);
  world.pass(60_000, ...NAMES.slice(1));
  expect([world.phase(id), on2(world)]).toEqual(["rolling", []]);
});

test("a machine that was dead before its turn, and is removed, does not make the release suspected", async () => {
  const { world, id } = await canary();
  // It has the word of nobody that it has the assignment: no report, no heartbeat with its generation.
  world.pass(20_000, ...NAMES.slice(1));
  const before = [world.state(id, "a"), world.waitingOn(id)];
  world.remove("a");
  world.pass(60_000, ...NAMES.slice(1));
  expect([before, world.waitingOn(id)?.includes("fault"), on2(world).length > 0]).toEqual([before, false, true]);
});

test("without the removal it goes on", async () => {
  const { world } = await canary();
  world.pass(80_000, ...NAMES.slice(1));
  expect(on2(world).length > 1).toBe(true);
});

test.each(["healthy", "updating"])("a canary that is dead for 10s and drained then (%s) does not lead the release on", async (how) => {
  const { world } = await canary();
  if (how === "healthy") await world.say("a", "healthy");
  else await world.say("a", "activating");
  world.pass(3000, ...NAMES);
  world.engine.sessionEnded("a" as never);
  world.pass(10_000, ...NAMES.slice(1));
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  const ever = new Set<string>();
  for (let at = 0; at < 120_000; at += 1000) {
    world.pass(1000, ...NAMES.slice(1));
    for (const name of NAMES) if (world.wanted(name) === "2") ever.add(name);
  }
  expect([...ever]).toEqual([]);
});

test("a release that kills its host 10s after it was healthy, and a program that drains whoever was not heard for 8s: one host at most", async () => {
  const { world, id } = await canary();
  const taken = new Map<string, number>();
  const drained = new Set<string>();
  for (let at = 0; at < 1_200_000; at += 1000) {
    for (const name of NAMES) {
      const since = taken.get(name);
      if (since === undefined && world.wanted(name) === "2") taken.set(name, at);
      else if (since !== undefined && at === since + 3000) await world.say(name, "healthy");
      else if (since !== undefined && at === since + 13_000) world.engine.sessionEnded(name as never);
      else if (since !== undefined && at === since + 21_000) {
        world.engine.orders.cordon(name as never, { drain: true, force: true }, by);
        drained.add(name);
      }
    }
    world.pass(1000, ...NAMES.filter((name) => !(taken.has(name) && at >= taken.get(name)! + 13_000)));
  }
  expect([taken.size, world.phase(id)]).toEqual([1, "rolled_back"]);
});

test("a canary that was healthy, is drained, says that it has stopped, is switched off and removed says nothing against the release", async () => {
  const { world, id } = await canary();
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(20_000, ...NAMES.slice(1));
  world.remove("a");
  world.pass(60_000, ...NAMES.slice(1));
  expect([world.phase(id), world.waitingOn(id)?.includes("fault") ?? false]).toEqual(["rolling", false]);
});

test("a machine that is removed in the first second of a new controller was not lost when it was heard before", async () => {
  const { world, id } = await canary();
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  world.startEngine({ isHeard: false });
  await world.join("a");
  world.remove("a");
  world.pass(60_000, ...NAMES.slice(1));
  expect([world.phase(id), world.waitingOn(id)?.includes("fault") ?? false]).toEqual(["rolling", false]);
});

test("and was when it was not: it may have died while there was none, and a program that removes it tries until one is there", async () => {
  const { world, id } = await canary();
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  world.startEngine({ isHeard: false });
  world.remove("a");
  world.pass(60_000, ...NAMES.slice(1));
  expect([world.phase(id), world.waitingOn(id)?.includes("fault") ?? false]).toEqual(["rolling", true]);
});

test("what becomes of it: the good release is taken back", async () => {
  const { world, id } = await canary();
  world.pass(20_000, ...NAMES.slice(1));
  world.remove("a");
  world.pass(400_000, ...NAMES.slice(1));
  expect(world.phase(id)).not.toBe("rolled_back");
});

test("one host after another, when a program drains, waits and uncordons", async () => {
  const { world, id } = await canary();
  const dead = new Map<string, number>();
  const taken = new Map<string, number>();
  for (let at = 0; at < 900_000; at += 1000) {
    for (const name of NAMES) {
      const since = taken.get(name);
      if (since === undefined && world.wanted(name) === "2") taken.set(name, at);
      else if (since !== undefined && at === since + 2000) await world.say(name, "healthy");
      else if (since !== undefined && at === since + 5000) dead.set(name, at);
      else if (since !== undefined && at === since + 30_000) {
        world.engine.orders.cordon(name as never, { drain: true, force: true }, by);
        world.engine.orders.uncordon(name as never, by);
      }
    }
    world.pass(1000, ...NAMES.filter((name) => !dead.has(name)));
  }
  expect([dead.size, world.phase(id)]).toEqual([1, "rolled_back"]);
});
