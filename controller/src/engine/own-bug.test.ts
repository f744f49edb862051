/** A bug in one app's rollout stays its own: a port that throws, or tables that contradict themselves, pause that rollout, and everything else goes on, the start of a controller included. */
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, MINUTE, wave } from "../rollout/rollout.fixture.ts";
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
  expect(world.state(id, "a")).toBe("failed");
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
