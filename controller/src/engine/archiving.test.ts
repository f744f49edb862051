/**
 * The journal with old steps in the archive: whatever is asked of it is answered as before, from files, after any kill.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DeploymentViews } from "../api/views.ts";
import { Scene } from "../history/history.fixture.ts";
import { Past } from "../history/past.ts";
import { pictures } from "../history/replay.ts";
import type { ArchiveStep } from "../journal/archive.ts";
import { Journal } from "../journal/journal.ts";
import { PROJECTION_TABLES } from "../journal/schema.ts";
import { stands } from "../journal/standing.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";

const DAY = 86_400_000;
let folder: string;
let scene: Scene;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-archive-"));
  scene = new Scene(join(folder, "muster.db"));
  // Not by itself: tests say when.
  scene.engine.archiving.stop();
  scene.clock.wall = Date.UTC(2026, 9, 20);
  scene.clock.advance(1000);
  await scene.join("a", "b", "c");
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The machines are heard afterwards. */
function daysPass(days: number): void {
  scene.age(days * DAY);
  scene.pass(2000, ...scene.fleet.present());
}

/** Three deployments with some trouble, 20 days apart: October, November, November. */
async function history(): Promise<DeploymentId[]> {
  const ids: DeploymentId[] = [];
  for (const version of ["1", "2", "3"]) {
    const id = scene.deploy(version, { waves: [wave(count(1)), ALL], maxUnavailable: count(2), onFailure: "pause", maxFailures: count(1) });
    ids.push(id);
    await scene.tell("a", "pulling", version === "1" ? "" : String(Number(version) - 1));
    scene.elapse(5000, "a", "b", "c");
    await scene.tell("a", "healthy", version);
    await scene.tell("b", "probing");
    scene.elapse(5000, "a", "b", "c");
    await scene.tell("b", version === "2" ? "failed" : "healthy", version);
    await scene.tell("c", "healthy", version);
    expect(scene.phase(id)).toBe("succeeded");
    daysPass(10);
    if (version === "1") scene.label({ role: "web", zone: "x" }, "a");
    daysPass(10);
  }
  return ids;
}

const viewOf = async (id: DeploymentId) => (await new DeploymentViews(scene.journal.db, (each) => scene.engine.waitingOn(each), (each) => scene.engine.rollout(each), scene.engine).one(id))!;
const countsOf = async (...ids: readonly string[]) => Promise.all(ids.map(async (id) => (await viewOf(id as DeploymentId)).counts));
const targetsLeft = (): unknown => scene.journal.db.prepare("SELECT deployment, machine FROM targets ORDER BY deployment, machine").raw().all();
const isOver = (id: DeploymentId): boolean => scene.engine.rollout(id) === undefined;

/** The tables, made from all rows of the journal. */
function rebuilt(): unknown {
  const replayed = Journal.open(":memory:");
  replayed.transaction(() => {
    for (const row of scene.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
  });
  const tables = scene.tables(replayed);
  replayed.close();
  return tables;
}

const allRows = (journal = scene.journal) => [...journal.read({ fromSeq: 1 })].map(({ seq, at, entry }) => JSON.stringify([seq, at, entry]));
const inDatabase = (): number => scene.journal.db.prepare("SELECT count(*) FROM journal").pluck().get() as number;
const files = (): string[] => readdirSync(join(folder, "archive")).sort();

async function pictured(id: DeploymentId): Promise<string> {
  const past = new Past(scene.journal);
  const shown: unknown[] = [];
  for await (const { at, happened } of pictures(scene.journal, id, past)) shown.push([at, happened.map(({ seq }) => seq), [...(past.state?.targets.values() ?? [])].map(({ machine, state }) => `${machine} ${state}`)]);
  past.close();
  return JSON.stringify(shown);
}

async function stood(id: DeploymentId, at: number): Promise<unknown> {
  const past = await Past.at(scene.journal, id, at as Instant);
  const tables = past === undefined ? undefined : PROJECTION_TABLES.map((table) => past.db.prepare(`SELECT * FROM ${table}`).all());
  past?.close();
  return tables;
}

/** All that anybody can ask of these deployments. */
async function answers(ids: readonly DeploymentId[]): Promise<unknown> {
  const times = [...new Set([...scene.journal.read({ fromSeq: 1 })].filter(({ entry }) => entry.kind !== "targets_archived").map(({ at }) => at))];
  // Before the first, in the middle of the first two, and after their end.
  const chosen = times.filter((_, index) => [0, 1, 2, 6, times.length - 1].includes(index));
  return {
    events: allRows(),
    eventsOf: ids.map((deployment) => scene.journal.page({ fromSeq: 1, deployment }).map(({ seq }) => seq)),
    fromTheMiddle: scene.journal.page({ fromSeq: 20 }, 7).map(({ seq }) => seq),
    why: await Promise.all(ids.map((id) => scene.whyDeployment(id))),
    whyMachine: await Promise.all(ids.flatMap((id) => ["a", "b", "c"].map((machine) => scene.whyMachine(machine, id)))),
    replay: await Promise.all(ids.map(pictured)),
    at: await Promise.all(ids.slice(0, 2).flatMap((id) => chosen.map((at) => stood(id, at)))),
  };
}

test("a clock that is ahead for some seconds moves nothing, and what it ended can still be retried", async () => {
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(9), onFailure: "abort" });
  await scene.tell("a", "failed");
  for (const machine of ["b", "c"]) await scene.tell(machine, "healthy", "1");
  const rows = inDatabase();
  scene.clock.wall += 400 * DAY;
  await scene.engine.archiving.sweep();
  expect([inDatabase(), scene.journal.archive.extent().rows, scene.state(id, "a")]).toEqual([rows, 0, "failed"]);
  scene.clock.wall -= 400 * DAY;
  expect(scene.command(id, "retry").ok).toBe(true);
});

describe("moved to the archive", () => {
  test("every answer is as it was, and the rows are gone from the database", async () => {
    const ids = await history();
    const before = await answers(ids);
    const rows = inDatabase();
    await scene.engine.archiving.sweep();
    expect(files()).toEqual(["2026-10.jsonl.zst"]);
    daysPass(25);
    await scene.engine.archiving.sweep();
    expect(files()).toEqual(["2026-10.jsonl.zst", "2026-11.jsonl.zst"]);
    expect(inDatabase()).toBeLessThan(rows / 2);
    // What was folded since is a row more.
    const after = (await answers(ids)) as { events: string[] };
    const isNew = (row: string): boolean => row.includes("targets_archived");
    expect(after.events.filter(isNew)).toHaveLength(2);
    expect({ ...after, events: after.events.filter((row) => !isNew(row)), eventsOf: undefined }).toEqual({ ...(before as object), eventsOf: undefined });
  });

  test("a controller that starts anew answers from the files, and goes on with the next sequence", async () => {
    const ids = await history();
    daysPass(60);
    await scene.engine.archiving.sweep();
    scene.engine.archiving.stop();
    const before = await answers(ids);
    const { lastSeq } = scene.journal;
    scene.engine.stop();
    scene.journal.close();
    scene.journal = Journal.open(join(folder, "muster.db"));
    scene.startEngine();
    expect(scene.journal.lastSeq).toBe(lastSeq);
    expect(await answers(ids)).toEqual(before);
  });

  test("what people did, and how deployments ended, stays in the database", async () => {
    await history();
    daysPass(60);
    await scene.engine.archiving.sweep();
    const kinds = new Set(scene.journal.db.prepare("SELECT kind FROM journal").pluck().all());
    expect(kinds).toEqual(new Set(["machine_joined", "machine_labelled", "artifact_stored", "release_created", "deployment_submitted", "phase_changed", "targets_archived"]));
  });

  test("what stands is kept, though its file was repeated since and a rollback owns its machines", async () => {
    const wide = { waves: [ALL], maxUnavailable: count(9) };
    const all = async (version: string): Promise<void> => {
      for (const machine of ["a", "b", "c"]) await scene.tell(machine, "healthy", version);
      scene.elapse(5000, "a", "b", "c");
    };
    scene.deploy("1", wide);
    await all("1");
    expect(scene.phase(scene.deploy("1", wide))).toBe("succeeded");
    const bad = scene.deploy("2", wide);
    await all("2");
    scene.command(bad, "rollback");
    await all("1");
    expect(scene.phase(bad)).toBe("rolled_back");
    daysPass(200);
    await scene.engine.archiving.sweep();
    scene.engine.stop();
    scene.startEngine();
    await scene.join("late");
    expect(scene.wanted("late")).toBe("1");
  });

  test("a damaged frame is said once in the log, and whoever needs its rows is told so; nobody else is", async () => {
    const ids = await history();
    await scene.engine.archiving.sweep();
    const path = join(folder, "archive", files()[0]!);
    writeFileSync(path, readFileSync(path).fill(0, 10, 20));
    const warned: unknown[] = [];
    scene.journal.archive.onUnreadable = ({ file }) => warned.push(file);
    expect(await scene.whyDeployment(ids[2]!)).toContain("d-3");
    const lost = /^steps of 2026-10 are missing, \d+ to \d+: archive\/2026-10\.jsonl\.zst cannot be read there \(.+\)$/;
    await expect(scene.whyDeployment(ids[0]!)).rejects.toThrow(lost);
    await expect(stood(ids[0]!, scene.clock.now())).rejects.toThrow(lost);
    await expect(pictured(ids[0]!)).rejects.toThrow(lost);
    expect(allRows).toThrow(lost);
    expect(warned).toEqual(["2026-10.jsonl.zst"]);
    const told: string[] = [];
    const read = scene.journal.page({ fromSeq: 1, onMissing: ({ message }) => told.push(message) });
    expect([read.length > 10, told]).toEqual([true, [expect.stringMatching(lost)]]);
    truncateSync(path, 30);
    expect(scene.journal.archive.faults().map(({ message }) => message)).toEqual([expect.stringMatching(/^steps of 2026-10 are missing, .* ends at 30, within a frame\)$/)]);
  });
});

describe("killed on the way", () => {
  const STEPS: readonly ArchiveStep[] = ["read", "compressed", "appended", "compared", "indexed"];

  test.each(STEPS)("after %s, nothing is lost and nothing is there twice", async (step) => {
    const ids = await history();
    const before = allRows();
    const why = await scene.whyDeployment(ids[0]!);
    scene.journal.archive.onStep = (reached) => {
      if (reached === step) throw new Error("killed");
    };
    await expect(scene.engine.archiving.sweep()).rejects.toThrow("killed");
    scene.engine.stop();
    scene.journal.close();
    scene.journal = Journal.open(join(folder, "muster.db"));
    scene.startEngine();
    expect(allRows()).toEqual(before);
    await scene.engine.archiving.sweep();
    expect(allRows().filter((row) => !row.includes("targets_archived"))).toEqual(before);
    expect(await scene.whyDeployment(ids[0]!)).toBe(why);
    // What was left behind the last frame is overwritten: each byte of a file belongs to a frame.
    const size = scene.journal.db.prepare("SELECT sum(size_bytes) FROM archive_frames").pluck().get();
    expect(files().reduce((sum, file) => sum + readFileSync(join(folder, "archive", file)).length, 0)).toBe(size);
  });

  test("a file that does not hold what was written to it costs no row", async () => {
    await history();
    const before = allRows();
    scene.journal.archive.onStep = (reached) => {
      if (reached === "appended") truncateSync(join(folder, "archive", files()[0]!), 20);
    };
    await expect(scene.engine.archiving.sweep()).rejects.toThrow(/ends at|checksum|zstd/i);
    expect([allRows(), scene.journal.archive.extent().rows]).toEqual([before, 0]);
  });
});

describe("targets of deployments that ended long ago", () => {
  test("are counts, unless an assignment names the deployment or it is the newest success", async () => {
    const ids = await history();
    const counts = (id: DeploymentId) => scene.journal.db.prepare("SELECT wave, state, count FROM archived_targets WHERE deployment = ? ORDER BY wave, state").all(id);
    daysPass(60);
    await scene.engine.archiving.sweep();
    expect(counts(ids[0]!)).toEqual([{ wave: 0, state: "healthy", count: 1 }, { wave: 1, state: "healthy", count: 2 }]);
    expect(counts(ids[1]!)).toEqual([{ wave: 0, state: "healthy", count: 1 }, { wave: 1, state: "failed", count: 1 }, { wave: 1, state: "healthy", count: 1 }]);
    expect(counts(ids[2]!)).toEqual([]);
    expect(scene.command(ids[0]!, "rollback")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("in the archive by now; muster rollback d-1 --to VERSION") as string } });
    expect(scene.command(ids[2]!, "rollback")).toMatchObject({ ok: true });
    expect(scene.engine.operators.rollbackTo(ids[0]!, "1", { by: "", reason: "" })).toMatchObject({ ok: true });
  });

  test("a machine that is removed changes nothing of them", async () => {
    const ids = await history();
    daysPass(60);
    await scene.engine.archiving.sweep();
    const before = scene.journal.lastSeq;
    scene.remove("b");
    expect(scene.journal.page({ fromSeq: before + 1 }).map(({ entry }) => entry.kind)).toEqual(["machine_removed"]);
    expect(scene.journal.db.prepare("SELECT sum(count) FROM archived_targets WHERE deployment = ?").pluck().get(ids[0]!)).toBe(3);
  });
});

describe("a machine that late_joiners: ignore passed over", () => {
  const IGNORE = { waves: [ALL], maxUnavailable: count(9), lateJoiners: "ignore" } as const;

  /** c is cordoned, and 1 to 3 come to the others. All of it is old. */
  async function passedOver(): Promise<readonly DeploymentId[]> {
    scene.engine.orders.cordon("c" as MachineId, { drain: false, force: false }, { by: "anna", reason: "broken disk" });
    const ids: DeploymentId[] = [];
    for (const version of ["1", "2", "3"]) {
      ids.push(scene.deploy(version, IGNORE));
      await scene.settle("a", "b");
      daysPass(20);
    }
    daysPass(60);
    await scene.engine.archiving.sweep();
    return ids;
  }

  test("stays by its name as long as it is there, and all others become counts", async () => {
    const [first, second, third] = (await passedOver()) as [DeploymentId, DeploymentId, DeploymentId];
    expect(targetsLeft()).toEqual([[first, "c"], [second, "c"], [third, "a"], [third, "b"], [third, "c"]]);
    expect((await viewOf(first)).counts).toMatchObject({ total: 3, healthy: 2, skipped: 1 });
    expect(rebuilt()).toEqual(scene.tables());
    scene.remove("c");
    await scene.engine.archiving.sweep();
    expect(targetsLeft()).toEqual([[third, "a"], [third, "b"], [third, "c"]]);
    expect([(await viewOf(first)).counts, rebuilt()]).toEqual([expect.objectContaining({ total: 3, healthy: 2, removed: 1 }), scene.tables()]);
  });

  test("gets the release that stands when it is used again, and nothing of those whose other targets are counts", async () => {
    const ids = await passedOver();
    scene.startEngine();
    scene.engine.orders.uncordon("c" as MachineId, { by: "anna", reason: "" });
    scene.pass(3000, "a", "b", "c");
    await scene.settle("c");
    scene.pass(3000, "a", "b", "c");
    expect([scene.wanted("c"), ids.map(isOver), scene.bugs, scene.engine.audit()]).toEqual(["3", [true, true, true], [], undefined]);
  });
});

describe("the machines that a deployment left out, since they ran its release", () => {
  const WIDE = { waves: [ALL], maxUnavailable: count(9) };
  const named = (): unknown => scene.journal.db.prepare("SELECT id, unchanged, unchanged_archived AS archived FROM deployments ORDER BY number").raw().all();

  test("become a count where a pipeline has submitted the same file again, but for the two newest", async () => {
    for (let round = 0; round < 4; round += 1) {
      scene.deploy("1", WIDE);
      await scene.settle("a", "b", "c");
      daysPass(10);
    }
    daysPass(60);
    const names = JSON.stringify(["a", "b", "c"]);
    expect(named()).toEqual([["d-1", "[]", 0], ["d-2", names, 0], ["d-3", names, 0], ["d-4", names, 0]]);
    const before = await countsOf("d-1", "d-2", "d-4");
    await scene.engine.archiving.sweep();
    expect(named()).toEqual([["d-1", "[]", 0], ["d-2", "[]", 3], ["d-3", names, 0], ["d-4", names, 0]]);
    expect(await countsOf("d-1", "d-2", "d-4")).toEqual(before);
    expect([rebuilt(), await scene.whyMachine("b", "d-2" as DeploymentId)]).toEqual([scene.tables(), expect.stringContaining("b ran app@1 already: d-2 left it out.")]);
    const { lastSeq } = scene.journal;
    await scene.engine.archiving.sweep();
    expect(scene.journal.lastSeq).toBe(lastSeq);
  });

  test("become one together with the targets", async () => {
    scene.label({ role: "web", zone: "x" }, "a");
    scene.deploy("1", { ...WIDE, targets: "zone=x" });
    await scene.settle("a");
    scene.pass(2000, "a", "b", "c");
    const id = scene.deploy("1", WIDE);
    await scene.settle("b", "c");
    scene.pass(2000, "a", "b", "c");
    for (const version of ["2", "3"]) {
      scene.deploy(version, WIDE);
      await scene.settle("a", "b", "c");
      scene.pass(2000, "a", "b", "c");
    }
    daysPass(60);
    const { counts: before } = await viewOf(id);
    expect(before).toMatchObject({ total: 3, healthy: 2, unchanged: 1 });
    await scene.engine.archiving.sweep();
    expect([(await viewOf(id)).counts, named(), targetsLeft(), rebuilt()]).toEqual([before, [["d-1", "[]", 0], ["d-2", "[]", 1], ["d-3", "[]", 0], ["d-4", "[]", 0]], expect.not.arrayContaining([[id, "b"]]), scene.tables()]);
    expect(scene.command(id, "rollback")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("in the archive by now") as string } });
  });
});

describe("a machine that was removed with a release that was taken back", () => {
  const WIDE = { waves: [ALL], maxUnavailable: count(9) };
  const seen = async (id: DeploymentId) => {
    const { outcome, outstanding, counts, waves } = await viewOf(id);
    return { outcome, outstanding, counts, waves };
  };
  const out = async (version: string, ...machines: readonly string[]): Promise<DeploymentId> => {
    const id = scene.deploy(version, { ...WIDE, onConflict: "supersede" });
    for (const machine of machines) await scene.tell(machine, "healthy", version);
    scene.pass(2000, ...machines);
    return id;
  };
  /** `during`: what happens before the machine is removed. */
  async function takenBack(during: (id: DeploymentId) => Promise<void>): Promise<DeploymentId> {
    await out("1", "a", "b", "c");
    const id = await out("2", "a", "b", "c");
    scene.pass(30_000, "a", "b");
    scene.command(id, "rollback");
    await during(id);
    scene.remove("c");
    return id;
  }

  async function archived(id: DeploymentId): Promise<void> {
    await out("4", "a", "b");
    daysPass(60);
    const [before, why, { lastSeq }] = [await seen(id), await scene.whyDeployment(id), scene.journal];
    await scene.engine.archiving.sweep();
    const folded = scene.journal.page({ fromSeq: lastSeq + 1 }).filter(({ entry }) => entry.kind === "targets_archived" && entry.deployment === id);
    expect(folded).toHaveLength(1);
    expect(scene.journal.db.prepare("SELECT machine FROM targets WHERE deployment = ?").pluck().all(id)).toEqual(["c"]);
    expect([await seen(id), await scene.whyDeployment(id)]).toEqual([before, why]);
    expect(rebuilt()).toEqual(scene.tables());
    // Nothing is left to do the next time.
    await scene.engine.archiving.sweep();
    expect(scene.journal.page({ fromSeq: folded[0]!.seq + 1 }).filter(({ entry }) => entry.kind === "targets_archived" && entry.deployment === id)).toEqual([]);
    scene.startEngine();
    expect([await seen(id), scene.bugs]).toEqual([before, []]);
  }

  test("is named by a rollback as before", async () => {
    const id = await takenBack(async () => {
      for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", "1");
    });
    expect((await seen(id)).outcome).toBe("rolled back, except 1 removed: c was removed from the fleet, and may still run 2");
    await archived(id);
  });

  test("is named by a rollback that a newer deployment took the place of as before", async () => {
    const id = await takenBack(async () => {
      await out("3", "a", "b");
    });
    expect((await seen(id)).outcome).toBe("superseded before all had gone back; c was removed from the fleet, and may still run 2");
    await archived(id);
  });
});

describe("the tables are rebuilt", () => {
  const reopened = (prepare: string): Journal => {
    scene.engine.stop();
    scene.journal.db.exec(prepare);
    scene.journal.close();
    scene.journal = Journal.open(join(folder, "muster.db"));
    return scene.journal;
  };
  const ANOTHER_VERSION = "UPDATE meta SET value = '0' WHERE key = 'projection_version'";

  test("from the newest snapshot and the rows after it, though older rows are in the archive", async () => {
    await history();
    daysPass(60);
    await scene.engine.archiving.sweep();
    const id = scene.deploy("4", { waves: [ALL], maxUnavailable: count(3) });
    await scene.tell("a", "healthy", "4");
    const before = scene.tables();
    expect(scene.journal.archive.lastSeq).toBeGreaterThan(0);
    expect(scene.tables(reopened(ANOTHER_VERSION))).toEqual(before);
    // The archive is not asked for it.
    rmSync(join(folder, "archive"), { recursive: true });
    expect(scene.tables(reopened(ANOTHER_VERSION))).toEqual(before);
    scene.startEngine();
    expect(scene.state(id, "a")).toBe("healthy");
  });

  test("and from all rows, archive included, they are the same", async () => {
    await history();
    daysPass(60);
    await scene.engine.archiving.sweep();
    const replayed = Journal.open(":memory:");
    replayed.transaction(() => {
      for (const row of scene.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
    });
    expect(scene.tables(replayed)).toEqual(scene.tables());
    replayed.close();
  });

  test("and a snapshot that was not finished counts for nothing", async () => {
    await history();
    await scene.engine.archiving.sweep();
    const before = scene.tables();
    const { seq } = scene.journal.snapshots.newest()!;
    scene.journal.db.prepare("INSERT INTO snapshot_parts (seq, part, records) VALUES (?, 0, x'00')").run(seq + 1);
    expect(scene.tables(reopened(ANOTHER_VERSION))).toEqual(before);
    scene.startEngine();
    await scene.journal.snapshots.take(scene.clock.now());
    expect(scene.journal.db.prepare("SELECT DISTINCT seq FROM snapshot_parts").pluck().all()).toEqual([scene.journal.snapshots.newest()!.seq]);
  });

  test("one that is under way when the controller stops is given up, and the next controller begins anew", async () => {
    await history();
    daysPass(60);
    const sweeping = scene.engine.archiving.sweep();
    scene.engine.stop();
    scene.journal.close();
    await expect(sweeping).resolves.toBeUndefined();
    scene.journal = Journal.open(join(folder, "muster.db"));
    scene.startEngine();
    await scene.engine.archiving.sweep();
    expect(scene.journal.snapshots.newest()).toBeDefined();
  });

  test("from a snapshot of a version that did not keep it, who had somebody to change is known by the targets", async () => {
    const ids = await history();
    await scene.journal.snapshots.take(scene.clock.now());
    const { db } = scene.journal;
    const parts = db.prepare("SELECT part, records FROM snapshot_parts").all() as { part: number; records: Buffer }[];
    for (const { part, records } of parts) {
      const older = zstdDecompressSync(records).toString("utf8").replaceAll(/"(of":"deployments".*?),"changedAttended":\d+/g, '"$1').replaceAll(/,"gone(Failed|Lost)":\d+/g, "");
      db.prepare("UPDATE snapshot_parts SET records = ? WHERE part = ?").run(zstdCompressSync(Buffer.from(older)), part);
    }
    const rebuilt = reopened(ANOTHER_VERSION);
    expect(rebuilt.db.prepare(`SELECT id FROM deployments d WHERE ${stands("d")} ORDER BY number`).pluck().all()).toEqual(ids);
    expect(rebuilt.db.prepare("SELECT sum(gone_failed + gone_lost) FROM waves").pluck().get()).toBe(0);
    scene.startEngine();
  });

  test("no row leaves the database before a snapshot covers it", async () => {
    await history();
    const { archive, snapshots } = scene.journal;
    let covered = 0;
    archive.onStep = (step) => {
      if (step === "appended") covered = snapshots.newest()?.seq ?? 0;
    };
    await scene.engine.archiving.sweep();
    expect(covered).toBeGreaterThanOrEqual(archive.lastSeq);
  });
});

describe("a deployment whose targets are in the archive, and that stands again since what came after it was rolled back", () => {
  const WIDE = { waves: [ALL], maxUnavailable: count(9) };

  /** 1 is forty days older than 2, which is taken back. */
  async function standsAgain(isArchived: boolean, changes: object, machines: readonly string[], during: () => Promise<void>): Promise<void> {
    const first = scene.deploy("1", { ...WIDE, ...changes });
    await scene.settle(...machines);
    scene.pass(2000, "a", "b", "c");
    expect(scene.phase(first)).toBe("succeeded");
    await during();
    daysPass(40);
    scene.pass(2000, "a", "b", "c");
    const second = scene.deploy("2", WIDE);
    await scene.settle(...machines);
    scene.pass(2000, "a", "b", "c");
    expect(scene.phase(second)).toBe("succeeded");
    if (isArchived) await scene.engine.archiving.sweep();
    expect(scene.command(second, "rollback").ok).toBe(true);
    await scene.settle(...machines);
    scene.pass(5000, "a", "b", "c");
    expect([scene.phase(second), scene.wanted("a")]).toEqual(["rolled_back", "1"]);
  }

  const folded = (): number => scene.journal.db.prepare("SELECT count(*) FROM archived_targets").pluck().get() as number;
  const cordon = (machine: string): void => void scene.engine.orders.cordon(machine as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });

  test.each([false, true])("gives machines that join what it would give them with its targets (archived: %s)", async (isArchived) => {
    await standsAgain(isArchived, {}, ["a", "b", "c"], async () => {});
    expect(folded() > 0).toBe(isArchived);
    await scene.join("late");
    scene.pass(5000, "a", "b", "c", "late");
    expect(scene.wanted("late")).toBe("1");
  });

  test.each([false, true])("gives it, with late_joiners: ignore, to a machine that was cordoned in it (archived: %s)", async (isArchived) => {
    cordon("c");
    await standsAgain(isArchived, { lateJoiners: "ignore" }, ["a", "b"], async () => {});
    scene.engine.orders.uncordon("c" as MachineId, { by: "anna", reason: "" });
    scene.pass(2000, "a", "b", "c");
    expect(scene.wanted("c")).toBe("1");
  });

  test.each([false, true])("does not give it after more failures than it allows (archived: %s)", async (isArchived) => {
    await standsAgain(isArchived, {}, ["a", "b", "c"], async () => {
      await scene.join("x");
      await scene.say("x", "failed");
      // It has something else meanwhile.
      scene.label({ role: "db" }, "x");
      scene.deploy("3", { ...WIDE, targets: "role=db" });
      await scene.settle("x");
    });
    expect(folded() > 0).toBe(isArchived);
    await scene.join("late");
    scene.pass(5000, "a", "b", "c", "late");
    expect(scene.wanted("late")).toBeUndefined();
  });
});
