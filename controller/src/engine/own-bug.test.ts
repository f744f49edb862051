/** A bug in one app's rollout stays its own: a port that throws, or tables that contradict themselves, pause that rollout, and everything else goes on, the start of a controller included. */
import { type AppName, type DeploymentId, type Instant, type MachineId, releaseId } from "@muster/proto/ids.ts";
import SqliteDatabase from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count, MINUTE, percent, wave, webhook } from "../rollout/rollout.fixture.ts";
import { type AgentPhase, isBroken } from "../rollout/state.ts";
import { onOne, work } from "./on-one.fixture.ts";
import { NIGHTLY, World } from "./world.fixture.ts";

const FOUR = ["a", "b", "c", "d"];

/** `broken` rolls out behind a window whose calendar fails while it fails. */
async function scene() {
  const world = new World();
  await world.join(...FOUR);
  const id = world.deploy("1", { waves: [wave(count(1)), ALL], window: NIGHTLY, maxUnavailable: count(1) }, { app: "broken" });
  return { world, id };
}

/** About what it is assigned of an app. */
const becomesHealthy = (world: World, machine: string, app: string): Promise<void> =>
  world.say(machine, "healthy", world.engine.assignmentFor(machine as MachineId)!.apps.find((each) => each.app === app)!.generation, app);
const reasonOf = (world: World, id: DeploymentId) => loadRollout(world.journal, id)!.reason;
const deployOther = (world: World, version: string): DeploymentId => world.deploy(version, { waves: [ALL], maxUnavailable: count(4) }, { app: "other" });

test("pauses that rollout, says what can be done, and takes in what came in the same turn", async () => {
  const { world, id } = await scene();
  const other = deployOther(world, "1");
  world.calendarFails = true;
  await Promise.all([becomesHealthy(world, "a", "broken"), ...FOUR.map((machine) => becomesHealthy(world, machine, "other"))]);
  world.pass(3000, ...FOUR);

  expect([world.phase(id), reasonOf(world, id)]).toEqual([
    "paused",
    { code: "internal", message: `a fault of the controller itself stopped it (${id}: there is no such day); every other deployment goes on. Resume it, roll it back or abort it, and report the fault` },
  ]);
  expect(world.phase(other)).toBe("succeeded");
  expect(world.bugs).toHaveLength(1);
  expect(world.journal.db.prepare("SELECT app, phase FROM machine_apps WHERE machine = 'a' ORDER BY app").all()).toEqual([{ app: "broken", phase: "healthy" }, { app: "other", phase: "healthy" }]);
  // It is left alone until somebody looks at it.
  world.pass(20 * MINUTE, ...FOUR);
  expect(world.bugs).toHaveLength(1);
  expect(world.phase(id)).toBe("paused");
});

test("is met again by whoever resumes it too early, and gone once it is mended", async () => {
  const { world, id } = await scene();
  world.calendarFails = true;
  await world.say("a", "healthy");
  world.pass(3000, ...FOUR);
  expect(world.phase(id)).toBe("paused");
  expect(world.command(id, "resume")).toMatchObject({
    ok: false,
    refusal: { kind: "conflict", message: `${id} can't be resumed: a fault of the controller itself stops it (${id}: there is no such day); muster abort ${id} ends it, whatever it is` },
  });
  expect([world.phase(id), reasonOf(world, id)?.code]).toEqual(["paused", "internal"]);
  world.calendarFails = false;
  expect(world.command(id, "resume")).toMatchObject({ ok: true });
  world.pass(3000, ...FOUR);
  await world.settle("b", "c", "d");
  world.pass(3000, ...FOUR);
  expect(world.phase(id)).toBe("succeeded");
});

test("what a machine said while its rollout was paused for a bug counts when it goes on", async () => {
  const { world, id } = await scene();
  world.calendarFails = true;
  await world.say("a", "healthy");
  await world.say("a", "unhealthy");
  world.pass(3000, ...FOUR);
  expect([world.phase(id), world.state(id, "a")]).toEqual(["paused", "updating"]);
  world.calendarFails = false;
  world.command(id, "resume");
  expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling_back", "reverting"]);
});

test("a rollback that was paused for a bug goes on as a rollback, and is no rollout to be retried", async () => {
  const world = await onOne(FOUR);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await world.settle("a", "b");
  world.pass(2000, ...FOUR);
  world.command(id, "rollback");
  expect(world.phase(id)).toBe("rolling_back");
  world.journal.db.prepare("UPDATE waves SET started_at = NULL WHERE deployment = ?").run(id);
  world.startEngine();
  expect([world.phase(id), reasonOf(world, id)?.code]).toEqual(["paused", "internal"]);
  world.journal.db.prepare("UPDATE waves SET started_at = 1 WHERE deployment = ?").run(id);
  world.startEngine();
  expect(world.command(id, "retry")).toMatchObject({ refusal: { message: expect.stringContaining("it was being rolled back") as string } });
  expect(world.command(id, "resume")).toMatchObject({ ok: true });
  expect(world.phase(id)).toBe("rolling_back");
  await work(world, FOUR, 10);
  expect([world.phase(id), FOUR.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
});

test("a controller that starts with it serves all others", async () => {
  const { world, id } = await scene();
  world.calendarFails = true;
  world.startEngine();
  await world.say("a", "healthy");
  world.pass(3000, ...FOUR);
  expect([world.phase(id), reasonOf(world, id)?.code]).toEqual(["paused", "internal"]);
  const other = deployOther(world, "1");
  await world.settle(...FOUR);
  expect(world.phase(other)).toBe("succeeded");
  expect(world.command(id, "abort")).toMatchObject({ ok: true });
  expect(world.phase(id)).toBe("aborted");
});

test("a rollout whose tables contradict themselves is paused by the controller that finds it, again and again", async () => {
  const { world, id } = await scene();
  world.journal.db.prepare("UPDATE targets SET purpose = NULL WHERE deployment = ? AND machine = 'a'").run(id);
  for (const _ of [1, 2]) {
    world.startEngine();
    expect([world.phase(id), reasonOf(world, id)]).toEqual(["paused", { code: "internal", message: expect.stringContaining("a is updating with purpose null") as string }]);
    expect(world.bugs.length).toBeGreaterThan(0);
  }
  const other = deployOther(world, "1");
  await world.settle(...FOUR);
  expect(world.phase(other)).toBe("succeeded");
  for (const machine of FOUR) expect(world.wanted(machine, "other")).toBe("1");
});

test("two rollouts that are broken at the same time stop each other no more than anybody else", async () => {
  const { world, id } = await scene();
  const second = world.deploy("1", { waves: [wave(count(1)), ALL], window: NIGHTLY }, { app: "broken-too" });
  const other = deployOther(world, "1");
  world.calendarFails = true;
  await Promise.all(["broken", "broken-too"].map((app) => becomesHealthy(world, "a", app)));
  await world.settle(...FOUR);
  world.pass(3000, ...FOUR);
  for (const each of [id, second]) expect([world.phase(each), reasonOf(world, each)?.code]).toEqual(["paused", "internal"]);
  expect(world.phase(other)).toBe("succeeded");
});

test("one that can't even begin is paused, and waits for its start again when it is resumed", async () => {
  const { world } = await scene();
  const id = deployOther(world, "1");
  await world.settle(...FOUR);
  const next = world.deploy("2", { waves: [ALL], maxUnavailable: count(4), startAt: (world.clock.now() + MINUTE) as Instant }, { app: "other" });
  const { strategy } = world.journal.db.prepare("SELECT strategy FROM deployments WHERE id = ?").get(next) as { strategy: string };
  const store = (text: string) => world.journal.db.prepare("UPDATE deployments SET strategy = ? WHERE id = ?").run(text, next);
  store(JSON.stringify({ ...(JSON.parse(strategy) as object), waves: 7 }));
  world.startEngine();
  world.pass(2 * MINUTE, ...FOUR);
  expect([world.phase(next), reasonOf(world, next)?.code, world.phase(id)]).toEqual(["paused", "internal", "succeeded"]);
  expect(world.command(next, "rollback")).toMatchObject({ refusal: { message: expect.stringContaining("it changed no machine") as string } });
  expect(world.command(next, "resume")).toMatchObject({ ok: false });
  store(strategy);
  world.startEngine();
  world.command(next, "resume");
  expect(world.phase(next)).toBe("rolling");
});

describe("a rollout of which each change contradicts the one before", () => {
  async function contradiction() {
    const { world, id } = await scene();
    world.journal.db.prepare("UPDATE waves SET started_at = NULL WHERE deployment = ?").run(id);
    world.startEngine();
    expect([world.phase(id), reasonOf(world, id)]).toEqual(["paused", { code: "internal", message: expect.stringContaining("wave 1 was touched before its turn") as string }]);
    return { world, id };
  }

  test("can be aborted, with what its machines said, and then be followed by another", async () => {
    const { world, id } = await contradiction();
    await world.say("a", "healthy");
    for (const kind of ["resume", "rollback"] as const) expect(world.command(id, kind)).toMatchObject({ refusal: { message: expect.stringContaining("a fault of the controller itself stops it") as string } });
    expect(world.command(id, "abort")).toMatchObject({ ok: true });
    expect([world.phase(id), world.state(id, "a")]).toEqual(["aborted", "healthy"]);
    const next = world.deploy("2", { waves: [ALL], maxUnavailable: count(4) }, { app: "broken" });
    await world.settle(...FOUR);
    expect(world.phase(next)).toBe("succeeded");
  });

  test("is superseded by what takes its place, now or at its time, and by an older release", async () => {
    const supersede = { waves: [ALL], maxUnavailable: count(4), onConflict: "supersede" } as const;
    const now = await contradiction();
    const next = now.world.deploy("2", supersede, { app: "broken" });
    expect([now.world.phase(now.id), now.world.phase(next)]).toEqual(["superseded", "rolling"]);

    const later = await contradiction();
    const at = later.world.deploy("2", { ...supersede, startAt: (later.world.clock.now() + MINUTE) as Instant }, { app: "broken" });
    later.world.pass(2 * MINUTE, ...FOUR);
    expect([later.world.phase(later.id), later.world.phase(at)]).toEqual(["superseded", "rolling"]);

    const back = await contradiction();
    back.world.journal.db.exec("UPDATE releases SET healthy_at = 1");
    expect(back.world.engine.operators.rollbackTo(back.id, "1", { by: "", reason: "" })).toMatchObject({ ok: true });
    expect(back.world.phase(back.id)).toBe("superseded");
  });
});

test("a rollout whose tables can't even be read is paused, keeps nobody from starting, and can be aborted", async () => {
  const { world, id } = await scene();
  world.journal.db.prepare("UPDATE deployments SET lanes = '{' WHERE id = ?").run(id);
  const row = () => world.journal.db.prepare("SELECT phase, reason_code AS code, reason_message AS message FROM deployments WHERE id = ?").get(id);
  const rows = new Set<number>();
  for (const _ of [1, 2, 3]) {
    world.startEngine();
    rows.add(world.journal.lastSeq);
    expect(row()).toEqual({ phase: "paused", code: "internal", message: expect.stringContaining("JSON") as string });
  }
  expect(rows.size).toBe(1);
  const other = deployOther(world, "1");
  for (const machine of FOUR) await becomesHealthy(world, machine, "other");
  world.pass(3000, ...FOUR);
  expect(world.phase(other)).toBe("succeeded");
  expect(world.command(id, "resume")).toMatchObject({ refusal: { message: expect.stringContaining("a fault of the controller itself stops it") as string } });
  expect(world.command(id, "abort", { reason: "unreadable" })).toMatchObject({ ok: true });
  expect(row()).toEqual({ phase: "aborted", code: "operator", message: "anna aborted it: unreadable" });
});

describe("a bug of a deployment that has ended", () => {
  const WIDE = { waves: [ALL], maxUnavailable: count(9) };

  /** d was away while the app was rolled out; the other app runs everywhere. */
  async function tail() {
    const world = new World();
    await world.join(...FOUR);
    const other = deployOther(world, "1");
    await world.settle(...FOUR);
    world.pass(20_000, "a", "b", "c");
    const id = world.deploy("1", { ...WIDE, window: NIGHTLY }, { app: "broken" });
    await world.settle("a", "b", "c");
    world.pass(2000, "a", "b", "c");
    expect([world.phase(id), world.phase(other)]).toEqual(["succeeded", "succeeded"]);
    return { world, id };
  }

  const saysOfOther = (world: World, machine: string, phase: AgentPhase): Promise<void> =>
    world.say(machine, phase, world.engine.assignmentFor(machine as MachineId)!.apps.find((each) => each.app === "other")!.generation, "other");
  const phaseOfOther = (world: World, machine: string) => world.journal.db.prepare("SELECT phase FROM machine_apps WHERE machine = ? AND app = 'other'").pluck().get(machine);
  const change = (world: World, id: DeploymentId, column: string, value: string | null) => world.journal.db.prepare(`UPDATE deployments SET ${column} = ? WHERE id = ?`).run(value, id);

  test("refuses nobody: the machine that its tail would change is heard, and what others say in that turn is taken in", async () => {
    const { world, id } = await tail();
    world.calendarFails = true;
    for (const phase of ["unhealthy", "healthy"] as const) {
      await Promise.all([world.join("d"), saysOfOther(world, "a", phase)]);
      expect(phaseOfOther(world, "a")).toBe(phase);
      world.pass(2000, ...FOUR);
    }
    expect(world.fleet.isSilent("d" as MachineId)).toBe(false);
    expect([world.phase(id), world.wanted("d", "broken"), world.bugs.length]).toEqual(["succeeded", undefined, 1]);
    expect(world.engine.unsound(id)).toBe(`a fault of the controller itself to be mended (${id}: there is no such day), or another deployment of the app; report the fault`);
    expect(world.engine.audit()).toBe(undefined);
  });

  test("is met anew by the next controller, which takes its tail up once it is mended", async () => {
    const { world, id } = await tail();
    world.calendarFails = true;
    await world.join("d");
    world.startEngine();
    world.pass(2000, ...FOUR);
    expect([world.bugs.length, world.wanted("d", "broken")]).toEqual([2, undefined]);
    world.calendarFails = false;
    world.startEngine();
    world.pass(2000, ...FOUR);
    expect([world.wanted("d", "broken"), world.state(id, "d"), world.engine.unsound(id)]).toEqual(["1", "updating", undefined]);
  });

  test("leaves its machines to the next deployment of the app, and what they say of it is still written down", async () => {
    const { world, id } = await tail();
    world.calendarFails = true;
    await world.join("d");
    await becomesHealthy(world, "d", "other");
    world.calendarFails = false;
    const next = world.deploy("2", WIDE, { app: "broken" });
    await world.settle(...FOUR);
    world.pass(2000, ...FOUR);
    expect([world.phase(next), world.wanted("d", "broken")]).toEqual(["succeeded", "2"]);
    expect(world.engine.unsound(id)).not.toBe(undefined);
  });

  test("ends with an operator's command that goes well", async () => {
    const { world, id } = await tail();
    world.calendarFails = true;
    await world.join("d");
    expect(world.command(id, "set_max_unavailable")).toMatchObject({ ok: true });
    world.calendarFails = false;
    world.pass(2000, ...FOUR);
    expect(world.command(id, "rollback")).toMatchObject({ ok: true });
    await world.settle(...FOUR);
    expect([world.phase(id), world.wanted("a", "broken"), world.engine.unsound(id)]).toEqual(["rolled_back", "remove", undefined]);
  });

  test.each(["lanes", "strategy", "unchanged", "alarms", "selector"])("prevents no start when its %s can't be read, and gives no late machine anything older", async (column) => {
    const world = new World();
    await world.join("a", "b");
    const old = world.deploy("1", { ...WIDE, targets: "" }, { app: "broken" });
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    const id = world.deploy("2", WIDE, { app: "broken" });
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    change(world, id, column, "{");
    expect([world.journal.db.prepare("SELECT phase FROM deployments WHERE id = ?").pluck().get(id), world.phase(old)]).toEqual(["succeeded", "succeeded"]);
    world.startEngine();
    const other = deployOther(world, "1");
    await world.settle("a", "b");
    await world.join("late");
    await world.settle("late");
    world.pass(2000, "a", "b", "late");
    expect([world.phase(other), world.wanted("late", "other"), world.wanted("late", "broken")]).toEqual(["succeeded", "1", undefined]);
    expect(world.bugs).toHaveLength(1);
    // Each of them looks at deployments of all apps.
    world.label({ role: "web", zone: "1" }, "a");
    expect(world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, { by: "", reason: "" })).toMatchObject({ ok: true });
    expect(world.engine.orders.uncordon("a" as MachineId, { by: "", reason: "" })).toMatchObject({ ok: true });
    world.remove("b");
    expect(world.command(id, "abort")).toMatchObject({ ok: false });
    expect(world.deploy("3", WIDE, { app: "broken" })).toBe("d-4");
    await world.settle("a", "late");
    expect(world.wanted("late", "broken")).toBe("3");
  });

  test("keeps nobody from asking what a deployment would find, and can be rolled back to nothing", async () => {
    const { world, id } = await tail();
    change(world, id, "strategy", "{");
    world.startEngine();
    const { app, release, strategy, selector } = world.submission("2", WIDE, { app: "broken" });
    const steps = world.engine.outlook.picture({ app, releaseId: releaseId(app, "2"), release, strategy, selector });
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    expect(step.value).toMatchObject({ ok: true });
    expect(world.engine.operators.rollbackTo(id, "1", { by: "", reason: "" })).toMatchObject({ refusal: { message: expect.stringContaining("deploy the older release from its deployment file") as string } });
    for (const kind of ["abort", "rollback"] as const) expect(world.command(id, kind)).toMatchObject({ refusal: { message: expect.stringContaining("it has ended: another deployment of the app takes its place") as string } });
  });

  test("one that is broken before it begins is blamed itself, and in nobody's way: neither of the one under way nor of one that is queued", async () => {
    const { world } = await tail();
    const first = deployOther(world, "2");
    const queued = world.deploy("3", { waves: [ALL], maxUnavailable: count(4), onConflict: "queue" }, { app: "other" });
    const startAt = (world.clock.now() + 5000) as Instant;
    const broken = world.deploy("4", { waves: [ALL], maxUnavailable: count(4), onConflict: "queue", priority: 9, startAt }, { app: "other" });
    const { strategy } = world.journal.db.prepare("SELECT strategy FROM deployments WHERE id = ?").get(broken) as { strategy: string };
    change(world, broken, "strategy", JSON.stringify({ ...(JSON.parse(strategy) as object), after: { deploymentOf: "broken", targets: {}, soakMs: 0 } }));
    world.startEngine();
    world.pass(10_000, ...FOUR);
    expect([world.phase(first), world.phase(queued), world.phase(broken)]).toEqual(["rolling", "pending", "paused"]);
    for (const _ of [first, queued]) {
      for (const machine of FOUR) await becomesHealthy(world, machine, "other");
      world.pass(3000, ...FOUR);
    }
    expect([world.phase(first), world.phase(queued), world.phase(broken)]).toEqual(["succeeded", "succeeded", "paused"]);
  });

  test.each(["gates", "members"])("prevents no start when the %s of its waves can't be read, and loses no report", async (column) => {
    const { world, id } = await tail();
    world.journal.db.prepare(`UPDATE waves SET ${column} = '{' WHERE deployment = ?`).run(id);
    world.startEngine();
    await Promise.all([world.join("d"), saysOfOther(world, "a", "unhealthy")]);
    expect([world.fleet.isSilent("d" as MachineId), phaseOfOther(world, "a")]).toEqual([false, "unhealthy"]);
  });

  test("in its way back keeps nobody from being heard", async () => {
    const { world, id } = await tail();
    const next = world.deploy("2", WIDE, { app: "broken" });
    await world.settle("a", "b", "c");
    world.pass(20_000, "a", "b");
    world.command(next, "rollback");
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    expect([world.phase(next), world.state(next, "c"), world.phase(id)]).toEqual(["rolled_back", "unreachable", "succeeded"]);
    change(world, next, "unchanged", "{");
    for (const _ of [1, 2]) {
      await Promise.all([world.join("c"), saysOfOther(world, "a", "unhealthy")]);
      expect([world.fleet.isSilent("c" as MachineId), phaseOfOther(world, "a")]).toEqual([false, "unhealthy"]);
      world.startEngine();
    }
  });

  test("neither stops nor blames a deployment that waits for it to be promoted", async () => {
    const { world, id } = await tail();
    const after = { deploymentOf: "broken" as AppName, targets: "role=web", soakMs: 0 };
    change(world, id, "strategy", "{");
    world.startEngine();
    const waits = world.deploy("2", { ...WIDE, after: { ...after, deploymentOf: "other" as AppName, soakMs: 600_000 } }, { app: "third" });
    const promoted = world.deploy("1", { ...WIDE, after }, { app: "fourth" });
    await world.settle("a", "b", "c");
    world.pass(3000, "a", "b", "c");
    expect([world.phase(waits), world.phase(promoted)]).toEqual(["pending", "succeeded"]);
  });

  test("takes a release from nobody else: one that is unreadable in what it took back keeps only that release from being asked for anew", async () => {
    const { world } = await tail();
    const next = world.deploy("2", WIDE, { app: "broken" });
    await world.settle("a", "b", "c");
    world.pass(2000, "a", "b", "c");
    const again = world.deploy("2", { ...WIDE, startAt: (world.clock.now() + MINUTE) as Instant }, { app: "broken" });
    const another = world.deploy("3", { ...WIDE, startAt: (world.clock.now() + 2 * MINUTE) as Instant }, { app: "broken" });
    world.command(next, "rollback");
    await world.settle("a", "b", "c");
    change(world, next, "selector", "{");
    world.startEngine();
    world.pass(3 * MINUTE, "a", "b", "c");
    expect([world.phase(again), world.phase(another)]).toEqual(["superseded", "rolling"]);
  });
});

test("a release that can't be read keeps no machine from its other apps", async () => {
  const { world } = await scene();
  deployOther(world, "1");
  world.journal.db.prepare("UPDATE releases SET release = '{' WHERE id = 'broken@1'").run();
  world.startEngine();
  expect(world.engine.assignmentFor("a" as MachineId)!.apps.map(({ app }) => app)).toEqual(["other"]);
});

test("a rollout whose tables can't be read any more when they are read again is paused then", async () => {
  const { world, id } = await scene();
  world.journal.db.prepare("UPDATE deployments SET lanes = '{' WHERE id = ?").run(id);
  world.journal.db.exec("CREATE TRIGGER full BEFORE INSERT ON journal WHEN new.kind = 'machine_labelled' BEGIN SELECT raise(ABORT, 'disk full'); END");
  expect(() => world.label({ role: "web", zone: "1" }, "d")).toThrow("disk full");
  world.journal.db.exec("DROP TRIGGER full");
  world.pass(5000, ...FOUR);
  expect(world.journal.db.prepare("SELECT phase, reason_code AS code FROM deployments WHERE id = ?").get(id)).toEqual({ phase: "paused", code: "internal" });
});

test("a row that SQLite can't read as JSON is no fault of the disk", () => {
  const { db } = new World().journal;
  let error: unknown;
  try {
    db.prepare("SELECT '{' ->> 'a'").get();
  } catch (thrown) {
    error = thrown;
  }
  expect([(error as Error).message, isFaultOfDisk(error), isFaultOfDisk(new SqliteDatabase.SqliteError("", "SQLITE_FULL"))]).toEqual(["malformed JSON", false, true]);
});

describe("what came to a target while its rollout was paused for a bug counts when it goes on:", () => {
  const WIDE = { waves: [ALL], maxUnavailable: count(9) };

  /** a is healthy with release 2; b says that it is, and the calendar, which is asked for c then, fails. */
  async function paused(strategy: Partial<Strategy> = {}) {
    const world = new World();
    await world.join(...FOUR);
    world.deploy("1", WIDE);
    await world.settle(...FOUR);
    world.pass(2000, ...FOUR);
    const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(1), window: NIGHTLY, maxFailures: count(0), onFailure: "pause", ...strategy });
    await world.say("a", "healthy");
    world.calendarFails = true;
    await world.say("b", "healthy");
    world.pass(2000, ...FOUR);
    expect([world.phase(id), reasonOf(world, id)?.code, world.state(id, "a"), world.state(id, "b")]).toEqual(["paused", "internal", "healthy", "updating"]);
    return { world, id };
  }
  function resume(world: World, id: DeploymentId): void {
    world.calendarFails = false;
    expect(world.command(id, "resume")).toMatchObject({ ok: true });
  }
  const statesOf = (world: World, id: DeploymentId) => FOUR.map((machine) => world.state(id, machine));
  const leftAs = (world: World, id: DeploymentId, machine: string) => loadRollout(world.journal, id)!.targets.get(machine as MachineId)!.leftAs;

  test("one that was healthy, dies, and is drained and removed meanwhile hides nothing of the release", async () => {
    const { world, id } = await paused({ maxFailures: count(9) });
    world.engine.sessionEnded("a" as MachineId);
    world.pass(9000, "b", "c", "d");
    world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, { by: "a program", reason: "" });
    world.pass(1000, "b", "c", "d");
    world.remove("a");
    resume(world, id);
    world.pass(2000, "b", "c", "d");
    expect([world.phase(id), world.state(id, "a"), leftAs(world, id, "a")]).toEqual(["rolling", "removed", "lost"]);
  });

  test.each(["unhealthy", "reverted", "failed", "reverting"] as const)("a healthy one says %s", async (phase) => {
    const { world, id } = await paused();
    await world.say("a", phase);
    world.pass(2000, ...FOUR);
    resume(world, id);
    expect([world.phase(id), isBroken(loadRollout(world.journal, id)!), ...statesOf(world, id)]).toEqual(["paused", false, "failed", "healthy", "pending", "pending"]);
    // That is known to whoever resumes it now.
    expect(world.command(id, "resume")).toMatchObject({ ok: true });
    expect(world.phase(id)).toBe("rolling");
  });

  test("a healthy one fails, and is drained, or removed, after that", async () => {
    for (const leave of ["drain", "remove"] as const) {
      const { world, id } = await paused();
      await world.say("a", "unhealthy");
      if (leave === "remove") world.remove("a");
      else world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, { by: "", reason: "" });
      resume(world, id);
      expect([leave, world.phase(id), world.state(id, "a"), isBroken(loadRollout(world.journal, id)!)]).toEqual([leave, "paused", leave === "drain" ? "failed" : "removed", false]);
    }
  });

  test.each(["a healthy one", "one on its way", "a failed one"])("%s was drained and is used again: it runs what it ran before, and has its turn again unless it failed", async (who) => {
    const { world, id } = await paused({ maxFailures: count(9) });
    const name = who === "one on its way" ? "b" : "a";
    // What b said in the transaction that failed is said again.
    await world.say("b", who === "one on its way" ? "activating" : "healthy");
    if (who === "a failed one") await world.say("a", "reverted");
    world.engine.orders.cordon(name as MachineId, { drain: true, force: true }, { by: "", reason: "" });
    await world.say(name, "removed");
    world.engine.orders.uncordon(name as MachineId, { by: "", reason: "" });
    const given = world.wanted(name);
    await world.say(name, "healthy");
    resume(world, id);
    world.pass(2000, ...FOUR);
    const before = [world.wanted(name), world.state(id, name), world.engine.audit()];
    expect([given, ...before]).toEqual(who === "a failed one" ? ["1", "1", "failed", undefined] : ["1", "2", "updating", undefined]);
    for (let round = 0; round < 4; round += 1) {
      await world.settle(...FOUR);
      world.pass(2000, ...FOUR);
    }
    expect([world.phase(id), world.state(id, name), world.bugs.length, world.engine.audit()]).toEqual(["succeeded", who === "a failed one" ? "failed" : "healthy", 1, undefined]);
  });

  test("healthy ones are lost, and one of them is removed then", async () => {
    const { world, id } = await paused({ maxFailures: count(9) });
    world.pass(30_000, "c", "d");
    world.remove("a");
    resume(world, id);
    world.pass(2000, "c", "d");
    expect([world.phase(id), ...statesOf(world, id)]).toEqual(["rolling", "removed", "unreachable", "pending", "pending"]);
    expect(world.waitingOn(id)).toContain("lost");
  });

  test("a healthy one dies, and is removed before the controller calls it lost: the release is suspected", async () => {
    const { world, id } = await paused({ maxFailures: count(9) });
    world.engine.sessionEnded("a" as MachineId);
    world.pass(8000, "b", "c", "d");
    expect(world.journal.db.prepare("SELECT count(*) FROM journal WHERE kind = 'machine_silent'").pluck().get()).toBe(0);
    world.remove("a");
    resume(world, id);
    world.pass(2000, "b", "c", "d");
    expect([world.phase(id), world.state(id, "a"), leftAs(world, id, "a")]).toEqual(["rolling", "removed", "lost"]);
  });

  test("a healthy one is removed while it is heard: that says nothing of the release", async () => {
    const { world, id } = await paused({ maxFailures: count(9) });
    world.remove("a");
    resume(world, id);
    expect([world.state(id, "a"), leftAs(world, id, "a")]).toEqual(["removed", null]);
  });

  test("a healthy one that says so again after it had failed has not failed", async () => {
    const { world, id } = await paused();
    await world.say("a", "unhealthy");
    await world.say("a", "healthy");
    resume(world, id);
    expect([world.phase(id), ...statesOf(world, id)]).toEqual(["rolling", "healthy", "healthy", "updating", "pending"]);
  });

  test("a healthy one has lost its disk, and has to say again how it is", async () => {
    const { world, id } = await paused();
    await world.loseDisk("a");
    resume(world, id);
    expect(statesOf(world, id)).toEqual(["updating", "healthy", "pending", "pending"]);
    await world.say("a", "unhealthy");
    expect([world.phase(id), world.state(id, "a")]).toEqual(["paused", "failed"]);
  });

  test("one was removed, and another machine came under its name", async () => {
    const { world, id } = await paused();
    world.remove("a");
    await world.join("a");
    resume(world, id);
    expect(statesOf(world, id)).toEqual(["removed", "healthy", "updating", "pending"]);
  });

  test("one that is still to start has other labels, or is not there any more", async () => {
    const { world, id } = await paused();
    world.label({ role: "db" }, "c");
    world.remove("d");
    resume(world, id);
    expect([world.phase(id), ...statesOf(world, id)]).toEqual(["succeeded", "healthy", "healthy", "skipped", "removed"]);
  });

  test("a gate was answered, and is asked again", async () => {
    const { world, id } = await paused({ waves: [wave(count(3), { successThreshold: percent(33), gates: [webhook()] }), ALL] });
    expect(world.asked).toHaveLength(1);
    world.asked[0]!.answer({ kind: "go", detail: "all is well" });
    await new Promise((resolve) => setImmediate(resolve));
    resume(world, id);
    expect(world.asked).toHaveLength(2);
    expect(world.asked[1]!.question).toMatchObject({ deployment: id, attempt: 1 });
  });

  test("and whoever was as the rollout knows it gives no row", async () => {
    const { world, id } = await paused();
    const before = world.journal.lastSeq;
    world.calendarFails = true;
    expect(world.command(id, "resume")).toMatchObject({ ok: false });
    expect(world.journal.lastSeq).toBe(before);
    resume(world, id);
    const rows = world.journal.db.prepare("SELECT machine, data ->> 'state' AS state FROM journal WHERE seq > ? AND kind = 'target_changed'").all(before);
    expect(rows).toEqual([{ machine: "b", state: "healthy" }]);
  });

  test("a rollback takes back those that failed, and leaves out those that are gone", async () => {
    const { world, id } = await paused();
    await world.say("a", "unhealthy");
    world.remove("b");
    world.calendarFails = false;
    expect(world.command(id, "rollback")).toMatchObject({ ok: true });
    await world.settle("a", "c", "d");
    expect([world.phase(id), ...statesOf(world, id)]).toEqual(["rolled_back", "reverted", "removed", "pending", "pending"]);
  });
});

test("a deployment that is mended and taken up again gives its release to who came meanwhile", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const strategy = world.journal.db.prepare("SELECT strategy FROM deployments WHERE id = ?").pluck().get(id) as string;
  world.journal.db.prepare("UPDATE deployments SET strategy = '{' WHERE id = ?").run(id);
  world.startEngine();
  await world.join("z");
  world.pass(3000, "a", "b", "z");
  const before = [world.wanted("z"), typeof world.engine.unsound(id)];
  world.journal.db.prepare("UPDATE deployments SET strategy = ? WHERE id = ?").run(strategy, id);
  const answer = world.command(id, "set_max_unavailable");
  world.pass(30_000, "a", "b", "z");
  expect([before, answer.ok, world.engine.unsound(id), world.wanted("z")]).toEqual([[undefined, "string"], true, undefined, "2"]);
});
