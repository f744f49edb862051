/** When a rollout may go on: waves that begin at a time, maintenance windows, and freezes. */
import { describe, expect, test } from "vitest";
import type { Instant } from "@muster/proto/ids.ts";
import { ALL, count, Harness, HOUR, MINUTE, percent, START, wave } from "./rollout.fixture.ts";

const WINDOW = { cron: "0 2 * * *", durationMs: HOUR, timeZone: "UTC" };
const at = (ms: number) => (START + ms) as Instant;

/** One target is on the move, and then the window for others is shut for an hour. */
function shut(kind: "window" | "freeze"): Harness {
  const rollout = new Harness(4, { window: WINDOW, maxUnavailable: count(1) });
  if (kind === "window") rollout.world.closedUntil = at(HOUR);
  else rollout.world.freeze = { until: at(HOUR) };
  return rollout;
}

describe("a wave", () => {
  test("with a time begins not before it", () => {
    const rollout = new Harness(3, { waves: [wave(count(1), { at: at(HOUR) }), ALL] });
    expect(rollout.waitsFor()).toBe("wave 1 to begin at 2030-01-07 11:00:00 UTC");
    rollout.pass(HOUR - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual([0]);
  });

  test("with a time that has passed begins at once", () => {
    expect(new Harness(1, { waves: [wave(percent(100), { at: at(-HOUR) })] }).moving()).toEqual([0]);
  });

  test("with a distance begins so long after the one before it was finished", () => {
    const rollout = new Harness(2, { waves: [wave(count(1)), wave(percent(100), { afterMs: HOUR })] });
    rollout.pass(5 * MINUTE);
    rollout.healthy(0);
    rollout.pass(HOUR - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual([1]);
  });

  test("with both waits for the later", () => {
    const rollout = new Harness(2, { waves: [wave(count(1)), wave(percent(100), { afterMs: MINUTE, at: at(HOUR) })] });
    rollout.healthy(0);
    rollout.pass(HOUR - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual([1]);
  });

  test("the first counts from the begin of the rollout", () => {
    const rollout = new Harness(1, { waves: [wave(percent(100), { afterMs: HOUR })] });
    rollout.pass(HOUR);
    expect(rollout.moving()).toEqual([0]);
  });
});

describe.each(["window", "freeze"] as const)("a %s", (kind) => {
  test("starts nobody while it keeps the rollout out, lets those under way finish, and goes on by itself", () => {
    const rollout = shut(kind);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([]);
    expect(rollout.waitsFor()).toBe(kind === "window" ? "the window to open" : "the end of the freeze");
    expect(rollout.wake()).toBe(at(HOUR));
    rollout.pass(HOUR);
    expect(rollout.moving()).toEqual([1]);
  });

  test("ends while others are on the move: the rollout has asked to be woken", () => {
    const rollout = shut(kind);
    rollout.pass(9 * MINUTE);
    rollout.command("set_max_unavailable", { maxUnavailable: 3 });
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    rollout.pass(HOUR - 9 * MINUTE - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual([1, 2, 3]);
  });

  test("that ends earlier than the deadline wakes it then, and not only at the deadline", () => {
    const rollout = new Harness(4, { window: WINDOW, maxUnavailable: count(1) });
    if (kind === "window") rollout.world.closedUntil = at(MINUTE);
    else rollout.world.freeze = { until: at(MINUTE) };
    rollout.command("set_max_unavailable", { maxUnavailable: 2 });
    expect(rollout.wake()).toBe(at(MINUTE));
    rollout.pass(MINUTE);
    expect(rollout.moving()).toEqual([0, 1]);
  });

  test("is no reason to be late", () => {
    const rollout = shut(kind);
    rollout.healthy(0);
    rollout.pass(HOUR);
    rollout.pass(9 * MINUTE);
    rollout.healthy(1);
    expect(rollout.phase).toBe("rolling");
  });

  test("never stops a rollback", () => {
    const rollout = shut(kind);
    rollout.report(0, "failed");
    expect([rollout.phase, rollout.moving()]).toEqual(["rolling_back", [0]]);
    rollout.healthy(0);
    expect(rollout.phase).toBe("rolled_back");
  });

  test("keeps the tail of a rollout out, too", () => {
    const rollout = new Harness(2, { window: WINDOW });
    rollout.silence(1);
    rollout.healthy(0);
    expect(rollout.phase).toBe("succeeded");
    if (kind === "window") rollout.world.closedUntil = at(HOUR);
    else rollout.world.freeze = { until: at(HOUR) };
    rollout.event({ kind: "joined", target: { machine: "m-7" as never, lane: "" } });
    expect(rollout.moving()).toEqual([]);
    rollout.pass(HOUR);
    expect(rollout.moving()).toEqual([7]);
  });
});

test("a freeze whose end nobody knows is ended by an event", () => {
  const rollout = new Harness(2, { maxUnavailable: count(1) });
  rollout.world.freeze = { until: null };
  rollout.healthy(0);
  expect(rollout.wake()).toBeUndefined();
  rollout.world.freeze = undefined;
  rollout.event();
  expect(rollout.moving()).toEqual([1]);
});

test("silent machines are passed over while the window is shut, and the rollout can end in it", () => {
  const rollout = shut("window");
  for (const index of [1, 2, 3]) rollout.silence(index);
  rollout.healthy(0);
  expect([rollout.phase, rollout.states()]).toEqual(["succeeded", "healthy unreachable unreachable unreachable"]);
});
