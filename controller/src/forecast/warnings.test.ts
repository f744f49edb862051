import { describe, expect, test } from "vitest";
import type { Instant, ReleaseId } from "@muster/proto/ids.ts";
import type { Strategy } from "../plan/strategy.ts";
import { count, fleet, forecastOf, HISTORY, MINUTE, NOW, percent, PROBE, SECOND, soak, strategy, wave } from "./forecast.fixture.ts";

type Over = Parameters<typeof forecastOf>[0];

/** The fixture's deployment, of which nobody needs to be warned, but for what is given. */
function warnings(of: Partial<Strategy>, over: Over = {}): readonly string[] {
  return forecastOf({ strategy: strategy(of), ...over }).warnings;
}
const SOAK = [soak(10 * MINUTE)];
const BLIND = "wave 1 has no soak longer than 15s (silent-after): a release that takes its machine with it after the soak is not noticed before it has passed";

describe("sizes", () => {
  test("a percentage that is rounded up to the whole fleet", () => {
    const waves = [wave(count(1), SOAK), wave(percent(96), SOAK), wave(percent(100))];
    expect(warnings({ waves })).toEqual(["96% of 20 machines is rounded up to all of them", "wave 3 (100%) adds nobody to those before it, of 20 machines: it is dropped, its gates are not"]);
    expect(warnings({ waves: [wave(count(1), SOAK), wave(percent(95), SOAK), wave(percent(100))] })).toEqual([]);
  });

  test("a percentage that is rounded up to more than twice itself", () => {
    expect(warnings({ waves: [wave(percent(1), SOAK), wave(percent(100))] })).toEqual(["1% of 20 machines is rounded up to 1, which is 5%"]);
    expect(warnings({ waves: [wave(percent(2.5), SOAK), wave(percent(100))] })).toEqual([]);
    // Said of a wave that has somebody only.
    expect(warnings({ waves: [wave(count(1), SOAK), wave(percent(1), SOAK), wave(percent(100))] })).toEqual([
      "wave 2 (1%) adds nobody to those before it, of 20 machines: it is dropped, its gates are not",
    ]);
  });

  test("a first wave of more than a quarter, unless the fleet is small", () => {
    const waves = [wave(count(6), SOAK), wave(percent(100))];
    expect(warnings({ waves })).toEqual(["the first wave is 6 of 20 machines, which is 30%: a smaller one finds out as much"]);
    expect(warnings({ waves }, { machines: fleet(24) })).toEqual([]);
    expect(warnings({ waves: [wave(count(2), SOAK), wave(percent(100))] }, { machines: fleet(4) })).toEqual([]);
  });

  test("machines that run it already, unconfirmed, make no first wave larger than it was asked for", () => {
    const machines = fleet(5, (index) => ({ runsUnconfirmed: index < 2 }));
    const made = forecastOf({ strategy: strategy({ waves: [wave(count(1), SOAK), wave(percent(100))] }), machines });
    expect(made.waves.map((each) => each.machines.map(({ note }) => note))).toEqual([["unconfirmed", "unconfirmed", ""], ["", ""]]);
    expect(made.notes).toEqual([expect.stringContaining("2 machines run it already, unconfirmed: they are in the first wave beside its own machines")]);
    expect(made.warnings.filter((warning) => /first wave|rounded|nobody/.test(warning))).toEqual([]);
    const tooLarge = { strategy: strategy({ waves: [wave(count(5), SOAK), wave(percent(100))] }), machines: fleet(12, (index) => ({ runsUnconfirmed: index < 2 })) };
    expect(forecastOf(tooLarge).warnings).toEqual(expect.arrayContaining(["the first wave is 5 of 10 machines, which is 50%: a smaller one finds out as much"]));
  });

  test("one wave of everything", () => {
    expect(warnings({ waves: [wave(percent(100))] })).toEqual(["all 20 machines are in one wave: nothing is learned from a few before the others are changed", expect.stringContaining("reach all 20")]);
    expect(warnings({ waves: [wave(percent(100))] }, { machines: fleet(1) })).toEqual([]);
  });

  test("a wave whose selector matches nobody, or nobody who is left", () => {
    const rest = [wave(count(1), SOAK), wave(percent(100))];
    expect(warnings({ waves: [wave("canary=true", SOAK), ...rest] })).toEqual(["wave 1 (canary=true) matches no machine that would be changed: it is dropped, its gates are not"]);
    expect(warnings({ waves: [wave("zone=a", SOAK), wave("zone in (a)", SOAK), wave(percent(100))] }, { machines: fleet(20, (index) => (index > 3 ? { labels: { zone: "b" } } : {})) })).toEqual([
      "wave 2 (zone in (a)) finds all of its machines in earlier waves: it is dropped, its gates are not",
    ]);
  });

  test("a window that is as large as the fleet", () => {
    expect(warnings({ maxUnavailable: percent(100) })).toEqual(["max_unavailable 100% is no limit for 20 machines: 15 at once may be unavailable, a whole wave"]);
    expect(warnings({ maxUnavailable: count(19) })).toEqual([]);
  });

  test("a limit for a group that is as large as the group", () => {
    const per = (max: number) => ({ maxUnavailablePer: [{ label: "zone", max }] });
    expect(warnings({ ...per(6), maxUnavailable: count(10) })).toEqual(["max_unavailable_per zone: 6 lets all machines of zone=c (6) be unavailable at once"]);
    expect(warnings({ ...per(6), maxUnavailable: count(5) })).toEqual([]);
    expect(warnings({ ...per(5), maxUnavailable: count(10) })).toEqual([]);
  });

  test("machines without the label that keeps groups apart", () => {
    const machines = fleet(20, (index) => (index % 5 === 0 ? { labels: { role: "web" } } : {}));
    expect(warnings({ spread: "zone" }, { machines })).toEqual(["4 machines have no label zone (web-01, web-06, web-11 and 1 more): spread takes them for one group of their own"]);
    expect(warnings({}, { machines })).toEqual([]);
  });

  test("an order by a label that no machine has", () => {
    expect(warnings({ order: [{ kind: "label", label: "rack", reversed: true }, { kind: "label", label: "zone", reversed: false }, { kind: "shuffle" }] })).toEqual(["order: -rack orders nothing: no machine has a label rack"]);
  });
});

describe("health", () => {
  test("a release without a probe", () => {
    const run = { $case: "process", value: { command: ["x"], env: {}, stopTimeoutMs: 0 } } as const;
    expect(warnings({}, { release: { driver: { ...run, value: { ...run.value, command: [...run.value.command] } }, health: [] } })).toEqual([expect.stringContaining("no probe: only a process that ends")]);
    expect(warnings({}, { release: { driver: { $case: "files", value: {} }, health: [] } })).toEqual([expect.stringContaining("no probe and no process: nothing can find out")]);
  });

  test("a soak that is over before a probe has failed often enough", () => {
    const slow = { driver: undefined, health: [{ ...PROBE, intervalMs: MINUTE, unhealthyAfter: 11 }] };
    expect(warnings({}, { release: slow })).toContain(
      "the soak of waves 1 and 2 is over before a bad release is found out: a probe needs 11m to find out that the release is bad (unhealthy_after × interval)",
    );
    expect(warnings({}, { release: { ...slow, health: [{ ...PROBE, intervalMs: MINUTE, unhealthyAfter: 2 }] } })).toEqual([]);
  });

  test("no soak, and a min_healthy_time that is too short as well", () => {
    const waves = [wave(count(1)), wave(percent(25), SOAK), wave(percent(100))];
    expect(warnings({ waves, minHealthyTimeMs: 5 * SECOND })).toEqual([
      "wave 1 may be passed before a bad release is found out: a probe needs 6s to find out that the release is bad (unhealthy_after × interval), min_healthy_time is 5s and there is no soak",
      BLIND,
    ]);
    expect(warnings({ waves, minHealthyTimeMs: 6 * SECOND })).toEqual([BLIND]);
  });

  test("a release that breaks after five minutes and has reached everybody by then", () => {
    const waves = [wave(count(1)), wave(percent(25)), wave(percent(100))];
    const blind = expect.stringContaining("waves 1 and 2 have no soak longer than 15s (silent-after)");
    expect(warnings({ waves })).toEqual(["a release that breaks after 5m would reach all 20 machines: soak longer or use smaller waves", blind]);
    expect(warnings({ waves }, { machines: fleet(20, (index) => ({ silent: index === 19 })) })).toEqual([
      "a release that breaks after 5m would reach all 19 machines: soak longer or use smaller waves",
      blind,
    ]);
  });

  test("a wave without a soak, or a wait after it, in which the loss of its machines would be noticed", () => {
    const of = (soakMs: number, afterMs = 0) => warnings({ waves: [wave(count(1), soakMs === 0 ? [] : [soak(soakMs)]), wave(percent(25), SOAK, { afterMs }), wave(percent(100))] });
    expect(of(0)).toEqual([BLIND]);
    expect(of(15 * SECOND)).toEqual([BLIND]);
    expect(of(16 * SECOND)).toEqual([]);
    expect(of(0, MINUTE)).toEqual([]);
  });

  test("updates that take longer than healthy_deadline", () => {
    expect(warnings({ healthyDeadlineMs: 20 * SECOND })).toEqual(["one in ten updates of shop takes 24s until it is healthy, and healthy_deadline is 20s: good releases would fail"]);
    const unknown = { history: { ...HISTORY, workMs: [], wasHealthy: false } };
    expect(warnings({ healthyDeadlineMs: 20 * SECOND }, unknown)).toEqual([]);
    expect(warnings({ healthyDeadlineMs: 13 * SECOND }, unknown)[0]).toBe(
      "until it is healthy a machine needs about 4s for its probes and 10s of min_healthy_time, and healthy_deadline is 13s: good releases may fail",
    );
  });

  test("a healthy_deadline that is over when what runs now takes its time to end", () => {
    const slow = { history: { ...HISTORY, stopTimeoutMs: 2 * MINUTE } };
    expect(warnings({ healthyDeadlineMs: 2 * MINUTE }, slow)).toEqual(["healthy_deadline (2m) counts the end of what runs now, which may take its stop_timeout of 2m: where it does, a good release fails"]);
    expect(warnings({ healthyDeadlineMs: 3 * MINUTE }, slow)).toEqual([]);
  });

  test("a progress_deadline that is shorter than healthy_deadline", () => {
    expect(warnings({ progressDeadlineMs: 4 * MINUTE })).toEqual(["progress_deadline (4m) is shorter than healthy_deadline (5m): the rollout gives up before a machine does"]);
  });

  test("a wave that may fail from the first to the last", () => {
    expect(warnings({ maxFailures: count(1) })).toEqual(["max_failures lets every machine of wave 1 fail, and the rollout goes on"]);
    // Those that break during the soak are back by themselves before the next wave.
    expect(warnings({ maxFailures: count(4) })).toEqual(["max_failures lets every machine of waves 1 and 2 fail, and the rollout goes on"]);
    const waves = [wave(count(1)), wave(percent(25)), wave(percent(100))];
    expect(warnings({ waves, maxFailures: count(4) })).toContain("a release that breaks after 5m would reach all 20 machines: allow fewer failures");
    expect(warnings({ maxFailures: percent(50) })).toEqual([]);
  });

  test("a failure that leaves the release where it is", () => {
    expect(warnings({ onFailure: "pause" })).toEqual(["on_failure: pause leaves the machines that were changed with the release until somebody takes it back"]);
    expect(warnings({ onFailure: "abort" })).toEqual(["on_failure: abort leaves the machines that were changed with the release, and ends the rollout"]);
  });

  test("machines with nothing to go back to", () => {
    const first = (some: number) => ({ machines: fleet(20, (index) => ({ lastGood: index < some ? null : ("shop@1.0" as ReleaseId) })) });
    expect(warnings({}, first(2))).toEqual(["2 machines (web-01, web-02) never had a good release of shop: taking this one back there removes shop"]);
    expect(warnings({}, first(20))).toEqual(["no machine has had a good release of shop: taking this one back there removes shop"]);
  });
});

describe("the course of the rollout", () => {
  test("what it waits for before it begins", () => {
    const waitsFor = ["d-7 (shop@1.0, rolling) to end", "d-9 of shop-web to env=staging to succeed and stand for 1h"];
    expect(warnings({}, { waitsFor })).toEqual(waitsFor.map((what) => `it would not begin at once: it waits for ${what}`));
  });

  test("a freeze that is in force, with an end and without", () => {
    const until = (NOW + MINUTE) as Instant;
    const message = "the freeze f-1 to be over";
    expect(warnings({}, { frozen: (now) => (now < until ? { open: false, opensAt: until, message } : { open: true, until: null }) })).toEqual([
      "nothing starts at 2026-01-05 12:00:00 UTC: it waits for the freeze f-1 to be over",
    ]);
    expect(warnings({}, { frozen: () => ({ open: false, opensAt: null, message }) })).toEqual([
      "even if the release is good, the rollout would not end by itself: it waits for the freeze f-1 to be over",
    ]);
  });

  test("a window that never opens, and one that is years away", () => {
    const window = { cron: "0 0 30 2 *", durationMs: MINUTE, timeZone: "UTC" };
    for (const opensAt of [null, (NOW + 900 * 24 * 60 * MINUTE) as Instant]) {
      const made = forecastOf({ strategy: strategy({ window }), opening: () => ({ open: false, opensAt, message: "its window" }) });
      expect(made.warnings).toEqual(["even if the release is good, the rollout would not end by itself: it waits for its window"]);
      expect(made.expectedMs).toBeUndefined();
      expect(made.waves[0]).toMatchObject({ startMs: 0, endMs: undefined });
    }
  });

  test("silent machines that are waited for without end", () => {
    const machines = fleet(20, (index) => ({ silent: index === 19 }));
    expect(warnings({ offline: { kind: "wait", forMs: null } }, { machines })).toEqual([
      "even if the release is good, the rollout would not end by itself: it waits for web-20 to be heard from (offline: wait)",
    ]);
    expect(warnings({ offline: { kind: "wait", forMs: 30 * MINUTE } }, { machines })).toEqual([]);
  });

  test("a good release that fails all the same", () => {
    expect(warnings({ maxUnreachable: count(0) }, { machines: fleet(20, (index) => ({ silent: index === 19 })) })).toEqual([
      expect.stringMatching(/^even if the release is good, the rollout would end rolled back: 1 machine of wave 3 is silent, 0 allowed/),
    ]);
  });

  test("a budget that is narrower than the window, and one of nobody", () => {
    const budget = (max: number, selector = "zone=a") => ({ budgets: [{ selector, max, restingElsewhere: 0 }] });
    expect(warnings({}, budget(1))).toEqual(["the budget of zone=a lets 1 of these 7 machines be unavailable at once, fewer than max_unavailable (5)"]);
    expect(warnings({}, budget(5))).toEqual([]);
    expect(warnings({}, budget(1, "zone=z"))).toEqual([]);
    expect(warnings({}, budget(0, ""))).toEqual([
      "even if the release is good, the rollout would not end by itself: it waits for room in the budget of all machines",
      "the budget of all machines lets 0 of these 20 machines be unavailable at once, fewer than max_unavailable (5)",
    ]);
  });

  test("more values of a label than there are worlds", () => {
    const machines = fleet(40, (index) => ({ labels: { zone: `z${index}` } }));
    expect(warnings({}, { machines })).toEqual(["the label zone has 40 values: what happens when one is cut off is foretold for the first 32"]);
  });
});
