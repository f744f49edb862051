/** What retention lets go, and what it never does. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AppName, Digest, MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { diskFull } from "./failing-disk.fixture.ts";
import { RETENTION_DEFAULT, type RetentionRule } from "./retention.ts";
import { World } from "./world.fixture.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let world: World;

beforeEach(async () => {
  world = new World();
  await world.join("a", "b");
});

afterEach(() => {
  world.engine.stop();
  world.journal.close();
});

/** Artifacts by the version that is made of them. */
const digestOf = (version: string): Digest => version.padStart(64, "0") as Digest;

function push(version: string): void {
  world.engine.operators.recordArtifact({ kind: "artifact_stored", artifact: digestOf(version), fileCount: 1, sizeBytes: 1, packBytes: 1 });
}

function submit(version: string, changes: Parameters<World["submit"]>[1] = {}): void {
  const answer = world.submit(version, { waves: [ALL], maxUnavailable: count(2), ...changes }, { artifact: digestOf(version) });
  if (!answer.ok) throw new Error(answer.refusal.message);
}

async function release(version: string): Promise<void> {
  world.clock.advance(1000);
  push(version);
  submit(version);
  for (const machine of ["a", "b"]) await world.say(machine, "healthy");
}

/** The machines are heard afterwards, as after each gap. */
function setClock(byMs: number): void {
  world.clock.wall += byMs;
  world.pass(2000, "a", "b");
}

/** Returns the releases whose files went. */
function set(rule: RetentionRule, by: string): Promise<readonly string[]> {
  const removed = world.engine.retention.set(rule, by);
  world.clock.advance(0);
  return removed;
}

const kept = (): string[] => (world.journal.db.prepare("SELECT digest FROM artifacts ORDER BY digest").pluck().all() as string[]).map((digest) => digest.replace(/^0+/, "")).filter((name) => !/^a+$/.test(name));

test("without a rule the default holds, and a rule that was set is shown", async () => {
  expect(world.engine.retention.rule()).toEqual(RETENTION_DEFAULT);
  expect(RETENTION_DEFAULT).toEqual({ keep: 20, keepForMs: 90 * DAY, stepsForMs: 30 * DAY });
  await set({ keep: 3, keepForMs: DAY, stepsForMs: HOUR }, "anna");
  expect(world.engine.retention.rule()).toEqual({ keep: 3, keepForMs: DAY, stepsForMs: HOUR });
});

test("files go when both limits are passed, and what went is said", async () => {
  for (const version of ["1", "2", "3", "4"]) await release(version);
  expect(await set({ keep: 2, keepForMs: HOUR, stepsForMs: DAY }, "anna")).toEqual([]);
  expect(await set({ keep: 10, keepForMs: 0, stepsForMs: DAY }, "anna")).toEqual([]);
  expect(await set({ keep: 2, keepForMs: 0, stepsForMs: DAY }, "anna")).toEqual(["app@1", "app@2"]);
  expect(kept()).toEqual(["3", "4"]);
  expect(await set({ keep: 2, keepForMs: 0, stepsForMs: DAY }, "anna")).toEqual([]);
});

test("releases that were never healthy push out none that was, and go by age alone", async () => {
  for (const version of ["1", "2", "3"]) await release(version);
  for (const version of ["6", "7", "8"]) {
    world.clock.advance(1000);
    push(version);
    submit(version);
    for (const machine of ["a", "b"]) await world.say(machine, "reverted");
    await world.settle("a", "b");
  }
  // Young ones stay, whatever they were.
  await set({ keep: 3, keepForMs: 1500, stepsForMs: 30 * 86_400_000 }, "anna");
  expect(kept()).toEqual(["1", "2", "3", "7", "8"]);
  await set({ keep: 3, keepForMs: 0, stepsForMs: 30 * 86_400_000 }, "anna");
  expect(kept()).toEqual(["1", "2", "3"]);
});

test("one machine on which a release was healthy is enough for it to count", async () => {
  for (const version of ["1", "2"]) await release(version);
  world.clock.advance(1000);
  push("3");
  submit("3", { maxUnavailable: count(1) });
  await world.say("a", "healthy");
  await world.say("b", "reverted");
  await world.settle("a", "b");
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["1", "2", "3"]);
});

test("a rollback to a release whose files are gone is refused; its files can be pushed again", async () => {
  for (const version of ["1", "2", "3"]) await release(version);
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["2", "3"]);
  expect(world.engine.operators.rollbackTo("d-3" as never, "1", { by: "", reason: "" })).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("removed by retention") } });
  push("1");
  expect(await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna")).toEqual([]);
  expect(kept()).toEqual(["1", "2", "3"]);
  submit("1");
  for (const machine of ["a", "b"]) await world.say(machine, "healthy");
  world.clock.advance(1);
  expect(kept()).toEqual(["1", "3"]);
});

test("what a machine runs, ran last, or is told to run stays, however old", async () => {
  await release("8");
  await release("1");
  await world.joinAs({ role: "db" }, "x");
  push("2");
  submit("2", { targets: "role=db" });
  await world.say("x", "healthy");
  await release("3");
  push("4");
  submit("4", { onFailure: "pause" });
  // `a` and `b` are told of 4, have 3 as their last good one, and would go back to 1 from that; 8 is nobody's.
  world.clock.advance(2 * DAY);
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["1", "2", "3", "4"]);
});

test("what an agent says that it runs stays though nothing else knows of it", async () => {
  for (const version of ["8", "1", "2", "3"]) await release(version);
  await world.engine.report([
    {
      kind: "report_accepted",
      machine: "a" as MachineId,
      app: "app" as AppName,
      instance: "i-a",
      reportSeq: 99,
      observedAt: world.clock.now(),
      generation: 1,
      phase: "healthy",
      reason: null,
      runningVersion: "1",
      runningArtifact: digestOf("1"),
      starts: 1,
      pid: 1,
      ports: {},
    },
  ]);
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["1", "2", "3"]);
});

test("what machines go back to while a deployment has not ended stays, and what they would go back to from what stands", async () => {
  await release("8");
  await release("1");
  await release("2");
  push("3");
  submit("3");
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["1", "2", "3"]);
});

test("files without a release stay for a day at least", async () => {
  push("9");
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  world.clock.advance(DAY - HOUR);
  expect(kept()).toEqual(["9"]);
  world.clock.advance(2 * HOUR);
  expect(kept()).toEqual([]);
});

test("it looks by itself after each deployment that ends, and every hour", async () => {
  await release("8");
  await release("1");
  await set({ keep: 1, keepForMs: HOUR * 3, stepsForMs: DAY }, "anna");
  await release("2");
  world.clock.advance(2 * HOUR);
  expect(kept()).toEqual(["1", "2", "8"]);
  world.clock.advance(2 * HOUR);
  expect(kept()).toEqual(["1", "2"]);
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  await world.join("a", "b");
  await release("3");
  world.clock.advance(1);
  expect(kept()).toEqual(["2", "3"]);
});

test("two apps made of the same files keep them as long as one of them does", async () => {
  await release("8");
  await release("1");
  await release("2");
  await release("3");
  const other = world.engine.operators.submit({
    app: "other" as AppName,
    release: { app: "other", version: "1", artifact: digestOf("1"), driver: { $case: "files", value: {} }, ports: {}, health: [], secrets: undefined },
    selector: { text: "role=web", requirements: [] },
    strategy: JSON.parse(world.journal.db.prepare("SELECT strategy FROM deployments").pluck().get() as string) as Strategy,
  });
  expect(other.ok).toBe(true);
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["1", "2", "3"]);
});

test("the journal tells it, and its replay gives the same tables", async () => {
  for (const version of ["8", "1", "2"]) await release(version);
  await set({ keep: 1, keepForMs: 0, stepsForMs: 30 * 86_400_000 }, "anna");
  const kinds = world.journal.db.prepare("SELECT kind FROM journal ORDER BY seq DESC LIMIT 2").pluck().all();
  expect(kinds).toEqual(["artifact_removed", "retention_set"]);
});

test("a deployment whose file was repeated since can still be rolled back: what it goes back to is kept", async () => {
  for (const version of ["1", "2"]) await release(version);
  const second = "d-2" as never;
  push("2");
  submit("2");
  world.clock.advance(1000);
  push("3");
  submit("3");
  for (const machine of ["a", "b"]) await world.say(machine, "healthy");
  expect(world.command("d-4" as never, "rollback").ok).toBe(true);
  await world.settle("a", "b");
  await set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(world.command(second, "rollback").ok).toBe(true);
  expect([world.wanted("a"), kept().includes("1")]).toEqual(["1", true]);
});

test("what a full disk kept from going goes when there is room", async () => {
  for (const version of ["1", "2", "3"]) await release(version);
  const append = world.journal.append.bind(world.journal);
  let isFull = true;
  world.journal.append = ((...row: Parameters<typeof append>) => {
    if (isFull && row[0].kind === "artifact_removed") throw diskFull();
    return append(...row);
  }) as never;
  const removed = world.engine.retention.set({ keep: 1, keepForMs: 0, stepsForMs: DAY }, "anna");
  world.pass(2000, "a", "b");
  expect(kept()).toEqual(["1", "2", "3"]);
  isFull = false;
  world.pass(60_000, "a", "b");
  expect(await removed).toEqual(["app@1"]);
  expect(kept()).toEqual(["2", "3"]);
});

test("a clock that is wrong for some seconds lets nothing go that is not old, also at a start", async () => {
  for (const version of ["1", "2", "3", "4"]) await release(version);
  push("9");
  await set({ keep: 1, keepForMs: 30 * DAY, stepsForMs: 30 * DAY }, "anna");
  world.clock.wall += 400 * DAY;
  await set({ keep: 1, keepForMs: 30 * DAY, stepsForMs: 30 * DAY }, "anna");
  world.pass(5000, "a", "b");
  await release("5");
  world.startEngine();
  await world.join("a", "b");
  world.pass(5000, "a", "b");
  await set({ keep: 1, keepForMs: 30 * DAY, stepsForMs: 30 * DAY }, "anna");
  world.clock.wall -= 400 * DAY;
  world.pass(5000, "a", "b");
  expect(kept()).toEqual(["1", "2", "3", "4", "5", "9"]);
});

test("what was made while the clock was behind is young when it is set, and what was made while it was ahead grows old", async () => {
  setClock(Date.UTC(2026, 4, 4) - 40 * DAY - world.clock.wall);
  for (const version of ["1", "2", "3"]) await release(version);
  push("9");
  setClock(40 * DAY);
  await set({ keep: 1, keepForMs: 3 * HOUR, stepsForMs: DAY }, "anna");
  world.pass(5000, "a", "b");
  expect(kept()).toEqual(["1", "2", "3", "9"]);
  setClock(400 * DAY);
  for (const version of ["4", "5", "6"]) await release(version);
  setClock(-400 * DAY);
  world.clock.advance(5 * HOUR);
  expect(kept()).toEqual(["5", "6", "9"]);
});

test("the newest are those that were made last, whatever the clock said", async () => {
  for (const version of ["8", "1"]) await release(version);
  setClock(400 * DAY);
  await release("2");
  setClock(-400 * DAY);
  for (const version of ["3", "4", "5"]) await release(version);
  await set({ keep: 3, keepForMs: 0, stepsForMs: DAY }, "anna");
  expect(kept()).toEqual(["3", "4", "5"]);
});

test("time in which the controller was away does not count: what it keeps, it keeps for longer", async () => {
  for (const version of ["1", "2", "3"]) await release(version);
  await set({ keep: 1, keepForMs: 3 * HOUR, stepsForMs: DAY }, "anna");
  world.engine.stop();
  world.clock.advance(30 * DAY);
  world.startEngine();
  await world.join("a", "b");
  world.clock.advance(2 * HOUR);
  expect(kept()).toEqual(["1", "2", "3"]);
  world.clock.advance(2 * HOUR);
  expect(kept()).toEqual(["2", "3"]);
});
