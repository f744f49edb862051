/** A deployment as it stood at a time, though the controller's clock was wrong for a while: what that wrote hides nothing that came later, and shows nothing before it was. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deploymentAt } from "../api/deployment-at.ts";
import { Journal } from "../journal/journal.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MACHINES = ["a", "b", "c"];
let folder: string;
let scene: Scene;
let id: DeploymentId;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-clock-"));
  scene = new Scene(join(folder, "muster.db"));
  scene.engine.archiving.stop();
  scene.clock.wall = Date.UTC(2026, 9, 20, 10);
  scene.elapse(10_000);
  await scene.join(...MACHINES);
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
  rmSync(folder, { recursive: true });
});

/** States of a, b and c; undefined: it was not there. */
async function stood(at: number): Promise<string | undefined> {
  const view = await deploymentAt(scene.journal, id, at as Instant, true).catch(() => undefined);
  return view?.targets.map(({ state }) => (state === TargetState.HEALTHY ? "healthy" : "moving")).join(" ");
}

const newestAt = async (at: number): Promise<string | undefined> => (await deploymentAt(scene.journal, "", at as Instant, false).catch(() => undefined))?.id;

/** The next controller, on the same files. */
function restart(): void {
  scene.engine.stop();
  scene.journal.close();
  scene.journal = Journal.open(join(folder, "muster.db"));
  scene.startEngine();
  scene.engine.archiving.stop();
}

/** a is healthy, b becomes so while the clock is wrong by `offMs` for ten seconds, and then c. Times are of a clock that is right. */
async function wrongBy(offMs: number): Promise<Record<"submitted" | "one" | "wrong" | "three" | "later", number>> {
  id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  const submitted = scene.clock.now();
  scene.elapse(10_000, ...MACHINES);
  await scene.tell("a", "healthy", "1");
  const one = scene.clock.now();
  scene.elapse(20_000, ...MACHINES);
  const wrong = scene.clock.now() - 1;
  scene.clock.wall += offMs;
  scene.elapse(5000, ...MACHINES);
  await scene.tell("b", "healthy", "1");
  scene.elapse(5000, ...MACHINES);
  scene.clock.wall -= offMs;
  scene.elapse(20_000, ...MACHINES);
  await scene.tell("c", "healthy", "1");
  const three = scene.clock.now();
  scene.elapse(600_000, ...MACHINES);
  return { submitted, one, wrong, three, later: scene.clock.now() };
}

describe.each([
  ["an hour ahead", HOUR],
  ["an hour behind", -HOUR],
  ["that of a host which has just started, in 1970", -Date.UTC(2026, 9, 20, 10)],
])("a clock that was %s for ten seconds", (_, offMs) => {
  const expectAll = async ({ submitted, one, wrong, three, later }: Awaited<ReturnType<typeof wrongBy>>): Promise<void> => {
    expect(await stood(submitted - 1000)).toBeUndefined();
    expect([await stood(submitted + 1000), await stood(one), await stood(wrong)]).toEqual(["moving moving moving", "healthy moving moving", "healthy moving moving"]);
    expect([await stood(three), await stood(later), await stood(later + 2 * HOUR)]).toEqual(Array.from({ length: 3 }, () => "healthy healthy healthy"));
  };

  test("hides nothing that came later, and shows nothing before it was", async () => {
    await expectAll(await wrongBy(offMs));
  });

  test("nor for the next controller, and with the rows in the archive", async () => {
    const times = await wrongBy(offMs);
    restart();
    await expectAll(times);
    scene.age(60 * DAY);
    scene.elapse(5000, ...MACHINES);
    await scene.join("d");
    await scene.engine.archiving.sweep();
    expect(scene.journal.archive.extent().rows).toBeGreaterThan(0);
    await expectAll(times);
  });
});

test("the newest deployment of a time is found by the order of rows", async () => {
  id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  scene.elapse(10_000, ...MACHINES);
  scene.clock.wall += HOUR;
  scene.elapse(5000, ...MACHINES);
  const second = scene.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  scene.clock.wall -= HOUR;
  const before = scene.clock.now() - 10_000;
  scene.elapse(20_000, ...MACHINES);
  await scene.tell("a", "healthy", "1");
  expect([await newestAt(before), await newestAt(scene.clock.now())]).toEqual([id, second]);
});

test("a transaction that fails leaves no trace of its clock", async () => {
  id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  const { journal, clock } = scene;
  const at = clock.now();
  expect(() =>
    journal.transaction(() => {
      journal.append({ kind: "machine_heard", machine: "a" as never }, { at: (at - HOUR) as Instant, attended: 0 as never });
      throw new Error("full");
    }),
  ).toThrow("full");
  scene.elapse(10_000, ...MACHINES);
  await scene.tell("a", "healthy", "1");
  expect(journal.corrections.newestFirst()).toEqual([]);
});

test("a small step back soon after the correction of a clock that was ahead hides nothing", async () => {
  id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(9), healthyDeadlineMs: HOUR, progressDeadlineMs: 2 * HOUR });
  scene.elapse(10_000, ...MACHINES);
  scene.clock.wall += HOUR;
  scene.elapse(30_000, ...MACHINES);
  await scene.tell("a", "healthy", "1");
  scene.elapse(30_000, ...MACHINES);
  await scene.tell("b", "healthy", "1");
  scene.elapse(60_000, ...MACHINES);
  await scene.join("d");
  scene.clock.wall -= HOUR;
  await scene.tell("c", "healthy", "1");
  scene.elapse(10_000, ...MACHINES, "d");
  const between = scene.clock.now();
  await scene.join("e");
  // As NTP makes them.
  scene.clock.wall -= 100;
  await scene.join("f");
  scene.elapse(600_000, ...MACHINES);
  expect(await stood(between - 2000)).toMatch(/^healthy healthy healthy/);
});

describe("while the clock was a day ahead", () => {
  test("what a deployment waited for then is told after it was set right", async () => {
    scene.clock.wall += DAY;
    scene.elapse(5000, ...MACHINES);
    scene.deploy("1", { waves: [{ ...ALL, gates: [{ kind: "soak", forMs: 30_000 }] }], maxUnavailable: count(9) });
    const second = scene.deploy("2", { waves: [ALL], maxUnavailable: count(9), onConflict: "queue" });
    scene.elapse(2000, ...MACHINES);
    const waitedFor = async (): Promise<boolean> => /(?:waits: waits|waited: waited .*) for d-1 \(app@1, (?:pending|rolling)\) to end/.test(await scene.whyDeployment(second));
    expect(await waitedFor()).toBe(true);
    scene.clock.wall -= DAY;
    scene.pass(5000, ...MACHINES);
    expect(await waitedFor()).toBe(true);
    for (const machine of MACHINES) await scene.tell(machine, "healthy", "1");
    scene.elapse(40_000, ...MACHINES);
    expect(scene.phase(second)).toBe("rolling");
    expect(await waitedFor()).toBe(true);
  });

  test("a machine that fell silent then did so after those steps are archived, too", async () => {
    const first = scene.deploy("1", { waves: [{ ...ALL, gates: [{ kind: "soak", forMs: 60_000 }] }], maxUnavailable: count(9) });
    for (const machine of MACHINES) await scene.tell(machine, "healthy", "1");
    scene.clock.wall += DAY;
    scene.elapse(25_000, "a", "b");
    scene.clock.wall -= DAY;
    scene.elapse(25_000, "a", "b");
    scene.command(first, "abort");
    scene.elapse(5000, "a", "b");
    const told = await scene.whyMachine("c", first);
    expect(told).toContain("silent");
    scene.age(60 * DAY);
    scene.elapse(2000, "a", "b");
    await scene.engine.archiving.sweep();
    expect(await scene.whyMachine("c", first)).toBe(told);
  });
});
