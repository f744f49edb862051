/** Steps may go to the archive after a minute: no decision forgets what was in them. */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { lastGood } from "../journal/last-good.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { archive, archivingWorld, MINUTE_MS } from "./archive.fixture.ts";
import { NAMES, work } from "./on-one.fixture.ts";
import { NIGHTLY, type World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };

const rowsOf = (world: World, kind: string) => world.journal.db.prepare("SELECT count(*) FROM journal WHERE kind = ?").pluck().get(kind) as number;

describe("the soak of a promotion, for an hour,", () => {
  const PROD = { ...WIDE, targets: "env=prod", after: { deploymentOf: "app", targets: "env=staging", soakMs: 60 * MINUTE_MS } as never };
  const EVERYBODY = ["s1", "s2", "p1", "p2"];

  /** 2 stands in staging for 50 minutes. */
  async function staged() {
    const world = await archivingWorld();
    await world.joinAs({ env: "staging" }, "s1", "s2");
    await world.joinAs({ env: "prod" }, "p1", "p2");
    world.deploy("1", { ...WIDE, targets: "" });
    await world.settle(...EVERYBODY);
    world.deploy("2", { ...WIDE, targets: "env=staging" });
    await world.settle("s1", "s2");
    world.pass(50 * MINUTE_MS, ...EVERYBODY);
    return world;
  }

  test("begins anew after staging was down, though what it said then is in the archive", async () => {
    const world = await staged();
    for (const machine of ["s1", "s2"]) await world.say(machine, "unhealthy");
    world.pass(2 * MINUTE_MS, ...EVERYBODY);
    for (const machine of ["s1", "s2"]) await world.say(machine, "healthy");
    world.pass(6 * MINUTE_MS, ...EVERYBODY);
    expect([await archive(world) > 0, rowsOf(world, "report_accepted")]).toEqual([true, 0]);
    const prod = world.deploy("2", PROD);
    world.pass(53 * MINUTE_MS, ...EVERYBODY);
    expect(world.waitingOn(prod)).toMatch(/^d-2 \(app@2 on env=staging\) to have stood for 1h, at /);
    world.pass(2 * MINUTE_MS, ...EVERYBODY);
    expect(world.wanted("p1")).toBe("2");
  });

  test("begins anew after staging was not heard, though the silence is in the archive", async () => {
    const world = await staged();
    world.pass(MINUTE_MS, "p1", "p2");
    for (const machine of ["s1", "s2"]) await world.joinAs({ env: "staging" }, machine);
    world.pass(6 * MINUTE_MS, ...EVERYBODY);
    expect([await archive(world) > 0, rowsOf(world, "machine_heard")]).toEqual([true, 0]);
    const prod = world.deploy("2", PROD);
    world.pass(53 * MINUTE_MS, ...EVERYBODY);
    expect(world.phase(prod)).toBe("pending");
    world.pass(2 * MINUTE_MS, ...EVERYBODY);
    expect(world.wanted("p1")).toBe("2");
  });
});

describe("a machine that is removed twenty minutes later", () => {
  /** 2 is everywhere. */
  async function deployed(): Promise<{ readonly world: World; readonly id: DeploymentId }> {
    const world = await archivingWorld();
    await world.join("a", "b", "c");
    world.deploy("1", WIDE);
    await world.settle("a", "b", "c");
    const id = world.deploy("2", WIDE);
    await world.settle("a", "b", "c");
    world.pass(2000, "a", "b", "c");
    return { world, id };
  }

  const lostWith = (world: World): unknown => world.journal.db.prepare("SELECT data -> 'lostWith' FROM journal WHERE kind = 'machine_removed'").pluck().get();

  test("was lost with the release, though its silence is in the archive", async () => {
    const { world, id } = await deployed();
    world.pass(20 * MINUTE_MS, "a", "b");
    await archive(world);
    expect(rowsOf(world, "machine_silent")).toBe(0);
    world.remove("c");
    expect(lostWith(world)).toBe(JSON.stringify([id]));
  });

  test("was not well with it, though what it said is in the archive", async () => {
    const { world, id } = await deployed();
    await world.say("c", "unhealthy");
    world.pass(20 * MINUTE_MS, "a", "b", "c");
    await archive(world);
    expect(rowsOf(world, "report_accepted")).toBe(0);
    world.remove("c");
    expect(lostWith(world)).toBe(JSON.stringify([id]));
  });

  test("was not well with it since a minute after it took it, though its app has been started again and again for two hours", async () => {
    const { world, id } = await deployed();
    for (let minute = 0; minute < 120; minute += 1) {
      world.pass(MINUTE_MS, "a", "b", "c");
      for (const phase of ["probing", "unhealthy"] as const) await world.say("c", phase);
    }
    world.remove("c");
    expect(lostWith(world)).toBe(JSON.stringify([id]));
  });

  test("had stood with it for an hour before it was lost", async () => {
    const { world } = await deployed();
    world.pass(61 * MINUTE_MS, "a", "b", "c");
    world.pass(20 * MINUTE_MS, "a", "b");
    await archive(world);
    world.remove("c");
    expect(lostWith(world)).toBeNull();
  });
});

test("what machines said while a fault had their rollout paused is kept in the database until somebody takes it up", async () => {
  const world = await archivingWorld();
  const names = ["a", "b", "c"];
  await world.join(...names);
  world.deploy("1", WIDE);
  await world.settle(...names);
  world.pass(2000, ...names);
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), window: NIGHTLY, maxFailures: count(0), onFailure: "pause" });
  world.calendarFails = true;
  await world.say("a", "healthy");
  world.pass(2000, ...names);
  expect(world.phase(id)).toBe("paused");
  await world.say("a", "reverted");
  world.remove("a");
  world.pass(20 * MINUTE_MS, "b", "c");
  expect(await archive(world)).toBeGreaterThan(0);
  world.calendarFails = false;
  expect(world.command(id, "resume").ok).toBe(true);
  const { phase, targets } = loadRollout(world.journal, id)!;
  expect([phase, targets.get("a" as never)?.leftAs]).toEqual(["paused", "failed"]);
  world.command(id, "abort");
  const before = world.journal.archive.lastSeq;
  world.pass(20 * MINUTE_MS, "b", "c");
  expect(await archive(world)).toBeGreaterThan(before);
});

describe("a rollback --to, 20 minutes later,", () => {
  const BY = { by: "anna", reason: "" };
  const NO_DRAIN = { drain: false, force: false };

  /** 2 runs everywhere, and nobody can be told of a rollback to 1 but those of `there`. */
  async function ordered(there: readonly string[]) {
    const world = await archivingWorld();
    await world.join(...NAMES);
    for (const version of ["1", "2"]) {
      world.deploy(version, WIDE);
      await work(world, NAMES, 6);
    }
    for (const name of NAMES) if (!there.includes(name)) world.engine.orders.cordon(name as never, NO_DRAIN, BY);
    const to = world.engine.operators.rollbackTo("d-2" as DeploymentId, "1", BY);
    if (!to.ok) throw new Error("refused");
    world.pass(2_000, ...NAMES);
    return { world, id: to.value.deployment as DeploymentId };
  }

  async function later(world: World, isArchived: boolean): Promise<void> {
    await work(world, NAMES, 10);
    for (let minutes = 0; minutes < 20; minutes += 1) world.pass(MINUTE_MS, ...NAMES);
    if (isArchived) await archive(world);
    world.startEngine();
  }

  test.each([false, true])("takes nothing from late machines when it was aborted before it had told anybody (archived: %s)", async (isArchived) => {
    const { world, id } = await ordered([]);
    expect(world.command(id, "abort").ok).toBe(true);
    for (const name of NAMES) world.engine.orders.uncordon(name as never, BY);
    await later(world, isArchived);
    await world.join("new");
    await work(world, [...NAMES, "new"], 8);
    expect(world.wanted("new")).toBe("2");
  });

  test.each([false, true])("that something took the place of is still what keeps its release from being good (archived: %s)", async (isArchived) => {
    const { world } = await ordered(NAMES.filter((name) => name !== "b"));
    world.deploy("3", { ...WIDE, onConflict: "supersede" });
    await later(world, isArchived);
    expect(lastGood(world.journal.db, "b" as never, "app" as never)).toBe("app@1");
  });
});
