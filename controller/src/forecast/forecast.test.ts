import { describe, expect, test } from "vitest";
import type { Instant, ReleaseId } from "@muster/proto/ids.ts";
import { planRollout } from "../plan/plan.ts";
import type { Gate, Strategy } from "../plan/strategy.ts";
import { blast, count, fleet, forecastOf, machine, MINUTE, NOW, percent, SECOND, soak, strategy, wave } from "./forecast.fixture.ts";

/** 1, 4 and 15 of 20 machines, five at once, and nothing between them. Each takes 24 s: 14 s of work, 10 s of min_healthy_time. */
const FLAT = [wave(count(1)), wave(percent(25)), wave(percent(100))];
const times = (made: ReturnType<typeof forecastOf>) => made.waves.map(({ startMs, endMs }) => [startMs, endMs]);

describe("if nothing fails", () => {
  test("each wave takes its machines and its soak, and the last the batches of its window", () => {
    const made = forecastOf();
    expect(made.waves.map(({ machines }) => machines.length)).toEqual([1, 4, 15]);
    expect(times(made)).toEqual([
      [0, 24 * SECOND + 10 * MINUTE],
      [24 * SECOND + 10 * MINUTE, 48 * SECOND + 20 * MINUTE],
      [48 * SECOND + 20 * MINUTE, 2 * MINUTE + 20 * MINUTE],
    ]);
    expect(made).toMatchObject({ expectedMs: 22 * MINUTE, maxUnavailable: 5, beginsWhen: "", unchanged: [] });
    expect(made.expectedFrom).toBe("20 updates of shop (d-7): half were well within 14s, nine in ten within 14s");
  });

  test("each tenth machine takes as long as the slowest tenth of the past", () => {
    const workMs = [...Array.from({ length: 8 }, () => 14 * SECOND), 40 * SECOND, 90 * SECOND];
    const made = forecastOf({ history: { workMs, wasHealthy: true, stopTimeoutMs: 0, deployments: ["d-9", "d-8"] }, strategy: strategy({ waves: [wave(percent(100))], maxUnavailable: percent(100) }) });
    expect(made.expectedMs).toBe(50 * SECOND);
    expect(made.expectedFrom).toBe("10 updates of shop (d-9, d-8): half were well within 14s, nine in ten within 40s");
  });

  test("without a history the file alone says how long it takes, and the forecast says so", () => {
    const made = forecastOf({ history: { workMs: [], wasHealthy: false, stopTimeoutMs: 0, deployments: [] }, strategy: strategy({ waves: FLAT, minHealthyTimeMs: 20 * SECOND }) });
    expect(made.expectedMs).toBe(5 * 34 * SECOND);
    expect(made.expectedFrom).toBe(
      "the file alone, as no earlier deployment of shop has made a machine healthy: 10s to fetch and start (a guess), 4s until its probes are satisfied, 20s of min_healthy_time",
    );
  });

  test("a history that is in the archive is not said to be none", () => {
    const made = forecastOf({ history: { workMs: [], wasHealthy: true, stopTimeoutMs: 0, deployments: [] }, strategy: strategy({ waves: FLAT }) });
    expect(made.expectedFrom).toMatch(/^the file alone, as what earlier deployments of shop took is in the archive by now: 10s to fetch/);
  });

  test("a guess that healthy_deadline would not allow foretells nothing by itself: it is taken as short as the deadline asks for, and said so", () => {
    const made = forecastOf({ history: { workMs: [], wasHealthy: false, stopTimeoutMs: 0, deployments: [] }, strategy: strategy({ waves: FLAT, minHealthyTimeMs: 2 * SECOND, healthyDeadlineMs: 10 * SECOND }) });
    expect(made.expectedMs).toBe(5 * 8 * SECOND);
    expect(made.expectedFrom).toContain("2s to fetch and start (a guess: half of what healthy_deadline leaves for it), 4s until");
    expect(blast(made, "broken everywhere").maxMachines).toBeGreaterThan(0);
    expect(made.warnings.join()).not.toMatch(/would fail|may fail|even if the release is good/);
  });

  test("machines that are passed over are not among those that must be healthy; those that are not passed over are", () => {
    const waves = [wave(percent(100))];
    const gate = (away: number, over: Partial<Strategy> = {}) =>
      forecastOf({ strategy: strategy({ waves, ...over }), machines: fleet(6, (index) => ({ silent: index < away, cordoned: index === 5 })) }).waves[0]!.gates[0];
    expect(gate(1)).toBe("all 4 that are neither silent nor cordoned are healthy for 10s (min_healthy_time)");
    expect(gate(4, { maxFailures: count(1) })).toBe("all but at most 1 of 1 that is neither silent nor cordoned are healthy for 10s (min_healthy_time)");
    expect(gate(4)).toBe("the one that is neither silent nor cordoned is healthy for 10s (min_healthy_time)");
    expect(gate(5)).toBe("all 6 are passed over: silent or cordoned");
    expect(gate(1, { offline: { kind: "wait", forMs: null } })).toBe("all 5 that are neither silent nor cordoned are healthy for 10s (min_healthy_time)");
  });

  test("a metric takes its measurements; webhooks and people answer at once", () => {
    const metric = { kind: "prometheus", url: "http://p:9090", query: "errors", max: 1, min: null, intervalMs: MINUTE, timeoutMs: SECOND, count: 3, failureLimit: 0, retries: 0, onSilence: "stop" } as const;
    const hook = { kind: "webhook", url: "http://hook", timeoutMs: SECOND, retries: 0, retryIntervalMs: SECOND, onSilence: "stop" } as const;
    const gates: readonly Gate[] = [metric, hook, { kind: "approval" }];
    const made = forecastOf({ strategy: strategy({ waves: [wave(count(1), gates), wave(percent(100))], maxUnavailable: percent(100) }) });
    expect(times(made)).toEqual([
      [0, 24 * SECOND + 2 * MINUTE],
      [24 * SECOND + 2 * MINUTE, 48 * SECOND + 2 * MINUTE],
    ]);
    expect(made.expectedFrom).toContain("; approvals and webhooks are taken to say go at once; metrics are taken to be within their limits");
    expect(made.waves[0]!.gates).toEqual([
      "it is healthy for 10s (min_healthy_time)",
      "errors is at most 1, 3 times, 1m apart (prometheus; one measurement outside stops the rollout; a question without an answer stops the rollout)",
      "http://hook says go (webhook; each answer within 1s; a question without an answer stops the rollout)",
      "somebody approves",
    ]);
  });

  test("alarms are told, and taken to be quiet", () => {
    const check = { kind: "prometheus", url: "http://p:9090", query: "errors", max: 1, min: null, timeoutMs: SECOND } as const;
    const quiet = forecastOf({ strategy: strategy({ waves: [wave(count(1)), wave(percent(100))] }) });
    const made = forecastOf({ strategy: strategy({ waves: [wave(count(1)), wave(percent(100))], alarms: [{ check, intervalMs: MINUTE, failureLimit: 1, retries: 0, onSilence: "go" }] }) });
    expect(times(made)).toEqual(times(quiet));
    expect(made.alarms).toEqual(["errors is at most 1 (prometheus, every 1m; more than 1 answers otherwise in a row stop it; a question without an answer counts as go)"]);
  });

  test("the wait for a window, for a wave's own time and between waves is counted from the start", () => {
    const opensAt = (NOW + 10 * 60 * MINUTE) as Instant;
    const window = { cron: "0 22 * * *", durationMs: 60 * MINUTE, timeZone: "UTC" };
    const made = forecastOf({
      strategy: strategy({ waves: [wave(count(5)), wave(percent(100), [], { afterMs: 5 * MINUTE })], maxUnavailable: percent(100), window }),
      opening: (_, now) => (now < opensAt ? { open: false, opensAt, message: "its window, which opens at 22:00" } : { open: true, until: null }),
    });
    expect(times(made)).toEqual([
      [0, 600 * MINUTE + 24 * SECOND],
      [605 * MINUTE + 24 * SECOND, 605 * MINUTE + 48 * SECOND],
    ]);
    expect(made.beginsWhen).toBe("waits for its window, which opens at 22:00");
    expect(made.waves[0]!.gates).toEqual(["all 5 are healthy for 10s (min_healthy_time)", "not before 5m after wave 1 was finished (after)"]);
  });

  test("a wave of which some are enough ends when these are healthy, and the next begins", () => {
    const waves = [wave(count(10), [soak(MINUTE)], { successThreshold: percent(50) }), wave(percent(100))];
    const made = forecastOf({ strategy: strategy({ waves, maxUnavailable: count(5) }) });
    expect(times(made)).toEqual([[0, 84 * SECOND], [84 * SECOND, 132 * SECOND]]);
    expect(made.waves.map(({ gates }) => gates)).toEqual([
      ["5 of 10 are healthy for 10s (min_healthy_time), while the others go on (success_threshold), or all have settled", "no machine of the wave gets worse for 1m (soak)"],
      ["all 10 are healthy for 10s (min_healthy_time)"],
    ]);
  });

  test("it begins when start_at, other deployments, freezes and the first wave let it", () => {
    const startAt = (NOW + 30 * MINUTE) as Instant;
    const made = forecastOf({
      strategy: strategy({ startAt, waves: [wave(percent(100), [], { afterMs: MINUTE })] }),
      waitsFor: ["d-7 (shop@1.0, rolling) to end"],
      frozen: (now) => (now <= startAt ? { open: false, opensAt: (startAt + MINUTE) as Instant, message: "the freeze f-1 to be over" } : { open: true, until: null }),
    });
    expect(made.beginsWhen).toBe(
      "not before 2026-01-05 12:30:00 UTC (start_at); waits for d-7 (shop@1.0, rolling) to end; waits for the freeze f-1 to be over; not before 1m after the rollout began (after)",
    );
    expect(times(made)[0]).toEqual([MINUTE, MINUTE + 4 * 24 * SECOND]);
  });

  test("somebody who must start it comes before all else that it waits for", () => {
    const made = forecastOf({ strategy: strategy({ start: "manual" }), waitsFor: ["d-7 (shop@1.0, rolling) to end"] });
    expect(made.beginsWhen).toBe("waits for somebody to start it with muster approve (start: manual); waits for d-7 (shop@1.0, rolling) to end");
  });

  test("machines are in the order that is asked for, shuffled as the deployment will be", () => {
    const inOrder = (order: Strategy["order"], release: string) =>
      forecastOf({ releaseId: release as ReleaseId, machines: fleet(4), strategy: strategy({ order, waves: [wave(percent(100))] }) }).waves[0]!.machines.map(({ id }) => id);
    expect(inOrder([{ kind: "id", reversed: true }], "shop@2")).toEqual(["web-04", "web-03", "web-02", "web-01"]);
    expect(inOrder([{ kind: "shuffle" }], "shop@2")).toEqual(planRollout(strategy({ order: [{ kind: "shuffle" }], waves: [wave(percent(100))] }), fleet(4), "shop@2" as ReleaseId).waves[0]!.targets.map(({ machine: id }) => id));
  });

  test("machines are named in their turn, with what they ran and why they stand where they do", () => {
    const machines = fleet(4, (index) => [{ lastGood: null }, { unhealthy: true }, { silent: true }, { cordoned: true, silent: true }][index]!);
    const made = forecastOf({ machines, strategy: strategy({ waves: [wave(percent(100))] }) });
    expect(made.waves[0]!.machines).toEqual([
      { id: machine(2), previous: "shop@1.0", note: "unhealthy" },
      { id: machine(1), previous: null, note: "" },
      { id: machine(3), previous: "shop@1.0", note: "silent" },
      { id: machine(4), previous: "shop@1.0", note: "cordoned" },
    ]);
  });

  test("a budget of a group holds it back, and machines that are away elsewhere never take the last place", () => {
    const one = { waves: [wave(percent(100))], maxUnavailable: percent(100) };
    const zoneA = (restingElsewhere: number) => forecastOf({ strategy: strategy(one), budgets: [{ selector: "zone=a", max: 2, restingElsewhere }] });
    expect(zoneA(0).expectedMs).toBe(4 * 24 * SECOND);
    expect(zoneA(5).expectedMs).toBe(7 * 24 * SECOND);
  });

  test("machines that are silent already take places in the window, and are passed over", () => {
    // Four of five places are taken: 1, 4 and 11 machines, one after another.
    const made = forecastOf({ strategy: strategy({ waves: FLAT }), machines: fleet(20, (index) => ({ silent: index > 15 })) });
    expect(made.expectedMs).toBe(16 * 24 * SECOND);
    expect(blast(made, "cut off: zone=a").maxMachines).toBe(4 + 6 + 1);
  });

  test("a wave of any size begins in one moment", () => {
    const made = forecastOf({ machines: fleet(1_000), strategy: strategy({ waves: [wave(percent(100))], maxUnavailable: percent(100) }) });
    expect(made.expectedMs).toBe(24 * SECOND);
    expect(blast(made, "broken everywhere")).toMatchObject({ maxMachines: 1_000, stoppedAfterMs: 300 * SECOND, restoredAfterMs: 324 * SECOND });
  });

  test("nothing to change is no forecast", () => {
    const made = forecastOf({ machines: fleet(3, () => ({ runsRelease: true })) });
    expect(made).toMatchObject({ waves: [], expectedMs: 0, warnings: [], blastRadius: [], unchanged: [machine(1), machine(2), machine(3)] });
    expect(forecastOf({ machines: [] }).warnings).toEqual(["no machine has the labels role=web"]);
  });
});

describe("broken everywhere", () => {
  test("the first machine waits for healthy_deadline, says that it goes back by itself, and nobody else is touched", () => {
    const [known, back] = [5 * MINUTE, 5 * MINUTE + 14 * SECOND];
    expect(blast(forecastOf(), "broken everywhere")).toEqual({ world: "broken everywhere", maxMachines: 1, stoppedAfterMs: known, restoredAfterMs: back, phase: "rolled_back" });
  });

  test("in one wave as many as the window are broken at once, and those that were told meanwhile are called back", () => {
    // Five are told at 0 s; at 5m the first says that it goes back, and the others are told to.
    const made = forecastOf({ strategy: strategy({ waves: [wave(percent(100))] }) });
    expect(blast(made, "broken everywhere")).toMatchObject({ maxMachines: 5, stoppedAfterMs: 300 * SECOND, phase: "rolled_back" });
  });

  test("machines that had nothing before are rid of it", () => {
    const made = forecastOf({ machines: fleet(20, () => ({ lastGood: null })) });
    expect(blast(made, "broken everywhere")).toMatchObject({ maxMachines: 1, stoppedAfterMs: 301 * SECOND, restoredAfterMs: 301 * SECOND, phase: "rolled_back" });
  });

  test("when failures are allowed it goes through the whole fleet, and each agent goes back by itself", () => {
    const made = forecastOf({ strategy: strategy({ waves: FLAT, maxFailures: percent(100), progressDeadlineMs: 60 * MINUTE }) });
    expect(blast(made, "broken everywhere")).toEqual({
      world: "broken everywhere",
      maxMachines: 5,
      stoppedAfterMs: (300 + 4 * 314) * SECOND,
      restoredAfterMs: (300 + 4 * 314) * SECOND,
      phase: "failed",
    });
  });

  test("and if not, progress_deadline stops it in the wave in which nobody becomes healthy", () => {
    // The third wave begins at 600 s, and ten minutes later five of its second batch are on the way; going back takes them 24 s.
    const made = forecastOf({ strategy: strategy({ waves: FLAT, maxFailures: percent(100) }) });
    expect(blast(made, "broken everywhere")).toMatchObject({ stoppedAfterMs: 1200 * SECOND, restoredAfterMs: 1224 * SECOND, phase: "rolled_back" });
  });

  test("what nothing can find out is never stopped", () => {
    const made = forecastOf({ release: { driver: { $case: "files", value: {} }, health: [] } });
    for (const world of ["broken everywhere", "broken after 5m"]) {
      expect(blast(made, world)).toEqual({ world, maxMachines: 20, stoppedAfterMs: undefined, restoredAfterMs: undefined, phase: "succeeded" });
    }
  });
});

describe("broken on 10%", () => {
  test("two of twenty are broken, whoever they are", () => {
    const made = forecastOf({ strategy: strategy({ waves: [wave(percent(100))], maxUnavailable: percent(100) }) });
    // All are told at 0 s; at 24 s eighteen are healthy; at 300 s the two go back by themselves, and the others are told to go back, which takes them 24 s.
    expect(blast(made, "broken on 10%")).toEqual({
      world: "broken on 10%",
      maxMachines: 2,
      stoppedAfterMs: 300 * SECOND,
      restoredAfterMs: (300 + 24) * SECOND,
      phase: "rolled_back",
    });
  });

  test("the two are passed over when so many may fail, and the others keep the release", () => {
    const made = forecastOf({ strategy: strategy({ waves: [wave(percent(100))], maxUnavailable: percent(100), maxFailures: count(2) }) });
    expect(blast(made, "broken on 10%")).toEqual({ world: "broken on 10%", maxMachines: 2, stoppedAfterMs: undefined, restoredAfterMs: undefined, phase: "succeeded" });
  });
});

describe("broken after 5m", () => {
  test("a soak that is longer finds it out on the first machine", () => {
    // Activated at 10 s, breaks at 5m10s, its probe has failed three times at 5m16s, and its agent takes it back by itself, which takes 14 s: its wave has not passed.
    expect(blast(forecastOf(), "broken after 5m")).toEqual({
      world: "broken after 5m",
      maxMachines: 1,
      stoppedAfterMs: 316 * SECOND,
      restoredAfterMs: 330 * SECOND,
      phase: "rolled_back",
    });
  });

  test("without a soak all have it before the first breaks", () => {
    const made = forecastOf({ strategy: strategy({ waves: FLAT }) });
    expect(blast(made, "broken after 5m")).toEqual({ world: "broken after 5m", maxMachines: 20, stoppedAfterMs: undefined, restoredAfterMs: undefined, phase: "succeeded" });
  });

  test("on_failure: pause stops it, and those that broke are back by themselves", () => {
    const made = forecastOf({ strategy: strategy({ onFailure: "pause" }) });
    expect(blast(made, "broken after 5m")).toMatchObject({ maxMachines: 1, stoppedAfterMs: 316 * SECOND, restoredAfterMs: 330 * SECOND, phase: "paused" });
    expect(blast(made, "broken everywhere")).toMatchObject({ stoppedAfterMs: 300 * SECOND, restoredAfterMs: 314 * SECOND, phase: "paused" });
  });

  test("a min_healthy_time that is longer makes it one that is never healthy", () => {
    const made = forecastOf({ strategy: strategy({ minHealthyTimeMs: 10 * MINUTE, healthyDeadlineMs: 20 * MINUTE, progressDeadlineMs: 60 * MINUTE }) });
    expect(blast(made, "broken after 5m")).toMatchObject({ maxMachines: 1, stoppedAfterMs: 20 * MINUTE, phase: "rolled_back" });
  });
});

describe("takes its machine with it", () => {
  const WORLD = "takes its machine with it";

  test("the soak of the first wave finds it out: one machine is lost, and waited for until progress_deadline", () => {
    // Healthy at 24 s, dead at 34 s, noticed at 49 s; it may have been the release, so that nobody else takes it.
    const found = blast(forecastOf(), WORLD);
    expect(found).toMatchObject({ world: WORLD, maxMachines: 1, restoredAfterMs: undefined, phase: "rolled_back" });
    expect(found.stoppedAfterMs).toBeGreaterThanOrEqual(10 * MINUTE);
  });

  test("max_unreachable: 0 stops it when the silence is noticed", () => {
    expect(blast(forecastOf({ strategy: strategy({ maxUnreachable: count(0) }) }), WORLD)).toMatchObject({ maxMachines: 1, stoppedAfterMs: 49 * SECOND, phase: "rolled_back" });
  });

  test("without a soak the next wave has it before the first loss is noticed", () => {
    const found = blast(forecastOf({ strategy: strategy({ waves: FLAT }) }), WORLD);
    expect(found.maxMachines).toBeGreaterThan(1);
    expect(found.maxMachines).toBeLessThan(20);
  });

  test("in one wave all are lost before anything is noticed", () => {
    const all = { waves: [wave(percent(100))], maxUnavailable: percent(100) };
    expect(blast(forecastOf({ strategy: strategy(all) }), WORLD)).toMatchObject({ maxMachines: 20, restoredAfterMs: undefined });
  });
});

describe("a zone is cut off", () => {
  test("so many are lost after they took the release that it may be its fault: nobody else takes it, and at progress_deadline it goes back", () => {
    // Seven (web-01, 04, … 19) are away from 30 s on, which is noticed at 45 s, while three others move. The second wave is done at 48 s.
    const made = forecastOf({ strategy: strategy({ waves: FLAT }) });
    expect(made.blastRadius.slice(4).map(({ world }) => world)).toEqual(["cut off: zone=a", "cut off: zone=b", "cut off: zone=c"]);
    expect(blast(made, "cut off: zone=a")).toEqual({
      world: "cut off: zone=a",
      maxMachines: 10,
      stoppedAfterMs: (48 + 600) * SECOND,
      restoredAfterMs: 720 * SECOND,
      phase: "rolled_back",
    });
  });

  test("what is left goes through with one machine at a time, as the window is taken by those that are away, when max_unreachable allows them", () => {
    const made = forecastOf({ strategy: strategy({ waves: FLAT, maxUnreachable: { kind: "percent", percent: 100 } }) });
    expect(blast(made, "cut off: zone=a")).toEqual({
      world: "cut off: zone=a",
      maxMachines: 10,
      stoppedAfterMs: undefined,
      restoredAfterMs: (48 + 10 * 24) * SECOND,
      phase: "succeeded",
    });
  });

  test("max_unreachable stops it once the silence is noticed, and those under way go back", () => {
    const made = forecastOf({ strategy: strategy({ waves: FLAT, maxUnreachable: count(0) }) });
    // At 45 s: seven of zone a are silent, and web-02 to 05 are on the move, of which web-04 is of zone a. They were activated at 34 s.
    expect(blast(made, "cut off: zone=a")).toEqual({
      world: "cut off: zone=a",
      maxMachines: 10,
      stoppedAfterMs: 45 * SECOND,
      restoredAfterMs: 69 * SECOND,
      phase: "rolled_back",
    });
    expect(blast(made, "cut off: zone=c").maxMachines).toBe(9);
  });

  test("the label is that of spread, else of max_unavailable_per, else the zones, else there is none", () => {
    const machines = fleet(4, (index) => ({ labels: { role: "web", zone: "a", rack: `r${index % 2}`, row: "x" } }));
    const worlds = (over: Parameters<typeof strategy>[0], of = machines) =>
      forecastOf({ machines: of, strategy: strategy(over) }).blastRadius.slice(4).map(({ world }) => world);
    expect(worlds({ spread: "rack", maxUnavailablePer: [{ label: "row", max: 1 }] })).toEqual(["cut off: rack=r0", "cut off: rack=r1"]);
    expect(worlds({ maxUnavailablePer: [{ label: "row", max: 1 }] })).toEqual(["cut off: row=x"]);
    expect(worlds({})).toEqual(["cut off: zone=a"]);
    expect(worlds({}, fleet(4, () => ({ labels: {} })))).toEqual([]);
  });
});

test("the fixture's strategy is one that nobody needs to be warned of", () => {
  expect(forecastOf().warnings).toEqual([]);
  expect(forecastOf({ strategy: strategy({ spread: "zone", window: { cron: "0 22 * * *", durationMs: MINUTE, timeZone: "UTC" } }) }).warnings).toEqual([]);
});
