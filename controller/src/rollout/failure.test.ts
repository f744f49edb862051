/** Failures and silences: what is counted, what is allowed, what follows; and how long a rollout is waited for. */
import { describe, expect, test } from "vitest";
import type { Labels } from "@muster/proto/selector.ts";
import { ALL, APPROVAL, count, fleetOf, Harness, HOUR, MINUTE, percent, soak, wave } from "./rollout.fixture.ts";

describe("max_failures", () => {
  test("trips when more have failed than it says: none is allowed by 0", () => {
    const rollout = new Harness(3);
    rollout.report(0, "reverted", { message: "exited with code 1" });
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason).toEqual({ code: "exited", message: "1 machine failed in wave 1, 0 allowed: m-0: exited with code 1" });
  });

  test("is a number of each wave, and may be the wave's own", () => {
    const rollout = new Harness(6, { waves: [wave(count(2), { maxFailures: count(2) }), wave(count(4)), wave(percent(100), { maxFailures: count(0) })], maxFailures: count(1), maxUnavailable: count(4) });
    rollout.report(0, "reverted");
    rollout.report(1, "reverted");
    expect(rollout.moving()).toEqual([2, 3]);
    rollout.report(2, "reverted");
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([4, 5]);
    rollout.report(4, "failed");
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason?.message).toContain("1 machine failed in wave 3, 0 allowed");
  });

  test("counts a target that turns unhealthy after it was healthy, in whatever wave", () => {
    const rollout = new Harness(4, { waves: [wave(count(2)), ALL] });
    rollout.healthy(0, 1);
    rollout.report(0, "unhealthy", { message: "GET /healthz answered 500" });
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason?.message).toContain("failed in wave 1");
  });

  test("that is never passed does not make a success of a release that failed everywhere", () => {
    const rollout = new Harness(2, { maxFailures: percent(100) });
    rollout.report(0, "failed");
    rollout.report(1, "failed");
    expect([rollout.phase, rollout.state.reason?.message]).toEqual(["failed", "it failed on each of 2 machines that took it"]);
  });

  test("does not count machines that are silent", () => {
    const rollout = new Harness(3, { maxUnavailable: count(3) });
    rollout.silence(0);
    rollout.healthy(1, 2);
    expect(rollout.phase).toBe("succeeded");
  });
});

describe("max_unreachable", () => {
  test("trips when more are silent than it says", () => {
    const rollout = new Harness(5, { maxUnreachable: count(1), onFailure: "pause" });
    rollout.silence(0);
    expect(rollout.phase).toBe("rolling");
    rollout.silence(1);
    expect(rollout.phase).toBe("paused");
    expect(rollout.state.reason).toEqual({ code: "unreachable_exceeded", message: "2 machines of wave 1 are silent, 1 allowed (max_unreachable): m-0, m-1" });
  });

  test("of 0 lets none pass, a wave's own before the rollout's", () => {
    const rollout = new Harness(4, { waves: [wave(count(2), { maxUnreachable: count(1) }), ALL], maxUnreachable: count(0) });
    rollout.silence(0);
    rollout.healthy(1);
    expect(rollout.moving()).toContain(2);
    rollout.silence(2);
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["rolling_back", "unreachable_exceeded"]);
  });

  test("does not let a release go on of which nothing is known but that its machines are lost", () => {
    const rollout = new Harness(3, { waves: [wave(count(1), { maxUnreachable: count(1) }), ALL] });
    rollout.silence(0);
    expect([rollout.moving(), rollout.waitsFor()]).toEqual([[], expect.stringContaining("which may be its fault")]);
  });

  test("counts those that were silent at their turn, and not those that failed", () => {
    const rollout = new Harness(4, { maxUnreachable: count(0), maxUnavailable: count(1), maxFailures: count(1) });
    rollout.world.silent.add("m-2" as never);
    rollout.report(0, "failed");
    rollout.healthy(1);
    expect([rollout.phase, rollout.state.reason?.code]).toEqual(["rolling_back", "unreachable_exceeded"]);
  });
});

describe("on_failure", () => {
  test("pause waits for an operator; a resume acknowledges what is known, and only new failures trip again", () => {
    const rollout = new Harness(4, { onFailure: "pause", maxUnavailable: count(1) });
    rollout.report(0, "failed");
    expect(rollout.phase).toBe("paused");
    rollout.command("resume");
    expect(rollout.moving()).toEqual([1]);
    rollout.report(1, "failed", { message: "again" });
    expect(rollout.phase).toBe("paused");
    expect(rollout.state.reason?.message).toContain("0 allowed besides 1 acknowledged");
    rollout.command("resume");
    rollout.healthy(2, 3);
    expect(rollout.phase).toBe("succeeded");
  });

  test("an acknowledged failure that is none any more does not stand in for a new one", () => {
    const rollout = new Harness(4, { onFailure: "pause", maxUnavailable: count(1) });
    rollout.report(0, "failed");
    rollout.command("resume");
    rollout.healthy(0);
    rollout.report(1, "failed");
    expect(rollout.phase).toBe("paused");
  });

  test("silences are acknowledged in the same way", () => {
    const rollout = new Harness(5, { onFailure: "pause", maxUnreachable: count(0), maxUnavailable: count(1) });
    rollout.silence(0);
    rollout.command("resume");
    expect(rollout.moving()).toEqual([1]);
    rollout.hear(0);
    rollout.healthy(0, 1);
    rollout.silence(2);
    expect(rollout.phase).toBe("paused");
  });

  test("abort ends it, and nobody else is touched", () => {
    const rollout = new Harness(4, { onFailure: "abort" });
    rollout.report(0, "failed");
    rollout.healthy(1);
    expect([rollout.phase, rollout.states()]).toEqual(["failed", "failed healthy pending pending"]);
  });
});

describe("silence", () => {
  test("of a machine at its turn passes it over without telling it", () => {
    const rollout = new Harness(3, { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
    rollout.world.silent.add("m-1" as never);
    rollout.healthy(0);
    expect(rollout.states()).toBe("healthy unreachable updating");
    expect(rollout.target(1).attempts).toBe(0);
    rollout.hear(1);
    expect(rollout.states()).toBe("healthy pending updating");
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([1]);
  });

  test("gives the place to the next, and the machine goes on where it was when it is back", () => {
    const rollout = new Harness(4, { maxUnavailable: count(1) });
    rollout.healthy(0);
    rollout.silence(1);
    expect(rollout.states()).toBe("healthy unreachable updating pending");
    rollout.hear(1);
    expect(rollout.states()).toBe("healthy updating updating pending");
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([3]);
  });

  test("of the first machine that took the release stops all others until it is heard: it may be lost because of it", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.silence(0);
    expect(rollout.states()).toBe("unreachable pending pending");
    expect(rollout.waitsFor()).toBe("m-0 to be heard from: 1 machine took the release and was lost after it, which may be its fault");
    rollout.hear(0);
    rollout.healthy(0);
    expect(rollout.states()).toBe("healthy updating pending");
  });

  test("of more machines that took the release than chance explains stops it, and at the end of patience it has failed", () => {
    const rollout = new Harness(20, { maxUnavailable: count(4) });
    rollout.healthy(0, 1, 2, 3);
    rollout.silence(0);
    rollout.silence(1);
    const moving = rollout.moving();
    rollout.healthy(...moving);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(10 * MINUTE);
    expect([rollout.phase, rollout.state.reason?.message]).toEqual([
      "rolling_back",
      "2 machines took the release and were not heard again for 10m (progress_deadline): m-0, m-1",
    ]);
  });

  test("that a person knows of stops nobody any more", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.silence(0);
    rollout.command("promote");
    expect(rollout.states()).toBe("unreachable updating pending");
  });

  test("ends with any report of what it was told", () => {
    const rollout = new Harness(2);
    rollout.silence(0);
    rollout.report(0, "pulling");
    expect(rollout.target(0).state).toBe("updating");
    rollout.silence(1);
    rollout.report(1, "healthy");
    expect(rollout.target(1).state).toBe("healthy");
  });

  test("of a whole wave holds nobody up, but the next are tried one at a time until one has answered", () => {
    const rollout = new Harness(fleetOf(6, (index) => ({ silent: index === 0, labels: (index === 0 ? { m: "1" } : {}) as Labels })), { waves: [wave("m=1"), ALL], maxUnavailable: count(5) });
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([2, 3, 4, 5]);
  });

  test("of every machine there is does not succeed: it waits for one to answer, until its deadline", () => {
    const rollout = new Harness(2);
    rollout.silence(0);
    rollout.silence(1);
    expect(rollout.waitsFor()).toBe("m-0, m-1 to be heard from: 2 machines took the release and were lost after it, which may be its fault");
    rollout.pass(10 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(1);
    expect(rollout.phase).toBe("rolled_back");
    expect(rollout.state.reason?.code).toBe("unreachable_exceeded");
  });
});

describe("offline", () => {
  test("skip: a wave does not wait for silent machines", () => {
    const rollout = new Harness(3, { waves: [wave(count(2)), ALL] });
    rollout.silence(0);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([2]);
  });

  test("wait: it waits however long", () => {
    const rollout = new Harness(3, { waves: [wave(count(2)), ALL], offline: { kind: "wait", forMs: null } });
    rollout.silence(0);
    rollout.healthy(1);
    expect(rollout.waitsFor()).toContain("m-0 to be heard from (offline: wait)");
    rollout.pass(1000 * HOUR);
    expect(rollout.moving()).toEqual([]);
    rollout.hear(0);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([2]);
  });

  test("wait:30m: it waits so long, once a wave, and then goes on", () => {
    const rollout = new Harness(4, { waves: [wave(count(2)), ALL], offline: { kind: "wait", forMs: 30 * MINUTE }, maxUnavailable: count(3) });
    rollout.silence(0);
    rollout.healthy(1);
    rollout.pass(30 * MINUTE - 1);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(1);
    expect(rollout.moving()).toEqual([2, 3]);
    expect(rollout.times("target_let_go")).toBe(1);
  });

  test("wait:30m: says until when it waits, and what follows", () => {
    const waits = { waves: [wave(count(2)), ALL], offline: { kind: "wait", forMs: 30 * MINUTE } } as const;
    const open = new Harness(4, waits);
    const limited = new Harness(4, { ...waits, maxUnreachable: count(0) });
    for (const rollout of [open, limited]) {
      rollout.silence(0);
      rollout.healthy(1);
    }
    expect([open.waitsFor(), limited.waitsFor()]).toEqual([
      "m-0 to be heard from (offline: wait:30m, until 2030-01-07 10:30:00 UTC)",
      "m-0 to be heard from (offline: wait:30m, until 2030-01-07 10:30:00 UTC; else it is taken back (max_unreachable))",
    ]);
    limited.pass(30 * MINUTE);
    expect(limited.phase).toBe("rolling_back");
  });

  test.each<[number | null, string]>([
    [null, "; progress_deadline begins at 2030-01-07 10:30:00 UTC"],
    [0, ", until 2030-01-07 10:30:00 UTC; else it is taken back (max_unreachable)"],
  ])("wait:30m, max_unreachable %s: says what follows for a canary that was lost after it took the release", (max, end) => {
    const rollout = new Harness(4, { waves: [wave(count(1)), ALL], offline: { kind: "wait", forMs: 30 * MINUTE }, maxUnreachable: max === null ? null : count(max) });
    rollout.silence(0);
    expect(rollout.waitsFor()).toBe(`m-0 to be heard from: 1 machine took the release and was lost after it, which may be its fault${end}`);
    rollout.pass(30 * MINUTE);
    expect(rollout.phase).toBe(max === null ? "rolling" : "rolled_back");
  });

  test("wait:30m: goes on counting when one of them says that it is healthy", () => {
    const rollout = new Harness(4, { waves: [wave(count(3)), ALL], offline: { kind: "wait", forMs: 30 * MINUTE }, maxUnavailable: count(3) });
    rollout.silence(0);
    rollout.silence(1);
    rollout.healthy(2);
    rollout.pass(20 * MINUTE);
    rollout.report(0, "healthy");
    rollout.pass(10 * MINUTE);
    expect(rollout.moving()).toEqual([3]);
  });

  test("does not wait for machines that are cordoned", () => {
    const rollout = new Harness(3, { offline: { kind: "wait", forMs: null }, maxUnavailable: count(1) });
    rollout.world.cordoned.add("m-1" as never);
    rollout.healthy(0);
    expect(rollout.states()).toBe("healthy skipped updating");
    rollout.healthy(2);
    expect(rollout.phase).toBe("succeeded");
  });
});

describe("a cordoned machine", () => {
  test("is passed over at its turn, and has it again when that ends", () => {
    const rollout = new Harness(4, { maxUnavailable: count(1) });
    rollout.world.cordoned.add("m-1" as never);
    rollout.healthy(0);
    expect(rollout.states()).toBe("healthy skipped updating pending");
    rollout.uncordon(1);
    expect(rollout.states()).toBe("healthy pending updating pending");
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([1]);
  });

  test("that was told already goes on", () => {
    const rollout = new Harness(2);
    rollout.world.cordoned.add("m-0" as never);
    rollout.healthy(0);
    expect(rollout.target(0).state).toBe("healthy");
  });
});

describe("progress_deadline", () => {
  test("gives up when no target became healthy for so long, and says who held it up", () => {
    const rollout = new Harness(2, { maxUnavailable: count(1) });
    rollout.pass(10 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(1);
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.state.reason).toEqual({
      code: "progress_deadline",
      message: "no target became healthy for 10m (progress_deadline) in wave 1: 1 updating (m-0)",
    });
  });

  test("begins again with each healthy target, and with no other report", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.pass(9 * MINUTE);
    rollout.healthy(0);
    rollout.pass(9 * MINUTE);
    rollout.report(1, "probing");
    rollout.pass(MINUTE);
    expect(rollout.phase).toBe("rolling_back");
  });

  test("does not run while it is paused", () => {
    const rollout = new Harness(3);
    rollout.command("pause");
    expect(rollout.wake()).toBeUndefined();
    rollout.pass(100 * HOUR);
    rollout.command("resume");
    rollout.pass(9 * MINUTE);
    expect(rollout.phase).toBe("rolling");
  });

  test.each([
    ["an approval", { waves: [wave(count(1), { gates: [APPROVAL] }), ALL] }, (rollout: Harness) => rollout.command("approve")],
    ["a soak", { waves: [wave(count(1), { gates: [soak(HOUR)] }), ALL] }, (rollout: Harness) => rollout.pass(HOUR)],
    ["the begin of a wave", { waves: [wave(count(1)), wave(percent(100), { afterMs: HOUR })] }, (rollout: Harness) => rollout.pass(HOUR)],
    ["a silent machine", { waves: [wave(count(2)), ALL], offline: { kind: "wait", forMs: null } as const, silent: true }, (rollout: Harness) => { rollout.hear(1); rollout.healthy(1); }],
  ])("stands still while it waits for %s, and begins anew after it", (_, changes, goOn) => {
    const rollout = new Harness(3, changes);
    if ("silent" in changes) rollout.silence(1);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([]);
    rollout.pass(HOUR - MINUTE);
    if (rollout.state.hold?.kind === "approval" || rollout.state.hold?.kind === "offline") goOn(rollout);
    else rollout.pass(MINUTE);
    expect(rollout.moving()).not.toEqual([]);
    rollout.pass(10 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(1);
    expect(rollout.phase).toBe("rolling_back");
  });

  test("runs while others are on the move, though the window for new ones is shut", () => {
    const rollout = new Harness(3, { maxUnavailable: count(1) });
    rollout.world.freeze = { until: null };
    rollout.pass(10 * MINUTE);
    expect(rollout.phase).toBe("rolling_back");
  });

  test("does not count for what ends a wave: the last to settle may come with the timer", () => {
    const rollout = new Harness(2, { maxFailures: count(1) });
    rollout.healthy(0);
    rollout.now = (rollout.now + 10 * MINUTE) as typeof rollout.now;
    rollout.report(1, "failed");
    expect(rollout.phase).toBe("succeeded");
  });

  test("stands still while no controller is there", () => {
    const rollout = new Harness(2);
    rollout.pass(4 * MINUTE);
    rollout.unattendedMs += HOUR;
    rollout.now = (rollout.now + HOUR) as typeof rollout.now;
    rollout.event();
    rollout.pass(6 * MINUTE - 1);
    expect(rollout.phase).toBe("rolling");
    rollout.pass(1);
    expect(rollout.phase).toBe("rolling_back");
  });
});

describe("reports that change nothing", () => {
  test("those of an older or a newer generation", () => {
    const rollout = new Harness(2);
    const before = rollout.log.length;
    rollout.report(0, "healthy", { generation: rollout.target(0).generation - 1 });
    rollout.report(0, "failed", { generation: rollout.target(0).generation + 1 });
    expect(rollout.log.length).toBe(before);
  });

  test("doubled ones, and those of machines that were not told or are no targets", () => {
    const rollout = new Harness(3);
    rollout.healthy(0);
    const before = rollout.log.length;
    rollout.healthy(0);
    rollout.event({ kind: "reported", machine: "m-9" as never, generation: 1 as never, phase: "healthy", reason: null, runs: "2" });
    expect(rollout.log.length).toBe(before);
    const told = new Harness(3, { maxUnavailable: count(1) });
    const then = told.log.length;
    told.report(2, "healthy", { generation: 0 });
    expect(told.log.length).toBe(then);
  });
});

test("a healthy machine that starts anew is under way until it is healthy again", () => {
  const rollout = new Harness(3, { maxUnavailable: count(1) });
  rollout.healthy(0);
  expect(rollout.moving()).toEqual([1]);
  rollout.report(0, "probing");
  expect(rollout.moving()).toEqual([0, 1]);
  rollout.healthy(1);
  expect(rollout.moving()).toEqual([0]);
  rollout.healthy(0);
  expect(rollout.moving()).toEqual([2]);
});

test("a restart in the middle forgets nothing and changes nothing", () => {
  const rollout = new Harness(6, { maxUnavailable: count(2), spread: "zone" });
  rollout.silence(0);
  rollout.healthy(1);
  const moving = rollout.moving();
  rollout.restart();
  rollout.event();
  expect(rollout.moving()).toEqual(moving);
  rollout.hear(0);
  for (let turns = 0; turns < 6; turns += 1) rollout.healthy(...rollout.moving());
  expect(rollout.phase).toBe("succeeded");
});
