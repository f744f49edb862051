/** A program that drains dead machines hides what kills them: after the end, in the tail, before a promotion, while they wait for their turn. */
import { expect, test } from "vitest";
import { ALL, count, wave, webhook } from "../rollout/rollout.fixture.ts";
import { onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
const FIRST = NAMES.slice(0, 6);
const DEAD = NAMES.slice(0, 4);
const ALIVE = NAMES.slice(4);
const program = { by: "program", reason: "its host is dead" };
const drain = (world: World, ...names: readonly string[]) => names.forEach((name) => world.engine.orders.cordon(name as never, { drain: true, force: true }, program));
const uncordon = (world: World, ...names: readonly string[]) => names.forEach((name) => world.engine.orders.uncordon(name as never, program));
const hear = (world: World, ...names: readonly string[]) => names.forEach((name) => world.engine.heartbeat(name as never, world.engine.newestGeneration(name as never)));
const took = (world: World) => NAMES.slice(6).filter((name) => world.wanted(name) === "2");

// Lost, then drained, after the end.

test.each([{ ms: 9000, restarts: false }, { ms: 20_000, restarts: false }, { ms: 20_000, restarts: true }])("four of six die after the end and are drained $ms ms later: who joins does not get the release (restart: $restarts)", async ({ ms, restarts }) => {
  const world = await onOne(FIRST);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, FIRST, 8);
  expect(world.phase(id)).toBe("succeeded");
  hear(world, ...FIRST);
  world.pass(ms, "e", "f");
  drain(world, ...DEAD);
  world.pass(20_000, "e", "f");
  if (restarts) world.startEngine();
  await world.join("g");
  world.pass(40_000, "e", "f", "g");
  expect(world.wanted("g")).not.toBe("2");
});

test.each([
  { ms: 2000, removes: false },
  { ms: 9000, removes: false },
  { ms: 20_000, removes: false },
  { ms: 2000, removes: true },
])("in the tail each that takes it dies, is drained $ms ms later (removed after that: $removes), and is replaced: it ends after two", async ({ ms, removes }) => {
  const world = await onOne(FIRST);
  world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, FIRST, 8);
  const killed: string[] = [];
  for (const late of ["g", "h", "i", "j", "k", "l"]) {
    await world.join(late);
    world.pass(1000, ...FIRST, late);
    if (world.wanted(late) !== "2") break;
    killed.push(late);
    await world.say(late, "probing");
    hear(world, late);
    world.engine.sessionEnded(late as never);
    world.pass(ms, ...FIRST);
    drain(world, late);
    world.pass(20_000, ...FIRST);
    if (removes) world.remove(late);
    world.pass(2000, ...FIRST);
  }
  expect(killed.length).toBeLessThanOrEqual(2);
});

test.each([false, true])("production waits while four of six in staging died of the release (drained: %s)", async (isDrained) => {
  const staging = ["s1", "s2", "s3", "s4", "s5", "s6"];
  const world = new World();
  await world.joinAs({ env: "staging" }, ...staging);
  await world.joinAs({ env: "prod" }, "p1", "p2");
  for (const env of ["staging", "prod"]) world.deploy("1", { ...WIDE, targets: `env=${env}` });
  await world.settle(...staging, "p1", "p2");
  world.deploy("2", { ...WIDE, targets: "env=staging" });
  await world.settle(...staging);
  world.pass(3000, ...staging, "p1", "p2");
  world.deploy("2", { ...WIDE, targets: "env=prod", after: { deploymentOf: "app", targets: "env=staging", soakMs: 60_000 } as never });
  world.pass(20_000, "s5", "s6", "p1", "p2");
  if (isDrained) drain(world, ...staging.slice(0, 4));
  world.pass(100_000, "s5", "s6", "p1", "p2");
  expect([world.wanted("p1"), world.wanted("p2")]).toEqual(["1", "1"]);
});

// It has the release, is lost, and its target has no purpose: it waits for its turn.

async function soaking(max: number): Promise<World> {
  const world = await onOne(NAMES);
  world.deploy("2", { waves: [soak(30_000, 6), ALL], maxUnavailable: count(max), progressDeadlineMs: 120_000 });
  await work(world, NAMES, 3);
  hear(world, ...FIRST);
  return world;
}

test.each([
  { max: 1, by: "the window" },
  { max: 12, by: "a freeze" },
  { max: 12, by: "a pause" },
])("four of six die, are drained and uncordoned within 4 s, and wait for their turn because of $by: they hold the others back", async ({ max, by }) => {
  const world = await soaking(max);
  world.pass(2000, ...ALIVE);
  if (by === "a freeze") world.engine.orders.addFreeze({ from: 0 as never, until: null }, program);
  if (by === "a pause") world.command("d-2" as never, "pause");
  drain(world, ...DEAD);
  world.pass(2000, ...ALIVE);
  uncordon(world, ...DEAD);
  world.pass(20_000, ...ALIVE);
  if (by === "a freeze") world.engine.orders.endFreeze(world.engine.orders.freezes()[0]!.id, "anna");
  if (by === "a pause") world.command("d-2" as never, "resume");
  world.pass(40_000, ...ALIVE);
  expect(took(world)).toEqual([]);
});

test.each(["stay", "are drained", "are removed", "are relabelled"])("four on trial are lost before they are told, and %s: nobody else gets the release", async (what) => {
  const world = await onOne(NAMES);
  const first = world.deploy("2", { waves: [soak(300_000, 6), ALL], maxUnavailable: count(12) });
  for (const name of FIRST) await world.say(name, "healthy");
  world.pass(3000, ...NAMES);
  expect(world.command(first, "abort").ok).toBe(true);
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), progressDeadlineMs: 300_000 });
  const dead = ["c", "d", "e", "f"];
  const alive = NAMES.filter((name) => !dead.includes(name));
  world.pass(16_000, ...alive);
  expect(dead.map((name) => world.state(second, name))).toEqual(Array(4).fill("unreachable"));
  if (what === "are drained") drain(world, ...dead);
  if (what === "are removed") for (const name of dead) world.remove(name);
  if (what === "are relabelled") for (const name of dead) world.label({ role: "dead" }, name);
  await world.say("a", "healthy");
  world.pass(5000, ...alive);
  if (world.state(second, "b") === "updating") await world.say("b", "healthy");
  world.pass(5000, ...alive);
  expect(took(world)).toEqual([]);
});

// The same kind, while a fault of the controller has paused the rollout.

test("four of six die while a fault has paused the rollout, are drained and then removed: they hold the others back when it is resumed", async () => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [soak(30_000, 6), ALL], maxUnavailable: count(12), progressDeadlineMs: 120_000, window: { cron: "* * * * *", durationMs: 60_000, timeZone: "UTC" } as never });
  await work(world, FIRST, 1);
  world.pass(3000, ...NAMES);
  hear(world, ...FIRST);
  world.calendarFails = true;
  world.pass(40_000, ...NAMES);
  expect(world.phase(id)).toBe("paused");
  world.calendarFails = false;
  world.pass(2000, ...ALIVE);
  drain(world, ...DEAD);
  world.pass(20_000, ...ALIVE);
  for (const name of DEAD) world.remove(name);
  world.command(id, "resume");
  world.pass(60_000, ...ALIVE);
  expect(took(world)).toEqual([]);
});

// max_unavailable: 1, and each that takes it dies.

test.each(["drains", "removes", "leaves"])("with max_unavailable: 1 a release that kills whoever takes it kills one, though a program %s it 2 s later", async (what) => {
  const world = await onOne(NAMES);
  world.deploy("2", { waves: [ALL], maxUnavailable: count(1), progressDeadlineMs: 120_000 });
  const diedAt = new Map<string, number>();
  for (let second = 0; second < 60; second += 1) {
    for (const name of NAMES) {
      if (diedAt.has(name) || world.wanted(name) !== "2") continue;
      await world.say(name, "probing");
      diedAt.set(name, second);
      world.engine.sessionEnded(name as never);
    }
    for (const [name, at] of diedAt) {
      if (second !== at + 2) continue;
      if (what === "drains") drain(world, name);
      if (what === "removes") world.remove(name);
    }
    world.pass(1000, ...NAMES.filter((name) => !diedAt.has(name)));
  }
  expect([...diedAt.keys()]).toEqual(["a"]);
});

// Nobody is silent because the controller was away.

test("a live machine that is drained while a controller that has just started waits to hear it is not declared silent", async () => {
  const world = await onOne(FIRST);
  world.startEngine({ isHeard: false });
  for (let second = 0; second < 9; second += 1) {
    world.clock.advance(1000);
    for (const name of FIRST.slice(1)) world.engine.heartbeat(name as never, 0 as never);
  }
  expect(world.engine.catchingUp).toBeDefined();
  drain(world, "a");
  expect(world.fleet.isSilent("a" as never)).toBe(false);
});

// What a webhook has said is a decision.

test("a webhook that says stop while the soak before it runs again stops the rollout then", async () => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 600_000 }, webhook({ retryIntervalMs: 1000 })] } as never, ALL], maxUnavailable: count(12), progressDeadlineMs: 60_000 });
  for (const name of ["a", "b"]) await world.say(name, "healthy");
  world.pass(605_000, ...NAMES);
  expect(world.waitingOn(id)).toBe("the webhook of wave 1 to say go");
  await world.say("a", "probing");
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  for (const { answer } of world.asked.splice(0)) answer({ kind: "stop", detail: "errors" });
  await new Promise((resolve) => setImmediate(resolve));
  world.pass(30_000, ...NAMES);
  expect(world.phase(id)).toBe("rolling_back");
});
