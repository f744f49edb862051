/**
 * A machine that was in very many deployments is removed: the oldest of them lose it in later transactions, and nobody who decides sees a difference, whenever the controller is killed.
 */
import type { AppName, DeploymentId, ReleaseId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { Journal } from "../journal/journal.ts";
import { DEPLOYMENTS_AT_ONCE } from "../journal/removals.ts";
import { NAMES, onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

/** More than the first two slices. */
const BETWEEN = 2 * DEPLOYMENTS_AT_ONCE + 5;

/** Everybody runs 1 by a deployment that is followed by many of another app. */
async function crowded(isLong = true): Promise<{ readonly world: World; readonly first: DeploymentId }> {
  const world = await onOne();
  for (const name of NAMES) await world.say(name, "healthy");
  // Whoever leaves after it has stood there for long leaves well.
  if (isLong) world.pass(3_600_000, ...NAMES);
  const { journal, engine } = world;
  const strategy = world.submission("1", WIDE).strategy;
  engine.stop();
  const now = { at: world.clock.now(), attended: 5000 as never };
  journal.transaction(() => {
    journal.append({ kind: "release_created", id: "filler@1" as ReleaseId, app: "filler" as AppName, release: world.submission("1", {}, { app: "filler" }).release }, now);
    for (let number = 2; number < 2 + BETWEEN; number += 1) {
      const deployment = `d-${number}` as DeploymentId;
      journal.append({ kind: "deployment_submitted", deployment, app: "filler" as AppName, release: "filler@1" as ReleaseId, strategy, by: "anna", note: "" }, now);
      journal.append({ kind: "phase_changed", deployment, app: "filler" as AppName, phase: "aborted", reason: null }, now);
    }
  });
  world.startEngine();
  world.pass(1000, ...NAMES);
  return { world, first: "d-1" as DeploymentId };
}

function inTables(world: World, id: DeploymentId): string {
  return world.journal.db.prepare("SELECT state FROM targets WHERE deployment = ? AND machine = 'a'").pluck().get(id) as string;
}

/** A controller that is killed now comes back from what is on the disk. */
function restarted(world: World): void {
  const bytes = world.journal.db.serialize();
  world.engine.stop();
  world.journal = Journal.open(bytes as never);
  world.startEngine();
}

test("its oldest deployments lose it in later turns, and a rollout that is read meanwhile has lost it", async () => {
  const { world, first } = await crowded();
  world.remove("a");
  expect([inTables(world, first), world.state(first, "a"), world.journal.removals.isOwed]).toEqual(["healthy", "removed", true]);
  world.pass(1, "b", "c", "d");
  expect([inTables(world, first), world.state(first, "a"), world.journal.removals.isOwed]).toEqual(["removed", "removed", false]);
});

test("the tables are those of a journal that is read again, at once and afterwards", async () => {
  const { world } = await crowded();
  world.remove("a");
  restarted(world);
  expect(world.journal.removals.isOwed).toBe(true);
  world.pass(1000, "b", "c", "d");
  const before = world.tables();
  expect([inTables(world, "d-1" as DeploymentId), world.journal.removals.isOwed]).toEqual(["removed", false]);
  world.journal.db.exec("UPDATE meta SET value = '0' WHERE key = 'projection_version'");
  restarted(world);
  expect(world.tables()).toEqual(before);
});

test("one that is taken up before its turn has lost it, and tells nobody of that name", async () => {
  const { world, first } = await crowded();
  world.remove("a");
  world.command(first, "rollback");
  expect([inTables(world, first), world.state(first, "a")]).toEqual(["removed", "removed"]);
  expect([world.state(first, "b"), world.wanted("a"), world.bugs]).toEqual(["reverting", undefined, []]);
  world.pass(1, "b", "c", "d");
  expect(world.state(first, "a")).toBe("removed");
});

test("another machine of the name has lost nothing", async () => {
  const { world, first } = await crowded();
  world.remove("a");
  await world.join("a");
  expect(inTables(world, first)).not.toBe("healthy");
  await world.settle("a", "b", "c", "d");
  world.pass(3000, "a", "b", "c", "d");
  await world.settle("a");
  expect([inTables(world, first), world.state(first, "a"), world.wanted("a"), world.bugs]).toEqual(["healthy", "healthy", "1", []]);
});

test("two machines are removed in the same moment, and what a full disk refused is owed still", async () => {
  const { world, first } = await crowded();
  world.remove("a");
  world.remove("b");
  const { journal } = world;
  expect(() =>
    journal.transaction(() => {
      journal.removals.finishAll();
      throw new Error("no space");
    }),
  ).toThrow("no space");
  expect([inTables(world, first), world.state(first, "a"), world.state(first, "b")]).toEqual(["healthy", "removed", "removed"]);
  // Nor is what a row about it had changed before that was undone.
  expect(() =>
    journal.transaction(() => {
      journal.append({ kind: "held", deployment: first, app: "app" as AppName, hold: null }, { at: world.clock.now(), attended: 9_000_000 as never });
      expect(inTables(world, first)).toBe("removed");
      throw new Error("no space");
    }),
  ).toThrow("no space");
  expect(inTables(world, first)).toBe("healthy");
  journal.transaction(() => journal.append({ kind: "held", deployment: first, app: "app" as AppName, hold: null }, { at: world.clock.now(), attended: 9_000_000 as never }));
  expect(inTables(world, first)).toBe("removed");
  restarted(world);
  world.pass(1000, "c", "d");
  expect(world.journal.db.prepare("SELECT count(*) FROM targets WHERE state = 'removed'").pluck().get()).toBe(2);
});

describe("a release that its machines were lost with, before a program removed them", () => {
  const THERE = ["c", "d", "p"];

  /** Staging runs 1 by d-1, and a and b are lost with it; production is p. */
  async function lost(): Promise<World> {
    const { world } = await crowded(false);
    await world.joinAs({ env: "prod" }, "p");
    world.pass(1000, ...NAMES, "p");
    world.pass(20_000, ...THERE);
    return world;
  }

  const deploy = (world: World): DeploymentId => world.deploy("1", { ...WIDE, targets: "env=prod", after: { deploymentOf: "app", targets: "role=web", soakMs: 0 } as never });
  const remove = (world: World): void => ["a", "b"].forEach((name) => world.remove(name));

  test.each<[string, readonly ((world: World) => unknown)[]]>([
    ["deployed, removed", [deploy, remove]],
    ["removed, deployed", [remove, deploy]],
    ["deployed, removed, killed", [deploy, remove, restarted]],
    ["removed, killed, deployed", [remove, restarted, deploy]],
  ])("comes no further: that is known at once, however much else is owed (%s)", async (_, steps) => {
    const world = await lost();
    for (const step of steps) step(world);
    world.pass(30_000, ...THERE);
    const prod = `d-${BETWEEN + 2}` as DeploymentId;
    expect([world.phase(prod), world.wanted("p"), world.waitingOn(prod)]).toEqual(["pending", undefined, "app@1 to be healthy on role=web: 2 of 2 are now, and 2 that failed or were lost with it are gone"]);
  });
});

test("rows of newer deployments ask for nothing that is owed to older ones", async () => {
  const { world } = await crowded();
  const { journal } = world;
  for (const name of NAMES) world.remove(name);
  expect(journal.db.prepare("SELECT count(*) FROM owed_removals").pluck().get()).toBe(NAMES.length);
  const plan = journal.db.prepare("EXPLAIN QUERY PLAN SELECT * FROM owed_removals WHERE before > ?").all(5) as readonly { readonly detail: string }[];
  expect(plan[0]!.detail).toContain("USING INDEX owed_removals_before");
  for (let turns = 0; world.journal.removals.isOwed && turns < 99; turns += 1) world.pass(1);
  expect(world.journal.removals.isOwed).toBe(false);
});
