/** What machines say, and what becomes of them, while nobody listens: the rollout is paused for a bug, the budget of reports is used up, reports are owed, the controller starts anew. */
import { expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { diskFull } from "./failing-disk.fixture.ts";
import { NAMES, onOne } from "./on-one.fixture.ts";
import { NIGHTLY, World } from "./world.fixture.ts";


/** a and b took 2 and wait; then the calendar fails, so that the rollout is paused for a bug of the controller. */
async function broken() {
  const world = new World();
  await world.join("a", "b", "c", "d");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c", "d");
  const id = world.deploy("2", { waves: [ALL], window: NIGHTLY, maxUnavailable: count(2), healthyDeadlineMs: 60_000, progressDeadlineMs: 300_000, maxFailures: count(1) });
  world.calendarFails = true;
  await world.say("a", "healthy");
  world.pass(3000, "a", "b", "c", "d");
  expect([world.phase(id), loadRollout(world.journal, id)!.reason?.code]).toEqual(["paused", "internal"]);
  return { world, id };
}

/** Of three, a took 2 first, is healthy, and its soak of 20 s has begun. */
async function soaking() {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  const soak = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 20_000 }] } as never;
  const id = world.deploy("2", { waves: [soak, ALL], maxUnavailable: count(9) });
  const generation = world.generation("a");
  await world.say("a", "healthy");
  return { world, id, generation };
}

/** Of two, a says nothing: it has 60 s to be healthy, and the rollout 90 s to make progress. */
async function unanswered() {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1), healthyDeadlineMs: 60_000, progressDeadlineMs: 90_000, minHealthyTimeMs: 1000 });
  await world.say("b", "healthy");
  return { world, id };
}

test("a machine that took the release and was lost while its rollout was paused for a bug keeps it from succeeding when it goes on", async () => {
  const { world, id } = await broken();
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  world.pass(30_000, "c", "d");
  world.calendarFails = false;
  expect(world.command(id, "resume").ok).toBe(true);
  world.pass(2000, "c", "d");
  for (const machine of ["c", "d"]) if (world.wanted(machine) === "2") await world.say(machine, "healthy");
  world.pass(10_000, "c", "d");
  for (const machine of ["c", "d"]) if (world.wanted(machine) === "2") await world.say(machine, "healthy");
  world.pass(10_000, "c", "d");
  expect([world.state(id, "a"), world.state(id, "b")]).toEqual(["unreachable", "unreachable"]);
});

test("a machine that was removed while its rollout was paused for a bug is told nothing when it goes on", async () => {
  const { world, id } = await broken();
  world.remove("d");
  world.calendarFails = false;
  expect(world.command(id, "resume").ok).toBe(true);
  for (const machine of ["a", "b", "c"]) {
    world.pass(2000, "a", "b", "c");
    await world.say(machine, "healthy");
  }
  world.pass(5000, "a", "b", "c");
  expect([world.state(id, "d"), world.wanted("d"), world.phase(id)]).toEqual(["removed", undefined, "succeeded"]);
});

test("a machine that said nothing while its rollout was paused for a bug fails by itself when it goes on", async () => {
  const { world, id } = await broken();
  await world.say("a", "healthy");
  world.pass(100_000, "a", "b", "c", "d");
  world.calendarFails = false;
  expect(world.command(id, "resume").ok).toBe(true);
  for (let round = 0; round < 4; round += 1) {
    world.pass(20_000, "a", "b", "c", "d");
    for (const machine of ["c", "d"]) if (world.wanted(machine) === "2") await world.say(machine, "healthy");
  }
  world.pass(600_000, "a", "b", "c", "d");
  expect([world.phase(id), world.state(id, "b")]).toEqual(["succeeded", "failed"]);
});

test("a machine that was drained while its rollout was paused for a bug holds nobody up when it goes on", async () => {
  const { world, id } = await broken();
  await world.say("a", "healthy");
  world.engine.orders.cordon("b" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await world.say("b", "removed");
  world.calendarFails = false;
  expect(world.command(id, "resume").ok).toBe(true);
  for (let round = 0; round < 4; round += 1) {
    world.pass(5000, "a", "b", "c", "d");
    for (const machine of ["c", "d"]) if (world.wanted(machine) === "2") await world.say(machine, "healthy");
  }
  expect([world.phase(id), world.state(id, "b")]).toEqual(["succeeded", "skipped"]);
});

test.each([0, 300])("an app that crashes again and again (%s times) does not hide that another one on its machine fails in the soak", async (crashes) => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) }, { app: "loop" });
  for (const machine of ["a", "b", "c"]) await world.say(machine, "healthy");
  const loop = world.generation("a");
  const generations = new Map(["a", "b", "c"].map((machine) => [machine, world.generation(machine)]));
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  const other = (machine: string) => world.engine.assignmentFor(machine as never)!.apps.find(({ app }) => app === "app")!.generation;
  for (const machine of ["a", "b", "c"]) await world.say(machine, "healthy", other(machine), "app");
  expect(loop).toBe(generations.get("a"));
  for (let n = 0; n < crashes; n += 1) {
    await world.say("a", "unhealthy", loop, "loop");
    await world.say("a", "activating", loop, "loop");
  }
  const soak = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 10_000 }] } as never;
  const id = world.deploy("2", { waves: [soak, ALL], maxUnavailable: count(9) });
  expect(world.wanted("a", "app")).toBe("2");
  await world.say("a", "healthy", other("a"), "app");
  world.pass(2000, "a", "b", "c");
  // It goes back by itself.
  await world.say("a", "reverting", other("a"), "app");
  await world.say("a", "reverted", other("a"), "app");
  world.pass(12_000, "a", "b", "c");
  expect([world.state(id, "a") === "healthy", world.wanted("b", "app"), world.wanted("c", "app")]).toEqual([false, "1", "1"]);
});

test.each([2, 3])("a machine that is heard again with a report of another app to come (made: %s, stored: 2) is as healthy as it was", async (made) => {
  const world = new World();
  await world.join("a", "b", "c", "d");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) }, { app: "other" });
  await world.settle("a", "b", "c", "d");
  const other = world.generation("a");
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), maxUnreachable: count(4), healthyDeadlineMs: 60_000, progressDeadlineMs: 120_000, minHealthyTimeMs: 1000 });
  const gen = () => world.engine.assignmentFor("a" as never)!.apps.find(({ app }) => app === "app")!.generation;
  await world.say("a", "healthy", gen(), "app");
  world.pass(20_000, "b", "c", "d");
  expect(world.state(id, "a")).toBe("unreachable");
  // It comes back, and owes one report: of the other app.
  const joined = { kind: "machine_joined", labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" } as const;
  await world.engine.hello({ ...joined, machine: "a" as never, instance: "i-a" }, gen(), made);
  await world.say("a", "unhealthy", other, "other");
  world.pass(2000, "a", "b", "c", "d");
  expect(world.state(id, "a")).toBe("healthy");
  for (let round = 0; round < 8; round += 1) {
    for (const machine of ["b", "c", "d"]) if (world.wanted(machine) === "2") await world.say(machine, "healthy");
    world.pass(2000, "a", "b", "c", "d");
  }
  world.pass(200_000, "a", "b", "c", "d");
  expect(world.phase(id)).toBe("succeeded");
});

test("the controller's deadline comes before progress_deadline also when the controller was started anew in between", async () => {
  const { world, id } = await unanswered();
  world.pass(40_000, "a", "b");
  world.startEngine();
  world.pass(200_000, "a", "b");
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["failed", "succeeded"]);
});

test("the same after a fault of the disk that is over at once", async () => {
  const { world, id } = await unanswered();
  world.pass(40_000, "a", "b");
  const append = world.journal.append;
  world.journal.append = () => {
    world.journal.append = append;
    throw diskFull();
  };
  await expect(world.say("b", "unhealthy", 999_999)).rejects.toThrow("disk is full");
  world.pass(2000, "a", "b");
  await world.say("b", "healthy");
  world.pass(200_000, "a", "b");
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["failed", "succeeded"]);
});

test.each(["after its report", "before it"])("a soak does not open on the hello of a machine whose failure is still in its spool (looked at %s)", async (when) => {
  const { world, id, generation } = await soaking();
  world.pass(9000, "a", "b", "c");
  // Its link is cut for 13s, less than silent-after, and the app dies meanwhile.
  world.pass(13_000, "b", "c");
  expect([world.state(id, "a"), world.wanted("b")]).toEqual(["healthy", "1"]);
  const joined = { kind: "machine_joined", labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" } as const;
  // Stored: two reports; made: three.
  expect(await world.engine.hello({ ...joined, machine: "a" as never, instance: "i-a" }, generation, 3)).toBe(2);
  if (when === "before it") world.clock.advance(600);
  else await world.say("a", "reverting", generation);
  if (when !== "before it") world.clock.advance(600);
  const told = [world.wanted("b"), world.wanted("c")];
  await world.say("a", "reverting", generation);
  expect([world.state(id, "a"), told]).toEqual(["failed", ["1", "1"]]);
});

test("control: without either it fails by itself", async () => {
  const { world, id } = await unanswered();
  world.pass(240_000, "a", "b");
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["failed", "succeeded"]);
});

test("a soak does not open while the failure of its machine could not be stored, since the disk was full for a moment", async () => {
  const { world, id, generation } = await soaking();
  world.pass(18_000, "a", "b", "c");
  const transaction = world.journal.transaction;
  world.journal.transaction = (() => {
    throw diskFull();
  }) as never;
  const again = { seq: 3 };
  await expect(world.saySeq("a", "reverting", generation, again.seq)).rejects.toThrow("disk is full");
  world.pass(4000, "a", "b", "c");
  world.journal.transaction = transaction;
  // The agent sends it again two seconds later.
  world.pass(2000, "a", "b", "c");
  const told = [world.wanted("b"), world.wanted("c")];
  await world.saySeq("a", "reverting", generation, again.seq);
  expect([world.state(id, "a"), told]).toEqual(["failed", ["1", "1"]]);
});

test("a wave does not begin after its time while a machine of the wave before has reports that have not come in", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(1)), { ...ALL, afterMs: 20_000 }], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  world.pass(18_000, ...NAMES);
  expect(world.wanted("b")).toBe("1");
  // Its link was cut for a moment, and it has kept a report.
  const generation = world.generation("a");
  await world.engine.hello({ kind: "machine_joined", machine: "a" as never, instance: "i-a", labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, generation, 100);
  world.pass(4000, ...NAMES);
  const told = ["b", "c", "d"].map((name) => world.wanted(name));
  await world.saySeq("a", "unhealthy", generation, 100);
  expect([told, world.phase(id)]).toEqual([["1", "1", "1"], "rolling_back"]);
});
