/** What is shown of a soak: when it is over by the controller's clock, or that it does not run and what for. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Deployment, DeploymentPhase, type Gate, GateState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, soak, wave } from "../rollout/rollout.fixture.ts";
import { timeText } from "../rollout/words.ts";
import { Office } from "./operators.fixture.ts";
import { DeploymentViews } from "./views.ts";

const SOAK_MS = 20_000;
/** After which a machine that says nothing counts as silent. */
const SILENT_MS = 16_000;

let office: Office;
let world: Office["world"];
beforeEach(async () => {
  office = new Office();
  world = office.world;
  await office.open();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  await world.settle("a", "b", "c");
});
afterEach(() => office.close());

/** Of three, a is the canary and healthy, and its soak has begun. */
async function soaking(change: Parameters<typeof world.deploy>[1] = {}): Promise<DeploymentId> {
  const id = world.deploy("2", { waves: [wave(count(1), { gates: [soak(SOAK_MS)] }), ALL], maxUnavailable: count(3), ...change });
  await world.say("a", "healthy");
  return id;
}

async function shown(id: DeploymentId): Promise<Deployment> {
  const { deployments } = office;
  return (await office.ask(deployments, deployments.getDeployment, { id, includeTargets: false, at: 0 })).deployment!;
}

async function gateOf(id: DeploymentId): Promise<Gate> {
  return (await shown(id)).waves[0]!.gates[0]!;
}

test("that runs: the moment at which it is over, and the same moment in what the rollout waits for", async () => {
  const id = await soaking();
  world.pass(5000, "a", "b", "c");
  const endsAt = world.clock.now() + 15_000;
  const { phase, waitingOn } = await shown(id);
  expect([phase, waitingOn]).toEqual([DeploymentPhase.SOAKING, `the soak of wave 1 to be over at ${timeText(endsAt as never)}`]);
  expect(await gateOf(id)).toMatchObject({ state: GateState.REACHED, endsAt, said: "" });
});

test("whose machine is lost does not run, and says whom it waits for", async () => {
  const id = await soaking();
  world.pass(SILENT_MS, "b", "c");
  const { phase, waitingOn } = await shown(id);
  expect(phase).toBe(DeploymentPhase.ROLLING);
  expect(waitingOn).toContain("a to be heard from");
  expect(await gateOf(id)).toMatchObject({ state: GateState.REACHED, endsAt: 0, said: "a to be heard from" });
});

test("whose machine is drained, or has none yet, does not run", async () => {
  const id = await soaking();
  world.pass(1000, "a", "b", "c");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  world.pass(1000, "a", "b", "c");
  expect((await shown(id)).phase).toBe(DeploymentPhase.ROLLING);
  expect(await gateOf(id)).toMatchObject({ endsAt: 0, said: "a to be uncordoned" });
});

test("whose machine has left the fleet waits for a person", async () => {
  const id = await soaking();
  world.pass(1000, "a", "b", "c");
  world.remove("a");
  world.pass(1000, "b", "c");
  const { phase } = await shown(id);
  expect(phase).toBe(DeploymentPhase.ROLLING);
  expect(await gateOf(id)).toMatchObject({ endsAt: 0, said: "somebody to go on" });
  world.pass(20_000, "b", "c");
  world.command(id, "promote");
  expect(await gateOf(id)).toMatchObject({ state: GateState.SKIPPED, endsAt: 0 });
});

test("of a rollout that goes back waits for nothing", async () => {
  const id = await soaking();
  await world.say("a", "reverted");
  expect((await shown(id)).phase).not.toBe(DeploymentPhase.SOAKING);
  expect(await gateOf(id)).toMatchObject({ endsAt: 0, said: "" });
});

test("of a rollout that is paused does not run", async () => {
  const id = await soaking();
  world.command(id, "pause");
  expect(await gateOf(id)).toMatchObject({ endsAt: 0, said: "an operator to resume, roll back or abort it" });
});

test("after a time without the controller ends later by as much, and has no end while machines are still to be heard", async () => {
  const id = await soaking();
  world.pass(5000, "a", "b", "c");
  world.engine.stop();
  world.clock.advance(12_000);
  world.startEngine({ isHeard: false });
  world.engine.heartbeat("a" as never, 0 as never);
  const views = new DeploymentViews(world.journal.db, (each) => world.engine.waitingOn(each), (each) => world.engine.rollout(each), world.engine, () => world.engine.catchingUp !== undefined);
  const gate = async (): Promise<Gate> => (await views.one(id))!.waves[0]!.gates[0]!;
  expect((await views.one(id))!.waitingOn).toBe("all machines to be heard since the controller was away (1 of 3 so far); then the soak of wave 1 to be over");
  expect((await views.one(id))!.phase).toBe(DeploymentPhase.ROLLING);
  expect(await gate()).toMatchObject({ endsAt: 0, said: "all machines to be heard since the controller was away" });
  for (const machine of ["b", "c"]) world.engine.heartbeat(machine as never, 0 as never);
  world.pass(2000, "a", "b", "c");
  const { endsAt } = await gate();
  expect(Math.abs(endsAt - (world.clock.now() + 13_000))).toBeLessThanOrEqual(1000);
  expect((await views.one(id))!.waitingOn).toBe(`the soak of wave 1 to be over at ${timeText(endsAt as never)}`);
});

test("that nobody ran through since it was promoted is shown as skipped", async () => {
  const id = await soaking();
  world.steer(id, { kind: "promote", all: true });
  expect(await gateOf(id)).toMatchObject({ state: GateState.SKIPPED, said: "the deployment was promoted" });
});
