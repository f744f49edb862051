/** The controller goes back to a release that is confirmed: the agent never leaves that for the one which is being taken back. */
import { describe, expect, it } from "vitest";
import { HandDriven, filesRelease, processRelease, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;
const full = { code: "disk_full", message: "no space left", retryable: true } as const;
const taken = { code: "port_in_use", message: "port 8080 is taken", retryable: false } as const;

/** The file of 2.0 gives it 8 s, and so does a controller that knows no better. */
const back = run(3, v1, { healthyDeadlineMs: 8_000, minHealthyTimeMs: 2_000 });
/** Runs 2.0, which was confirmed everywhere. */
const on2 = (): HandDriven => new HandDriven().deploy(run(1, v1)).deploy(run(2, v2));
const goingBack = (): HandDriven => on2().goal(back);

function wakes(app: HandDriven, isFound = true, bootId = "boot-1"): HandDriven {
  app.state = JSON.parse(JSON.stringify(app.state));
  const { launch } = app.state;
  const launchId = launch.kind === "running" || launch.kind === "stopping" ? launch.workload.launchId : launch.kind === "starting" ? launch.launchId : undefined;
  return app.say({ kind: "woken", found: isFound && launchId !== undefined ? workload(launchId) : undefined, bootId });
}

describe("a confirmed release that does not come up", () => {
  it("has half a minute, however short its deadline is", () => {
    const app = goingBack().work().unhealthy("GET / refused").pass(29_000);
    expect(app.phase).toBe("probing");
    expect(app.healthy().pass(1_999).state).toMatchObject({ phase: { kind: "failed" }, current: v1 });
    expect(goingBack().work().unhealthy().pass(27_000).healthy().pass(2_000).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "1.0" });
  });

  it("has its own deadline where that is longer", () => {
    const app = on2().goal({ ...back, healthyDeadlineMs: 40_000 }).work().unhealthy().pass(39_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).lastReport).toMatchObject({ phase: "failed", reason: { message: "not healthy within 40s: GET / answered 500" } });
  });

  it.each([
    ["is never healthy", "never_healthy", () => goingBack().work().unhealthy().pass(30_000)],
    ["turns unhealthy while it is probed", "turned_unhealthy", () => goingBack().work().healthy().pass(1_000).unhealthy().pass(30_000)],
    ["ends again and again", "exited", () => [500, 1_000, 2_000].reduce((app, waitMs) => app.exit().pass(waitMs).work(), goingBack().work()).exit()],
    ["cannot be started", "start_failed", () => goingBack().workTo("start").failStart()],
    ["cannot be started again", "start_failed", () => goingBack().work().exit().pass(500).failStart()],
    ["cannot be started in time", "disk_full", () => goingBack().workTo("start").failStart(true).pass(30_000)],
    ["are files that are never healthy", "never_healthy", () => on2().goal({ ...back, goal: run(3, filesRelease("1.0")).goal }).work().unhealthy().pass(30_000)],
  ])("and %s has failed, stays, and is healthy when it is well", (_, code, fail) => {
    const app = fail();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "failed", runningVersion: "1.0", reason: { code } });
    expect(app.state).toMatchObject({ current: { version: "1.0" }, lastGood: v2, settled: true });
    app.pass(600_000).work();
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: { version: "1.0" } });
    app.healthy().pass(2_000).work();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "1.0", reason: undefined });
    expect(app.state.lastGood?.version).toBe("1.0");
  });

  it("is started again and again with back-off", () => {
    const app = goingBack().workTo("start").failStart();
    const waits: number[] = [];
    for (let count = 0; count < 4; count += 1) {
      if (app.state.launch.kind === "waiting") waits.push(app.state.launch.until - app.now);
      app.pass(60_000).failStart();
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000]);
  });

  it("is not left when the controller goes back to it a second time, which begins its time and its back-off anew", () => {
    const app = goingBack().workTo("start").failStart().pass(60_000).failStart().goal({ ...back, generation: 4 });
    expect(app.demand.process).toMatchObject({ kind: "start", release: v1 });
    app.work().unhealthy().pass(29_000).exit().pass(1_000);
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: v1 });
  });

  it("is left for a newer goal", () => {
    const app = goingBack().work().pass(30_000).deploy(run(4, processRelease("3.0"), { confirmed: false }));
    expect(app.lastReport).toMatchObject({ generation: 4, phase: "healthy", runningVersion: "3.0" });
  });

  it("stays where nothing else was ever good", () => {
    const app = new HandDriven().goal(run(1, v1)).work().pass(60_000).work();
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: v1, launch: { kind: "running" } });
  });
});

describe("a confirmed release that cannot be switched to", () => {
  it.each([
    ["pulled", () => goingBack().failStep(corrupt), "artifact_corrupt"],
    ["pulled in time", () => goingBack().pass(30_000), "artifact_unavailable"],
    ["prepared in time", () => goingBack().workTo("prepare").failStep(full).pass(30_000), "disk_full"],
  ])("since it is not %s leaves what ran running", (_, fail, code) => {
    expect(fail().lastReport).toMatchObject({ generation: 3, phase: "reverted", runningVersion: "2.0", reason: { code } });
  });

  it.each(["ports", "switch"])("at the step %s gives the place back to what ran", (step) => {
    const app = goingBack().workTo(step).failStep(taken).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "reverted", runningVersion: "2.0", reason: { code: "port_in_use" } });
  });
});

describe("the time of a confirmed release", () => {
  it("does not pass while another app is on the move, nor while the old process is being stopped", () => {
    const app = goingBack().pass(1_000).workTo("prepare").pass(90_000).unhealthy().pass(5_000).workTo("stop").pass(16_000).work().unhealthy().pass(28_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).phase).toBe("failed");
  });

  it("passes while a step is tried again after it had its turn", () => {
    const app = goingBack().workTo("prepare").pass(90_000).failStep(full).pass(29_999);
    expect(app.phase).toBe("staged");
    expect(app.pass(1).phase).toBe("reverted");
  });

  it("passes for a release that nobody has confirmed: one whose time is over before it can be started is not started", () => {
    const app = on2().goal({ ...back, confirmed: false, goal: run(3, processRelease("3.0")).goal }).workTo("stop").pass(8_000).work();
    expect(app.reports.map(({ runningVersion }) => runningVersion)).not.toContain("3.0");
    expect(app.reports).toContainEqual(expect.objectContaining({ phase: "reverting", reason: { code: "never_healthy", message: "not started within 8s (healthy_deadline): 2.0 took 8s to end" } }));
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "2.0" });
  });

  it.each(["prepare", "stop"])("is what was left of it when the agent starts again at the step %s", (step) => {
    const app = goingBack().pass(10_000).workTo(step).pass(40_000);
    app.now += 7_000;
    wakes(app).pass(40_000).work().unhealthy().pass(19_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).lastReport).toMatchObject({ phase: "failed", runningVersion: "1.0" });
  });

  it("writes nothing while it does not pass", () => {
    const app = goingBack().workTo("prepare");
    const { state } = app;
    expect(app.pass(90_000).state).toBe(state);
  });
});

it.each(["pull", "prepare", "stop", "ports", "switch", "start"])("an agent that starts again at the step %s ends on the confirmed release", (step) => {
  const app = wakes(goingBack().workTo(step), false).work().unhealthy().pass(30_000);
  expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: { version: "1.0" }, lastGood: { version: "2.0" } });
  wakes(app, false, "boot-2").pass(500).work();
  expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: { version: "1.0" } });
  expect(app.healthy().pass(2_000).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "1.0" });
});

describe("a new order for a release that crashed again and again", () => {
  const crashed = (): HandDriven => {
    const app = new HandDriven().deploy(run(1, v1));
    for (let count = 0; count < 7; count += 1) app.exit().pass(60_000).work();
    return app.exit();
  };

  it.each([true, false])("starts it at once, and counts its crashes from the beginning (confirmed: %s)", (isConfirmed) => {
    const app = crashed();
    expect(app.state.launch).toMatchObject({ kind: "waiting", until: app.now + 60_000 });
    app.goal(run(2, { ...v1 }, { healthyDeadlineMs: 8_000, confirmed: isConfirmed }));
    expect(app.demand.process).toMatchObject({ kind: "start", release: v1 });
    app.work().exit();
    expect(app.state.launch).toMatchObject({ kind: "waiting", until: app.now + 500 });
    expect(app.pass(500).work().healthy().pass(5_000).lastReport).toMatchObject({ generation: 2, phase: "healthy" });
  });

  it("forgets the crashes of a process that runs again", () => {
    const app = crashed().pass(60_000).work().unhealthy().goal(run(2, { ...v1 })).exit();
    expect(app.state.launch).toMatchObject({ kind: "waiting", until: app.now + 500 });
  });

  it("begins only with a new order: a word that the release is confirmed leaves the back-off as it is", () => {
    const app = new HandDriven().deploy(run(1, v1, { confirmed: false }));
    for (let count = 0; count < 7; count += 1) app.exit().pass(60_000).work();
    const { launch } = app.exit().state;
    expect(app.goal(run(1, v1)).state.launch).toEqual(launch);
  });
});
