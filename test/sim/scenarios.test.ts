/**
 * What the simulation has found, each as the shortest story that shows it. The checks of the simulation run along: most of these need no expectation of their own.
 */
import { expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Gate } from "@muster/controller/src/plan/strategy.ts";
import { Stream } from "./network.ts";
import { canary, count, Scenario, SLOW } from "./scenario.fixture.ts";

const SHOP = "shop";

function ofTwo(gate: Gate) {
  return { members: { kind: "size", size: { kind: "count", count: 2 } }, gates: [gate], at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null } as const;
}

test("a controller whose disk is full tries again once a second, and not without end", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  scenario.deploy("1", { progressDeadlineMs: 5_000 }, { kind: "good", readyMs: 20_000 });
  scenario.world.controller.isDiskFull = true;
  await scenario.pass(30_000);
  scenario.world.controller.isDiskFull = false;
  await scenario.settle();
});

test("a machine is not called silent for ever because the controller's clock jumped, though its session never ended", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  scenario.world.controller.setClock(300_000);
  await scenario.pass(1_000);
  await scenario.settle();
});

test("a machine that is silent already takes its place in the window from the first start", async () => {
  const scenario = new Scenario(4);
  await scenario.pass(2_000);
  scenario.cutOff("m-1");
  await scenario.pass(60_000);
  scenario.deploy("1", { maxUnavailable: { kind: "count", count: 2 } });
  await scenario.pass(1_000);
  expect(scenario.assigned()).toBe(1);
  await scenario.settle();
});

test("a machine that is silent already takes its place among those that are alike, too", async () => {
  const scenario = await Scenario.of(5);
  await scenario.stand("1");
  scenario.cutOff("m-1");
  await scenario.pass(60_000);
  const id = scenario.deploy("2", { maxUnavailable: count(4), maxUnavailablePer: [{ label: "zone", max: 2 }] }, SLOW);
  await scenario.pass(5_000);
  expect(scenario.phaseOf(id)).toBe("rolling");
  scenario.mend("m-1");
  await scenario.settle();
});

test("the place of a machine that is drained in the middle of its change is not given away", async () => {
  const scenario = new Scenario(4);
  await scenario.pass(2_000);
  scenario.deploy("1", { maxUnavailable: { kind: "count", count: 2 } }, { kind: "good", readyMs: 10_000 });
  await scenario.pass(5_000);
  scenario.desk.cordon("m-1" as MachineId, { drain: true, force: true });
  await scenario.pass(1_000);
  await scenario.settle();
});

test("a machine that is drained while it is silent comes to an end once it is back and used again", async () => {
  const scenario = new Scenario(3);
  await scenario.pass(2_000);
  scenario.deploy("1", { maxUnavailable: { kind: "count", count: 3 } }, { kind: "good", readyMs: 5_000 });
  await scenario.pass(1_000);
  scenario.cutOff("m-1");
  await scenario.pass(60_000);
  scenario.desk.cordon("m-1" as MachineId, { drain: true, force: true });
  scenario.mend("m-1");
  await scenario.pass(60_000);
  scenario.desk.uncordon("m-1" as MachineId);
  await scenario.until(() => scenario.serves("m-1") === "1");
  await scenario.settle();
});

test("the tail of a deployment does not wait for a machine that a newer one has told something else", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  const first = scenario.deploy("1", { maxUnavailable: { kind: "count", count: 2 } });
  await scenario.pass(100);
  scenario.cutOff("m-2");
  await scenario.pass(120_000);
  expect(scenario.phaseOf(first)).toBe("succeeded");
  scenario.mend("m-2");
  scenario.machine("m-2").isDiskFull = true;
  await scenario.pass(20_000);
  scenario.deploy("2", {}, { kind: "broken", how: "start_failed" });
  await scenario.settle();
  expect(scenario.phaseOf(first)).toBe("succeeded");
});

test("an agent that dies after a report and before the record of it, and finds the world changed again, corrects what it said", async () => {
  const scenario = new Scenario(1);
  await scenario.pass(2_000);
  scenario.deploy("1", {}, { kind: "flaps", everyMs: 20_000 });
  const machine = scenario.machine("m-1");
  const phase = () => machine.disk.apps.get("web")?.phase.kind;
  await scenario.until(() => phase() === "healthy");
  const recorded = machine.disk.apps.get("web")!;
  await scenario.until(() => phase() === "unhealthy");
  machine.isGone = true;
  machine.agent?.die();
  machine.disk.apps.set("web", recorded);
  await scenario.pass(25_000);
  machine.isGone = false;
  machine.startAgent();
  await scenario.settle();
});

test("a canary that has died, and cannot write that down since its disk is full, vouches for nothing", async () => {
  const scenario = await Scenario.of(2);
  await scenario.stand("1");
  const id = scenario.deploy("2", { ...canary({ kind: "soak", forMs: 60_000 }), maxFailures: count(0) }, { kind: "after_a_while", how: "exits", afterMs: 20_000 });
  await scenario.until(() => scenario.serves("m-1") === "2");
  await scenario.pass(5_000);
  const canaryHost = scenario.machine("m-1");
  canaryHost.isDiskFull = true;
  await scenario.pass(85_000);
  expect(scenario.waitsFor(id, "reports of m-1 to come in")).toBe(true);
  Object.assign(canaryHost, { isDiskFull: false, lastFaultAt: scenario.world.timeline.now });
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect(scenario.fleet()[1]).toBe("1");
  await scenario.settle();
});

test("a machine of which a hello of its old disk comes late says again how it is, and fails nothing", async () => {
  const scenario = await Scenario.of(2);
  const id = scenario.deploy("1", { ...canary({ kind: "soak", forMs: 60_000 }), maxFailures: count(0) });
  await scenario.until(() => scenario.serves("m-1") === "1");
  await scenario.pass(5_000);
  scenario.restartController();
  const { controller, timeline } = scenario.world;
  const stream = new Stream("m-1" as MachineId);
  const nobody = { welcome: () => {}, heartbeatAck: () => {}, acknowledge: () => {}, end: () => {} };
  timeline.after(0, () => controller.sessions.hello(stream, nobody, { ...scenario.machine("m-1").hello(), instance: "m-1-disk-0" }, 0, 0));
  timeline.after(1, () => controller.sessions.ended(stream));
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect(scenario.phaseOf(id)).toBe("succeeded");
  await scenario.settle();
});

test("a soak that is interrupted again and again does not hold the rollout for ever", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", { waves: [ofTwo({ kind: "soak", forMs: 30_000 })], progressDeadlineMs: 25_000 }, { kind: "flaps", everyMs: 15_000 });
  await scenario.until(() => scenario.phaseOf(id) === "paused");
  expect(scenario.reasonOf(id)).toContain("kept changing");
  await scenario.settle();
});

test("a soak begins with the last change, though the clock was set back and the controller restarted", async () => {
  const scenario = new Scenario(3);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", { waves: [ofTwo({ kind: "soak", forMs: 30_000 })] }, { kind: "flaps", everyMs: 20_000 });
  const turns = async (machine: string, isWell: boolean) => scenario.until(() => (scenario.serves(machine) === "1") === isWell);
  for (let time = 0; time < 2; time += 1) {
    await turns("m-1", true);
    await turns("m-1", false);
  }
  scenario.world.controller.setClock(-10_000);
  await turns("m-2", true);
  await turns("m-2", false);
  expect(scenario.phaseOf(id)).toBe("rolling");
  scenario.restartController();
  await scenario.settle();
});

test("a machine on its way in the tail of a deployment that stands no more takes a place of its group, also after a restart", async () => {
  const scenario = new Scenario(3);
  scenario.cutOff("m-2");
  scenario.cutOff("m-3");
  await scenario.pass(2_000);
  const first = scenario.deploy("1", {}, SLOW);
  await scenario.until(() => scenario.phaseOf(first) === "succeeded");
  scenario.mend("m-2");
  await scenario.until(() => scenario.assigned() === 2);
  const second = scenario.deploy("1", {}, SLOW);
  await scenario.pass(5_000);
  scenario.mend("m-3");
  await scenario.until(() => scenario.phaseOf(second) === "succeeded");
  expect(scenario.serves("m-3")).toBe(undefined);
  scenario.desk.setBudget("role=web", 1);
  scenario.restartController();
  scenario.deploy("1", {}, SLOW, SHOP);
  await scenario.settle();
});

test("a machine that an ended rollout left on the move takes a place of its group again when that is retried", async () => {
  const scenario = new Scenario(4);
  await scenario.pass(2_000);
  const all = { kind: "count", count: 4 } as const;
  const id = scenario.deploy("1", { maxUnavailable: all, maxFailures: { kind: "count", count: 0 }, onFailure: "abort" }, { kind: "broken", how: "never_healthy" });
  await scenario.until(() => scenario.phaseOf(id) === "failed");
  scenario.desk.setBudget("role=web", 1);
  expect(scenario.desk.command(id, { kind: "retry" })?.ok).toBe(true);
  await scenario.settle();
});

test("a budget and a lane of one name hold back different machines", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  const all = { maxUnavailable: { kind: "count", count: 2 } } as const;
  const first = scenario.deploy("1", { ...all, maxUnavailablePer: [{ label: "zone", max: 1 }] });
  const second = scenario.deploy("1", all, SLOW, SHOP);
  scenario.desk.setBudget("zone=a", 1);
  await scenario.until(() => scenario.phaseOf(second) === "succeeded");
  await scenario.pass(30_000);
  expect(scenario.phaseOf(first)).toBe("succeeded");
  await scenario.settle();
});

test("a gate behind enough of a wave is waited for beside those under way, also after a restart", async () => {
  const scenario = new Scenario(6);
  await scenario.pass(2_000);
  const first = { ...ofTwo({ kind: "approval" }), members: { kind: "size", size: { kind: "count", count: 3 } }, successThreshold: { kind: "count", count: 1 } } as const;
  const rest = { ...first, members: { kind: "size", size: { kind: "percent", percent: 100 } }, gates: [], successThreshold: null } as const;
  const id = scenario.deploy("1", { waves: [first, rest] }, SLOW);
  await scenario.until(() => scenario.waitsFor(id, "approve"));
  await scenario.until(() => scenario.serves("m-2") === "1" && scenario.assigned() === 3);
  scenario.restartController();
  await scenario.pass(1_000);
  expect([scenario.waitsFor(id, "approve"), scenario.serves("m-3"), scenario.assigned()]).toEqual([true, undefined, 3]);
  expect(scenario.desk.command(id, { kind: "approve", wave: 1 })?.ok).toBe(true);
  expect([scenario.waitsFor(id, "approve"), scenario.serves("m-3")]).toEqual([false, undefined]);
  await scenario.settle();
});

test("an answer that comes while the controller's disk is full is kept when it has room", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  const { controller } = scenario.world;
  controller.outsideIsWell = true;
  const check = { kind: "prometheus", url: "http://gate", query: "errors", max: 1, min: null, timeoutMs: 2_000 } as const;
  const id = scenario.deploy("1", { alarms: [{ check, intervalMs: 5_000, failureLimit: 0, retries: 0, onSilence: "stop" }] });
  controller.isDiskFull = true;
  await scenario.pass(5_000);
  controller.isDiskFull = false;
  await scenario.until(() => scenario.phaseOf(id) === "succeeded");
  await scenario.settle();
});

test("an agent whose clock was set back while it was away waits no longer for a release to become healthy", async () => {
  const scenario = new Scenario(1);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", { progressDeadlineMs: 3_600_000 }, { kind: "broken", how: "never_healthy" });
  const machine = scenario.machine("m-1");
  await scenario.until(() => machine.disk.apps.get("web")?.phase.kind === "probing");
  machine.agent?.die();
  machine.clockOffsetMs -= 600_000;
  machine.startAgent();
  await scenario.pass(60_000);
  expect(scenario.phaseOf(id)).toBe("failed");
  await scenario.settle();
});

test("a machine that is removed on its way holds its rollout up no longer, and its agent is not let in again", async () => {
  const scenario = new Scenario(3);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", {}, SLOW);
  await scenario.until(() => scenario.assigned() === 1);
  scenario.desk.remove("m-1" as MachineId);
  await scenario.pass(60_000);
  expect([scenario.phaseOf(id), scenario.fleet().slice(1)]).toEqual(["succeeded", ["1", "1"]]);
  expect(scenario.world.checks.hasJoined("m-1" as MachineId)).toBe(false);
  await scenario.settle();
});

test("a machine that was removed and joins again as it was, in the middle of what it was told, is new and has its turn", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", {}, SLOW);
  await scenario.until(() => scenario.assigned() === 1);
  scenario.desk.remove("m-1" as MachineId);
  scenario.machine("m-1").isRemoved = false;
  await scenario.until(() => scenario.phaseOf(id) === "succeeded" && scenario.fleet().every((version) => version === "1"));
  await scenario.settle();
});

test("labels that an operator gave outlast the agent that still says others", async () => {
  const scenario = new Scenario(2);
  await scenario.pass(2_000);
  scenario.desk.label("m-2" as MachineId, { role: "db" });
  scenario.machine("m-2").agent?.die();
  scenario.restartController();
  await scenario.pass(120_000);
  const id = scenario.deploy("1");
  await scenario.until(() => scenario.phaseOf(id) === "succeeded");
  await scenario.pass(60_000);
  expect(scenario.fleet()).toEqual(["1", undefined]);
  await scenario.settle();
});

test("a machine that is down for another app, which never served there, takes no second place of its budget when it changes", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  scenario.deploy("1", { maxUnavailable: count(3) }, { kind: "on_machines", how: "start_failed", machines: ["m-2"] }, SHOP);
  await scenario.pass(60_000);
  scenario.desk.setBudget("role=web", 1);
  scenario.deploy("2", { maxUnavailable: count(3) }, SLOW);
  await scenario.until(() => scenario.serves("m-1") === undefined && scenario.serves("m-2") === undefined);
  expect(scenario.serves("m-3")).toBe("1");
  await scenario.settle();
});

test("nor does one that is given that other app anew before its change has begun", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  scenario.deploy("1", { maxUnavailable: count(4) }, { kind: "broken", how: "start_failed" }, SHOP);
  await scenario.pass(60_000);
  scenario.desk.setBudget("role=web", 1);
  scenario.deploy("2", { maxUnavailable: count(4) }, SLOW);
  await scenario.pass(100);
  scenario.deploy("2", { maxUnavailable: count(4) }, SLOW, SHOP);
  await scenario.until(() => scenario.fleet().every((version) => version === undefined));
  await scenario.settle();
});

test("a machine from which a rollback has removed the app is changed no more by that when the next deployment begins with its very answer", async () => {
  const scenario = await Scenario.of(2);
  scenario.desk.label("m-1" as MachineId, { canary: "true" });
  const first = scenario.deploy("1", { minHealthyTimeMs: 60_000, healthyDeadlineMs: 120_000, maxUnreachable: count(0), onFailure: "rollback" }, SLOW);
  await scenario.until(() => scenario.assigned() === 2);
  await scenario.pass(5_000);
  const second = scenario.deploy("2", { targets: "role=web,canary=true", onConflict: "queue" }, { kind: "good", readyMs: 25_000 });
  scenario.cutOff("m-2");
  await scenario.until(() => scenario.phaseOf(first) === "rolled_back");
  expect([scenario.phaseOf(second), scenario.serves("m-1"), scenario.serves("m-2")]).toEqual(["rolling", undefined, "1"]);
  await scenario.pass(14_000);
  scenario.mend("m-2");
  await scenario.until(() => scenario.serves("m-2") === undefined);
  expect(scenario.serves("m-1")).toBeUndefined();
  await scenario.settle();
});

test("a machine that is heard in the middle of its change goes back at once beside what a newer deployment without it changes", async () => {
  const scenario = await Scenario.of(2);
  scenario.desk.label("m-1" as MachineId, { canary: "true" });
  const first = scenario.deploy("1", { minHealthyTimeMs: 100_000, healthyDeadlineMs: 200_000, maxUnreachable: count(0), onFailure: "rollback" }, SLOW);
  await scenario.until(() => scenario.assigned() === 2);
  await scenario.pass(5_000);
  scenario.cutOff("m-2");
  await scenario.until(() => scenario.phaseOf(first) === "rolled_back");
  const second = scenario.deploy("2", { targets: "role=web,canary=true" });
  await scenario.until(() => scenario.phaseOf(second) === "succeeded");
  scenario.deploy("3", { targets: "role=web,canary=true" }, { kind: "good", readyMs: 28_000 });
  await scenario.until(() => scenario.serves("m-1") === undefined);
  expect(scenario.serves("m-2")).toBe("1");
  await scenario.pass(17_000);
  scenario.mend("m-2");
  await scenario.until(() => scenario.serves("m-2") === undefined);
  expect(scenario.serves("m-1")).toBeUndefined();
  await scenario.settle();
});
