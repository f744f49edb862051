import { describe, expect, it } from "vitest";
import { HandDriven, processRelease, remove, run } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0", { ports: { http: 0 } });
const first = run(1, v1);
const second = run(2, v2, { confirmed: false });
const corrupt = { code: "artifact_corrupt", message: "frame 3 is not what the digest names", retryable: false } as const;

/** How often each step of a process was asked for, and which files steps. */
function stepsOf(app: HandDriven): string[] {
  const steps: string[] = [];
  app.work(({ demand: { files, process } }) => {
    const step = process === undefined ? files && `${files.kind}` : process.kind === "start" ? `start ${process.release.version}` : "stop";
    if (step !== undefined) steps.push(step);
    return false;
  });
  return steps;
}

/** Runs 2.0 on probation, which turns unhealthy: on the way back to 1.0. */
const goingBack = (): HandDriven => new HandDriven().deploy(first).deploy(second).unhealthy();

describe("a goal that names what the agent goes back to by itself", () => {
  it.each([
    ["is being stopped", "stop", ["stop", "ports", "switch", "start 1.0"]],
    ["is being switched", "switch", ["switch", "start 1.0"]],
    ["is being started", "start", ["start 1.0"]],
  ])("changes only the number while the app %s: nothing is stopped or started a second time", (_, kind, steps) => {
    const app = goingBack().workTo(kind).goal(run(3, { ...v1 }));
    expect(app.phase).toBe("activating");
    expect(stepsOf(app)).toEqual(steps);
    expect(app.healthy().pass(5_000).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "1.0", starts: 1 });
    expect(app.state).toMatchObject({ current: v1, lastGood: v1 });
  });

  it("does not touch the process that was started, nor wait for a fetch", () => {
    const app = goingBack().work();
    const { launch } = app.state;
    expect(app.phase).toBe("reverting");
    app.goal(run(3, { ...v1 }));
    expect(stepsOf(app)).toEqual([]);
    expect(app.healthy().pass(5_000).state).toMatchObject({ phase: { kind: "healthy" }, launch });
  });

  it("has failed when that cannot be started, and says so under the new number", () => {
    const app = goingBack().workTo("start").goal(run(3, { ...v1 })).failStart();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "failed", reason: { code: "start_failed" } });
    expect(app.pass(500).demand.process).toMatchObject({ kind: "start", release: v1 });
  });

  it("waits no longer for another try of a step that had failed", () => {
    const app = goingBack().workTo("start").failStart(true);
    expect(app.demand.process).toBeUndefined();
    expect(app.goal(run(3, { ...v1 })).demand.process).toMatchObject({ kind: "start", release: v1 });
  });

  it("is another goal when it names the release that failed, or nothing", () => {
    expect(goingBack().workTo("start").goal(run(3, { ...v2 })).phase).toBe("pulling");
    expect(goingBack().workTo("start").goal(remove(3)).phase).toBe("removing");
  });
});

describe("a goal that names once more what is being activated", () => {
  it.each([
    ["stop", ["stop", "ports", "switch", "start 2.0"]],
    ["ports", ["ports", "switch", "start 2.0"]],
    ["switch", ["switch", "start 2.0"]],
    ["start", ["start 2.0"]],
  ])("goes on at the step %s, with a deadline of its own", (kind, steps) => {
    const app = new HandDriven().deploy(first).goal(second).workTo(kind).pass(50_000).goal({ ...second, generation: 3, deploymentId: "d-2" });
    expect(app.state.deadlineAt).toBe(app.now + 60_000);
    expect(stepsOf(app)).toEqual(steps);
    expect(app.healthy().pass(5_000).lastReport).toMatchObject({ generation: 3, phase: "healthy", runningVersion: "2.0", starts: 1 });
  });

  it("does not restart a process that no probe has answered for yet, and does restart one that is not well", () => {
    const again = { ...second, generation: 3, deploymentId: "d-2" };
    const app = new HandDriven().deploy(first).goal(second).work();
    const { launch } = app.state;
    expect(app.goal(again).state).toMatchObject({ phase: { kind: "probing" }, launch });
    expect(new HandDriven().deploy(first).goal(second).work().unhealthy().goal(again).phase).toBe("pulling");
    expect(new HandDriven().deploy(first).goal(second).work().exit().goal(again).phase).toBe("pulling");
  });

  it("goes back to the last good release when it fails", () => {
    const app = new HandDriven().deploy(first).goal(second).workTo("switch").goal({ ...second, generation: 3 }).failStep(corrupt).work().healthy();
    expect(app.lastReport).toMatchObject({ generation: 3, phase: "reverted", runningVersion: "1.0" });
  });
});
