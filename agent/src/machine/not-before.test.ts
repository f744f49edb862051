import { describe, expect, it } from "vitest";
import { HandDriven, confirmed, filesRelease, processRelease, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const first = run(1, v1);
const second = run(2, v2, { confirmed: false });
const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;

const wake = (app: HandDriven, how: "adopted" | "ended" | "rebooted"): HandDriven => {
  const { launch } = app.state;
  const found = how === "adopted" && launch.kind === "running" ? workload(launch.workload.launchId) : undefined;
  return app.say({ kind: "woken", found, bootId: how === "rebooted" ? "boot-2" : "boot-1" });
};
const phases = (app: HandDriven, from = 0): string[] => app.reports.slice(from).map(({ phase }) => phase);
const reverted = (): HandDriven => new HandDriven().deploy(first).goal(second).failStep(corrupt);

describe("an agent that starts again does not say healthy from before", () => {
  it("of a process that it finds alive: it is probing until a probe has answered, and healthy at once then", () => {
    for (const app of [new HandDriven().deploy(first), new HandDriven().deploy(first).deploy(second), new HandDriven().deploy(first).deploy(confirmed(second))]) {
      const count = app.reports.length;
      wake(app.pass(60_000), "adopted");
      expect(app.lastReport).toMatchObject({ phase: "probing", reason: undefined });
      expect(app.demand.probe).toMatchObject({ wasHealthy: true });
      app.healthy();
      expect(phases(app, count)).toEqual(["probing", "healthy"]);
    }
  });

  it("of a process that it must start again after a reboot, which has to be found healthy like any that was started", () => {
    const app = wake(new HandDriven().deploy(first), "rebooted").work();
    expect(app.lastReport).toMatchObject({ phase: "probing", pid: 1000 + Number(app.state.launch.kind === "running" && app.state.launch.workload.launchId.slice(2)) });
    expect(app.demand.probe).toMatchObject({ wasHealthy: false });
    expect(app.healthy().lastReport).toMatchObject({ phase: "healthy" });
  });

  it("of files, whose machine may have been switched off", () => {
    const app = wake(new HandDriven().deploy(run(1, filesRelease("1"))), "ended");
    expect(app.lastReport).toMatchObject({ phase: "probing" });
    expect(app.demand.probe).toMatchObject({ wasHealthy: false });
    expect(app.healthy().lastReport).toMatchObject({ phase: "healthy" });
  });

  it("nor reverted: it is reverting, with the reason for which the release failed", () => {
    for (const how of ["adopted", "rebooted"] as const) {
      const app = wake(reverted(), how).work();
      expect(app.lastReport).toMatchObject({ phase: "reverting", runningVersion: "1.0", reason: { code: "artifact_corrupt", message: `${corrupt.message}; still on 1.0` } });
      expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "artifact_corrupt", message: `${corrupt.message}; still on 1.0` } });
    }
  });

  it("and says what the first probe finds when it is not well any more", () => {
    expect(wake(new HandDriven().deploy(first), "adopted").unhealthy("GET / answered 500").lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "turned_unhealthy" } });
    expect(wake(new HandDriven().deploy(first).deploy(second), "adopted").unhealthy().lastReport).toMatchObject({ phase: "reverting", reason: { code: "turned_unhealthy" } });
    expect(wake(new HandDriven().deploy(first), "rebooted").work().exit().lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "exited" } });
  });

  it("and one probe that fails is no word about the app yet", () => {
    const app = wake(new HandDriven().deploy(first), "adopted");
    const count = app.reports.length;
    app.say({ kind: "verdict", verdict: { health: "unknown" } });
    expect(app.reports).toHaveLength(count);
    expect(app.healthy().lastReport).toMatchObject({ phase: "healthy" });
  });

  it("in the middle of probing: what was known is awaited, and the stretch of health goes on when a probe confirms it", () => {
    const app = new HandDriven().goal(run(1, v1, { minHealthyTimeMs: 20_000 })).work().healthy().pass(10_000);
    wake(app, "adopted");
    expect(app.lastReport).toMatchObject({ phase: "probing" });
    expect(app.pass(30_000).phase).toBe("probing");
    expect(app.healthy().pass(9_999).phase).toBe("probing");
    expect(app.pass(1).phase).toBe("healthy");

    const broken = wake(new HandDriven().goal(run(1, v1, { minHealthyTimeMs: 20_000 })).work().healthy().pass(10_000), "adopted").unhealthy().healthy();
    expect(broken.pass(19_999).phase).toBe("probing");
    expect(broken.pass(1).phase).toBe("healthy");
  });

  it("and a word from the controller meanwhile changes nothing: only a probe does", () => {
    const app = wake(new HandDriven().deploy(first), "adopted").goal(first).goal({ ...first, generation: 2 });
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "probing" });
    expect(app.healthy().lastReport).toMatchObject({ generation: 2, phase: "healthy" });
  });
});

describe("an agent that runs on", () => {
  it("probes nothing anew for an assignment that it has, whoever offers it again", () => {
    const app = new HandDriven().deploy(first).pass(60_000);
    const { demand } = app;
    const count = app.reports.length;
    app.goal(first).goal(first);
    expect(app.demand).toEqual(demand);
    expect(app.reports).toHaveLength(count);
  });
});
