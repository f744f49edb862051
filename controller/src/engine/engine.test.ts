import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterEach, describe, expect, test } from "vitest";
import type { AppName, DeploymentId, Generation, MachineId } from "@muster/proto/ids.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL } from "../rollout/rollout.fixture.ts";
import { lasting, World } from "./world.fixture.ts";

const folders: string[] = [];
function tempFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "muster-engine-"));
  folders.push(folder);
  return join(folder, "muster.db");
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

test("a deployment is told wave by wave and succeeds", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  const id = world.deploy("1");
  expect(world.told.map((assignment) => assignment.machine)).toEqual(["a"]);
  await world.settle("a", "b", "c");
  expect(world.phase(id)).toBe("succeeded");
  // Once to take it, and once more when their wave has passed and the release is confirmed there.
  expect(world.told.map(({ machine, apps }) => `${machine}${apps[0]!.confirmed ? " confirmed" : ""}`)).toEqual(["a", "a confirmed", "b", "c", "b confirmed", "c confirmed"]);
});

test("a release that fails takes each machine back to its own last good release, and one that had just joined to that of the others", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1");
  await world.settle("a", "b");
  await world.join("c");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: { kind: "count", count: 3 } });
  await world.say("a", "healthy");
  await world.say("c", "healthy");
  await world.say("b", "reverted");
  expect(world.phase(id)).toBe("rolling_back");
  await world.settle("a", "b", "c");
  expect(world.phase(id)).toBe("rolled_back");
  expect(["a", "b", "c"].map((machine) => world.wanted(machine))).toEqual(["1", "1", "1"]);
});

test("deploying a release again touches only the machines that do not run it", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1");
  await world.settle("a", "b");
  await world.join("c");
  const told = world.told.length;
  const id = world.deploy("1");
  await world.settle("c");
  expect(world.phase(id)).toBe("succeeded");
  expect(world.told.slice(told).map((assignment) => assignment.machine)).toEqual(["c", "c"]);
  const again = world.deploy("1");
  expect(world.phase(again)).toBe("succeeded");
  expect(loadRollout(world.journal, again)!.reason?.code).toBe("unchanged");
});

test("a machine that is away ends on the newest assignment, not on those between", async () => {
  const world = new World();
  await world.join("a", "b");
  const beat = () => {
    for (let elapsed = 0; elapsed < 20_000; elapsed += 1000) {
      world.clock.advance(1000);
      world.engine.heartbeat("a" as MachineId, 0 as Generation);
    }
  };
  beat();
  for (const version of ["1", "2", "3"]) {
    const id = world.deploy(version);
    await world.settle("a");
    expect(world.phase(id)).toBe("succeeded");
  }
  expect(world.wanted("b")).toBeUndefined();
  await world.join("b");
  expect(world.wanted("b")).toBe("3");
  await world.say("b", "healthy");
  expect(loadRollout(world.journal, "d-3" as DeploymentId)!.targets.get("b" as MachineId)!.state).toBe("healthy");
});

describe("of two deployments of one app", () => {
  test("the second waits for the first by default", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1");
    const second = world.deploy("2");
    expect(world.phase(second)).toBe("pending");
    await world.settle("a");
    expect(world.phase(second)).toBe("succeeded");
    expect(world.wanted("a")).toBe("2");
  });

  test("the second takes the place of the first with on_conflict: supersede", async () => {
    const world = new World();
    await world.join("a");
    const first = world.deploy("1");
    const second = world.deploy("2", { onConflict: "supersede" });
    expect([world.phase(first), world.phase(second)]).toEqual(["superseded", "rolling"]);
    await world.settle("a");
    expect(world.phase(second)).toBe("succeeded");
  });

  test("the next begins when the one before is aborted", async () => {
    const world = new World();
    await world.join("a");
    const first = world.deploy("1");
    const second = world.deploy("2");
    expect(world.command(first, "abort", { reason: "wrong one" }).ok).toBe(true);
    expect([world.phase(first), world.phase(second)]).toEqual(["aborted", "rolling"]);
  });

  test("only the newest that was not taken back can be rolled back", async () => {
    const world = new World();
    await world.join("a");
    const first = world.deploy("1");
    await world.settle("a");
    const second = world.deploy("2");
    await world.settle("a");
    expect(world.command(first, "rollback")).toMatchObject({ ok: false, refusal: { kind: "conflict" } });
    expect(world.command(second, "rollback").ok).toBe(true);
    await world.settle("a");
    expect([world.phase(second), world.wanted("a")]).toEqual(["rolled_back", "1"]);
    expect(world.command(first, "rollback").ok).toBe(true);
    await world.settle("a");
    expect([world.phase(first), world.wanted("a")]).toEqual(["rolled_back", "remove"]);
  });
});

describe("a submission is refused", () => {
  test("when its version exists with other content, saying what differs", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1");
    const answer = world.submit("1", {}, { ports: { http: 80 } });
    expect(answer).toMatchObject({ ok: false, refusal: { message: "app@1 exists with other content (its ports differ); a release never changes: give this one a new version" } });
  });

  test("by what can be known before its artifact is there", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1");
    const check = (version: string, targets: string, release: Partial<Release> = {}) => {
      const parsed = parseSelector(targets);
      if (!parsed.ok) throw new Error(parsed.message);
      const strategy = { ...loadRollout(world.journal, "d-1" as DeploymentId)!.strategy, targets };
      return world.engine.operators.check({ app: "app" as AppName, release: Release.fromPartial({ app: "app", version, ...release }), selector: parsed.selector, strategy });
    };
    expect(check("1", "role=web").ok).toBe(true);
    expect(check("2", "role=web").ok).toBe(true);
    expect(check("1", "role=web", { ports: { http: 80 } })).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("its ports differ") } });
    expect(check("2", "role=db")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining('"role=db" selects none of the 1 machines') } });
  });

  test("when its artifact was never stored", async () => {
    const world = new World();
    await world.join("a");
    expect(world.submit("1", {}, { artifact: "b".repeat(64) })).toMatchObject({ ok: false, refusal: { kind: "not_found" } });
  });

  test("when it selects no machine, and nothing is kept", () => {
    const world = new World();
    const before = world.journal.lastSeq;
    expect(world.submit("1").ok).toBe(false);
    expect(world.journal.lastSeq).toBe(before);
  });
});

describe("the journal is the truth", () => {
  async function busy(world: World): Promise<void> {
    await world.join("a", "b", "c", "d");
    world.deploy("1");
    await world.settle("a", "b", "c", "d");
    const bad = world.deploy("2", { maxUnavailable: { kind: "percent", percent: 100 } });
    await world.say("a", "healthy");
    world.command(bad, "pause", { reason: "look first" });
    world.command(bad, "resume");
    world.clock.advance(20_000);
    await world.join("a", "c", "d");
    await world.say("c", "reverted");
    await world.settle("a", "c", "d");
    world.deploy("3", { onConflict: "supersede" });
    await world.say("a", "probing");
  }

  test("replayed into an empty database it yields the same tables", async () => {
    const world = new World();
    await busy(world);
    const empty = Journal.open(":memory:");
    empty.transaction(() => {
      for (const row of world.journal.read({ fromSeq: 1 })) empty.append(row.entry, row);
    });
    expect(world.tables(empty)).toEqual(world.tables());
  });

  test("what is in memory is what the tables say, after any commit", async () => {
    const world = new World();
    let commits = 0;
    world.engine.onCommit(() => {
      commits += 1;
      for (const number of [1, 2, 3]) {
        const id = `d-${number}` as DeploymentId;
        const live = world.engine.rollout(id);
        if (live !== undefined) expect(lasting(loadRollout(world.journal, id))).toEqual(lasting(live));
      }
    });
    await busy(world);
    expect(commits).toBeGreaterThan(10);
  });

  test("a projection of an older shape is rebuilt at the start", async () => {
    const path = tempFile();
    const world = new World(path);
    await busy(world);
    const before = world.tables();
    world.engine.stop();
    world.journal.close();
    const db = new SqliteDatabase(path);
    db.exec("UPDATE meta SET value = '0' WHERE key = 'projection_version'; DELETE FROM targets; DROP TABLE waves");
    db.close();
    const reopened = Journal.open(path);
    expect(world.tables(reopened)).toEqual(before);
    reopened.close();
  });
});

test("a restart between any two reports ends the same, and a report that is sent again counts once", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1");
  const first = world.generation("a");
  await world.saySeq("a", "healthy", first, 1);
  world.startEngine();
  await world.join("a", "b");
  await world.saySeq("a", "healthy", first, 1);
  expect(world.journal.page({ fromSeq: 1 }).filter((row) => row.entry.kind === "report_accepted")).toHaveLength(1);
  await world.saySeq("b", "healthy", world.generation("b"), 1);
  expect(world.phase(id)).toBe("succeeded");
});

test("a fault of the disk loses nothing: the caller is told, memory follows the tables, and it goes on after", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1");
  world.journal.db.pragma(`max_page_count = ${world.journal.db.pragma("page_count", { simple: true }) as number}`);
  const big = "x".repeat(100_000);
  await expect(
    world.engine.report([{ kind: "report_accepted", machine: "a" as MachineId, app: "app" as AppName, instance: "i-a", reportSeq: 1, observedAt: world.clock.now(), generation: world.generation("a"), phase: "healthy", reason: { code: "exited", message: big }, runningVersion: "", runningArtifact: "", starts: 1, pid: 1, ports: {} }]),
  ).rejects.toThrow(/free some space/);
  expect(lasting(loadRollout(world.journal, id))).toEqual(lasting(world.engine.rollout(id)));
  world.journal.db.pragma("max_page_count = 100000");
  world.pass(1000, "a", "b");
  await world.saySeq("a", "healthy", world.generation("a"), 1);
  await world.saySeq("b", "healthy", world.generation("b"), 1);
  expect(world.phase(id)).toBe("succeeded");
});

test("a rollout with more targets than one turn allows is carried on in the next turns", async () => {
  const world = new World();
  const machines = Array.from({ length: 1200 }, (_, index) => `m${index}`);
  await world.join(...machines);
  world.deploy("1", { waves: [ALL], maxUnavailable: { kind: "percent", percent: 100 } });
  expect(world.told.length).toBeLessThan(1200);
  world.clock.advance(1);
  expect(world.told.length).toBe(1200);
});
