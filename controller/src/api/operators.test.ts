/** What operators ask, over a real connection: each command, what it answers, and how it is refused. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AlarmState, type Deployment, DeploymentPhase, GateState, TargetState, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { ListMachinesResponse, Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { alarm, ALL, APPROVAL, count, soak, wave } from "../rollout/rollout.fixture.ts";
import { Office } from "./operators.fixture.ts";

let office: Office;
beforeEach(async () => {
  office = new Office();
  await office.open();
  await office.world.join("a", "b", "c");
});
afterEach(() => office.close());

const BY = { reason: "", by: "anna@desk" };
const GATED = { waves: [wave(count(1), { gates: [soak(5000), APPROVAL] }), ALL] };

async function status(id = "d-1"): Promise<Deployment> {
  const { deployments } = office;
  return (await office.ask(deployments, deployments.getDeployment, { id, includeTargets: true, at: 0 })).deployment!;
}

async function machines(): Promise<readonly Machine[]> {
  const listed: Machine[] = [];
  for await (const { machines: some } of office.fleet.listMachines({ selector: "", withoutApps: false }) as AsyncIterable<ListMachinesResponse>) listed.push(...some);
  return listed;
}

describe("a deployment at its gates", () => {
  test("shows where it stands, is approved by name, and goes on", async () => {
    const { world, deployments } = office;
    world.deploy("1", GATED);
    await world.say("a", "healthy");
    let shown = await status();
    expect([shown.phase, shown.waves[0]!.gates.map(({ kind, state }) => [kind, state])]).toEqual([
      DeploymentPhase.SOAKING,
      [["soak", GateState.REACHED], ["approval", GateState.PENDING]],
    ]);
    expect(await office.refused(deployments, deployments.approve, { id: "d-1", wave: 0, ...BY })).toEqual([
      "FAILED_PRECONDITION",
      "d-1 can't be approved: it has not come to the gate that asks for it yet; muster status says what it waits for",
    ]);
    world.pass(7000, "a", "b", "c");
    shown = await status();
    expect([shown.phase, shown.waitingOn]).toEqual([DeploymentPhase.AWAITING_APPROVAL, "somebody to approve wave 1"]);
    expect(await office.refused(deployments, deployments.approve, { id: "d-1", wave: 0, reason: "", by: "" })).toEqual(["INVALID_ARGUMENT", "an approval needs the name of who gives it"]);
    expect(await office.refused(deployments, deployments.approve, { id: "d-1", wave: 2, ...BY })).toEqual([
      "FAILED_PRECONDITION",
      "d-1 can't be approved: it waits for the approval of wave 1, not of wave 2",
    ]);
    const { deployment } = await office.ask(deployments, deployments.approve, { id: "d-1", wave: 1, reason: "looks good", by: "anna@desk" });
    expect(deployment!.waves[0]!.gates[1]).toMatchObject({ state: GateState.OPEN, said: "anna@desk approved it: looks good" });
    expect(deployment!.waves.map(({ phase }) => phase)).toEqual([WavePhase.DONE, WavePhase.ROLLING]);
  });

  test("shows its alarms: what each asks, and what it said last", async () => {
    const { world } = office;
    world.deploy("1", { alarms: [alarm()] });
    expect((await status()).alarms).toMatchObject([{ kind: "prometheus", state: AlarmState.PENDING, asks: "errors is at most 0.01, asked every 30s", said: "" }]);
    world.asked[0]!.answer({ kind: "go", detail: "errors is 0, within max 0.01" });
    await new Promise((resolve) => setImmediate(resolve));
    expect((await status()).alarms).toMatchObject([{ state: AlarmState.QUIET, said: "errors is 0, within max 0.01" }]);
  });

  test("is promoted past all of them only with a name and a reason", async () => {
    const { world, deployments } = office;
    world.deploy("1", GATED);
    await world.say("a", "healthy");
    expect((await office.refused(deployments, deployments.promote, { id: "d-1", all: true, ...BY }))[0]).toBe("INVALID_ARGUMENT");
    expect((await office.refused(deployments, deployments.promote, { id: "d-1", all: true, reason: "hurry", by: "" }))[0]).toBe("INVALID_ARGUMENT");
    const { deployment } = await office.ask(deployments, deployments.promote, { id: "d-1", all: true, reason: "hurry", by: "anna@desk" });
    expect([deployment!.promoted, deployment!.waves[1]!.phase]).toEqual([true, WavePhase.ROLLING]);
    const kept = world.journal.db.prepare("SELECT data FROM journal WHERE kind = 'command_accepted'").pluck().get() as string;
    expect(JSON.parse(kept)).toMatchObject({ command: "promote", detail: "all", reason: "hurry", by: "anna@desk" });
  });
});

test("one that is to be started by hand says so, and takes a name", async () => {
  const { world, deployments } = office;
  world.deploy("1", { start: "manual" });
  expect(await status()).toMatchObject({ phase: DeploymentPhase.PENDING, awaitsStart: true, waitingOn: "somebody to start it (muster approve d-1)" });
  expect((await office.refused(deployments, deployments.approve, { id: "d-1", wave: 0, reason: "", by: "" }))[0]).toBe("INVALID_ARGUMENT");
  const { deployment } = await office.ask(deployments, deployments.approve, { id: "d-1", wave: 0, reason: "", by: "anna@desk" });
  expect(deployment).toMatchObject({ phase: DeploymentPhase.ROLLING, awaitsStart: false });
});

test("a wave that a retry takes up again is shown as rolling", async () => {
  const { world, deployments } = office;
  world.deploy("1", { waves: [wave(count(2)), ALL], maxUnavailable: count(3), maxFailures: count(1) });
  await world.say("a", "reverted");
  await world.say("b", "healthy");
  expect((await status()).waves.map(({ phase }) => phase)).toEqual([WavePhase.DONE, WavePhase.ROLLING]);
  const { deployment } = await office.ask(deployments, deployments.retry, { id: "d-1", ...BY });
  expect(deployment!.waves[0]).toMatchObject({ phase: WavePhase.ROLLING, counts: { updating: 1, failed: 0 } });
});

test("max_unavailable is changed while it runs, as it is written in the file", async () => {
  const { world, deployments } = office;
  world.deploy("1", { waves: [ALL] });
  expect(await office.refused(deployments, deployments.setMaxUnavailable, { id: "d-1", maxUnavailable: "0", ...BY })).toEqual([
    "INVALID_ARGUMENT",
    'max_unavailable: 0 is too small: at least 1, or a percentage such as "10%"',
  ]);
  const { deployment } = await office.ask(deployments, deployments.setMaxUnavailable, { id: "d-1", maxUnavailable: "67%", ...BY });
  expect([deployment!.maxUnavailable, deployment!.counts!.updating]).toEqual([2, 2]);
});

test("abort leaves all as it is, or takes it back; rollback with a version is a deployment of its own", async () => {
  const { world, deployments } = office;
  for (const version of ["1", "2"]) {
    world.deploy(version);
    await world.settle("a", "b", "c");
  }
  world.deploy("3");
  const back = await office.ask(deployments, deployments.abort, { id: "d-3", revert: true, ...BY });
  expect(back.deployment).toMatchObject({ phase: DeploymentPhase.ROLLING_BACK, reason: { message: `${BY.by} aborted it and took it back` } });
  await world.settle("a", "b", "c");
  expect(await office.refused(deployments, deployments.abort, { id: "d-3", revert: true, ...BY })).toEqual(["FAILED_PRECONDITION", "d-3 can't be aborted: it has been rolled back already"]);
  const older = await office.ask(deployments, deployments.rollback, { id: "d-3", toVersion: "1", ...BY });
  expect(older.deployment).toMatchObject({ id: "d-4", version: "1" });
  const kept = await office.ask(deployments, deployments.abort, { id: "d-4", revert: false, ...BY });
  expect(kept.deployment!.phase).toBe(DeploymentPhase.ABORTED);
});

describe("the fleet", () => {
  test("has machines that are cordoned, by whom and why", async () => {
    const { fleet } = office;
    const { machine } = await office.ask(fleet, fleet.cordon, { machine: "a", reason: "bad fan", by: "anna@desk", drain: false, force: false });
    expect(machine!.cordon).toMatchObject({ by: "anna@desk", reason: "bad fan", drained: false });
    expect(await office.refused(fleet, fleet.cordon, { machine: "a", ...BY, drain: false, force: false })).toEqual(["FAILED_PRECONDITION", "a is cordoned already"]);
    expect(await office.refused(fleet, fleet.uncordon, { machine: "nobody", ...BY })).toEqual(["NOT_FOUND", "there is no machine nobody"]);
    expect((await office.ask(fleet, fleet.uncordon, { machine: "a", ...BY })).machine!.cordon).toBeUndefined();
  });

  test("has budgets of groups", async () => {
    const { fleet } = office;
    const { budget } = await office.ask(fleet, fleet.setBudget, { selector: "role=web", maxUnavailable: 1, by: "anna" });
    expect(budget).toEqual({ selector: "role=web", maxUnavailable: 1, machines: 3, unavailable: [] });
    expect((await office.refused(fleet, fleet.setBudget, { selector: "role in web", maxUnavailable: 1, by: "" }))[0]).toBe("FAILED_PRECONDITION");
    await office.ask(fleet, fleet.removeBudget, { selector: "role=web", by: "anna" });
    expect((await office.refused(fleet, fleet.removeBudget, { selector: "role=web", by: "anna" }))[0]).toBe("NOT_FOUND");
  });

  test("has freezes, which end by themselves or by hand", async () => {
    const { fleet, world } = office;
    const now = world.clock.now();
    const { freeze } = await office.ask(fleet, fleet.addFreeze, { from: 0, until: now + 60_000, reason: "launch", by: "anna" });
    expect(freeze).toEqual({ id: "f-1", from: now, until: now + 60_000, reason: "launch", by: "anna" });
    expect((await office.refused(fleet, fleet.addFreeze, { from: 0, until: now - 1, ...BY }))[0]).toBe("FAILED_PRECONDITION");
    await office.ask(fleet, fleet.endFreeze, { id: "f-1", by: "anna" });
    expect((await office.ask(fleet, fleet.listFreezes, {})).freezes).toEqual([]);
    expect((await office.refused(fleet, fleet.endFreeze, { id: "f-1", by: "anna" }))[0]).toBe("NOT_FOUND");
  });
});

describe("a machine", () => {
  const change = { machine: "a", set: {}, remove: [] as string[], by: "anna@desk" };

  test("gets labels and loses others, and what can't be read is refused", async () => {
    const { world, fleet } = office;
    const { machine } = await office.ask(fleet, fleet.labelMachine, { ...change, set: { zone: "b" }, remove: ["role"] });
    expect(machine?.labels).toEqual({ zone: "b" });
    expect(await office.refused(fleet, fleet.labelMachine, { ...change, set: { "a b": "" } })).toEqual(["INVALID_ARGUMENT", '"a b=" is not a label']);
    expect(await office.refused(fleet, fleet.labelMachine, { ...change, remove: ["a b"] })).toEqual(["INVALID_ARGUMENT", '"a b" is not the name of a label']);
    expect(await office.refused(fleet, fleet.labelMachine, { ...change, set: { zone: "a" }, remove: ["zone"] })).toEqual(["INVALID_ARGUMENT", "zone is both set and removed"]);
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, ""]));
    expect(await office.refused(fleet, fleet.labelMachine, { ...change, set: many })).toEqual(["INVALID_ARGUMENT", "a machine has at most 64 labels"]);
    expect(await office.refused(fleet, fleet.labelMachine, { ...change, machine: "nobody" })).toEqual(["NOT_FOUND", "there is no machine nobody"]);
    expect(world.journal.lastSeq).toBe(5);
  });

  test("is shown with the generation that confirmed its release, as its agent acknowledges it", async () => {
    const { world } = office;
    world.deploy("1", { waves: [ALL] });
    await world.settle("a", "b", "c");
    const generation = world.engine.assignmentFor("a" as never)?.generation;
    const [shown] = await machines();
    expect(shown).toMatchObject({ id: "a", assignedGeneration: generation });
    expect(generation).toBeGreaterThan(shown!.apps[0]!.generation);
  });

  test("is removed, and its targets say so", async () => {
    const { world, fleet } = office;
    world.deploy("1", { waves: [ALL] });
    await office.ask(fleet, fleet.removeMachine, { machine: "a", ...BY, reason: "scrapped" });
    expect((await machines()).map(({ id }) => id)).toEqual(["b", "c"]);
    expect(await office.refused(fleet, fleet.removeMachine, { machine: "a", ...BY })).toEqual(["NOT_FOUND", "there is no machine a"]);
    const { targets, waves } = await status();
    expect(targets[0]).toMatchObject({ machine: "a", state: TargetState.REMOVED, reason: { code: "removed", message: "anna@desk removed it from the fleet: scrapped" } });
    expect(waves[0]!.counts).toMatchObject({ total: 3, removed: 1, updating: 1, pending: 1 });
  });
});

test("a machine that is down and takes a place in the window is named while others would start", async () => {
  const { world } = office;
  await world.join("d");
  world.pass(20_000, "a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  expect((await status()).waitingOn).toBe("a to be healthy for 1s; 3 more of wave 1 to come; d is down and takes 1 of 2 places");
});

test("a rollback between two machines says how many are still to go back", async () => {
  const { world, deployments } = office;
  world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  await world.settle("a", "b", "c");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(3) });
  await world.settle("a", "b", "c");
  await office.ask(deployments, deployments.rollback, { id: "d-2", toVersion: "", ...BY });
  const state = world.engine.rollout("d-2" as never)!;
  for (const target of state.targets.values()) Object.assign(target, { state: "healthy", purpose: "update" });
  for (const wave of state.waves) Object.assign(wave.counts, { reverting: 0, healthy: 3 });
  expect(world.waitingOn("d-2" as never)).toBe("3 machines to go back");
});

describe("a machine that was revoked", () => {
  test("is not drained: nothing can be stopped there from here", async () => {
    const { fleet, revoked, world } = office;
    revoked.add("a");
    expect(await office.refused(fleet, fleet.cordon, { machine: "a", drain: true, force: false, ...BY })).toEqual([
      "FAILED_PRECONDITION",
      "a was revoked and hears of nothing, so what runs there can't be stopped from here; muster machine remove a takes it out of the fleet",
    ]);
    expect(world.engine.audit()).toBeUndefined();
    await office.ask(fleet, fleet.cordon, { machine: "a", drain: false, force: false, ...BY });
  });

  test("is named as such where it is waited for", async () => {
    const { revoked, world } = office;
    world.deploy("1", { waves: [wave(count(1), { gates: [soak(5000)] }), ALL] });
    await world.say("a", "healthy");
    revoked.add("a");
    world.pass(20_000, "b", "c");
    expect((await status()).waitingOn).toMatch(/^a to be heard from: .*; a was revoked, and is never heard again$/);
  });

  test("is one of so many at least, where not all that are silent are looked up", async () => {
    const { revoked, world } = office;
    const names = Array.from({ length: 25 }, (_, index) => `m-${10 + index}`);
    await world.join(...names);
    world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
    for (const name of ["a", "b", "c", ...names]) await world.say(name, "probing");
    for (const name of names) revoked.add(name);
    world.pass(20_000, "a", "b", "c");
    expect((await status()).waitingOn).toMatch(/; at least m-10, m-11, m-12 and 17 more were revoked, and are never heard again/);
  });
});
