import { generationOf } from "@muster/proto/generation.ts";
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { describe, expect, it } from "vitest";
import { HandDriven, filesRelease, processRelease, remove, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const v3 = processRelease("3.0");

/** An update that nobody has confirmed. */
const update = (generation: number, release: Release, more: Partial<AppAssignment> = {}): AppAssignment => run(generation, release, { confirmed: false, ...more });

const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;
const offline = { code: "artifact_unavailable", message: "connection refused", retryable: true } as const;
const full = { code: "disk_full", message: "no space left", retryable: true } as const;
const taken = { code: "port_in_use", message: "port 8080 is taken", retryable: false } as const;

describe("the way to healthy", () => {
  it("pulls, stages, activates, probes, and reports each phase", () => {
    const app = new HandDriven().deploy(run(1, v1));
    expect(app.reports.map((report) => report.phase)).toEqual(["pulling", "staged", "activating", "probing", "healthy"]);
    expect(app.state).toMatchObject({ current: v1, lastGood: v1, starts: 1, settled: true });
    expect(app.lastReport).toMatchObject({ generation: 1, runningVersion: "1.0", runningArtifact: v1.artifact, starts: 1, reason: undefined });
  });

  it("leaves the running release alone until the new one is staged and has its turn", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).workTo("prepare");
    expect(app.phase).toBe("staged");
    expect(app.state).toMatchObject({ current: v1, launch: { kind: "running" } });
    expect(app.demand.holdsTurn).toBe(false);
    app.workTo("stop");
    expect(app.demand).toMatchObject({ holdsTurn: true, process: { stopTimeoutMs: 10_000 } });
  });

  it("stops the old process before it looks at ports, switches and starts", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).workTo("stop");
    app.workTo("ports");
    expect(app.state).toMatchObject({ current: v1, launch: { kind: "none" } });
    app.workTo("switch");
    expect(app.demand.files).toMatchObject({ artifact: v2.artifact });
    app.workTo("start");
    expect(app.state).toMatchObject({ current: v2, phase: { kind: "activating" } });
  });

  it("says while it is probed what speaks against it, and when nothing does any more", () => {
    const app = new HandDriven().goal(run(1, v1)).work();
    expect(app.lastReport).toMatchObject({ phase: "probing", reason: undefined });
    app.unhealthy("GET /healthz answered 500");
    expect(app.lastReport).toMatchObject({ phase: "probing", reason: { code: "never_healthy", message: "GET /healthz answered 500" } });
    app.healthy();
    expect(app.lastReport).toMatchObject({ phase: "probing", reason: undefined });
  });

  it("keeps chosen ports over releases", () => {
    const ported = processRelease("1.0", { ports: { http: 0, admin: 9000 } });
    const app = new HandDriven().goal(run(1, ported)).workTo("ports");
    app.say({ kind: "step_done", key: app.demand.files!.key, ports: { http: 41_000 } }).work().healthy().pass(5_000).work();
    expect(app.lastReport?.ports).toEqual({ http: 41_000, admin: 9000 });
    app.deploy(run(2, processRelease("2.0", { ports: { http: 0 } })));
    expect(app.lastReport).toMatchObject({ phase: "healthy", ports: { http: 41_000 } });
  });

  it("starts nothing for files, and takes them for healthy when their probes are", () => {
    const app = new HandDriven().goal(run(1, filesRelease("1.0"), { minHealthyTimeMs: 0 })).work();
    expect(app.phase).toBe("probing");
    expect(app.demand.probe).toBeDefined();
    app.healthy().work();
    expect(app.phase).toBe("healthy");
    expect(app.lastReport).toMatchObject({ starts: 0, pid: 0, runningVersion: "1.0" });
  });

  it("exchanges a process for files and back", () => {
    const app = new HandDriven().deploy(run(1, v1)).deploy(run(2, filesRelease("2.0"), { minHealthyTimeMs: 0 }));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch: { kind: "none" } });
    app.deploy(run(3, v3));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch: { kind: "running" } });
  });

  it("keeps the release that runs and the two good ones before it", () => {
    const app = new HandDriven();
    for (const [index, version] of ["1", "2", "3", "4"].entries()) app.goal(run(index + 1, processRelease(version))).work().healthy().pass(5_000);
    expect(app.demand.files).toMatchObject({ kind: "prune", keep: ["4", "3", "2"].map((version) => version.padEnd(64, "0")) });
  });
});

describe("an app of which the controller has forgotten what was said", () => {
  const forgotten = (app: HandDriven): HandDriven => app.say({ kind: "forgotten" });

  it("says again how it is, and does nothing else", () => {
    for (const app of [new HandDriven().deploy(run(1, v1)), new HandDriven().goal(run(1, v1)), new HandDriven().goal(run(1, v1)).failStep(corrupt), new HandDriven().goal(remove(1)).work()]) {
      const { state, lastReport, reports } = app;
      const count = reports.length;
      forgotten(app);
      expect([app.state, app.reports.length, app.lastReport]).toEqual([state, count + 1, lastReport]);
    }
  });

  it("has nothing to say without a goal", () => {
    expect(forgotten(new HandDriven()).reports).toEqual([]);
  });
});

describe("min_healthy_time", () => {
  it("begins again after a verdict of unhealthy", () => {
    const app = new HandDriven().goal(run(1, v1)).work().healthy().pass(4_000).unhealthy().pass(500).healthy().pass(4_000);
    expect(app.phase).toBe("probing");
    expect(app.pass(1_000).phase).toBe("healthy");
  });

  it("begins again when the process was started again", () => {
    const app = new HandDriven().goal(run(1, v1)).work().healthy().pass(4_900).exit().pass(500).work().healthy().pass(4_900);
    expect(app.phase).toBe("probing");
    expect(app.pass(100).phase).toBe("healthy");
  });

  it("has long passed for a release that runs already: another generation of it touches nothing", () => {
    const app = new HandDriven().deploy(run(1, v1)).pass(60_000);
    const { launch } = app.state;
    app.goal(run(2, { ...v1 }));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch, starts: 0 });
    expect(app.lastReport).toMatchObject({ generation: 2, phase: "healthy" });
  });

  it("is waited for when a release that runs already is not well", () => {
    const app = new HandDriven().deploy(run(1, v1)).unhealthy().goal(run(2, { ...v1 }));
    expect(app.phase).toBe("probing");
    expect(app.healthy().pass(5_000).phase).toBe("healthy");
  });

  it("takes a release with the same files but other settings for another release", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, { ...v1, ports: { http: 80 } }));
    expect(app.phase).toBe("pulling");
  });
});

describe("a release that fails before it is activated", () => {
  it("leaves the running release untouched when its artifact is corrupt", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).failStep(corrupt);
    expect(app.state).toMatchObject({ phase: { kind: "reverted" }, current: v1, launch: { kind: "running" } });
    expect(app.lastReport).toMatchObject({ runningVersion: "1.0", generation: 2, reason: { code: "artifact_corrupt", message: `${corrupt.message}; still on 1.0` } });
  });

  it("has failed when there is nothing older", () => {
    const app = new HandDriven().goal(update(1, v1)).failStep(corrupt);
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "artifact_corrupt" }, runningVersion: "" });
    expect(app.demand.files).toBeUndefined();
  });

  it("is pulled again after passing faults, and fails with the last of them at the deadline", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).failStep(offline);
    expect(app.lastReport).toMatchObject({ phase: "pulling", reason: { code: "artifact_unavailable" } });
    expect(app.demand.files).toBeUndefined();
    app.pass(250);
    expect(app.demand.files?.kind).toBe("pull");
    for (let tries = 0; tries < 20 && app.phase === "pulling"; tries += 1) {
      if (app.demand.files !== undefined) app.failStep(full);
      app.pass(8_000);
    }
    expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "disk_full" } });
  });

  it("fails as unavailable when the pull has not ended by the deadline", () => {
    const app = new HandDriven().goal(update(1, v1)).pass(60_000);
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "artifact_unavailable" } });
  });

  it("fails with the name that has no value here before the old release is stopped", () => {
    const fault = { code: "unresolved_name", message: "labels.zone has no value", retryable: false } as const;
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).workTo("prepare").failStep(fault);
    expect(app.state).toMatchObject({ phase: { kind: "reverted" }, launch: { kind: "running" } });
  });

  it("fails when its turn does not come", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).workTo("prepare").pass(60_000);
    expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "never_healthy" } });
  });

  it("forgets the result of a pull that was given up", () => {
    const app = new HandDriven().goal(update(1, v1));
    const { key } = app.demand.files!;
    app.goal(update(2, v2)).say({ kind: "step_done", key });
    expect(app.phase).toBe("pulling");
  });
});

describe("a release that fails after it was activated", () => {
  it("is taken back, with the reason it failed for", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().unhealthy("GET /healthz answered 500").pass(60_000);
    expect(app.lastReport).toMatchObject({ phase: "reverting", reason: { code: "never_healthy", message: "not healthy within 1m: GET /healthz answered 500" } });
    app.work();
    expect(app.state).toMatchObject({ phase: { kind: "reverting" }, current: v1, launch: { kind: "running" } });
    app.healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0", reason: { code: "never_healthy" } });
    expect(app.lastReport?.reason?.message).toContain("; back on 1.0");
  });

  it("has half a minute to go back, however short its own deadline was", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2, { healthyDeadlineMs: 1_000, minHealthyTimeMs: 0 })).work().pass(1_000).work();
    expect(app.phase).toBe("reverting");
    app.unhealthy("GET /healthz refused").pass(29_000).healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
  });

  it("says that it was healthy for a while and then was not", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().healthy().pass(3_000).unhealthy().pass(60_000);
    expect(app.lastReport?.reason).toEqual({ code: "turned_unhealthy", message: "healthy for 3s of the 5s required, then: GET / answered 500" });
  });

  it("says when it came up too late", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().pass(58_000).healthy().pass(2_000);
    expect(app.lastReport?.reason).toEqual({ code: "never_healthy", message: "healthy for only 2s of the 5s required when 1m were over" });
  });

  it("is started again after 0.5, 1 and 2 s, and fails with the fourth exit and its last words", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work();
    for (const waitMs of [500, 1_000, 2_000]) {
      app.pass(30).exit(1, "boom").pass(waitMs - 1);
      expect(app.state.launch.kind).toBe("waiting");
      app.pass(1).work();
      expect(app.state.launch.kind).toBe("running");
    }
    app.pass(30).exit(1, "boom");
    expect(app.lastReport).toMatchObject({ phase: "reverting", reason: { code: "exited", message: 'exited with code 1, 4 times in 3s; last output: "boom"' } });
  });

  it("fails as exited when the deadline finds it down", () => {
    const app = new HandDriven().goal(update(1, v1, { healthyDeadlineMs: 400 })).work().exit().pass(400).work();
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "exited" } });
  });

  it("fails at once when it cannot be started", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).workTo("start").failStart();
    expect(app.lastReport).toMatchObject({ phase: "reverting", reason: { code: "start_failed" } });
    app.work().healthy();
    expect(app.state).toMatchObject({ phase: { kind: "reverted" }, current: v1 });
  });

  it("is started once more when what kept it from starting may pass", () => {
    const app = new HandDriven().goal(update(1, v1)).workTo("start").failStart(true);
    expect(app.demand.process).toBeUndefined();
    expect(app.pass(250).demand.process?.kind).toBe("start");
    app.failStart(true).pass(60_000).work();
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "disk_full" } });
  });

  it("gives its place back when somebody else holds its port", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).workTo("ports").failStep(taken).work().healthy();
    expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "port_in_use" }, runningVersion: "1.0" });
    expect(app.state.launch.kind).toBe("running");
  });

  it("is stopped and taken away when there is nothing to go back to", () => {
    const app = new HandDriven().goal(update(1, v1)).work().pass(60_000);
    expect(app.phase).toBe("reverting");
    app.workTo("switch");
    expect(app.demand.files).toMatchObject({ artifact: undefined });
    app.work();
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: undefined, launch: { kind: "none" } });
    expect(app.lastReport).toMatchObject({ reason: { code: "never_healthy" }, runningVersion: "", pid: 0 });
  });

  it("keeps the last good release going when it does not come up either", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().pass(60_000).work().exit(3).pass(500).work().pass(60_000);
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "revert_failed" }, runningVersion: "1.0" });
    expect(app.lastReport?.reason?.message).toMatch(/not healthy within 1m.*going back to 1\.0 failed/);
    app.exit(3);
    expect(app.state.launch.kind).toBe("waiting");
  });

  it("keeps trying to start the last good release when it cannot be started", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).workTo("start").failStart().workTo("start").failStart();
    expect(app.lastReport).toMatchObject({ phase: "failed", reason: { code: "revert_failed" } });
    expect(app.pass(500).demand.process).toMatchObject({ kind: "start", release: v1 });
  });

  it("goes on running when it is itself the last good release", () => {
    const app = new HandDriven().deploy(run(1, v1)).unhealthy().goal(update(2, { ...v1 })).pass(60_000);
    expect(app.state).toMatchObject({ phase: { kind: "failed" }, current: v1, launch: { kind: "running" } });
  });
});

describe("a release that was healthy", () => {
  it("is reported and not taken back when it turns unhealthy, and reported again when it is well", () => {
    const app = new HandDriven().deploy(run(1, v1)).unhealthy("no answer");
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "turned_unhealthy", message: "no answer" }, runningVersion: "1.0" });
    const count = app.reports.length;
    app.unhealthy("still no answer").pass(600_000);
    expect(app.reports).toHaveLength(count);
    app.healthy();
    expect(app.lastReport).toMatchObject({ phase: "healthy", reason: undefined });
  });

  it("is started again after 0.5 s, doubling to 60 s, and from the beginning after ten minutes", () => {
    const app = new HandDriven().deploy(run(1, v1));
    const waits: number[] = [];
    const crash = (): void => {
      app.exit(1, "oops");
      if (app.state.launch.kind === "waiting") waits.push(app.state.launch.until - app.now);
    };
    for (let count = 0; count < 9; count += 1) {
      crash();
      app.pass(60_000).work();
    }
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "exited", message: 'exited with code 1; last output: "oops"' } });
    app.pass(600_000);
    crash();
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 500]);
    expect(app.pass(500).work().healthy().phase).toBe("healthy");
  });

  it("is forgiven its crashes when it has run for ten minutes, and the next agent knows", () => {
    const app = new HandDriven().deploy(run(1, v1));
    for (let count = 0; count < 5; count += 1) app.exit().pass(60_000).work();
    app.healthy().pass(600_000);
    const { launch } = app.state;
    app.say({ kind: "woken", found: launch.kind === "running" ? workload(launch.workload.launchId) : undefined, bootId: "boot-1" }).exit();
    expect(app.state.launch).toEqual({ kind: "waiting", until: app.now + 500 });
  });

  it("is started again while another is pulled", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).exit().pass(500);
    expect(app.phase).toBe("pulling");
    expect(app.demand.process).toMatchObject({ kind: "start", release: v1 });
  });
});

describe("a newer goal", () => {
  it("is refused unless it is newer", () => {
    const app = new HandDriven().deploy(run(5, v1));
    const { state } = app;
    expect(app.goal(run(5, v2)).goal(run(4, v2)).state).toBe(state);
  });

  it("goes back to the last good release in the middle of activating a bad one", () => {
    for (const at of ["stop", "ports", "switch", "start"]) {
      const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).workTo(at).goal(run(3, { ...v1 })).work().healthy().pass(5_000);
      expect(app.state, at).toMatchObject({ phase: { kind: "healthy" }, current: v1, launch: { kind: "running" }, settled: true });
    }
  });

  it("stops what was being started for the old goal", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).workTo("start").goal(run(3, v3)).work().healthy().pass(5_000);
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, current: v3, lastGood: v3 });
  });

  it("that cannot be pulled leads back to the last good release when the one before it never proved itself", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).work().goal(run(3, v3)).failStep(corrupt).work().healthy();
    expect(app.state).toMatchObject({ phase: { kind: "reverted", reason: { code: "artifact_corrupt" } }, current: v1 });
  });

  it("takes over from going back", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().pass(60_000);
    expect(app.phase).toBe("reverting");
    app.deploy(run(3, v3));
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, current: v3 });
  });

  it("that asks for what was just gone back to touches nothing", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(update(2, v2)).work().pass(60_000).work().healthy();
    const { launch } = app.state;
    app.goal(run(3, { ...v1 })).pass(5_000);
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch });
  });
});

describe("a goal that is told anew after the controller was restored", () => {
  const anew = (goal: AppAssignment): AppAssignment => ({ ...goal, generation: generationOf(1, goal.generation) });
  const one = run(1, processRelease("1"));
  const two = update(2, processRelease("2"));

  it("is reported under its new number, and touches nothing that runs", () => {
    const app = new HandDriven().deploy(one).goal(anew(one));
    expect(app.lastReport).toMatchObject({ generation: generationOf(1, 1), phase: "healthy", starts: 1 });
    expect(app.demand).toMatchObject({ files: undefined, process: undefined });
  });

  it("is gone on with where it was, without a restart, when it was being probed", () => {
    const app = new HandDriven().deploy(one).goal(two).work();
    const { launch, deadlineAt } = app.state;
    app.goal(anew(two));
    expect(app.state).toMatchObject({ phase: { kind: "probing" }, launch, deadlineAt });
    expect(app.healthy().pass(5_000).lastReport).toMatchObject({ generation: generationOf(1, 2), phase: "healthy" });
  });

  it("is not tried again when it had failed", () => {
    const app = new HandDriven().deploy(one).goal(two).work().pass(60_000).work().healthy();
    expect(app.phase).toBe("reverted");
    app.goal(anew(two));
    expect(app.lastReport).toMatchObject({ generation: generationOf(1, 2), phase: "reverted", runningVersion: "1" });
    expect(app.demand.files).toBeUndefined();
  });

  it("takes the result of a step that was under way", () => {
    const app = new HandDriven().goal(one).workTo("pull");
    const { key } = app.demand.files!;
    expect(app.goal(anew(one)).say({ kind: "step_done", key }).phase).toBe("staged");
  });

  it("is a goal like any other when it asks for something else, or once more", () => {
    const app = new HandDriven().deploy(one).goal(two).work().pass(60_000).work().healthy();
    expect(app.goal({ ...anew(two), generation: generationOf(1, 3) }).phase).toBe("pulling");
    expect(app.goal({ ...two, generation: generationOf(2, 3), deploymentId: "d-2" }).phase).toBe("pulling");
    expect(app.goal({ ...remove(3), generation: generationOf(3, 3) }).phase).toBe("removing");
  });
});

describe("removal", () => {
  it("stops the process, takes the link away, deletes the files and reports", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(remove(2));
    expect(app.demand.process?.kind).toBe("stop");
    app.workTo("switch");
    expect(app.demand.files).toMatchObject({ artifact: undefined });
    app.workTo("delete").work();
    expect(app.lastReport).toMatchObject({ phase: "removed", runningVersion: "", pid: 0 });
    expect(app.state).toMatchObject({ current: undefined, lastGood: undefined, ports: {}, launch: { kind: "none" } });
  });

  it("of an app that never was ends in removed", () => {
    expect(new HandDriven().goal(remove(1)).work().lastReport).toMatchObject({ phase: "removed", generation: 1 });
  });

  it("is tried again for as long as it fails", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(remove(2)).workTo("switch").failStep({ ...full, retryable: false });
    expect(app.lastReport).toMatchObject({ phase: "removing", reason: { code: "disk_full" } });
    expect(app.pass(15_000).work().phase).toBe("removed");
  });

  it("stops a process that was just being started", () => {
    const app = new HandDriven().goal(run(1, v1)).workTo("start").goal(remove(2)).work();
    expect(app.state).toMatchObject({ phase: { kind: "removed" }, launch: { kind: "none" } });
  });

  it("can be followed by a new release", () => {
    const app = new HandDriven().deploy(run(1, v1)).goal(remove(2)).workTo("delete").goal(run(3, v2)).work().healthy().pass(5_000);
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, current: v2 });
  });
});

describe("an agent that starts again", () => {
  const wake = (app: HandDriven, found: "found" | "gone", bootId = "boot-1"): HandDriven => {
    const { launch } = app.state;
    const launchId = launch.kind === "starting" ? launch.launchId : launch.kind === "running" || launch.kind === "stopping" ? launch.workload.launchId : "l-0";
    return app.say({ kind: "woken", found: found === "found" ? workload(launchId) : undefined, bootId });
  };

  it("takes up a healthy release without touching it", () => {
    const app = new HandDriven().deploy(run(1, v1));
    const { launch } = app.state;
    const count = app.reports.length;
    wake(app, "found").work().healthy();
    expect(app.state).toMatchObject({ phase: { kind: "healthy" }, launch });
    expect(app.reports.slice(count)).toMatchObject([{ phase: "probing" }, { phase: "healthy" }]);
    expect(app.reports.at(-1)).toEqual(app.reports[count - 1]);
  });

  it("does not start a second time what was started just before it died", () => {
    const app = new HandDriven().goal(run(1, v1)).workTo("start");
    wake(app, "found");
    expect(app.state).toMatchObject({ phase: { kind: "probing" }, launch: { kind: "running" }, starts: 1 });
    expect(app.demand.process).toBeUndefined();
  });

  it("starts what was about to be started", () => {
    const app = wake(new HandDriven().goal(run(1, v1)).workTo("start"), "gone");
    expect(app.demand.process?.kind).toBe("start");
  });

  it("asks again for the half-done step", () => {
    for (const kind of ["pull", "prepare", "stop", "ports", "switch", "start"]) {
      const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2)).workTo(kind);
      wake(app, "found").work().healthy().pass(5_000);
      expect(app.state, kind).toMatchObject({ phase: { kind: "healthy" }, current: v2 });
    }
  });

  it("counts a process that ended meanwhile as an exit", () => {
    const app = wake(new HandDriven().deploy(run(1, v1)), "gone");
    expect(app.lastReport).toMatchObject({ phase: "unhealthy", reason: { code: "exited", message: "ended; its exit code is not known" } });
    expect(app.pass(500).work().healthy().phase).toBe("healthy");
  });

  it("starts the release again after a reboot, without calling it an exit", () => {
    const app = wake(new HandDriven().deploy(run(1, v1)), "gone", "boot-2");
    expect(app.demand.process).toMatchObject({ kind: "start", release: v1 });
    expect(app.work().healthy().reports.map(({ phase }) => phase)).not.toContain("unhealthy");
    expect(app.lastReport).toMatchObject({ phase: "healthy" });
  });

  it("probes from the beginning after a reboot in the middle of probing", () => {
    const app = new HandDriven().goal(run(1, v1)).work().healthy().pass(3_000);
    wake(app, "gone", "boot-2").work().healthy().pass(4_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).phase).toBe("healthy");
  });

  it("finds as much of a deadline left as there was, however long it was away and whatever the clock says", () => {
    for (const awayMs of [0, 1_000, 50_000, 120_000, 30 * 86_400_000, -86_400_000 / 2]) {
      const app = new HandDriven().goal(update(1, v1)).work().unhealthy().pass(40_000);
      app.now += awayMs;
      expect(wake(app, "found").state.deadlineAt, String(awayMs)).toBe(app.now + 20_000);
      expect(app.unhealthy().pass(19_999).phase).toBe("probing");
      expect(app.pass(1).phase).toBe("reverting");
    }
  });

  it("has no more than a few seconds more of a deadline when it is killed again and again", () => {
    const app = new HandDriven().goal(update(1, v1)).work().unhealthy();
    for (let lives = 0; lives < 11; lives += 1) {
      app.pass(7_000);
      app.now += 1_000_000;
      wake(app, "found").unhealthy();
    }
    expect(app.phase).toBe("probing");
    expect(app.pass(5_000).phase).toBe("reverting");
  });

  it("does not wait longer for a clock that was set back", () => {
    const hour = 3_600_000;
    const probing = new HandDriven().goal(run(1, v1)).work();
    const { deadlineAt } = probing.state;
    probing.now -= hour;
    expect(wake(probing, "found").state.deadlineAt).toBe(probing.now + 60_000);
    expect(deadlineAt).toBeGreaterThan(probing.now + 60_000);

    const halted = new HandDriven().deploy(run(1, v1)).say({ kind: "halted" });
    halted.now -= hour;
    expect(wake(halted, "gone", "boot-2").demand.process).toMatchObject({ kind: "start", release: v1 });

    const crashed = new HandDriven().deploy(run(1, v1));
    crashed.say({ kind: "exited", launchId: crashed.state.launch.kind === "running" ? crashed.state.launch.workload.launchId : "", exit: { code: 1, signal: null }, lastLine: "" });
    crashed.now -= hour;
    wake(crashed, "gone", "boot-2").pass(60_000);
    expect(crashed.demand.process).toMatchObject({ kind: "start", release: v1 });
  });

  it("starts what was halted on purpose again, and does not call it an exit", () => {
    const app = new HandDriven().deploy(run(1, v1)).say({ kind: "halted" });
    expect(app.demand.process).toBeUndefined();
    wake(app, "gone");
    expect(app.demand.process).toMatchObject({ kind: "start", release: v1 });
    expect(app.phase).toBe("healthy");
  });
});
