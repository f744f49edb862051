import { describe, expect, it } from "vitest";
import { HandDriven, processRelease, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const first = run(1, v1);
const second = run(2, v2, { confirmed: false });
const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;

const phases = (app: HandDriven, from: number): string[] => app.reports.slice(from).map(({ phase }) => phase);
/** 2.0 was taken back; 1.0 is healthy again. */
const reverted = (): HandDriven => new HandDriven().deploy(first).deploy(second).unhealthy("GET / answered 500").work().healthy();
/** 2.0 was taken back, and 1.0 did not come up in time. */
const failed = (): HandDriven => new HandDriven().deploy(first).deploy(second).unhealthy("GET / answered 500").work().unhealthy("GET / refused").pass(60_000);
const REASON = { code: "turned_unhealthy", message: "GET / answered 500; back on 1.0" };

describe("an app that went back", () => {
  it("is reported unhealthy when the release that it went back to dies, and reverted again, with its old reason, when that is well", () => {
    const app = reverted();
    expect(app.lastReport).toMatchObject({ phase: "reverted", reason: REASON });
    app.exit(3, "out of memory");
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "unhealthy", runningVersion: "1.0", pid: 0 });
    expect(app.lastReport?.reason).toEqual({
      code: "exited",
      message: '1.0 is not well: exited with code 3; last output: "out of memory"; it runs because the newer release failed: GET / answered 500; back on 1.0',
    });
    app.pass(500).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "reverted", runningVersion: "1.0", reason: REASON });
    expect(app.state).toMatchObject({ current: v1, lastGood: v1, settled: true });
  });

  it("is reported unhealthy when its probes say so, once, however often they do", () => {
    const app = reverted().unhealthy("no answer");
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", runningVersion: "1.0", reason: { code: "turned_unhealthy" } });
    const count = app.reports.length;
    app.unhealthy("still no answer").pass(600_000);
    expect(app.reports).toHaveLength(count);
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", reason: REASON });
  });

  it("is reported as often as one that was healthy is when it flaps and crashes", () => {
    const flap = (app: HandDriven): string[] => {
      const count = app.reports.length;
      for (let times = 0; times < 3; times += 1) app.exit().pass(60_000).work().unhealthy().unhealthy("other").healthy();
      return phases(app, count);
    };
    expect(flap(reverted())).toEqual(flap(new HandDriven().deploy(first)).map((phase) => (phase === "healthy" ? "reverted" : phase)));
  });

  it("is started again with back-off, as ever", () => {
    const app = reverted();
    const waits: number[] = [];
    for (let count = 0; count < 9; count += 1) {
      app.exit();
      if (app.state.launch.kind === "waiting") waits.push(app.state.launch.until - app.now);
      app.pass(60_000).work().healthy();
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it("is unhealthy at once when the agent finds it ended, and on its way after a reboot", () => {
    expect(reverted().say({ kind: "woken", found: undefined, bootId: "boot-1" }).lastReport).toMatchObject({ phase: "unhealthy", runningVersion: "1.0", reason: { code: "exited" } });
    const app = reverted().say({ kind: "woken", found: undefined, bootId: "boot-2" }).work();
    expect(app.lastReport).toMatchObject({ phase: "reverting" });
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", reason: REASON });
  });

  it.each([10, 1000, 30_000])("is asked to run what it is back on %i ms later, after an hour without an agent: it is healthy for min_healthy_time while one looks before it says so", (ms) => {
    const app = reverted();
    app.pass(ms);
    const { launch } = app.state;
    app.now += 3_600_000;
    app.say({ kind: "woken", found: launch.kind === "running" ? workload(launch.workload.launchId) : undefined, bootId: "boot-1" });
    expect(app.demand.probe?.wasHealthy).toBe(true);
    app.goal(run(3, v1, { minHealthyTimeMs: 10_000, healthyDeadlineMs: 50_000 })).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "probing" });
    expect(app.pass(9000).healthy().lastReport).toMatchObject({ generation: 3, phase: "probing" });
    expect(app.pass(1000).healthy().lastReport).toMatchObject({ generation: 3, phase: "healthy" });
  });

  it.each([true, false])("has its machine reboot, and its agent start again before anybody has asked whether it is well (gone back to: %s): it was not healthy before", (isBack) => {
    const app = isBack ? reverted() : new HandDriven().deploy(first);
    app.pass(30_000).say({ kind: "woken", found: undefined, bootId: "boot-2" }).work();
    const { launch } = app.state;
    app.say({ kind: "woken", found: launch.kind === "running" ? workload(launch.workload.launchId) : undefined, bootId: "boot-2" });
    expect(app.demand.probe?.wasHealthy).toBe(false);
    app.goal(run(3, v1, { minHealthyTimeMs: 10_000, healthyDeadlineMs: 50_000 })).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "probing" });
    expect(app.pass(10_000).work().lastReport).toMatchObject({ generation: 3, phase: "healthy" });
  });

  it("stays so over a restart of the agent", () => {
    const app = reverted().unhealthy();
    const { launch } = app.state;
    app.state = JSON.parse(JSON.stringify(app.state));
    app.say({ kind: "woken", found: launch.kind === "running" ? workload(launch.workload.launchId) : undefined, bootId: "boot-1" });
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", runningVersion: "1.0" });
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", reason: REASON });
  });

  it("is healthy when what it went back to is what it was told to run, though that could not be fetched, once it has been so for min_healthy_time", () => {
    const app = new HandDriven().deploy(first).goal(second).workTo("switch").goal(run(3, v1)).workTo("pull").failStep({ code: "artifact_unavailable", message: "no answer", retryable: true }).pass(60_000);
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "reverting" });
    expect(app.work().healthy().pass(4_999).lastReport).toMatchObject({ generation: 3, phase: "reverting" });
    expect(app.unhealthy().healthy().pass(4_999).lastReport).toMatchObject({ generation: 3, phase: "reverting" });
    expect(app.pass(1).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "1.0" });
    expect(app.exit().lastReport).toMatchObject({ generation: 3, phase: "unhealthy", reason: { code: "exited" } });
  });

  it("takes another goal like any other", () => {
    const app = reverted().exit();
    expect(app.goal(run(3, v1)).pass(500).work().healthy().pass(5_000).lastReport).toMatchObject({ generation: 3, phase: "healthy" });
    expect(reverted().exit().deploy(run(3, processRelease("3.0"))).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "3.0" });
  });
});

describe("a release that fails before it is activated", () => {
  it("does not hide that what still runs is down", () => {
    for (const break_ of [(app: HandDriven) => app.unhealthy("no answer"), (app: HandDriven) => app.exit()]) {
      const app = break_(new HandDriven().deploy(first)).goal(second).failStep(corrupt);
      expect(app.lastReport).toMatchObject({ generation: 2, phase: "unhealthy", runningVersion: "1.0" });
      expect(app.lastReport?.reason?.message).toContain(corrupt.message);
      expect(app.pass(500).work().healthy().lastReport).toMatchObject({ generation: 2, phase: "reverted", reason: { code: "artifact_corrupt" } });
    }
  });

  it("does not say that the other serves before a probe has answered", () => {
    const app = new HandDriven().deploy(first).exit().pass(500).work().goal(second).failStep(corrupt);
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "reverting", reason: { code: "artifact_corrupt" } });
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
  });
});

describe("an app for which everything failed", () => {
  it("is reverted after all when the older release comes up later, and stays up", () => {
    const app = failed();
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "revert_failed" } });
    const count = app.reports.length;
    app.healthy().pass(4_000).unhealthy().healthy().pass(4_999);
    expect(app.reports).toHaveLength(count);
    app.pass(1);
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "reverted", runningVersion: "1.0", reason: REASON });
    expect(app.exit().lastReport).toMatchObject({ phase: "unhealthy", runningVersion: "1.0" });
  });

  it("is healthy after all when the wanted release itself comes up later", () => {
    const app = new HandDriven().deploy(first).unhealthy().goal(run(2, { ...v1 })).pass(60_000);
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "failed" });
    expect(app.healthy().pass(5_000).lastReport).toMatchObject({ generation: 2, phase: "healthy", runningVersion: "1.0" });
  });

  it("comes back from a process that could not be started at first", () => {
    const app = new HandDriven().deploy(first).goal(second).workTo("start").failStart().workTo("start").failStart();
    expect(app.lastReport).toMatchObject({ phase: "failed" });
    expect(app.pass(500).work().healthy().pass(5_000).lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "start_failed" } });
  });

  it("says nothing new when what runs there dies: it was down already", () => {
    const app = failed();
    const count = app.reports.length;
    app.exit();
    expect(app.reports).toHaveLength(count);
  });

  it("stays failed where nothing runs", () => {
    const app = new HandDriven().goal(first).failStep(corrupt);
    const count = app.reports.length;
    app.healthy().pass(600_000);
    expect(app.reports).toHaveLength(count);
    expect(app.phase).toBe("failed");
  });
});
