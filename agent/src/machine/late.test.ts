/** A passing fault, such as a full disk, delays and never ends a way after which nothing would run. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HandDriven, BOOT, filesRelease, processRelease, run, workload } from "./hand-driven.fixture.ts";
import { isProcess } from "./state.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const full = { code: "disk_full", message: "no space left on the disk of /srv", retryable: true } as const;
const HOUR_MS = 3_600_000;

/** Fails each try of a step of files for so long. */
function failing(app: HandDriven, ms: number, fault: typeof full | { code: "io_error"; message: string; retryable: boolean } = full): number {
  let tries = 0;
  for (const end = app.now + ms; app.now < end; app.pass(Math.max(1, Math.min(end, app.demand.wakeAt ?? end) - app.now))) {
    if (app.demand.files === undefined) continue;
    app.failStep(fault);
    tries += 1;
  }
  return tries;
}

const goingBack = (): HandDriven => new HandDriven().deploy(run(1, v1)).goal(run(2, v2, { confirmed: false })).work().unhealthy().pass(60_000).workTo("switch");

describe("going back while the disk is full", () => {
  it("is told as failed at its deadline, with both reasons, and tried again for as long as it takes", () => {
    const app = goingBack();
    const count = app.reports.length;
    const tries = failing(app, HOUR_MS);
    expect(app.reports.slice(count)).toMatchObject([{ phase: "failed", runningVersion: "" }]);
    expect(app.lastReport?.reason).toEqual({
      code: "revert_failed",
      message: "not healthy within 1m: GET / answered 500; going back to 1.0 failed: no space left on the disk of /srv; it is tried again until it can be done",
    });
    // Once a minute at the most, and not less.
    expect(tries).toBeGreaterThan(60);
    expect(tries).toBeLessThan(300);
    app.pass(60_000).work();
    expect(app.state).toMatchObject({ current: v1, settled: true, launch: { kind: "running" } });
    app.healthy().pass(5_000);
    expect(app.reports.slice(count)).toMatchObject([{ phase: "failed" }, { phase: "failed", runningVersion: "1.0" }, { phase: "reverted", runningVersion: "1.0", reason: { code: "never_healthy" } }]);
  });

  it("leaves the turn to other apps between two tries", () => {
    const app = goingBack();
    expect(app.demand.holdsTurn).toBe(true);
    failing(app, 60_000);
    app.pass(60_000).failStep(full);
    expect(app.demand).toMatchObject({ holdsTurn: false, files: undefined });
    expect(app.pass(60_000).demand).toMatchObject({ holdsTurn: true, files: { kind: "switch" } });
  });

  it("goes on after a restart of the agent, which tries at once", () => {
    const app = goingBack();
    failing(app, HOUR_MS);
    app.say({ kind: "woken", found: undefined, bootId: BOOT });
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "revert_failed" } });
    expect(app.work().state).toMatchObject({ current: v1, launch: { kind: "running" } });
  });

  it("ends with a newer goal", () => {
    const app = goingBack();
    failing(app, HOUR_MS);
    expect(app.deploy(run(3, processRelease("3.0"))).lastReport).toMatchObject({ phase: "healthy", runningVersion: "3.0" });
  });

  it("to files ends on them", () => {
    const app = new HandDriven().deploy(run(1, filesRelease("4"))).goal(run(2, v2, { confirmed: false })).work().unhealthy().pass(60_000).workTo("switch");
    failing(app, HOUR_MS);
    expect(app.pass(60_000).work().healthy().pass(5_000).lastReport).toMatchObject({ phase: "reverted", runningVersion: "4" });
  });

  it("to nothing takes away what is not to run", () => {
    const app = new HandDriven().goal(run(1, v1, { confirmed: false })).work().unhealthy().pass(60_000).workTo("switch");
    failing(app, HOUR_MS);
    expect(app.pass(60_000).work().state).toMatchObject({ phase: { kind: "failed", reason: { code: "never_healthy" } }, current: undefined, late: undefined });
  });
});

describe("an agent that starts where going back has ended with nothing", () => {
  it("tries it once more, and says nothing new when it fails again", () => {
    const gone = { code: "io_error", message: "it is not on this machine", retryable: false } as const;
    const app = goingBack().failStep(gone);
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, settled: false });
    app.say({ kind: "woken", found: undefined, bootId: BOOT });
    const count = app.reports.length;
    app.failStep(gone);
    expect(app.reports).toHaveLength(count);
    expect(app.lastReport?.reason?.message).toBe("not healthy within 1m: GET / answered 500; going back to 1.0 failed: it is not on this machine");
    app.say({ kind: "woken", found: undefined, bootId: BOOT }).work().healthy().pass(5_000);
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
  });
});

describe("the first release of an app, while the disk is full", () => {
  it.each(["pull", "prepare", "switch"])("is told as failed at its deadline, tried again at the step %s, and judged in a time of its own", (step) => {
    const app = new HandDriven().goal(run(1, v1, { confirmed: false })).workTo(step);
    failing(app, HOUR_MS);
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "disk_full", message: "no space left on the disk of /srv; nothing else can run here, so it is tried again until it can" } });
    app.pass(60_000).work().pass(50_000).healthy().pass(5_000);
    expect(app.lastReport).toMatchObject({ phase: "healthy", runningVersion: "1.0", reason: undefined });
  });

  it("fails for good when it is never healthy afterwards", () => {
    const app = new HandDriven().goal(run(1, v1, { confirmed: false })).workTo("switch");
    failing(app, HOUR_MS);
    app.pass(60_000).work().unhealthy().pass(60_000).work();
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: undefined, late: undefined });
    expect(app.lastReport?.reason?.code).toBe("never_healthy");
  });
});

describe("whatever passing faults there are", () => {
  type Act = (app: HandDriven) => unknown;
  const acts: fc.Arbitrary<Act> = fc.oneof(
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom("8", "9", "a"), fc.boolean()).map(([version, isConfirmed]): Act => (app) => app.goal(run((app.state.goal?.generation ?? 0) + 1, processRelease(version), { confirmed: isConfirmed }))) },
    { weight: 5, arbitrary: fc.nat(6).map((count): Act => (app) => { let left = count; app.work(() => left-- === 0); }) },
    { weight: 5, arbitrary: fc.constant<Act>((app) => app.demand.files !== undefined && app.failStep(full)) },
    { weight: 3, arbitrary: fc.constant<Act>((app) => app.demand.process?.kind === "start" && app.failStart(true)) },
    { weight: 4, arbitrary: fc.nat(100_000).map((ms): Act => (app) => app.pass(ms)) },
    { weight: 1, arbitrary: fc.constant<Act>((app) => app.unhealthy()) },
    { weight: 1, arbitrary: fc.boolean().map((isFound): Act => (app) => {
      const { launch } = app.state;
      const launchId = launch.kind === "starting" ? launch.launchId : launch.kind === "running" || launch.kind === "stopping" ? launch.workload.launchId : undefined;
      app.say({ kind: "woken", found: isFound && launchId !== undefined ? workload(launchId) : undefined, bootId: BOOT });
    }) },
  );

  it.each([true, false])("once they are over something runs, with a release that was good before: %s", (hadOne) => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (sequence) => {
        const app = new HandDriven();
        if (hadOne) app.deploy(run(1, v1));
        else app.goal(run(1, v1));
        for (const act of sequence) act(app);
        // Nobody tells it anything: steps succeed, probes answer, and time passes.
        for (let round = 0; round < 10; round += 1) app.pass(61_000).work().healthy();
        const { phase, current, launch, lastGood } = app.state;
        // The first release of an app may have failed by itself, when its probes said so.
        if (!hadOne && lastGood === undefined && phase.kind === "failed" && phase.reason.code !== "disk_full") return;
        expect(current !== undefined && isProcess(current) && launch.kind).toBe("running");
        expect(["healthy", "reverted", "failed"]).toContain(app.lastReport?.phase);
      }),
      { numRuns: 2_000 },
    );
  });
});
