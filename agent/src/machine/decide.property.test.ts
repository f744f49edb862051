import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brokenInvariant } from "./invariants.ts";
import { BOOT, HandDriven, confirmed, filesRelease, processRelease, remove, run, workload } from "./hand-driven.fixture.ts";
import { type AppState, isProcess, sameRelease } from "./state.ts";

const RELEASES = [processRelease("1"), processRelease("2"), processRelease("3"), filesRelease("4"), filesRelease("5")];

type Act = (app: HandDriven) => unknown;

const next = (app: HandDriven): number => (app.state.goal?.generation ?? 0) + 1;

const fault = (retryable: boolean) => ({ code: "disk_full", message: "no space left", retryable }) as const;

const release = fc.tuple(fc.nat(RELEASES.length - 1), fc.boolean()).map(([index, isConfirmed]) => (app: HandDriven) => run(next(app), RELEASES[index]!, { confirmed: isConfirmed }));

/** What the world can do to an app; each is legal at any moment. */
const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 2, arbitrary: release.map((goal): Act => (app) => app.goal(goal(app))) },
  // All the way to healthy, which single acts seldom come to.
  { weight: 2, arbitrary: release.map((goal): Act => (app) => app.goal(goal(app)).work().healthy().pass(5_000)) },
  { weight: 1, arbitrary: fc.boolean().map((isDrain): Act => (app) => app.goal(remove(next(app), isDrain))) },
  { weight: 2, arbitrary: fc.constant<Act>((app) => app.state.goal !== undefined && app.goal(confirmed(app.state.goal))) },
  { weight: 6, arbitrary: fc.nat(8).map((count): Act => (app) => { let left = count; app.work(() => left-- === 0); }) },
  { weight: 2, arbitrary: fc.boolean().map((retryable): Act => (app) => app.demand.files !== undefined && app.failStep(fault(retryable))) },
  { weight: 2, arbitrary: fc.boolean().map((retryable): Act => (app) => app.demand.process?.kind === "start" && app.failStart(retryable)) },
  { weight: 3, arbitrary: fc.nat(70_000).map((ms): Act => (app) => app.pass(ms)) },
  { weight: 3, arbitrary: fc.constant<Act>((app) => app.healthy()) },
  { weight: 2, arbitrary: fc.constant<Act>((app) => app.unhealthy()) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "verdict", verdict: { health: "unknown" } })) },
  { weight: 2, arbitrary: fc.constant<Act>((app) => app.state.launch.kind === "running" && app.exit()) },
  { weight: 1, arbitrary: fc.tuple(fc.boolean(), fc.boolean()).map(([alive, rebooted]): Act => (app) => {
    const { launch } = app.state;
    const launchId = launch.kind === "starting" ? launch.launchId : launch.kind === "running" || launch.kind === "stopping" ? launch.workload.launchId : undefined;
    app.say({ kind: "woken", found: alive && !rebooted && launchId !== undefined ? workload(launchId) : undefined, bootId: rebooted ? "boot-2" : BOOT });
  }) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "gap" })) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "forgotten" })) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "halted" }).say({ kind: "woken", found: undefined, bootId: BOOT })) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "step_done", key: "stale" }).say({ kind: "stopped", launchId: "stale" }).say({ kind: "started", workload: workload("l-0") })) },
);

describe("whatever happens to an app", () => {
  it("breaks no invariant, and a good release still ends healthy", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        app.deploy(run(next(app), processRelease("9")));
        expect(app.phase).toBe("healthy");
        expect(app.lastReport).toMatchObject({ phase: "healthy", runningVersion: "9" });
      }),
      { numRuns: 2_000 },
    );
  });

  it("survives being written to disk and read again at any point", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 30 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) {
          act(app);
          app.state = JSON.parse(JSON.stringify(app.state));
        }
        expect(brokenInvariant(app.state, app.state)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it("can always go on by itself: a step, a time, or rest in a phase that is an end", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        const { files, process, wakeAt, probe } = app.demand;
        // Its answer is what goes on.
        const isAwaited = app.state.health.kind === "awaited" && probe !== undefined;
        const rests = ["idle", "healthy", "unhealthy", "reverted", "failed", "removed"].includes(app.phase);
        expect(rests || isAwaited || files !== undefined || process !== undefined || wakeAt !== undefined).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Whether `current` is there and, if it is a process, runs or is about to. */
function serves({ current, launch, settled }: AppState): boolean {
  return current !== undefined && settled && (!isProcess(current) || launch.kind !== "none");
}

describe("what was good", () => {
  it("is forgotten by a removal alone, and replaced only by a release that is healthy and was confirmed", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) {
          const before = app.state.lastGood;
          const count = app.reports.length;
          act(app);
          const { lastGood, goal } = app.state;
          if (before === undefined || sameRelease(before, lastGood)) continue;
          const wasRemoved = goal?.goal?.$case === "remove" && !goal.goal.value.drained;
          const wasHealthy = app.phase === "healthy" || app.reports.slice(count).some(({ phase }) => phase === "healthy");
          expect(lastGood === undefined ? wasRemoved : goal?.confirmed === true && wasHealthy && goal.goal?.$case === "run" && lastGood.version === goal.goal.value.version).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("is what runs in the end when a release that was not confirmed turns unhealthy, whatever happened before", () => {
    const ends: fc.Arbitrary<Act> = fc.constantFrom<Act>(
      (app) => app.unhealthy(),
      (app) => app.exit(),
      (app) => app.say({ kind: "woken", found: undefined, bootId: BOOT }),
      (app) => app.say({ kind: "woken", found: undefined, bootId: "boot-2" }).work().unhealthy().pass(60_000),
      (app) => app.say({ kind: "halted" }).say({ kind: "woken", found: undefined, bootId: BOOT }).work().unhealthy().pass(60_000),
      (app) => app.goal(remove(next(app), true)).work().goal(run(next(app), processRelease("a"), { confirmed: false })).failStep(fault(false)),
    );
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 30 }), ends, (sequence, end) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        app.deploy(run(next(app), processRelease("8"))).deploy(run(next(app), processRelease("9"), { confirmed: false }));
        expect(app.lastReport).toMatchObject({ phase: "healthy", runningVersion: "9" });
        end(app);
        app.work().healthy();
        expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "8" });
      }),
      { numRuns: 1_000 },
    );
  });

  it("serves wherever the app is at rest and not removed, unless going back to it failed too", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) {
          act(app);
          const { phase, lastGood } = app.state;
          const mayBeDown = phase.kind === "failed" && (lastGood === undefined || phase.reason.code === "revert_failed");
          if (!["healthy", "unhealthy", "reverted", "failed"].includes(phase.kind) || mayBeDown) continue;
          expect(serves(app.state)).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("and what runs beside it are never pruned", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) {
          act(app);
          const { files } = app.demand;
          if (files?.kind !== "prune") continue;
          expect(files.keep).toEqual(expect.arrayContaining([app.state.current!.artifact, app.state.lastGood!.artifact]));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a confirmed release", () => {
  it("is never left for another one without a newer goal, once the agent has switched to it", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) {
          const { goal, current, settled } = app.state;
          const isOnIt = settled && goal?.confirmed === true && goal.goal?.$case === "run" && sameRelease(current, goal.goal.value);
          act(app);
          if (!isOnIt || app.state.goal?.generation !== goal.generation) continue;
          expect(sameRelease(app.state.current, current)).toBe(true);
          expect(app.phase).not.toBe("reverting");
          expect(serves(app.state)).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a report", () => {
  it("that says healthy or reverted is followed by another when that is so no more", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        if (app.lastReport?.phase === "healthy" || app.lastReport?.phase === "reverted") expect(app.state).toMatchObject({ settled: true, health: { kind: "healthy" } });
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("time", () => {
  it("is never asked for once it has come, so that the runner is not woken without end", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        app.say({ kind: "tick" });
        expect(app.demand.wakeAt ?? Infinity).toBeGreaterThan(app.now);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("the invariants", () => {
  const good = new HandDriven().deploy(run(1, processRelease("1"))).state;
  it.each([
    ["healthy and confirmed with another release than the last good", { ...good, lastGood: processRelease("2") }],
    ["what was good forgotten without a removal", { ...good, lastGood: undefined }],
    ["what was good forgotten by a drain", { ...good, current: undefined, lastGood: undefined, launch: { kind: "none" } as const, health: { kind: "unknown" } as const, goal: remove(2, true), phase: { kind: "removed" } as const }],
    ["what was good replaced by a release on probation", { ...good, current: processRelease("2"), lastGood: processRelease("2"), goal: run(2, processRelease("2"), { confirmed: false }) }],
    ["healthy with another release than the wanted", { ...good, goal: run(2, processRelease("2")) }],
    ["a settled process that nobody starts", { ...good, launch: { kind: "none" } as const }],
    ["health of a process that does not run", { ...good, launch: { kind: "waiting", until: 0 } as const }],
    ["removed with something left", { ...good, goal: remove(2), phase: { kind: "removed" } as const }],
    ["a goal that went back", { ...good, goal: undefined }],
    ["a fifth start while probing", { ...good, phase: { kind: "probing", probing: { startedAt: 0, exits: 4, brokenHealthyMs: 0, lastDetail: "" } } as const }],
  ])("notice %s", (_, broken) => {
    expect(brokenInvariant(good, good)).toBeUndefined();
    expect(brokenInvariant(good, broken)).toBeDefined();
  });
});
