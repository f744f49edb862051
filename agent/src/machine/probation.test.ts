import { generationOf } from "@muster/proto/generation.ts";
import { describe, expect, it } from "vitest";
import { HandDriven, confirmed, filesRelease, processRelease, remove, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const v3 = processRelease("3.0");
const first = run(1, v1);
const second = run(2, v2, { confirmed: false });

const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;
const taken = { code: "port_in_use", message: "port 8080 is taken", retryable: false } as const;

/** Runs 2.0, healthy and not confirmed; 1.0 is the last good one. */
const onProbation = (): HandDriven => new HandDriven().deploy(first).deploy(second);

describe("a release on probation", () => {
  it("is healthy, and leaves the release before it the last good one, on disk as well", () => {
    const app = new HandDriven().deploy(first).goal(second).work().healthy().pass(5_000);
    expect(app.lastReport).toMatchObject({ phase: "healthy", runningVersion: "2.0" });
    expect(app.state).toMatchObject({ current: v2, lastGood: v1 });
    expect(app.demand.files).toMatchObject({ kind: "prune", keep: [v2.artifact, v1.artifact] });
  });

  it("is taken back when its probes find it unhealthy, which is reported before it is back", () => {
    const app = onProbation().pass(20_000).unhealthy("GET / answered 500");
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "reverting", reason: { code: "turned_unhealthy", message: "GET / answered 500" } });
    app.work().healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "turned_unhealthy", message: "GET / answered 500; back on 1.0" } });
    expect(app.state).toMatchObject({ current: v1, lastGood: v1, launch: { kind: "running" } });
  });

  it("is taken back when its process ends", () => {
    const app = onProbation().exit(3, "out of memory");
    expect(app.lastReport).toMatchObject({ phase: "reverting", reason: { code: "exited", message: 'exited with code 3; last output: "out of memory"' } });
    expect(app.work().healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "exited" } });
  });

  it("stays where it is, and is started again, when there is nothing to go back to", () => {
    const app = new HandDriven().deploy(run(1, v1, { confirmed: false })).exit();
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "exited" }, runningVersion: "1.0" });
    app.pass(500).work();
    expect(app.state).toMatchObject({ phase: { kind: "unhealthy" }, current: v1, launch: { kind: "running" } });
    expect(app.healthy().phase).toBe("healthy");
  });

  it("is what a failed one goes back to when it is the first that was ever healthy here", () => {
    const app = new HandDriven().deploy(run(1, v1, { confirmed: false })).goal(second).failStep(corrupt);
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
    expect(app.state.launch.kind).toBe("running");
  });

  it("is not touched by another assignment of the same release, and stays on probation", () => {
    const app = onProbation();
    const { launch } = app.state;
    app.goal({ ...second, generation: 3 });
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch, lastGood: v1 });
    expect(app.unhealthy().work().healthy().state).toMatchObject({ phase: { kind: "reverted" }, current: v1 });
  });

  it("is not what a newer release that fails goes back to", () => {
    const app = onProbation().goal(run(3, v3, { confirmed: false })).failStep(corrupt).work().healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "artifact_corrupt" } });
  });

  it("is started again when it ends while a newer one is pulled", () => {
    const app = onProbation().goal(run(3, v3)).exit().pass(500);
    expect(app.demand.process).toMatchObject({ kind: "start", release: v2 });
  });

  it("is not on probation where it is the last good one already", () => {
    const app = new HandDriven().deploy(first).deploy(run(2, v1, { confirmed: false })).unhealthy();
    expect(app.state).toMatchObject({ phase: { kind: "unhealthy" }, current: v1 });
  });
});

describe("a confirmation", () => {
  it("makes a healthy release the last good one, and does nothing else", () => {
    const app = onProbation();
    const { launch, starts, phaseSince, deadlineAt, health } = app.state;
    const count = app.reports.length;
    app.goal(confirmed(second));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, lastGood: v2, launch, starts, phaseSince, deadlineAt, health });
    expect(app.reports).toHaveLength(count);
    expect(app.demand.process).toBeUndefined();
    expect(app.unhealthy().phase).toBe("unhealthy");
  });

  it("that never came is made up for by the next goal, which says what was confirmed before it", () => {
    const app = onProbation().goal(run(3, v3, { confirmed: false, lastGoodVersion: v2.version })).failStep(corrupt).work().healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: v2.version });
    const other = onProbation().goal(run(3, v3, { confirmed: false, lastGoodVersion: v1.version })).failStep(corrupt).work().healthy();
    expect(other.lastReport).toMatchObject({ phase: "reverted", runningVersion: v1.version });
  });

  it("lets what is not needed any more be pruned, in a step of its own", () => {
    const app = new HandDriven();
    for (const [index, version] of ["1", "2", "3"].entries()) app.deploy(run(index + 1, processRelease(version)));
    const last = run(4, processRelease("4"), { confirmed: false });
    app.goal(last).work().healthy().pass(5_000);
    const before = app.demand.files!;
    expect(before).toMatchObject({ kind: "prune", keep: ["4", "3", "2", "1"].map((version) => version.padEnd(64, "0")) });
    app.work().goal(confirmed(last));
    expect(app.demand.files).toMatchObject({ kind: "prune", keep: ["4", "3", "2"].map((version) => version.padEnd(64, "0")) });
    expect(app.demand.files?.key).not.toBe(before.key);
  });

  it.each(["pull", "prepare", "stop", "ports", "switch", "start"])("that comes before the step %s counts as soon as the release is healthy, and disturbs no step", (kind) => {
    const app = new HandDriven().deploy(first).goal(second).workTo(kind);
    const { wakeAt: _, ...demand } = app.demand;
    app.goal(confirmed(second));
    expect(app.demand).toMatchObject(demand);
    expect(app.state.lastGood).toEqual(v1);
    expect(app.work().healthy().pass(5_000).state).toMatchObject({ phase: { kind: "healthy" }, lastGood: v2 });
  });

  it("that comes while the release is probed does not begin the probing anew, and keeps it when it does not come up", () => {
    const app = new HandDriven().deploy(first).goal(second).work().healthy().pass(3_000);
    const { phase, deadlineAt, health } = app.state;
    expect(app.goal(confirmed(second)).state).toMatchObject({ phase, deadlineAt, health, lastGood: v1 });
    app.unhealthy().pass(60_000).work();
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: v2, lastGood: v1 });
    expect(app.healthy().pass(5_000).state).toMatchObject({ phase: { kind: "healthy" }, current: v2, lastGood: v2 });
  });

  it("that comes while the release is taken back changes nothing, nor when it has been", () => {
    const app = onProbation().unhealthy();
    app.goal(confirmed(second));
    expect(app.phase).toBe("reverting");
    app.work().healthy();
    expect(app.state).toMatchObject({ phase: { kind: "reverted" }, current: v1, lastGood: v1 });

    const back = onProbation().unhealthy().work().healthy();
    const count = back.reports.length;
    back.goal(confirmed(second)).pass(60_000);
    expect(back.state).toMatchObject({ phase: { kind: "reverted" }, current: v1, lastGood: v1 });
    expect(back.reports).toHaveLength(count);
  });

  it("that comes while the first release is unhealthy leaves it so until it is well", () => {
    const goal = run(1, v1, { confirmed: false });
    const app = new HandDriven().deploy(goal).unhealthy().goal(confirmed(goal));
    expect(app.phase).toBe("unhealthy");
    expect(app.healthy().state).toMatchObject({ phase: { kind: "healthy" }, lastGood: v1 });
  });

  it("is never taken back, and confirms no other release", () => {
    const app = onProbation();
    const { state } = app;
    expect(app.goal({ ...confirmed(second), goal: run(2, v3).goal }).state).toBe(state);
    const good = app.goal(confirmed(second)).state;
    expect(app.goal(second).state).toBe(good);
    app.goal({ ...second, generation: generationOf(1, 2) });
    expect(app.state).toMatchObject({ lastGood: v2, goal: { confirmed: true } });
    expect(app.unhealthy().phase).toBe("unhealthy");
  });

  it("comes under a new epoch too, after the controller was restored", () => {
    const app = onProbation();
    const { launch } = app.state;
    app.goal({ ...confirmed(second), generation: generationOf(1, 2) });
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, lastGood: v2, launch });
  });
});

describe("an agent that starts again on probation", () => {
  const wake = (app: HandDriven, isFound: boolean, bootId = "boot-1"): HandDriven => {
    const { launch } = app.state;
    const found = isFound && launch.kind === "running" ? workload(launch.workload.launchId) : undefined;
    return app.say({ kind: "woken", found, bootId });
  };

  it("goes on with it, and goes back when it turns unhealthy then", () => {
    const app = wake(onProbation(), true);
    expect(app.lastReport).toMatchObject({ phase: "probing", runningVersion: "2.0" });
    expect(app.healthy().lastReport).toMatchObject({ phase: "healthy", runningVersion: "2.0" });
    expect(app.unhealthy().lastReport).toMatchObject({ phase: "reverting", reason: { code: "turned_unhealthy" } });
  });

  it("goes back when the process has ended meanwhile", () => {
    const app = wake(onProbation(), false);
    expect(app.lastReport).toMatchObject({ phase: "reverting", reason: { code: "exited", message: "ended; its exit code is not known" } });
    expect(app.work().healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
  });

  it("starts it again after a reboot and probes it from the beginning, however long ago it was activated", () => {
    const app = wake(onProbation().pass(600_000), false, "boot-2");
    expect(app.demand.process).toMatchObject({ kind: "start", release: v2 });
    expect(app.lastReport).toMatchObject({ phase: "probing" });
    app.work().unhealthy("GET / refused").pass(30_000).healthy().pass(4_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).state).toMatchObject({ phase: { kind: "healthy" }, lastGood: v1 });
  });

  it("goes back when it does not come up after a reboot, at its deadline or after its fourth exit", () => {
    const never = wake(onProbation().pass(600_000), false, "boot-2").work().unhealthy("GET / refused").pass(60_000);
    expect(never.lastReport).toMatchObject({ phase: "reverting", reason: { code: "never_healthy" } });
    expect(never.work().healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });

    const crashing = wake(onProbation(), false, "boot-2").work();
    for (const waitMs of [500, 1_000, 2_000]) crashing.exit().pass(waitMs).work();
    expect(crashing.exit().lastReport).toMatchObject({ phase: "reverting", reason: { code: "exited" } });
  });

  it("probes it anew when it was stopped together with the agent, and when it is files", () => {
    const halted = wake(onProbation().say({ kind: "halted" }), false).work();
    expect(halted.phase).toBe("probing");
    expect(halted.healthy().pass(5_000).state).toMatchObject({ phase: { kind: "healthy" }, current: v2, lastGood: v1 });

    const files = wake(new HandDriven().deploy(run(1, filesRelease("1"))).deploy(run(2, filesRelease("2"), { confirmed: false })), false);
    expect(files.phase).toBe("probing");
    expect(files.unhealthy("no answer yet").healthy().pass(5_000).phase).toBe("healthy");
  });

  it("leaves a release that was confirmed healthy, whatever it finds", () => {
    expect(wake(onProbation().goal(confirmed(second)), false, "boot-2").phase).toBe("healthy");
    expect(wake(onProbation().goal(confirmed(second)), false).phase).toBe("unhealthy");
  });
});

describe("a release that has failed", () => {
  const goal = run(2, v2, { confirmed: false, healthyDeadlineMs: 8_000 });
  const begun = (): HandDriven => new HandDriven().deploy(first).goal(goal);
  const crashed = (app: HandDriven): HandDriven => {
    for (const waitMs of [500, 1_000, 2_000]) app.exit().pass(waitMs).work();
    return app.exit();
  };

  it.each([
    ["whose port is taken", "port_in_use", () => begun().workTo("ports").failStep(taken)],
    ["whose files have gone", "io_error", () => begun().workTo("switch").failStep({ code: "io_error", message: "not on this machine", retryable: false })],
    ["that cannot be started", "start_failed", () => begun().workTo("start").failStart()],
    ["that cannot be started again", "start_failed", () => begun().work().exit().pass(500).failStart()],
    ["that cannot be started in time", "disk_full", () => begun().workTo("start").failStart(true).pass(8_000)],
    ["that ends again and again", "exited", () => crashed(begun().work())],
    ["that is never healthy", "never_healthy", () => begun().work().unhealthy().pass(8_000)],
    ["that turns unhealthy while it is probed", "turned_unhealthy", () => begun().work().healthy().pass(1_000).unhealthy().pass(7_000)],
    ["that turns unhealthy on probation", "turned_unhealthy", () => begun().work().healthy().pass(5_000).unhealthy()],
    ["that ends on probation", "exited", () => begun().work().healthy().pass(5_000).exit()],
  ])("%s is reported with its reason at once, though what it goes back to does not come up", (_, code, fail) => {
    const app = fail();
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "reverting", reason: { code } });
    const count = app.reports.length;
    app.work().unhealthy().pass(29_000);
    expect(app.phase).toBe("reverting");
    app.pass(1_000);
    expect(app.reports.slice(count)).toMatchObject([{ phase: "failed", reason: { code: "revert_failed" } }]);
  });
});

describe("a drain", () => {
  it("stops the app, and keeps what is good, its ports and its files", () => {
    const app = new HandDriven().deploy(run(1, processRelease("1.0", { ports: { http: 80 } }))).goal(remove(2, true));
    expect(app.demand.process?.kind).toBe("stop");
    app.workTo("switch");
    expect(app.demand.files).toMatchObject({ artifact: undefined });
    const { lastGood, goodArtifacts, ports } = app.state;
    app.work(({ demand }) => demand.files?.kind === "delete");
    expect(app.demand.files).toBeUndefined();
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "removed", runningVersion: "", pid: 0 });
    expect(app.state).toMatchObject({ current: undefined, lastGood, goodArtifacts, ports, launch: { kind: "none" } });
  });

  it("is followed by the same release again", () => {
    const app = new HandDriven().deploy(first).goal(remove(2, true)).work().deploy(run(3, v1));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, current: v1, lastGood: v1 });
  });

  it.each([
    ["cannot be pulled", (app: HandDriven) => app.failStep(corrupt)],
    ["is not pulled in time", (app: HandDriven) => app.pass(60_000)],
    ["is never healthy", (app: HandDriven) => app.work().unhealthy().pass(60_000)],
    ["turns unhealthy on probation", (app: HandDriven) => app.work().healthy().pass(5_000).unhealthy()],
  ])("is followed by a release that %s: the machine runs the one before the drain", (_, fail) => {
    const app = new HandDriven().deploy(first).goal(remove(2, true)).work().goal(run(3, v2, { confirmed: false }));
    fail(app).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "reverted", runningVersion: "1.0" });
    expect(app.state.launch.kind).toBe("running");
  });

  it("on probation, or in the middle of an exchange, keeps the release before", () => {
    for (const app of [onProbation(), new HandDriven().deploy(first).goal(second).workTo("start"), onProbation().unhealthy().workTo("start")]) {
      app.goal(remove(3, true)).work();
      expect(app.state).toMatchObject({ phase: { kind: "removed" }, current: undefined, lastGood: v1 });
    }
  });

  it("of an app whose release never was healthy keeps nothing", () => {
    const app = new HandDriven().goal(run(1, v1)).work().goal(remove(2, true)).work();
    expect(app.state).toMatchObject({ phase: { kind: "removed" }, lastGood: undefined });
    expect(app.goal(run(3, v1)).failStep(corrupt).lastReport).toMatchObject({ phase: "failed", runningVersion: "" });
  });

  it("does not keep a removal that comes later from forgetting", () => {
    const app = new HandDriven().deploy(first).goal(remove(2, true)).work().goal(remove(3)).workTo("delete").work();
    expect(app.state).toMatchObject({ phase: { kind: "removed" }, lastGood: undefined, goodArtifacts: [] });
  });

  it("is found as it was by an agent that starts again", () => {
    const app = new HandDriven().deploy(first).goal(remove(2, true)).workTo("switch").say({ kind: "woken", found: undefined, bootId: "boot-2" }).work();
    expect(app.state).toMatchObject({ phase: { kind: "removed" }, lastGood: v1, launch: { kind: "none" } });
    expect(app.say({ kind: "woken", found: undefined, bootId: "boot-3" }).demand).toMatchObject({ files: undefined, process: undefined });
  });
});
