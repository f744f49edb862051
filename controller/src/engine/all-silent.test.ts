/** Nobody could be told of the release, since all machines were silent: progress_deadline begins when the first is told. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, work } from "./on-one.fixture.ts";

const SKIP = { kind: "skip" } as const;
const WAIT = { kind: "wait", forMs: 10_000 } as const;
const STRATEGY = { waves: [wave(count(1)), ALL], maxUnavailable: count(2), maxFailures: count(1), minHealthyTimeMs: 1000, healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 };

test("one that was told, and is no part of the fleet any more, says nothing", async () => {
  const world = await onOne();
  world.pass(20_000, "a");
  const id = world.deploy("2", { ...STRATEGY, offline: SKIP });
  expect(world.wanted("a")).toBe("2");
  world.remove("a");
  world.pass(6_000_000);
  expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", "b, c, d to be heard from: no machine has answered yet"]);
});

test.each([
  ["skip", SKIP, 60_000],
  ["wait:10s", WAIT, 80_000],
  ["skip", SKIP, 590_000],
  ["wait:10s", WAIT, 610_000],
  ["skip", SKIP, 6_000_000],
])("offline: %s, for %#", async (_, offline, silentMs) => {
  const world = await onOne();
  world.pass(20_000);
  const id = world.deploy("2", { ...STRATEGY, offline });
  world.pass(silentMs);
  expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", expect.stringMatching(/to be heard from: no machine has answered yet$/)]);
  world.startEngine();
  await world.join(...NAMES);
  world.pass(20_000, ...NAMES);
  expect(world.phase(id)).toBe("rolling");
  await work(world, NAMES, 20);
  expect([world.phase(id), ...NAMES.map((name) => world.wanted(name))]).toEqual(["succeeded", "2", "2", "2", "2"]);
});
