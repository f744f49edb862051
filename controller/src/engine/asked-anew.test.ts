/** What alarms and metrics said before a gap, in which the controller did not look, says nothing of the time since: they are asked anew before anything follows from it. */
import { describe, expect, test } from "vitest";
import { alarm, ALL, count, prometheus, wave } from "../rollout/rollout.fixture.ts";
import { failCommitOnce, fillDisk } from "./failing-disk.fixture.ts";
import { NAMES, onOne } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const MINUTE = 60_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const told = (world: World) => ["b", "c", "d"].filter((name) => world.wanted(name) === "2");
const attempts = (world: World) => world.asked.map(({ question }) => question.attempt);

/** To the newest question. */
async function answer(world: World, kind: "go" | "stop"): Promise<void> {
  world.asked.at(-1)!.answer({ kind, detail: `it says ${kind}` });
  await turn();
}

/** After each of them the machines are still to be heard. */
const GAPS: Readonly<Record<string, (world: World) => void>> = {
  "was started anew": (world) => {
    world.engine.stop();
    world.clock.elapsed += 60 * MINUTE;
    world.startEngine({ isHeard: false });
  },
  "was held up": (world) => {
    world.clock.elapsed += 60 * MINUTE;
    world.clock.advance(500);
  },
  "had a full disk": (world) => {
    const free = fillDisk(world);
    world.pass(MINUTE, ...NAMES);
    free();
    world.clock.advance(1500);
  },
  "was on a host that was suspended": (world) => {
    world.clock.wall += 60 * MINUTE;
    world.clock.advance(500);
  },
};

/** 2 is on its way to a, one at a time; the alarm was quiet when that began. */
async function rolling(failureLimit = 0) {
  const world = await onOne();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), alarms: [alarm({ intervalMs: MINUTE, failureLimit })] });
  await answer(world, "go");
  world.pass(1000, ...NAMES);
  expect([world.wanted("a"), told(world)]).toEqual(["2", []]);
  return { world, id };
}

/** At a gate that wants so many good measurements. */
async function atGate(failureLimit = 0, of = 3) {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(1), { gates: [prometheus({ intervalMs: 10_000, count: of, failureLimit })] }), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  return { world, id };
}

/** So many questions are asked and answered. */
async function measure(world: World, ...kinds: readonly ("go" | "stop")[]): Promise<void> {
  for (const kind of kinds) {
    await answer(world, kind);
    world.pass(10_000, ...NAMES);
  }
}

describe("an alarm that was quiet before the controller", () => {
  test.each(Object.keys(GAPS))("%s is asked at once, and nobody is told before it is quiet", async (gap) => {
    const { world, id } = await rolling();
    GAPS[gap]!(world);
    await world.say("a", "healthy");
    expect([attempts(world), told(world)]).toEqual([[1], []]);
    world.pass(2000, ...NAMES);
    expect([attempts(world), told(world), world.waitingOn(id)]).toEqual([[1, 2], [], "alarm 1 to be quiet: it is asked anew"]);
    await answer(world, "go");
    expect(told(world)).toEqual(["b"]);
    world.pass(50_000, ...NAMES);
    expect(attempts(world)).toEqual([1, 2]);
  });

  test.each(Object.keys(GAPS))("%s stops the rollout when it is active by then", async (gap) => {
    const { world, id } = await rolling();
    GAPS[gap]!(world);
    await world.say("a", "healthy");
    world.pass(2000, ...NAMES);
    await answer(world, "stop");
    expect([world.phase(id), told(world)]).toEqual(["rolling_back", []]);
  });

  test("was held up is not asked before machines were heard, nor again after a moment that is no gap", async () => {
    const { world } = await rolling();
    GAPS["was held up"]!(world);
    world.clock.advance(5000);
    expect(attempts(world)).toEqual([1]);
    world.pass(1000, ...NAMES);
    await answer(world, "go");
    world.clock.elapsed += 5000;
    world.pass(2000, ...NAMES);
    expect(attempts(world)).toEqual([1, 2]);
  });

  test("was held up is asked anew though the disk was full when that was to be written", async () => {
    const { world } = await rolling();
    GAPS["was held up"]!(world);
    await world.say("a", "healthy");
    const seen = failCommitOnce(world, () => world.engine.rollout("d-2" as never)?.alarms[0]?.isAsked === true);
    world.pass(4000, ...NAMES);
    expect([seen.failed, attempts(world), told(world)]).toEqual([1, [1, 2], []]);
  });
});

test("an answer to what an alarm was asked before the gap is none to what it is asked after it", async () => {
  const { world } = await rolling();
  world.pass(60_000, ...NAMES);
  expect(attempts(world)).toEqual([1, 2]);
  GAPS["was held up"]!(world);
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  expect(attempts(world)).toEqual([1, 2, 3]);
  world.asked[1]!.answer({ kind: "go", detail: "an hour ago" });
  await turn();
  expect(told(world)).toEqual([]);
  await answer(world, "go");
  expect(told(world)).toEqual(["b"]);
});

test("that an alarm was active before the gap counts on", async () => {
  const { world, id } = await rolling(1);
  world.pass(60_000, ...NAMES);
  await answer(world, "stop");
  expect(world.phase(id)).toBe("rolling");
  GAPS["was held up"]!(world);
  world.pass(2000, ...NAMES);
  await answer(world, "stop");
  expect(world.phase(id)).toBe("rolling_back");
});

test("an alarm of a rollout that is paused is asked when it goes on", async () => {
  const { world, id } = await rolling();
  world.command(id, "pause");
  GAPS["was held up"]!(world);
  world.pass(2000, ...NAMES);
  expect(attempts(world)).toEqual([1]);
  world.command(id, "resume");
  expect(attempts(world)).toEqual([1, 2]);
});

test("who skips alarms with promote --all skips them after a gap, too", async () => {
  const { world, id } = await rolling();
  world.steer(id, { kind: "promote", all: true });
  GAPS["was held up"]!(world);
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  expect([attempts(world), told(world)]).toEqual([[1], ["b"]]);
});

describe("a metric of a gate that was good before the controller", () => {
  test.each(Object.keys(GAPS))("%s is measured anew, at once", async (gap) => {
    const { world } = await atGate();
    await measure(world, "go", "go");
    expect(attempts(world)).toEqual([1, 2, 3]);
    GAPS[gap]!(world);
    expect(attempts(world).slice(3)).toEqual([]);
    world.pass(2000, ...NAMES);
    expect(attempts(world).slice(3)).toEqual([4]);
    world.asked[2]!.answer({ kind: "go", detail: "an hour ago" });
    await measure(world, "go", "go");
    expect(told(world)).toEqual([]);
    await measure(world, "go");
    expect(told(world)).toEqual(["b", "c", "d"]);
  });

  test.each(Object.keys(GAPS))("%s counts for nothing when it was asked for before, and is said afterwards", async (gap) => {
    const { world } = await atGate(0, 1);
    GAPS[gap]!(world);
    world.pass(2000, ...NAMES);
    expect(attempts(world)).toEqual([1, 2]);
    world.asked[0]!.answer({ kind: "go", detail: "an hour ago" });
    await turn();
    expect(told(world)).toEqual([]);
    await answer(world, "go");
    expect(told(world)).toEqual(["b", "c", "d"]);
  });

  test("was held up is measured anew when the rollout was paused meanwhile", async () => {
    const { world, id } = await atGate();
    await measure(world, "go", "go");
    world.command(id, "pause");
    GAPS["was held up"]!(world);
    world.pass(2000, ...NAMES);
    world.command(id, "resume");
    await measure(world, "go", "go");
    expect(told(world)).toEqual([]);
    await measure(world, "go");
    expect(told(world)).toEqual(["b", "c", "d"]);
  });

  test("was held up: that it was bad counts on", async () => {
    const { world, id } = await atGate(1);
    await measure(world, "stop", "go");
    GAPS["was held up"]!(world);
    world.pass(2000, ...NAMES);
    expect(world.phase(id)).toBe("rolling");
    await measure(world, "stop");
    expect(world.phase(id)).toBe("rolling_back");
  });
});

test("another controller knows the same of what is asked anew", async () => {
  for (const { world, id } of [await rolling(), await atGate()]) {
    if (told(world).length === 0 && world.phase(id) === "rolling") await answer(world, "go");
    GAPS["was held up"]!(world);
    world.pass(2000, ...NAMES);
    const before = JSON.stringify(world.tables());
    const { alarms, waves } = world.engine.rollout(id)!;
    const known = JSON.stringify([alarms, waves.map(({ gates }) => gates)]);
    world.startEngine({ isHeard: false });
    const again = world.engine.rollout(id)!;
    expect([JSON.stringify(world.tables()), JSON.stringify([again.alarms, again.waves.map(({ gates }) => gates)])]).toEqual([before, known]);
  }
});
