/** Releases that kill their hosts: nobody ever comes back, and no report says anything of it. */
import { expect, test } from "vitest";
import { ALL, count, percent, wave } from "../rollout/rollout.fixture.ts";
import type { Strategy } from "../plan/strategy.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

interface Killer {
  /** After being told, the last word comes so much later; null: there is none. */
  readonly says: { readonly phase: "healthy" | "pulling"; readonly afterMs: number } | null;
  /** After being told. */
  readonly diesAfterMs: number;
}

/** Ten machines run 1, well; 2 kills. */
async function killing(changes: Partial<Strategy>, { says, diesAfterMs }: Killer, { forMs = 3_600_000, each = (_at: number, _world: World, _dead: readonly string[]): void => {} } = {}) {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", changes);
  const taken = new Map<string, number>();
  const answered = new Map(NAMES.map((name) => [name, 0]));
  const isDead = (name: string, at: number) => taken.has(name) && at >= taken.get(name)! + diesAfterMs;
  for (let at = 0; at < forMs; at += 1000) {
    each(at, world, NAMES.filter((name) => isDead(name, at)));
    for (const name of NAMES) {
      if (isDead(name, at) && taken.get(name)! < at) continue;
      if (world.wanted(name) === "2" && !taken.has(name)) taken.set(name, at);
      const since = taken.get(name);
      if (since !== undefined && says !== null && at === since + says.afterMs) await world.say(name, says.phase);
      else if (since === undefined && world.generation(name) > answered.get(name)!) {
        answered.set(name, world.generation(name));
        await world.say(name, "healthy");
      }
    }
    world.pass(1000, ...NAMES.filter((name) => !isDead(name, at)));
  }
  return { world, id, dead: [...taken.keys()].length, phase: world.phase(id) };
}

const SOAK = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 30_000 }] } as never;
const BASE = { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 120_000, healthyDeadlineMs: 60_000 };
const AFTER_HEALTHY: Killer = { says: { phase: "healthy", afterMs: 3000 }, diesAfterMs: 10_000 };

test("offline: skip stops at the canary", async () => {
  const { dead, phase } = await killing(BASE, AFTER_HEALTHY);
  expect([dead, phase]).toEqual([1, "rolled_back"]);
});

test("offline: wait:60s does not let the next wave follow a canary that was lost in its soak, and does not call it a success", async () => {
  const { dead, phase } = await killing({ ...BASE, offline: { kind: "wait", forMs: 60_000 } }, AFTER_HEALTHY);
  expect([dead, phase === "succeeded"]).toEqual([1, false]);
});

test("the same before it is healthy", async () => {
  const { dead, phase } = await killing({ ...BASE, offline: { kind: "wait", forMs: 60_000 } }, { says: { phase: "pulling", afterMs: 0 }, diesAfterMs: 1000 });
  expect([dead, phase === "succeeded"]).toEqual([1, false]);
});

test("max_unreachable: 1 does not let a release that is lost on its only canary into the next wave", async () => {
  const { dead, phase } = await killing({ ...BASE, maxUnreachable: count(1) }, AFTER_HEALTHY);
  expect([dead, phase]).toEqual([1, "rolled_back"]);
});

test("max_unreachable: 20%", async () => {
  const { dead, phase } = await killing({ ...BASE, maxUnreachable: percent(20) }, AFTER_HEALTHY);
  expect([dead, phase]).toEqual([1, "rolled_back"]);
});

test("one that kills before a word (an assignment that no agent survives) does not eat the fleet one after another", async () => {
  const { dead } = await killing({ ...BASE, waves: [wave(count(1)), wave(count(3)), ALL] }, { says: null, diesAfterMs: 1000 });
  expect(dead).toBeLessThanOrEqual(3);
});

test("the same with offline: wait:60s", async () => {
  const { dead } = await killing({ ...BASE, offline: { kind: "wait", forMs: 60_000 } }, { says: null, diesAfterMs: 1000 });
  expect(dead).toBeLessThanOrEqual(3);
});

test("a controller that is started anew every 25 s", async () => {
  const each = (at: number, world: World): void => {
    if (at > 0 && at % 25_000 === 0) world.startEngine({ isHeard: false });
  };
  const { dead, phase } = await killing(BASE, AFTER_HEALTHY, { each });
  expect([dead, phase]).toEqual([1, "rolled_back"]);
});

for (const how of ["drains", "removes"] as const) test(`somebody ${how} the dead canary`, async () => {
  const gone = new Set<string>();
  const each = (at: number, world: World, dead: readonly string[]): void => {
    for (const name of dead) {
      if (gone.size > 0 || at % 40_000 !== 0) continue;
      gone.add(name);
      if (how === "removes") world.remove(name);
      else world.engine.orders.cordon(name as never, { drain: true, force: true }, { by: "anna", reason: "dead" });
    }
  };
  const { dead } = await killing({ ...BASE, waves: [SOAK, { ...SOAK as object, members: { kind: "size", size: count(3) } } as never, ALL] }, AFTER_HEALTHY, { each, forMs: 1_200_000 });
  expect(dead).toBeLessThanOrEqual(5);
});

for (const onFailure of ["pause", "abort"] as const) test(`on_failure: ${onFailure}`, async () => {
  const { dead, phase } = await killing({ ...BASE, onFailure }, AFTER_HEALTHY, { forMs: 900_000 });
  expect([dead, phase]).toEqual([1, onFailure === "pause" ? "paused" : "failed"]);
});

test("with a success threshold, the wave and no more", async () => {
  const some = { ...SOAK as object, members: { kind: "size", size: count(4) }, successThreshold: count(2) } as never;
  const { dead, phase } = await killing({ ...BASE, waves: [some, ALL] }, AFTER_HEALTHY, { forMs: 900_000 });
  expect([dead <= 4, phase]).toEqual([true, "rolled_back"]);
});

test("hosts that are rebooted again and again by the release, with a soak", async () => {
  // Silent for 20 s of each 40, and healthy whenever it is heard.
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", BASE);
  const taken = new Map<string, number>();
  for (let at = 0; at < 1_200_000; at += 1000) {
    const heard: string[] = [];
    for (const name of NAMES) {
      if (world.wanted(name) === "2" && !taken.has(name)) taken.set(name, at);
      const since = taken.get(name);
      const isUp = since === undefined || world.wanted(name) !== "2" || (at - since) % 40_000 < 20_000;
      if (!isUp) continue;
      heard.push(name);
      if (since !== undefined && (at - since) % 40_000 === 3000 && world.wanted(name) === "2") {
        await world.say(name, "probing");
        await world.say(name, "healthy");
      } else if (since !== undefined && world.wanted(name) === "1" && at % 5000 === 0) await world.say(name, "healthy");
    }
    world.pass(1000, ...heard);
  }
  expect([taken.size, world.phase(id)]).toEqual([1, "rolled_back"]);
});
