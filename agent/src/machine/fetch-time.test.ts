/** The time to fetch passes only while the controller, from which artifacts come, is there. */
import { expect, test } from "vitest";
import { filesRelease, HandDriven, processRelease, remove, run } from "./hand-driven.fixture.ts";

const [one, two] = [processRelease("1"), processRelease("2")];
const OFFLINE = { code: "artifact_unavailable", message: "no answer", retryable: true } as const;

/** 1 runs; 2 is to be fetched, and to be healthy within 60 s. */
function fetching(): HandDriven {
  return new HandDriven().deploy(run(1, one)).goal(run(2, two, { confirmed: false }));
}

test("a fetch during which the controller was away has all of its time afterwards but for what had passed before", () => {
  const app = fetching().pass(20_000).say({ kind: "heard", paceMs: 20_000 }).pass(300_000, true);
  expect([app.phase, app.lastReport?.phase]).toEqual(["pulling", "pulling"]);
  app.say({ kind: "heard", paceMs: 0 });
  app.pass(39_000);
  expect(app.phase).toBe("pulling");
  app.pass(1_000);
  expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "artifact_unavailable", message: "not fetched within 1m; still on 1" } });
});

test("what is tried again later is tried at once when the controller is back", () => {
  const app = fetching();
  for (let tries = 0; tries < 6; tries += 1) app.failStep(OFFLINE).pass(60_000, true);
  app.failStep(OFFLINE);
  expect(app.demand.files).toBeUndefined();
  app.say({ kind: "heard", paceMs: 10_000 });
  expect(app.demand.files?.kind).toBe("pull");
  app.work();
  expect(app.phase).toBe("probing");
});

test("a fetch that is late while the controller is heard has failed, with the fault that kept it", () => {
  const app = fetching().failStep(OFFLINE).pass(60_000, true);
  expect([app.phase, app.demand.wakeAt]).toEqual(["pulling", undefined]);
  app.say({ kind: "heard", paceMs: Infinity });
  expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "artifact_unavailable" } });
});

test("a newer release begins with a time of its own", () => {
  const app = fetching().pass(60_000, true).goal(run(3, processRelease("3"), { confirmed: false }));
  expect(app.state.isFetchedLate).toBe(false);
  app.pass(59_000);
  expect(app.phase).toBe("pulling");
});

test("an agent that starts meanwhile does not know more of the time that had passed", () => {
  const app = fetching().pass(20_000).say({ kind: "heard", paceMs: 20_000 }).pass(100_000, true);
  app.now += 5_000;
  app.say({ kind: "woken", found: { launchId: app.state.launch.kind === "running" ? app.state.launch.workload.launchId : "", pid: 1 } as never, bootId: "boot-1" });
  app.pass(20_000, true).say({ kind: "heard", paceMs: 0 });
  app.pass(39_000);
  expect(app.phase).toBe("pulling");
  app.pass(1_000);
  expect(app.phase).not.toBe("pulling");
});

test.each(["dies", "is unhealthy"])("what was never called good and %s while a newer release can't be fetched gives way to the last good one, whoever is away", (how) => {
  const app = new HandDriven().deploy(run(1, one)).goal(run(2, two, { confirmed: false })).work().healthy().pass(10_000).work();
  expect([app.phase, app.state.current?.version, app.state.lastGood?.version]).toEqual(["healthy", "2", "1"]);
  app.goal(run(3, processRelease("3"), { confirmed: false })).failStep(OFFLINE);
  if (how === "dies") app.exit(1);
  else app.unhealthy();
  app.pass(60_000, true).work();
  expect([app.state.current?.version, app.lastReport?.reason?.code]).toEqual(["1", "artifact_unavailable"]);
});

test.each([["process", processRelease], ["files", filesRelease]] as const)("what was never called good and is well (%s) waits for a newer release as long as the controller is away", (_, of) => {
  const app = new HandDriven().deploy(run(1, of("1"))).goal(run(2, of("2"), { confirmed: false })).work().healthy().pass(10_000).work();
  app.goal(run(3, of("3"), { confirmed: false })).failStep(OFFLINE).pass(300_000, true);
  expect([app.phase, app.state.current?.version]).toEqual(["pulling", "2"]);
});

test("where nothing runs, after a drain, a release that can't be fetched has failed of nothing while the controller is away", () => {
  const app = new HandDriven().deploy(run(1, one)).goal(remove(2, true)).work();
  app.goal(run(3, two, { confirmed: false })).failStep(OFFLINE).pass(300_000, true);
  expect([app.phase, app.lastReport?.phase]).toEqual(["pulling", "pulling"]);
});

test("a fetch that comes to its end after its time has failed for that, and not for its turn", () => {
  const app = fetching().pass(62_000, true);
  app.say({ kind: "step_done", key: app.demand.files!.key });
  expect(app.lastReport).toMatchObject({ phase: "reverted", reason: { code: "artifact_unavailable", message: "not fetched within 1m; still on 1" } });
});
