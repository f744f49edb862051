/**
 * What one app's rollout is driven by may be anything, by a bug or in damaged tables: it stays that rollout's own, live and at the start of a controller. Each column of each table is broken in turn, for one app, and another app goes
 * through a deployment, a silent machine, a machine that joins and one that leaves, and a restart.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { DeploymentViews } from "../api/views.ts";
import { PROJECTION_TABLES } from "../journal/schema.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import type { AgentPhase } from "../rollout/state.ts";
import { World } from "./world.fixture.ts";

const FOUR = ["a", "b", "c", "d"];
const LATE = "late";
const SCENES = ["rolling", "succeeded", "rolling back", "paused", "pending", "superseded while rolling back"] as const;
type Scene = (typeof SCENES)[number];

interface Damage {
  readonly table: string;
  readonly column: string;
  /** In SQL. */
  readonly value: string;
  readonly scene: Scene;
  /** While the controller runs; else it starts with it. */
  readonly isLive: boolean;
}

async function say(world: World, machine: string, app: string, phase: AgentPhase): Promise<void> {
  const generation = world.engine.assignmentFor(machine as MachineId)?.apps.find((each) => each.app === app)?.generation;
  if (generation !== undefined) await world.say(machine, phase, generation, app);
}

async function allWell(world: World, app: string, machines: readonly string[] = FOUR): Promise<void> {
  for (const machine of machines) await say(world, machine, app, "healthy");
  world.pass(3000, ...machines);
}

async function worldOf(scene: Scene): Promise<World> {
  const world = new World();
  await world.join(...FOUR);
  for (const app of ["broken", "other"]) {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(4) }, { app });
    await allWell(world, app);
  }
  const id = world.deploy("2", { waves: [wave(count(1)), wave(count(2)), ALL], maxUnavailable: count(2), onFailure: scene === "paused" ? "pause" : "rollback" }, { app: "broken" });
  if (scene === "rolling" || scene === "paused") {
    await say(world, "a", "broken", scene === "rolling" ? "healthy" : "reverted");
    world.pass(3000, ...FOUR);
  }
  if (["succeeded", "rolling back", "superseded while rolling back"].includes(scene)) for (let round = 0; round < 4; round += 1) await allWell(world, "broken");
  if (scene === "rolling back" || scene === "superseded while rolling back") {
    world.command(id, "rollback");
    world.pass(1000, ...FOUR);
  }
  if (scene === "superseded while rolling back") world.deploy("3", { waves: [wave(count(1)), ALL], onConflict: "supersede" }, { app: "broken" });
  if (scene === "pending") world.deploy("3", { waves: [ALL] }, { app: "broken" });
  return world;
}

function columnsOf(world: World, table: string): readonly { readonly name: string; readonly type: string; readonly notnull: number; readonly pk: number }[] {
  return world.journal.db.prepare(`PRAGMA table_info(${table})`).all() as ReturnType<typeof columnsOf>;
}

/** Each column of what is an app's or a deployment's, with numbers and texts that nobody writes there. Scenes, and live or at a start, go round: all of them would take minutes. */
function damages(): readonly Damage[] {
  const world = new World();
  const found: Damage[] = [];
  for (const table of PROJECTION_TABLES) {
    const columns = columnsOf(world, table);
    if (!columns.some(({ name }) => name === "deployment" || name === "app")) continue;
    for (const { name: column, type, notnull, pk } of columns) {
      if (["app", "deployment", "machine", "id", "number"].includes(column)) continue;
      const values = [...(type === "INTEGER" ? ["-7", "987654321987"] : ["'x{'", "'[{}]'"]), ...(notnull === 1 || pk > 0 ? [] : ["NULL"])];
      for (const value of values) found.push({ table, column, value, scene: SCENES[found.length % SCENES.length]!, isLive: Math.floor(found.length / SCENES.length) % 2 === 0 });
    }
  }
  return found;
}

/** Throws when the tables do not take it: then nothing is damaged. */
function damage(world: World, { table, column, value }: Damage): void {
  const own = columnsOf(world, table).some(({ name }) => name === "app") ? "app = 'broken'" : "deployment IN (SELECT id FROM deployments WHERE app = 'broken')";
  world.journal.db.prepare(`UPDATE ${table} SET ${column} = ${value} WHERE ${own}`).run();
}

async function deployOther(world: World, version: string): Promise<void> {
  const id = world.deploy(version, { waves: [ALL], maxUnavailable: count(5) }, { app: "other" });
  for (let round = 0; round < 3; round += 1) await allWell(world, "other", [...FOUR, LATE]);
  expect(world.phase(id), world.waitingOn(id)).toBe("succeeded");
  await new DeploymentViews(world.journal.db, (each) => world.engine.waitingOn(each), (each) => world.engine.rollout(each), world.engine).one(id);
}

/** Throws when something that is not the broken app's is refused, or does not go on. */
async function otherGoesOn(world: World): Promise<void> {
  await Promise.all(FOUR.flatMap((machine) => [say(world, machine, "broken", "healthy"), say(world, machine, "other", "healthy")]));
  world.pass(3000, ...FOUR);
  await world.join(LATE);
  world.pass(2000, ...FOUR, LATE);
  await deployOther(world, "2");
  world.pass(40_000, "a", "b", "c", LATE);
  expect(world.fleet.isSilent("d" as MachineId)).toBe(true);
  await world.join("d");
  world.startEngine();
  world.pass(3000, ...FOUR, LATE);
  await deployOther(world, "3");
  world.remove("c");
  world.label({ role: "web", zone: "q" }, "b");
}

test.each(SCENES)("%s: whatever a column of one app holds, the other app goes on", async (scene) => {
  const bad: string[] = [];
  for (const each of damages().filter((one) => one.scene === scene)) {
    const world = await worldOf(scene);
    try {
      damage(world, each);
    } catch {
      continue;
    }
    try {
      if (!each.isLive) world.startEngine();
      await otherGoesOn(world);
    } catch (error) {
      bad.push(`${each.table}.${each.column} = ${each.value} (${each.isLive ? "live" : "at a start"}): ${String(error)}`);
    } finally {
      world.engine.stop();
      world.journal.close();
    }
  }
  expect(bad).toEqual([]);
});

test.each(["deployments.ended_at = NULL", "assignments.brought_by = 'x{'", "deployments.alarms = '[{}]'", "deployments.strategy = '[{}]'"])("in each scene, live and at a start: %s", async (what) => {
  const [, table, column, value] = /^(\w+)\.(\w+) = (.+)$/.exec(what)!;
  for (const scene of SCENES) {
    for (const isLive of [true, false]) {
      const world = await worldOf(scene);
      damage(world, { table: table!, column: column!, value: value!, scene, isLive });
      if (!isLive) world.startEngine();
      await otherGoesOn(world);
      world.engine.stop();
      world.journal.close();
    }
  }
});

test("a plan with a limit that is no number pauses its rollout, and no disk is to blame; it can be aborted, and the other app is heard, live and by the next controller", async () => {
  const world = await worldOf("rolling");
  const id = world.deploy("1", { waves: [ALL], maxFailures: count(7), startAt: (world.clock.now() + 5000) as never }, { app: "cursed" });
  world.journal.db.prepare("UPDATE deployments SET strategy = json_set(strategy, '$.maxFailures.count', 'seven') WHERE id = ?").run(id);
  world.startEngine();
  world.pass(8000, ...FOUR);
  await say(world, "a", "other", "unhealthy");
  expect([world.phase(id), world.engine.rollout(id)?.reason]).toEqual(["paused", { code: "internal", message: expect.not.stringMatching(/disk/) as unknown }]);
  world.startEngine();
  world.pass(20_000, ...FOUR);
  await say(world, "b", "other", "unhealthy");
  expect(world.command(id, "abort")).toEqual({ ok: true });
  expect(world.phase(id)).toBe("aborted");
});

test("a rollout whose rows the tables do not take can be aborted, and no row of it is in the journal that is not in the tables", async () => {
  const world = await worldOf("rolling");
  const { db } = world.journal;
  const told = db.prepare("SELECT deployment, machine FROM targets WHERE state = 'updating' LIMIT 1").get() as { readonly deployment: DeploymentId; readonly machine: string };
  db.exec(`CREATE TRIGGER refusing BEFORE UPDATE ON targets WHEN new.deployment = '${told.deployment}' AND new.state IN ('failed', 'healthy') BEGIN SELECT raise(ABORT, 'refused'); END`);
  await say(world, told.machine, "broken", "reverted");
  world.pass(3000, ...FOUR);
  expect(world.phase(told.deployment)).toBe("paused");
  expect(world.command(told.deployment, "abort").ok).toBe(true);
  const changes = db.prepare("SELECT data ->> 'state' FROM journal WHERE deployment = @deployment AND machine = @machine AND kind = 'target_changed'").pluck().all(told);
  const state = db.prepare("SELECT state FROM targets WHERE deployment = @deployment AND machine = @machine").pluck().get(told);
  expect([world.phase(told.deployment), changes, state]).toEqual(["aborted", [], "updating"]);
});
