/** What happens to machines while their rollout does not look: lost in a rollback, drained and used again, gone before the file is deployed again. */
import { describe, expect, test } from "vitest";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const reasonOf = (world: World, id: DeploymentId, machine: string) => loadRollout(world.journal, id)!.targets.get(machine as MachineId)!.reason;

test("a machine that was lost in a rollback and removed from the fleet is named in it no longer", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(20_000, "a");
  world.command(id, "rollback");
  await world.settle("a");
  world.pass(3000, "a");
  expect([world.phase(id), world.state(id, "b")]).toEqual(["rolled_back", "unreachable"]);
  world.remove("b");
  world.pass(3000, "a");
  expect(world.state(id, "b")).toBe("removed");
});

test("one that fell silent before it heard that it goes back, and went back then, has no reason that says otherwise", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.command(id, "rollback");
  await world.say("b", "healthy");
  world.pass(20_000, "b");
  expect([world.state(id, "a"), reasonOf(world, id, "a")?.code]).toEqual(["unreachable", "not_taken"]);
  await world.join("a");
  await world.say("a", "healthy");
  world.pass(3000, "a", "b");
  expect([world.phase(id), world.state(id, "a"), reasonOf(world, id, "a")]).toEqual(["rolled_back", "reverted", null]);
});

test("a machine that was removed and joined again under its name goes by what is decided from then on, after a rollback that had lost it", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(20_000, "a");
  world.command(id, "rollback");
  await world.settle("a");
  world.remove("b");
  await world.loseDisk("b");
  world.pass(3000, "a", "b");
  expect(world.wanted("b")).toBe("1");
  await world.settle("b");
  expect(world.state(id, "b")).toBe("removed");
});

test("a drained machine that was on its way with the release is not started on it again by its uncordon while the rollout may start nobody", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  const by = { by: "anna", reason: "" };
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  await world.say("a", "activating");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.command(id, "pause");
  world.engine.orders.uncordon("a" as never, by);
  const wanted = world.wanted("a");
  // It fails there, in words.
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  expect([wanted, world.state(id, "a")]).toEqual(["1", "pending"]);
});

test("an aborted deployment whose machine was drained on its way does not bring the release back unseen", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  const by = { by: "anna", reason: "" };
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  await world.say("a", "activating");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.command(id, "abort");
  world.engine.orders.uncordon("a" as never, by);
  world.pass(3000, "a", "b", "c");
  const wanted = world.wanted("a");
  await world.say("a", "healthy");
  expect(wanted === "1" || world.state(id, "a") === "healthy").toBe(true);
});

test("deploying again what machines ran that are all lost is no success", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(40_000);
  const again = world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  world.pass(5000);
  expect(world.phase(again)).not.toBe("succeeded");
});

test("what is lost counts among the machines of a repeated deployment: max_unreachable: 0 does not pass over it", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(3000, "a", "b", "c");
  await world.say("c", "healthy");
  world.pass(40_000, "a", "b");
  const again = world.deploy("1", { waves: [ALL], maxUnavailable: count(9), maxUnreachable: count(0), offline: { kind: "wait", forMs: null } });
  world.pass(5000, "a", "b");
  expect(world.phase(again)).toBe("rolling");
});

test.each(["unhealthy", "reverting", "failed"] as const)("a machine that was drained and is used again in the middle of a soak, and says %s then, has failed", async (phase) => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  const by = { by: "anna", reason: "" };
  const soak = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] } as never;
  const id = world.deploy("2", { waves: [soak, ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, by);
  expect([world.wanted("a"), world.state(id, "a")]).toEqual(["2", "updating"]);
  await world.say("a", "probing");
  expect(world.state(id, "a")).toBe("updating");
  await world.say("a", phase);
  expect(world.state(id, "a")).not.toBe("healthy");
  world.pass(100_000, "a", "b", "c");
  expect([world.wanted("b"), world.wanted("c")]).toEqual(["1", "1"]);
});

describe("a canary that is lost in its soak, and a person who goes on without it", () => {
  async function lost(onFailure: "pause" | "rollback", maxUnreachable: number) {
    const world = await onOne();
    const id = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1), maxUnreachable: count(maxUnreachable), onFailure });
    await world.say("a", "healthy");
    world.pass(60_000, "b", "c", "d");
    return { world, id };
  }
  const told = (world: World): number => ["b", "c", "d"].filter((name) => world.wanted(name) === "2").length;

  test("resume does not stand for the soak: it waits for the canary, or for promote", async () => {
    const { world, id } = await lost("pause", 0);
    expect(world.phase(id)).toBe("paused");
    world.command(id, "resume");
    world.pass(120_000, "b", "c", "d");
    expect([told(world), world.waitingOn(id)]).toEqual([0, "a to be back: no other machine of wave 1 shows how the release does (muster promote d-2 goes on without it)"]);
    world.steer(id, { kind: "promote", all: false });
    expect(told(world)).toBe(1);
  });

  test("one that is back has its whole soak", async () => {
    const { world, id } = await lost("pause", 0);
    world.command(id, "resume");
    await world.join("a");
    world.pass(55_000, ...NAMES);
    expect(told(world)).toBe(0);
    world.pass(10_000, ...NAMES);
    expect(told(world)).toBe(1);
  });

  test("promote once is enough", async () => {
    const { world, id } = await lost("rollback", 3);
    expect([world.phase(id), told(world)]).toEqual(["rolling", 0]);
    world.steer(id, { kind: "promote", all: false });
    expect(told(world)).toBe(1);
  });
});
