/** A sweep follows the rule of now, also when that changes while it is under way, and leaves out no deployment for another one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeploymentId } from "@muster/proto/ids.ts";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Scene } from "../history/history.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import type { Attended } from "../rollout/moment.ts";
import { Archiving } from "./archiving.ts";
import type { Loop } from "./loop.ts";
import { RETENTION_DEFAULT } from "./retention.ts";

const DAY = 86_400_000;
const WIDE = { waves: [ALL], maxUnavailable: count(9) };
let folder: string;
let scene: Scene;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-archiving-"));
  scene = new Scene(join(folder, "muster.db"));
  await scene.join("a", "b", "c");
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
  rmSync(folder, { recursive: true, force: true });
});

function daysPass(days: number): void {
  scene.age(days * DAY);
  scene.pass(2000, "a", "b", "c");
}

async function deployed(version: string): Promise<DeploymentId> {
  const id = scene.deploy(version, WIDE);
  await scene.settle("a", "b", "c");
  scene.pass(2000, "a", "b", "c");
  expect(scene.phase(id)).toBe("succeeded");
  return id;
}

/** More steps than a frame holds, forty days ago, and some that are ten days old. */
async function history(): Promise<void> {
  for (let times = 0; times < 400; times += 1) for (const machine of ["a", "b", "c"]) await scene.say(machine, times % 2 === 0 ? "unhealthy" : "probing", 0);
  await deployed("1");
  daysPass(30);
  await deployed("2");
  daysPass(10);
}

/** The rule is another one once the first frame of a sweep is on disk. */
function changeOnTheWay(stepsForMs: number): void {
  const { archive } = scene.journal;
  archive.onStep = (step) => {
    if (step !== "indexed") return;
    archive.onStep = () => {};
    void scene.engine.retention.set({ ...RETENTION_DEFAULT, stepsForMs }, "anna");
    scene.engine.archiving.hurry();
  };
}

const archivedRows = (): number => scene.journal.archive.extent().rows;

describe("a rule that changes while a sweep is under way", () => {
  test("and keeps steps for longer keeps those that have not gone yet", async () => {
    await history();
    changeOnTheWay(300 * DAY);
    await scene.engine.archiving.sweep();
    expect(archivedRows()).toBe(500);
  });

  test("and keeps them for a shorter time is followed at once", async () => {
    await history();
    changeOnTheWay(5 * DAY);
    await scene.engine.archiving.sweep();
    const moved = archivedRows();
    await scene.engine.archiving.sweep();
    expect([moved > 1200, archivedRows()]).toEqual([true, moved]);
    expect(scene.journal.db.prepare("SELECT count(*) FROM journal WHERE deployment = 'd-2' AND kind = 'target_changed'").pluck().get()).toBe(0);
  });
});

test("a deployment that is taken up again leaves its targets, and the next one's become counts", async () => {
  const first = await deployed("1");
  const second = await deployed("2");
  await deployed("3");
  const { journal, clock } = scene;
  const sixtyDaysOn = (journal.db.prepare("SELECT max(attended) FROM journal").pluck().get() as number) + 60 * DAY;
  const now = { at: clock.now(), attended: sixtyDaysOn as Attended };
  const loop = {
    journal,
    clock,
    isStopped: false,
    attendance: { now: () => now },
    rollouts: { get: (id: DeploymentId) => (id === first ? {} : undefined) },
    commit: (work: (append: (entry: never) => void) => void) => journal.transaction(() => work((entry) => journal.append(entry, now))),
  } as unknown as Loop;
  await new Archiving(loop, pino({ level: "silent" }), () => 30 * DAY).sweep();
  expect(journal.db.prepare("SELECT DISTINCT deployment FROM archived_targets").pluck().all()).toEqual([second]);
});
