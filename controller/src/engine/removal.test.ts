/**
 * Machines that are removed from the fleet: nobody waits for them or touches them, they count nowhere, and one that joins under the same name is new.
 */
import { WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { MachineGone } from "./refusal.ts";
import { World } from "./world.fixture.ts";

async function fleet(...machines: string[]): Promise<World> {
  const world = new World();
  await world.join(...machines);
  return world;
}

/** What is kept of a machine beside the record of deployments. */
function rowsOf(world: World, machine: string): number {
  const { db } = world.journal;
  const tables = [["machines", "id"], ["machine_apps", "machine"], ["assignments", "machine"], ["report_cursors", "machine"]] as const;
  return tables.reduce((sum, [table, column]) => sum + (db.prepare(`SELECT count(*) FROM ${table} WHERE ${column} = ?`).pluck().get(machine) as number), 0);
}

describe("a rollout under way", () => {
  test("finishes its wave without the machine on the move, and without the one that was to come", async () => {
    const world = await fleet("a", "b", "c", "d");
    const id = world.deploy("1", { waves: [wave(count(2)), ALL] });
    world.remove("a");
    expect([world.state(id, "a"), world.state(id, "b")]).toEqual(["removed", "updating"]);
    world.remove("c");
    await world.settle("b", "d");
    expect([world.phase(id), world.state(id, "c"), world.state(id, "d")]).toEqual(["succeeded", "removed", "healthy"]);
    expect(rowsOf(world, "a")).toBe(0);
    expect(world.told.filter(({ machine }) => machine === "c")).toEqual([]);
  });

  test("keeps in mind that it failed, and that an operator knew of its failure", async () => {
    const world = await fleet("a", "b", "c");
    const id = world.deploy("1", { waves: [ALL], maxFailures: count(0), onFailure: "pause" });
    await world.say("a", "failed");
    expect(world.phase(id)).toBe("paused");
    world.command(id, "resume");
    world.remove("a");
    const [first] = loadRollout(world.journal, id)!.waves;
    expect([first!.counts.failed, first!.leftFailed, first!.acknowledgedFailures, first!.counts.removed]).toEqual([0, 1, 1, 1]);
    expect(world.phase(id)).toBe("rolling");
    await world.say("b", "failed");
    expect(world.phase(id)).toBe("paused");
  });

  test("takes everybody else back when it is rolled back, and never the one that is gone", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    await world.say("a", "healthy");
    world.remove("a");
    world.command(id, "rollback");
    expect([world.state(id, "a"), world.wanted("a"), world.wanted("b")]).toEqual(["removed", undefined, "remove"]);
    await world.settle("b");
    expect(world.phase(id)).toBe("rolled_back");
  });

  test("ends when nobody is left to change", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [wave(count(1)), ALL] });
    world.remove("b");
    world.remove("a");
    expect(loadRollout(world.journal, id)).toMatchObject({ phase: "failed", reason: { code: "no_targets", message: "each machine that was to be changed has been removed from the fleet" } });
  });

  test("waits for the silent ones alone, and says so, when those who could have answered are gone", async () => {
    const world = await fleet("a", "b");
    world.pass(20_000, "b");
    const id = world.deploy("1", { waves: [wave(count(1)), ALL] });
    const silent = loadRollout(world.journal, id)!.targets.get("a" as MachineId)!;
    expect(silent.wave).toBe(1);
    world.remove("b");
    expect(world.waitingOn(id)).toBe("a to be heard from: no machine has answered yet");
  });

  test("gives its place in the window and in budgets to the next", async () => {
    const world = await fleet("a", "b", "c");
    world.engine.orders.setBudget("role=web", 1, "anna");
    const id = world.deploy("1", { waves: [ALL] });
    expect([world.state(id, "a"), world.state(id, "b")]).toEqual(["updating", "pending"]);
    world.remove("a");
    expect([world.state(id, "b"), world.engine.orders.budgets()]).toEqual(["updating", [{ selector: "role=web", maxUnavailable: 1, machines: 2, unavailable: ["b"] }]]);
  });

  test("does not begin a soak anew for it", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [wave(count(2), { gates: [{ kind: "soak", forMs: 10_000 }] })], maxUnavailable: count(2) });
    await world.settle("a", "b");
    world.pass(9_000, "a", "b");
    world.remove("a");
    // One second for the soak, and one until b was heard after it.
    world.pass(2_000, "b");
    expect(world.phase(id)).toBe("succeeded");
  });
});

describe("a deployment that has ended", () => {
  test("is rolled back without it, though nothing of it was in memory", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    await world.settle("a", "b");
    world.remove("a");
    expect([world.phase(id), world.state(id, "a"), world.state(id, "b")]).toEqual(["succeeded", "removed", "healthy"]);
    world.command(id, "rollback");
    expect([world.wanted("a"), world.wanted("b")]).toEqual([undefined, "remove"]);
  });

  test("has nothing to take back or to retry when only that machine was touched", async () => {
    const world = await fleet("a");
    const id = world.deploy("1", { waves: [ALL], onFailure: "abort" });
    await world.say("a", "failed");
    expect(world.phase(id)).toBe("failed");
    world.remove("a");
    expect(world.command(id, "rollback")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("it changed no machine that is still there") as string } });
    expect(world.command(id, "retry")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("none of its targets has failed") as string } });
  });

  test("does not let a failure that was known there stand in for one of its tail", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(1), onFailure: "pause" });
    await world.say("a", "failed");
    await world.settle("b");
    expect(loadRollout(world.journal, id)!.waves[0]!.acknowledgedFailures).toBe(1);
    world.remove("a");
    const [first] = loadRollout(world.journal, id)!.waves;
    expect([first!.counts.failed, first!.leftFailed, first!.acknowledgedFailures]).toEqual([0, 1, 1]);
  });
});

describe("one that joins under the same name", () => {
  test("is new: seen for the first time, without labels, cordon or apps of the other, and takes the standing release as a late joiner", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [wave(count(1)), ALL] });
    await world.settle("a", "b");
    world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, { by: "", reason: "" });
    world.remove("a");
    world.pass(5000, "b");
    await world.joinAs({ role: "web", zone: "new" }, "a");
    const row = world.journal.db.prepare("SELECT labels, first_seen_at, cordoned_at FROM machines WHERE id = 'a'").get();
    expect(row).toEqual({ labels: '{"role":"web","zone":"new"}', first_seen_at: world.clock.now(), cordoned_at: null });
    const target = loadRollout(world.journal, id)!.targets.get("a" as MachineId)!;
    expect([target.state, target.previous, target.attempts, target.wave]).toEqual(["updating", null, 1, 0]);
    await world.settle("a");
    expect([world.wanted("a"), world.state(id, "a")]).toEqual(["1", "healthy"]);
  });

  test("while the rollout goes on, has its turn when that has succeeded, and is not taken for the one that was in it", async () => {
    const world = await fleet("a", "b");
    const id = world.deploy("1", { waves: [ALL] });
    const generation = world.generation("a");
    world.remove("a");
    await world.join("a");
    await world.say("a", "healthy", generation, "app");
    expect([world.state(id, "a"), world.wanted("a")]).toEqual(["removed", undefined]);
    await world.settle("b");
    expect([world.phase(id), world.wanted("a")]).toEqual(["succeeded", "1"]);
  });

  test("does not keep an older deployment from being rolled back", async () => {
    const world = await fleet("a", "b");
    const first = world.deploy("1", { waves: [ALL], maxUnavailable: count(2), lateJoiners: "ignore" });
    await world.settle("a", "b");
    world.remove("a");
    await world.joinAs({ role: "db" }, "a");
    world.deploy("2", { targets: "role=db" });
    await world.settle("a");
    world.command(first, "rollback");
    expect([world.wanted("a"), world.wanted("b")]).toEqual(["2", "remove"]);
  });
});

describe("what is in flight", () => {
  test("a report of a machine that has just been removed is refused, and nothing of it is kept", async () => {
    const world = await fleet("a");
    world.deploy("1");
    const said = world.say("a", "healthy");
    world.remove("a");
    await expect(said).rejects.toThrow(MachineGone);
    expect(rowsOf(world, "a")).toBe(0);
  });

  test("a hello that was under way brings nobody back, and heartbeats of the old session make nobody silent", async () => {
    const world = await fleet("a", "b");
    world.pass(20_000, "b");
    const hello = world.join("a");
    world.remove("a");
    await expect(hello).rejects.toThrow(MachineGone);
    expect(world.engine.heartbeat("a" as MachineId, 7 as Generation)).toBe(0);
    world.engine.sessionEnded("a" as MachineId);
    world.pass(40_000, "b");
    const about = world.journal.db.prepare("SELECT kind FROM journal WHERE machine = 'a' ORDER BY seq").pluck().all();
    expect(about).toEqual(["machine_joined", "machine_silent", "machine_removed"]);
  });
});

test("whatever else is kept of the machine goes in the same transaction, or nothing does", async () => {
  const world = await fleet("a");
  const forgotten: string[] = [];
  world.onMachineRemoved = (machine) => {
    forgotten.push(machine);
    throw new Error("the disk is full");
  };
  expect(() => world.remove("a")).toThrow("the disk is full");
  expect([forgotten, rowsOf(world, "a"), world.journal.lastSeq]).toEqual([["a"], 1, 2]);
  await world.join("a");
  expect(world.submit("1").ok).toBe(true);
});

test("there is nobody to remove twice", async () => {
  const world = await fleet("a");
  world.remove("a");
  expect(world.engine.orders.removeMachine("a" as MachineId, { by: "anna", reason: "" })).toEqual({ ok: false, refusal: { kind: "not_found", message: "there is no machine a" } });
});

test("a controller that starts anew, and a replay of its journal, know of it", async () => {
  const world = await fleet("a", "b", "c");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  world.remove("a");
  await world.join("a");
  world.pass(20_000, "b", "c");
  world.startEngine();
  expect(world.engine.rollout(id)?.availability.down).toEqual(new Set());
  const replayed = Journal.open(":memory:");
  replayed.transaction(() => {
    for (const row of world.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
  });
  expect(world.tables(replayed)).toEqual(world.tables());
});

test("a machine that was in many deployments is removed by one row, and counts in none of them", async () => {
  const world = await fleet("a", "b");
  const ids: ReturnType<World["deploy"]>[] = [];
  for (let version = 1; version <= 20; version += 1) {
    ids.push(world.deploy(`${version}`, { waves: [ALL], maxUnavailable: count(2), maxFailures: count(2), onFailure: "pause" }));
    await world.say("a", version % 2 === 0 ? "failed" : "healthy");
    await world.settle("b");
  }
  const before = world.journal.lastSeq;
  world.remove("a", "scrapped");
  expect(world.journal.page({ fromSeq: before + 1 }).map(({ entry }) => entry.kind)).toEqual(["machine_removed"]);
  for (const id of ids) {
    const state = loadRollout(world.journal, id)!;
    const { state: stands, purpose, reason } = state.targets.get("a" as MachineId)!;
    expect([id, stands, purpose, reason]).toEqual([id, "removed", null, { code: "removed", message: "anna removed it from the fleet: scrapped" }]);
    const { counts, leftFailed, acknowledgedFailures } = state.waves[0]!;
    expect([counts.failed, acknowledgedFailures]).toEqual([0, leftFailed]);
  }
});

test("of a machine that has answered to a newer deployment, an older one's rollback has nothing in doubt when it is removed", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  for (const name of NAMES) await world.say(name, "healthy", world.generation(name), "app", "2");
  world.pass(4000, ...NAMES);
  world.command(second, "rollback");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await work(world, NAMES);
  expect(world.phase(second)).toBe("rolled_back");
  world.engine.orders.uncordon("a" as never, { by: "anna", reason: "" });
  await work(world, NAMES);
  world.deploy("3", WIDE);
  for (const name of NAMES) await world.say(name, "healthy", world.generation(name), "app", "3");
  world.pass(4000, ...NAMES);
  const outcome = async (): Promise<string | undefined> => (await viewsOf(world).one(second))?.outcome;
  const before = await outcome();
  world.remove("a");
  expect(await outcome()).toBe(before);
  expect(before).not.toContain("may still run");
});

test("a machine that has gone back is in doubt no more, though a newer deployment gave it the same release before it was removed", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES);
  world.command(second, "rollback");
  await work(world, NAMES, 4);
  const third = world.deploy("2", WIDE);
  await work(world, NAMES, 4);
  expect([world.phase(third), world.wanted("a")]).toEqual(["succeeded", "2"]);
  world.remove("a");
  expect(await viewsOf(world).one(second)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  world.startEngine();
  expect(await viewsOf(world).one(second)).toMatchObject({ outcome: "rolled back", outstanding: undefined });
  // All of its wave that could go back did.
  for (const name of NAMES.slice(1)) world.remove(name);
  expect((await viewsOf(world).one(second))!.waves.map(({ phase }) => phase)).toEqual([WavePhase.ROLLED_BACK]);
});

test("a success names the machine that was lost with the release and removed, and not one that was removed when it was well", async () => {
  const world = await fleet("a", "b", "c");
  const id = world.deploy("1", { waves: [wave(count(1)), ALL], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  world.pass(20_000, "b", "c");
  expect(world.state(id, "a")).toBe("unreachable");
  world.remove("a");
  world.command(id, "promote");
  await world.settle("b", "c");
  expect(await viewsOf(world).one(id)).toMatchObject({ outcome: "succeeded on 2 of 3; a took it, was lost, and was removed from the fleet", outstanding: { count: 1, machines: [{ machine: "a" }] } });
  world.remove("b");
  expect(await viewsOf(world).one(id)).toMatchObject({ outcome: "succeeded on 1 of 2; a took it, was lost, and was removed from the fleet", outstanding: { count: 1 } });
});
