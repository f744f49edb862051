import { describe, expect, it } from "vitest";
import { BOOT, HandDriven, processRelease, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const first = run(1, v1);
const second = run(2, v2, { confirmed: false });
const probing = (): HandDriven => new HandDriven().deploy(first).goal(second).work();
const gap = (app: HandDriven): HandDriven => app.say({ kind: "gap" });

describe("after a gap in which the agent did not look", () => {
  it("no deadline is judged before a probe has answered, and none is waited for", () => {
    const app = gap(probing().healthy().pass(3_000));
    app.now += 600_000;
    expect(app.say({ kind: "tick" }).phase).toBe("probing");
    expect(app.demand.wakeAt).toBeUndefined();
    expect(app.healthy().pass(2_000).lastReport).toMatchObject({ phase: "healthy", runningVersion: "2.0" });
  });

  it("a deadline that has passed is judged by what the probe finds", () => {
    const app = probing().unhealthy();
    app.now += 60_000;
    gap(app);
    expect(app.say({ kind: "tick" }).phase).toBe("probing");
    expect(app.unhealthy("GET / answered 500").lastReport).toMatchObject({ phase: "reverting", reason: { code: "never_healthy" } });
  });

  it("the time in which the answer is awaited is none of the deadline's", () => {
    const app = gap(probing().unhealthy().pass(50_000)).pass(9_000).unhealthy().pass(9_999);
    expect(app.phase).toBe("probing");
    expect(app.pass(1).phase).toBe("reverting");
  });

  it("the probes are asked anew, and one good answer of what was well is enough", () => {
    const app = probing().healthy().pass(1_000);
    const before = app.demand.probe!;
    gap(app);
    expect(app.demand.probe).toMatchObject({ wasHealthy: true });
    expect(app.demand.probe?.key).not.toBe(before.key);
    const { key } = app.demand.probe!;
    app.healthy();
    expect(app.demand.probe?.key).toBe(key);
  });

  it("the stretch of health goes on when it is confirmed, is no longer than before, and ends when it is not", () => {
    const app = gap(probing().healthy().pass(3_000));
    expect(app.healthy().pass(1_999).phase).toBe("probing");
    expect(app.pass(1).phase).toBe("healthy");
    const broken = gap(probing().healthy().pass(3_000)).unhealthy("refused").pass(60_000);
    expect(broken.lastReport?.reason).toMatchObject({ code: "turned_unhealthy", message: "healthy for 3s of the 5s required, then: refused" });
  });

  it("going back is not given up before a probe has answered either", () => {
    const app = gap(probing().pass(60_000).work());
    expect(app.phase).toBe("reverting");
    app.now += 600_000;
    expect(app.say({ kind: "tick" }).phase).toBe("reverting");
    expect(app.healthy().lastReport).toMatchObject({ phase: "reverted", runningVersion: "1.0" });
  });

  it("a process that has ended in it counts as ended", () => {
    const app = gap(probing().healthy()).exit();
    expect(app.state).toMatchObject({ phase: { kind: "probing" }, health: { kind: "unknown" }, launch: { kind: "waiting" } });
  });

  it("nothing changes where nothing is judged by time", () => {
    for (const app of [new HandDriven().deploy(first), new HandDriven().deploy(first).unhealthy(), new HandDriven().goal(first), probing().exit()]) {
      const { state } = app;
      const count = app.reports.length;
      expect(gap(app).state).toBe(state);
      expect(app.reports).toHaveLength(count);
    }
  });
});

describe("how much of a deadline has passed", () => {
  it("is written down every few seconds while one runs, and not otherwise", () => {
    const app = probing().pass(20_000);
    expect(app.state.seenAt).toBe(app.now);
    app.healthy().pass(5_000);
    const { seenAt } = app.state;
    expect(app.demand.wakeAt).toBeUndefined();
    expect(app.pass(600_000).state.seenAt).toBe(seenAt);
  });

  it("is not written down for each sample", () => {
    const app = probing().unhealthy("GET / refused");
    const { seenAt } = app.state;
    for (let count = 0; count < 4; count += 1) app.pass(1_000).unhealthy("GET / refused");
    expect(app.state.seenAt).toBe(seenAt);
  });
});

it("an agent that wakes again and again while a release is replaced in the middle of its start says nothing of its health", () => {
  const app = new HandDriven().deploy(first).goal(second).workTo("start");
  const found = workload(app.demand.process?.kind === "start" ? app.demand.process.launchId : "");
  app.goal(run(3, processRelease("3.0")));
  for (const _ of [1, 2]) app.say({ kind: "woken", found, bootId: BOOT });
  expect(app.state).toMatchObject({ launch: { kind: "running" }, settled: false, health: { kind: "unknown" } });
});
