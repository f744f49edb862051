/**
 * The promise, kept in small: each story once broke it. What is expected is what hosts really run and answer; the checks of the simulation run along and break off the story
 * at the first thing that the hosts do not confirm.
 */
import { describe, expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Character } from "./releases.ts";
import { canary, count, GOOD, Scenario, SLOW } from "./scenario.fixture.ts";
import { waveOf } from "./strategies.ts";

const ALL = { kind: "percent", percent: 100 } as const;
const BROKEN: Character = { kind: "broken", how: "start_failed" };
const LEAKS_AFTER = (afterMs: number): Character => ({ kind: "after_a_while", how: "turns", afterMs });
const soak = (forMs: number) => ({ kind: "soak", forMs }) as const;
const M1 = "m-1" as MachineId;

test.each(["dies", "freezes", "is_cut_off"] as const)("a release whose host %s after it was healthy comes no further than its canary", async (how) => {
  const scenario = await Scenario.of(5);
  await scenario.stand("1");
  const id = scenario.deploy("2", { ...canary(soak(120_000)), maxUnreachable: count(0), onFailure: "rollback" }, { kind: "takes_host", how, afterMs: 10_000 });
  await scenario.pass(400_000);
  expect(scenario.phaseOf(id)).not.toBe("succeeded");
  expect(scenario.fleet().slice(1)).toEqual(["1", "1", "1", "1"]);
});

test("a release that takes its hosts with it never succeeds, though its wave has no soak, when it is not done before silence is found", async () => {
  const scenario = await Scenario.of(6);
  await scenario.stand("1");
  const id = scenario.deploy("2", { minHealthyTimeMs: 12_000 }, { kind: "takes_host", how: "dies", afterMs: 15_000 });
  await scenario.pass(90_000);
  expect(scenario.phaseOf(id)).not.toBe("succeeded");
});

test.each([
  ["kills its host in a pause", { kind: "takes_host", how: "dies", afterMs: 40_000 }, 120_000],
  ["kills its host just before the resume", { kind: "takes_host", how: "dies", afterMs: 40_000 }, 40_000],
  ["dies in a pause", { kind: "after_a_while", how: "exits", afterMs: 30_000 }, 120_000],
] as const)("a release that %s of a person's own comes no further than its canary", async (_what, character, pauseMs) => {
  const scenario = await Scenario.of(5);
  await scenario.stand("1");
  const id = scenario.deploy("2", { ...canary(soak(60_000)), onFailure: "rollback", maxFailures: count(0), maxUnreachable: count(0) }, character);
  await scenario.until(() => scenario.serves("m-1") === "2");
  await scenario.pass(10_000);
  scenario.desk.command(id, { kind: "pause" });
  await scenario.pass(pauseMs);
  scenario.desk.command(id, { kind: "resume" });
  await scenario.pass(500_000);
  expect([scenario.phaseOf(id), ...scenario.fleet().slice(1)]).toEqual(["rolled_back", "1", "1", "1", "1"]);
});

test("a soak passes while the controller watches, and not while it is dead", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  scenario.deploy("2", { ...canary(soak(20_000)), maxFailures: count(0), onFailure: "rollback" }, LEAKS_AFTER(12_000));
  await scenario.until(() => scenario.serves("m-1") === "2");
  await scenario.pass(4_000);
  await scenario.controllerIsDeadFor(60_000);
  await scenario.pass(30_000);
  expect(scenario.fleet()).toEqual(["1", "1", "1"]);
  await scenario.settle();
});

test("going back to an older release takes no more machines out of service than the window, those under way counted", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  const id = scenario.deploy("2", { maxUnavailable: count(2) }, SLOW);
  await scenario.until(() => scenario.fleet().filter((version) => version === "2").length === 2 && scenario.fleet().filter((version) => version === undefined).length === 2);
  expect(scenario.desk.rollbackTo(id, "1")?.ok).toBe(true);
  await scenario.settle();
});

test("a budget holds beside a machine that an aborted rollout left on its way", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  scenario.deploy("1", { maxUnavailable: ALL }, GOOD, "shop");
  await scenario.pass(20_000);
  scenario.desk.setBudget("role=web", 1);
  const id = scenario.deploy("2", {}, SLOW);
  await scenario.until(() => scenario.serves("m-1") === undefined);
  scenario.desk.command(id, { kind: "abort" });
  scenario.deploy("2", { order: [{ kind: "id", reversed: true }] }, SLOW, "shop");
  await scenario.pass(30_000);
  await scenario.settle();
});

test("the window holds over a rollout that takes the place of another", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  scenario.deploy("2", { maxUnavailable: count(2) }, SLOW);
  await scenario.until(() => scenario.fleet().filter((version) => version === undefined).length === 2);
  scenario.deploy("3", { maxUnavailable: count(2), order: [{ kind: "id", reversed: true }] }, SLOW);
  await scenario.settle();
});

test("a machine that was drained while a release was planned goes back to what it ran", async () => {
  const scenario = await Scenario.of(2);
  await scenario.stand("1");
  scenario.desk.cordon(M1, { drain: true, force: true });
  await scenario.until(() => scenario.serves("m-1") === undefined);
  await scenario.pass(20_000);
  scenario.deploy("2", { maxFailures: count(0), onFailure: "rollback", waves: [waveOf(count(1), [soak(60_000)]), waveOf(ALL)] }, { kind: "on_machines", how: "never_healthy", machines: ["m-1"] });
  await scenario.pass(20_000);
  scenario.desk.uncordon(M1);
  await scenario.until(() => scenario.serves("m-1") === "1");
  await scenario.until(() => scenario.serves("m-1") === undefined);
  await scenario.pass(60_000);
  expect(scenario.serves("m-1")).toBe("1");
  await scenario.settle();
});

test.each(["stopped", "of a full disk", "of a clock that jumps ahead"])("a good release is not taken back because the controller could not look for longer than its deadlines: %s", async (why) => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  const { controller } = scenario.world;
  const id = scenario.deploy("2", { ...canary(soak(10_000)), progressDeadlineMs: 60_000, maxFailures: count(0), onFailure: "rollback" }, SLOW);
  await scenario.pass(5_000);
  if (why === "stopped") controller.pause();
  if (why === "of a full disk") controller.isDiskFull = true;
  if (why === "of a clock that jumps ahead") controller.setClock(600_000);
  await scenario.pass(why === "of a clock that jumps ahead" ? 1_000 : 300_000);
  controller.resume();
  controller.isDiskFull = false;
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect(scenario.phaseOf(id)).toBe("succeeded");
  await scenario.settle();
});

test("silence is found though the clock of the controller was set back by an hour", async () => {
  const scenario = await Scenario.of(3);
  await scenario.pass(20_000);
  scenario.cutOff("m-2");
  await scenario.pass(1_000);
  scenario.world.controller.setClock(-3_600_000);
  await scenario.pass(60_000);
  expect(scenario.world.controller.isSilent("m-2" as MachineId)).toBe(true);
  expect(scenario.world.controller.isSilent(M1)).toBe(false);
});

test("what was rolled back stays back, though a pipeline deployed the same once more before", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  const id = await scenario.stand("2");
  await scenario.stand("2");
  scenario.desk.command(id, { kind: "rollback" });
  await scenario.until(() => ["rolled_back", "rolling"].includes(scenario.phaseOf(id)));
  await scenario.pass(120_000);
  expect(scenario.phaseOf(id) === "rolled_back" ? scenario.fleet() : ["1", "1", "1", "1"]).toEqual(["1", "1", "1", "1"]);
  await scenario.settle();
});

test("what was rolled back stays back on machines that another selector includes, too", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  const id = await scenario.stand("2", { targets: "zone=a" });
  await scenario.stand("2", { targets: "role=web" });
  scenario.desk.command(id, { kind: "rollback" });
  await scenario.pass(120_000);
  await scenario.settle();
});

test("a rollback says which machine it could not reach", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  const id = await scenario.stand("2");
  scenario.cutOff("m-3");
  await scenario.pass(60_000);
  scenario.desk.command(id, { kind: "rollback" });
  await scenario.pass(120_000);
  expect(scenario.serves("m-3")).toBe("2");
  scenario.mend("m-3");
  await scenario.until(() => scenario.serves("m-3") === "1");
  await scenario.settle();
});

test("a machine that comes later does not get what fails wherever it runs", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1", { maxFailures: count(0) }, LEAKS_AFTER(60_000));
  await scenario.until(() => scenario.fleet().every((version) => version === undefined));
  await scenario.pass(240_000);
  const late = scenario.world.join({ role: "web", zone: "a" });
  await scenario.pass(60_000);
  expect(late.disk.assignment?.apps.length ?? 0).toBe(0);
});

test("a silent machine counts when the time that it is given has passed, and not before", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1");
  scenario.cutOff("m-2");
  await scenario.pass(60_000);
  const id = scenario.deploy("2", { maxUnreachable: count(0), offline: { kind: "wait", forMs: 60_000 }, onFailure: "rollback" });
  await scenario.pass(10_000);
  expect(scenario.phaseOf(id)).toBe("rolling");
  scenario.mend("m-2");
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect(scenario.phaseOf(id)).toBe("succeeded");
  await scenario.settle();
});

test("machines whose release dies before it is confirmed go back by themselves, though the rollout is only paused", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  const id = scenario.deploy("2", { ...canary(soak(60_000)), minHealthyTimeMs: 2_000, maxFailures: count(0), onFailure: "pause" }, LEAKS_AFTER(20_000));
  await scenario.until(() => scenario.phaseOf(id) === "paused");
  await scenario.pass(60_000);
  expect(scenario.fleet()).toEqual(["1", "1", "1", "1"]);
  await scenario.settle();
});

test("a failure counts when it is known, though the release before cannot start either", async () => {
  const scenario = await Scenario.of(3);
  await scenario.stand("1", {}, { kind: "starts_once" });
  const id = scenario.deploy("2", { maxFailures: count(0), healthyDeadlineMs: 60_000, onFailure: "pause" }, BROKEN);
  await scenario.pass(20_000);
  expect(scenario.phaseOf(id)).toBe("paused");
  await scenario.settle();
});

test("a rollback begins with what is broken", async () => {
  const scenario = await Scenario.of(4);
  await scenario.stand("1");
  // Wave 2, the newest, is well; wave 1 has died since.
  const some: Character = { kind: "after_a_while", how: "turns", afterMs: 90_000 };
  const id = scenario.deploy("2", { waves: [waveOf(count(2), [soak(40_000)]), waveOf(count(3), [{ kind: "approval" }]), waveOf(ALL)], maxUnavailable: count(2), maxFailures: count(9) }, some);
  await scenario.until(() => scenario.fleet().filter((version) => version === "2").length === 3);
  await scenario.until(() => scenario.serves("m-1") === undefined && scenario.serves("m-2") === undefined);
  await scenario.pass(20_000);
  scenario.desk.command(id, { kind: "rollback" });
  await scenario.settle();
});

test("a release that failed on all that are left failed there, whatever runs on a machine that was removed, and has joined anew under its old name", async () => {
  const scenario = await Scenario.of(3);
  const id = scenario.deploy("1", { lateJoiners: "ignore" }, { kind: "on_machines", how: "start_failed", machines: ["m-1"] });
  await scenario.until(() => scenario.world.oracle.newest("m-2" as MachineId, "web") !== undefined);
  await scenario.pass(500);
  scenario.cutOff("m-3");
  scenario.desk.remove("m-2" as MachineId);
  scenario.machine("m-2").isRemoved = false;
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect([scenario.phaseOf(id), scenario.fleet()]).toEqual(["failed", [undefined, "1", undefined]]);
});

test("what nobody has heard of when its wave passed is no release to go back to, when its deployment had ended before the machine was heard", async () => {
  const scenario = await Scenario.of(3);
  const first = scenario.deploy("1", { maxUnavailable: ALL, waves: [waveOf(count(2)), waveOf(ALL, [{ kind: "approval" }])], healthyDeadlineMs: 200_000 }, { kind: "on_machines", how: "never_healthy", machines: ["m-2"] });
  await scenario.until(() => scenario.serves("m-1") === "1");
  await scenario.pass(5_000);
  scenario.cutOff("m-1");
  await scenario.until(() => scenario.waitsFor(first, "approve"));
  const second = scenario.deploy("2", { maxUnavailable: ALL, waves: [waveOf(ALL, [{ kind: "approval" }])] });
  scenario.mend("m-1");
  await scenario.until(() => scenario.serves("m-1") === "2");
  scenario.desk.command(second, { kind: "rollback" });
  await scenario.until(() => scenario.phaseOf(second) === "rolled_back");
  expect(scenario.serves("m-1")).toBeUndefined();
});

test("what becomes well on a machine that was removed, and has joined anew, is no progress of the rollout that had told it", async () => {
  const scenario = await Scenario.of(2);
  const id = scenario.deploy("1", { lateJoiners: "ignore", healthyDeadlineMs: 400_000, progressDeadlineMs: 200_000 }, { kind: "on_machines", how: "never_healthy", machines: ["m-2"] });
  await scenario.until(() => scenario.machine("m-1").disk.apps.get("web") !== undefined);
  scenario.desk.remove("m-1" as MachineId);
  scenario.machine("m-1").isRemoved = false;
  await scenario.until(() => scenario.phaseOf(id) !== "rolling");
  expect([scenario.phaseOf(id), scenario.fleet()]).toEqual(["paused", ["1", undefined]]);
});

describe("three of the four machines of a first wave are cut off in its soak, and a program", () => {
  const DEAD = ["m-1", "m-2", "m-3"].map((name) => name as MachineId);
  async function soaking(): Promise<Scenario> {
    const scenario = await Scenario.of(8);
    await scenario.stand("1");
    scenario.deploy("2", { waves: [waveOf(count(4), [{ kind: "soak", forMs: 60_000 }]), waveOf({ kind: "percent", percent: 100 })], maxUnavailable: count(8) });
    await scenario.until(() => [...DEAD, "m-4"].every((name) => scenario.serves(name) === "2"));
    await scenario.pass(15_000);
    for (const machine of DEAD) scenario.cutOff(machine);
    return scenario;
  }

  test("drains them two seconds later: nobody else gets the release", async () => {
    const scenario = await soaking();
    await scenario.pass(2_000);
    for (const machine of DEAD) expect(scenario.desk.cordon(machine, { drain: true, force: true })?.ok).toBe(true);
    await scenario.pass(150_000);
    expect(scenario.fleet().slice(4)).toEqual(["1", "1", "1", "1"]);
  });

  test("removes them as soon as a controller is there again: nobody else gets the release", async () => {
    const scenario = await soaking();
    await scenario.controllerIsDeadFor(60_000);
    await scenario.pass(1_000);
    for (const machine of DEAD) expect(scenario.desk.remove(machine)?.ok).toBe(true);
    await scenario.pass(150_000);
    expect(scenario.fleet().slice(4)).toEqual(["1", "1", "1", "1"]);
  });
});
