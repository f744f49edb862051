/** Gates and alarms ask again and again. What is no news about that leaves no row in the journal, and nothing of it is lost. */
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { deploymentAt } from "../api/deployment-at.ts";
import { DeploymentViews } from "../api/views.ts";
import { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { Verdict } from "../rollout/asking.ts";
import { ALL, alarm, APPROVAL, count, prometheus, wave, webhook } from "../rollout/rollout.fixture.ts";
import { failCommitOnce } from "./failing-disk.fixture.ts";
import { lasting, World } from "./world.fixture.ts";

const ID = "d-1" as DeploymentId;
const SECOND = 1000;

/** All that is asked is answered. */
async function answer(world: World, kind: Verdict, detail = `it says ${kind}`): Promise<void> {
  for (const { answer: take } of world.asked.splice(0)) take({ kind, detail });
  await new Promise((resolve) => setImmediate(resolve));
}

/** The same answer to each question of so many seconds. */
async function answers(world: World, seconds: number, kind: Verdict, detail?: (second: number) => string): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    world.pass(SECOND, "a", "b");
    await answer(world, kind, detail?.(second));
  }
}

async function deployed(strategy: Partial<Strategy>): Promise<World> {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { maxUnavailable: count(9), progressDeadlineMs: 7_200_000, ...strategy });
  return world;
}

/** At an approval, with an alarm that is asked each second and has been quiet. */
async function watched(changes: Parameters<typeof alarm>[0] = {}): Promise<World> {
  const world = await deployed({ waves: [wave(count(1), { gates: [APPROVAL] }), ALL], alarms: [alarm({ intervalMs: SECOND, ...changes })] });
  await answer(world, "go");
  await world.settle("a");
  world.pass(SECOND, "a", "b");
  await answer(world, "go");
  return world;
}

/** Behind a gate that asks each second. */
async function atGate(gate: Strategy["waves"][number]["gates"][number]): Promise<World> {
  const world = await deployed({ waves: [wave(count(1), { gates: [gate] }), ALL] });
  await world.settle("a");
  world.pass(SECOND, "a", "b");
  return world;
}

const rows = (world: World, from: number): readonly string[] => world.journal.page({ fromSeq: from + 1 }).map(({ entry }) => ("verdict" in entry ? `${entry.kind} ${entry.verdict}` : entry.kind));
const shown = async (world: World) => (await new DeploymentViews(world.journal.db, (id) => world.engine.waitingOn(id), (id) => world.engine.rollout(id), world.engine).one(ID))!;

/** Memory is what a reload reads, and a replay of the rows makes the same tables. */
function expectWhole(world: World): void {
  expect(lasting(world.engine.rollout(ID))).toEqual({ ...(lasting(loadRollout(world.journal, ID)) as object) });
  const replayed = Journal.open(":memory:");
  replayed.transaction(() => {
    for (const row of world.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
  });
  expect(world.tables(replayed)).toEqual(world.tables());
  replayed.close();
}

test("an alarm that stays quiet for ten minutes leaves no row, and status shows its last answer", async () => {
  const world = await watched();
  const before = world.journal.lastSeq;
  await answers(world, 600, "go", (second) => `errors is ${second}`);
  expect(rows(world, before)).toEqual([]);
  expect((await shown(world)).alarms[0]).toMatchObject({ said: "errors is 599", askedAt: world.clock.now() });
  expectWhole(world);
});

test("an alarm is told when it is active, when it is quiet again, and when it does not answer", async () => {
  const world = await watched({ failureLimit: 2, retries: 5 });
  const before = world.journal.lastSeq;
  for (const verdict of ["go", "stop", "stop", "go", "go", "silent", "silent", "go", "go", "wait", "wait", "go"] as const) await answers(world, 1, verdict);
  const told = ["stop", "stop", "go", "silent", "silent", "go", "wait", "go"];
  expect(rows(world, before)).toEqual(told.map((verdict) => `alarm_answered ${verdict}`));
  expectWhole(world);
});

test("an alarm that is silent for longer than its retries is told no more, and stops nothing where that is put up with", async () => {
  const world = await watched({ retries: 2, onSilence: "go" });
  const before = world.journal.lastSeq;
  await answers(world, 60, "silent");
  expect([rows(world, before), world.phase(ID)]).toEqual([["alarm_answered silent", "alarm_answered silent", "alarm_answered silent"], "rolling"]);
  expectWhole(world);
  await answers(world, 1, "stop");
  expect(world.phase(ID)).toBe("rolling_back");
});

test("a webhook that says wait for ten minutes is told once, and status shows its last answer", async () => {
  const world = await atGate(webhook({ retryIntervalMs: SECOND }));
  const before = world.journal.lastSeq;
  await answers(world, 600, "wait", (second) => `${second} of 1000 checked`);
  expect(rows(world, before)).toEqual(["gate_answered wait"]);
  expect([(await shown(world)).waves[0]!.gates[0]!.said, world.waitingOn(ID)]).toEqual(["599 of 1000 checked", "the webhook of wave 1 to say go (last: 599 of 1000 checked)"]);
  expectWhole(world);
  await answers(world, 1, "go");
  expect(world.wanted("b")).toBe("1");
});

test("a webhook that does not answer for ten minutes is told until its retries are over, and counted on", async () => {
  const world = await atGate(webhook({ retryIntervalMs: SECOND, retries: 2, onSilence: "wait" }));
  const before = world.journal.lastSeq;
  await answers(world, 600, "silent");
  expect(rows(world, before)).toEqual(["gate_answered silent", "gate_answered silent", "gate_answered silent"]);
  expect(world.waitingOn(ID)).toBe("the webhook of wave 1 to say go: 600 without an answer (last: it says silent)");
  expectWhole(world);
});

test("each measurement that counts for a metric is told, and no question but the first", async () => {
  const world = await atGate(prometheus({ intervalMs: SECOND, count: 3, failureLimit: 1 }));
  const before = world.journal.lastSeq;
  for (const verdict of ["go", "stop", "go"] as const) {
    await answers(world, 1, verdict);
    expectWhole(world);
  }
  expect(rows(world, before)).toEqual(["gate_answered go", "gate_answered stop", "gate_answered go"]);
  expect(world.waitingOn(ID)).toBe("the metric of wave 1 to be within its limits: 2 of 3 measurements (last: it says go)");
});

test("no two questions have one number, though the first is all that has a row, also for the next controller", async () => {
  const world = await watched();
  await answers(world, 10, "go");
  world.pass(SECOND, "a", "b");
  const { attempt } = world.asked.splice(0)[0]!.question;
  world.startEngine();
  world.pass(SECOND, "a", "b");
  expect([attempt, world.asked.map(({ question }) => question.attempt)]).toEqual([13, [14]]);
});

test("a transaction that fails with a question in it asks it again, as the same one", async () => {
  const world = await watched();
  await answers(world, 10, "go");
  const seen = failCommitOnce(world, () => world.engine.rollout(ID)?.alarms[0]?.isAsked === true);
  world.pass(3 * SECOND, "a", "b");
  expect([seen.failed, world.asked.map(({ question }) => question.attempt)]).toEqual([1, [13]]);
  await answer(world, "stop");
  expect(world.phase(ID)).toBe("rolling_back");
});

test("an overdue answer keeps everybody from starting, though its question has no row", async () => {
  const world = await watched();
  await answers(world, 10, "go");
  world.pass(60 * SECOND, "a", "b");
  expect(world.command(ID, "approve").ok).toBe(true);
  expect([world.wanted("b"), world.waitingOn(ID)]).toEqual([undefined, "the answer of alarm 1, which is overdue (last: it says go)"]);
  await answer(world, "go");
  expect(world.wanted("b")).toBe("1");
});

test("a deployment is shown as it stood then with what was told", async () => {
  const world = await atGate(webhook({ retryIntervalMs: SECOND }));
  await answers(world, 10, "wait", (second) => `${second} of 1000 checked`);
  const past = (await deploymentAt(world.journal, ID, world.clock.now() as Instant, false))!;
  expect([past.waitingOn, past.waves[0]!.gates[0]!.said]).toEqual(["the webhook of wave 1 to say go (last: 0 of 1000 checked)", "0 of 1000 checked"]);
});
