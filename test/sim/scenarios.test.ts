/**
 * What the simulation has found, each as the shortest story that shows it. The checks of the simulation run along: most of these need no expectation of their own.
 */
import { expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { ORDER, Scenario } from "./scenario.fixture.ts";

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
  scenario.world.controller.clockOffsetMs += 300_000;
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
  expect(scenario.engine.rollout("d-1" as never)?.moving.size).toBe(1);
  await scenario.settle();
});

test("the place of a machine that is drained in the middle of its change is not given away", async () => {
  const scenario = new Scenario(4);
  await scenario.pass(2_000);
  scenario.deploy("1", { maxUnavailable: { kind: "count", count: 2 } }, { kind: "good", readyMs: 10_000 });
  await scenario.pass(5_000);
  scenario.engine.orders.cordon("m-1" as MachineId, { drain: true, force: true }, ORDER);
  await scenario.pass(1_000);
  await scenario.settle();
});

test("a machine that is drained while it is silent comes to an end once it is back and used again", async () => {
  const scenario = new Scenario(3);
  await scenario.pass(2_000);
  const id = scenario.deploy("1", { maxUnavailable: { kind: "count", count: 3 } }, { kind: "good", readyMs: 5_000 });
  await scenario.pass(1_000);
  scenario.cutOff("m-1");
  await scenario.pass(60_000);
  expect(scenario.stateOf(id, "m-1")).toBe("unreachable");
  scenario.engine.orders.cordon("m-1" as MachineId, { drain: true, force: true }, ORDER);
  scenario.mend("m-1");
  await scenario.pass(60_000);
  await scenario.settle();
  expect(scenario.stateOf(id, "m-1")).toBe("healthy");
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
  expect(scenario.world.checks.model.of(first).targets.get("m-2" as MachineId)?.state).not.toBe("updating");
});

test("an agent that dies after a report and before the record of it, and finds the world changed again, corrects what it said", async () => {
  const scenario = new Scenario(1);
  await scenario.pass(2_000);
  scenario.deploy("1", {}, { kind: "flaps", everyMs: 20_000 });
  const machine = scenario.machine("m-1");
  const phase = () => machine.disk.apps.get("web")?.phase.kind;
  while (phase() !== "healthy") await scenario.pass(100);
  const recorded = machine.disk.apps.get("web")!;
  while (phase() !== "unhealthy") await scenario.pass(100);
  machine.isGone = true;
  machine.agent?.die();
  machine.disk.apps.set("web", recorded);
  await scenario.pass(25_000);
  machine.isGone = false;
  machine.startAgent();
  await scenario.settle();
});
