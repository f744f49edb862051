/** The wall clock jumps: a person has set it, or the host was suspended, while which the clock by which everything is measured stands still. */
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE } from "./on-one.fixture.ts";
import { NIGHTLY, type World } from "./world.fixture.ts";

const MINUTE = 60_000;
const by = { by: "anna", reason: "" };

const told = (world: World) => ["b", "c", "d"].filter((name) => world.wanted(name) === "2");
const inMs = (world: World, ms: number) => (world.clock.now() + ms) as Instant;

/** What gives 2 to b, c and d at its time. */
interface Scene {
  readonly what: string;
  /** The jump with which its time comes. */
  readonly jumpMs: number;
  readonly deploy: (world: World) => DeploymentId | Promise<DeploymentId>;
}

const wide = (world: World, changes: Partial<Strategy> = {}) => world.deploy("2", { ...WIDE, ...changes });

async function nextWave(world: World): Promise<DeploymentId> {
  const id = world.deploy("2", { waves: [wave(count(1)), { ...ALL, at: inMs(world, 30 * MINUTE) }], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  return id;
}

function frozen(world: World): DeploymentId {
  world.engine.orders.addFreeze({ from: 0 as Instant, until: inMs(world, 30 * MINUTE) }, by);
  return wide(world);
}

function windowed(world: World): DeploymentId {
  const opensAt = inMs(world, 30 * MINUTE);
  world.schedule = { openingOf: (_window, now) => (now >= opensAt ? { open: true, until: (opensAt + 600 * MINUTE) as Instant } : { open: false, opensAt }) };
  world.startEngine();
  return wide(world, { window: NIGHTLY });
}

const SCENES: readonly Scene[] = [
  { what: "the time of a wave", jumpMs: 60 * MINUTE, deploy: nextWave },
  { what: "start_at", jumpMs: 60 * MINUTE, deploy: (world) => wide(world, { startAt: inMs(world, 30 * MINUTE) }) },
  { what: "the end of a freeze", jumpMs: 60 * MINUTE, deploy: frozen },
  { what: "the time before a freeze", jumpMs: -10 * MINUTE, deploy: frozen },
  { what: "the opening of a window", jumpMs: 60 * MINUTE, deploy: windowed },
];

/** What the engine meets first after the jump. */
const FIRST: Readonly<Record<string, (world: World) => unknown>> = {
  "the look of the watch": (world) => world.clock.advance(500),
  "a report": (world) => world.say("d", "healthy"),
  "what a person asks": (world) => world.engine.orders.setBudget("zone=a", 5, "anna"),
};
const CASES = SCENES.flatMap((scene) => Object.keys(FIRST).map((first) => ({ ...scene, first })));

describe("a clock that jumps by more than half of silent-after begins nothing before the machines were heard", () => {
  test.each(CASES)("though it is $what by then, when $first comes first", async ({ jumpMs, deploy, first }) => {
    const world = await onOne();
    const id = await deploy(world);
    world.pass(5000, ...NAMES);
    expect(told(world)).toEqual([]);
    world.clock.wall += jumpMs;
    await FIRST[first]!(world);
    world.clock.advance(5000);
    expect([told(world), world.waitingOn(id)]).toEqual([[], expect.stringContaining("all machines to be heard since the controller was away")]);
    world.pass(3000, ...NAMES);
    expect(told(world)).toEqual(["b", "c", "d"]);
  });

  test.each(Object.keys(FIRST))("a canary that has died meanwhile stops it, when %s comes first", async (first) => {
    const world = await onOne();
    const id = await nextWave(world);
    world.pass(5000, ...NAMES);
    world.clock.wall += 60 * MINUTE;
    await FIRST[first]!(world);
    world.clock.advance(1000);
    const before = told(world);
    await world.say("a", "unhealthy");
    world.pass(3000, ...NAMES);
    expect([before, told(world), world.phase(id)]).toEqual([[], [], "rolling_back"]);
  });
});

describe("a clock that is set by less", () => {
  test.each([5000, -5000])("holds nobody up (by %s ms)", async (byMs) => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(9) });
    world.clock.wall += byMs;
    world.clock.advance(600);
    expect(world.engine.catchingUp).toBeUndefined();
    await world.say("a", "healthy");
    expect([told(world), world.phase(id)]).toEqual([["b", "c", "d"], "rolling"]);
  });

  test("lets a wave begin at its time by the new one", async () => {
    const world = await onOne();
    await nextWave(world);
    world.pass(30 * MINUTE - 4000, ...NAMES);
    expect(told(world)).toEqual([]);
    world.clock.wall += 5000;
    world.clock.advance(600);
    expect(told(world)).toEqual(["b", "c", "d"]);
  });
});

test.each([-5000, -10 * MINUTE])("a soak is over when its time is up, though the clock was set back in it (by %s ms)", async (byMs) => {
  const world = await onOne();
  world.deploy("2", { waves: [soak(20_000), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  world.pass(10_000, ...NAMES);
  world.clock.wall += byMs;
  world.pass(8000, ...NAMES);
  expect(told(world)).toEqual([]);
  world.pass(5000, ...NAMES);
  expect(told(world)).toEqual(["b", "c", "d"]);
});
