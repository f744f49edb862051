import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brokenInvariant } from "./invariants.ts";
import { BOOT, HandDriven, filesRelease, processRelease, remove, run, workload } from "./hand-driven.fixture.ts";

const RELEASES = [processRelease("1"), processRelease("2"), processRelease("3"), filesRelease("4"), filesRelease("5")];

type Act = (app: HandDriven) => unknown;

const fault = (retryable: boolean) => ({ code: "disk_full", message: "no space left", retryable }) as const;

/** What the world can do to an app; each is legal at any moment. */
const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 2, arbitrary: fc.nat(RELEASES.length - 1).map((index): Act => (app) => app.goal(run((app.state.goal?.generation ?? 0) + 1, RELEASES[index]!))) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.goal(remove((app.state.goal?.generation ?? 0) + 1))) },
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
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "halted" }).say({ kind: "woken", found: undefined, bootId: BOOT })) },
  { weight: 1, arbitrary: fc.constant<Act>((app) => app.say({ kind: "step_done", key: "stale" }).say({ kind: "stopped", launchId: "stale" }).say({ kind: "started", workload: workload("l-0") })) },
);

describe("whatever happens to an app", () => {
  it("breaks no invariant, and a good release still ends healthy", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        for (const act of sequence) act(app);
        app.deploy(run((app.state.goal?.generation ?? 0) + 1, processRelease("9")));
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
        const { files, process, wakeAt } = app.demand;
        const rests = ["idle", "healthy", "unhealthy", "reverted", "failed", "removed"].includes(app.phase);
        expect(rests || files !== undefined || process !== undefined || wakeAt !== undefined).toBe(true);
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
    ["healthy with another release than the last good", { ...good, lastGood: processRelease("2") }],
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
