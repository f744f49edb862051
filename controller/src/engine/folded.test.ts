/** A deployment whose targets became counts, but for one that stays by its name, stands again: late machines are its targets as before. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Scene } from "../history/history.fixture.ts";
import { loadRollout } from "../journal/load.ts";
import { auditRollout } from "../rollout/invariants.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";

const DAY_MS = 86_400_000;
const WIDE = { waves: [ALL], maxUnavailable: count(9) };
let folder: string;
let scene: Scene;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-folded-"));
  scene = new Scene(join(folder, "muster.db"));
  scene.engine.archiving.stop();
  await scene.join("a", "b", "c");
});
afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
  rmSync(folder, { recursive: true, force: true });
});

/** 1 ran on a, b and c; c was lost with it and removed; 2 took its place, and the steps of 1 went to the archive; 2 is rolled back. */
async function standsAgain(): Promise<ReturnType<Scene["deploy"]>> {
  const first = scene.deploy("1", WIDE);
  await scene.settle("a", "b", "c");
  scene.pass(2000, "a", "b", "c");
  expect(scene.phase(first)).toBe("succeeded");
  scene.pass(30_000, "a", "b");
  scene.remove("c");
  expect(scene.journal.db.prepare("SELECT state, left_as FROM targets WHERE deployment = ? AND machine = 'c'").get(first)).toEqual({ state: "removed", left_as: "lost" });
  const second = scene.deploy("2", WIDE);
  await scene.settle("a", "b");
  scene.pass(2000, "a", "b");
  expect(scene.phase(second)).toBe("succeeded");
  scene.age(40 * DAY_MS);
  scene.pass(2000, "a", "b");
  await scene.engine.archiving.sweep();
  expect(scene.journal.db.prepare("SELECT machine, position FROM targets WHERE deployment = ?").all(first)).toEqual([{ machine: "c", position: 2 }]);
  expect(scene.command(second, "rollback").ok).toBe(true);
  await scene.settle("a", "b");
  scene.pass(2000, "a", "b");
  expect(scene.phase(second)).toBe("rolled_back");
  return first;
}

test("the folded deployment, loaded, holds its own invariants", async () => {
  const first = await standsAgain();
  const state = loadRollout(scene.journal, first)!;
  expect(() => auditRollout(state)).not.toThrow();
});

test("a machine of the old name gets what stands, in this controller", async () => {
  await standsAgain();
  await scene.join("c");
  scene.pass(5000, "a", "b", "c");
  expect(scene.bugs).toEqual([]);
  expect(scene.wanted("c")).toBe("1");
});

test("and in the next one", async () => {
  await standsAgain();
  await scene.join("c");
  scene.pass(1000, "a", "b", "c");
  scene.startEngine();
  scene.pass(5000, "a", "b", "c");
  await scene.settle("a", "b", "c");
  scene.pass(5000, "a", "b", "c");
  expect(scene.bugs).toEqual([]);
  expect(scene.wanted("c")).toBe("1");
});

test("a machine of a new name joins it", async () => {
  await standsAgain();
  await scene.join("x");
  scene.pass(5000, "a", "b", "x");
  scene.startEngine();
  scene.pass(5000, "a", "b", "x");
  expect(scene.bugs).toEqual([]);
});
