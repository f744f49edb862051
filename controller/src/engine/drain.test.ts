/** Drains and cordons in the middle of rollouts; new disks under them; large rollouts that are interrupted. */
import { describe, expect, test } from "vitest";
import { Journal } from "../journal/journal.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { PLANNED_AT_ONCE_MAX } from "./planner.ts";
import { lasting, World } from "./world.fixture.ts";

const by = { by: "anna", reason: "new disk" };
const APPROVED = { ...wave(count(1)), gates: [{ kind: "approval" }] } as never;

test.each([false, true])("a machine that was healthy, is drained in the middle of a rollout, and has a new disk then, fails nothing (uncordoned later: %s)", async (comesBack) => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  const id = world.deploy("2", { waves: [APPROVED, ALL], maxUnavailable: count(9), healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 });
  await world.say("a", "healthy");
  world.pass(2000, "a", "b", "c");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(2000, "a", "b", "c");
  await world.loseDisk("a");
  await world.say("a", "removed");
  world.pass(200_000, "a", "b", "c");
  if (comesBack) world.engine.orders.uncordon("a" as never, by);
  expect([world.phase(id), loadRollout(world.journal, id)!.reason?.message]).toEqual(["rolling", undefined]);
});

test("the same without the new disk", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  const id = world.deploy("2", { waves: [APPROVED, ALL], maxUnavailable: count(9), healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 });
  await world.say("a", "healthy");
  world.pass(2000, "a", "b", "c");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.pass(200_000, "a", "b", "c");
  expect(world.phase(id)).toBe("rolling");
});

const SOAKED = (size = 1, changes = {}) => ({ ...wave(count(size)), gates: [{ kind: "soak", forMs: 60_000 }], ...changes }) as never;
const NAMES = ["a", "b", "c", "d"];

/** Release 2 is healthy on the first machines, for 3 s of the soak of their wave. */
async function soaking(size = 1, changes = {}) {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  const id = world.deploy("2", { waves: [SOAKED(size), ALL], maxUnavailable: count(size), ...changes });
  for (const name of NAMES.slice(0, size)) await world.say(name, "healthy");
  world.pass(3000, ...NAMES);
  const drain = async (name: string) => {
    world.engine.orders.cordon(name as never, { drain: true, force: true }, by);
    await world.say(name, "removed");
  };
  const uncordon = (name: string) => world.engine.orders.uncordon(name as never, by);
  const told = () => NAMES.filter((name) => world.wanted(name) === "2");
  const confirmed = (name: string) => world.engine.assignmentFor(name as never)!.apps[0]!.confirmed;
  return { world, id, drain, uncordon, told, confirmed };
}

describe("a machine that is drained in the soak of its wave", () => {
  test("confirms nothing, opens no gate when it was the only one, and has its turn and its soak again", async () => {
    const { world, id, drain, uncordon, told, confirmed } = await soaking();
    await drain("a");
    world.pass(1_000_000, ...NAMES);
    expect([world.phase(id), world.state(id, "a"), told()]).toEqual(["rolling", "skipped", []]);
    expect(world.waitingOn(id)).toBe("a to be uncordoned: no other machine of wave 1 shows how the release does (muster promote d-2 goes on without it)");
    uncordon("a");
    expect([world.state(id, "a"), told()]).toEqual(["updating", ["a"]]);
    await world.say("a", "healthy");
    world.pass(58_000, ...NAMES);
    expect([told(), confirmed("a")]).toEqual([["a"], false]);
    world.pass(4000, ...NAMES);
    expect([told(), confirmed("a")]).toEqual([["a", "b"], true]);
  });

  test("is used again and silent: the soak is still nobody's", async () => {
    const { world, id, drain, uncordon, told } = await soaking();
    await drain("a");
    world.pass(30_000, ...NAMES.slice(1));
    uncordon("a");
    world.pass(100_000, ...NAMES.slice(1));
    expect([world.state(id, "a"), told(), world.waitingOn(id)]).toEqual(["unreachable", [], "a to be back: no other machine of wave 1 shows how the release does (muster promote d-2 goes on without it)"]);
  });

  test.each(["lost, then drained", "drained, then lost"])("%s, and used again before it is heard, has its turn and its soak again when it is heard", async (how) => {
    const { world, id, uncordon, told } = await soaking();
    const rest = NAMES.slice(1);
    const drainUnheard = () => world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
    if (how === "drained, then lost") {
      drainUnheard();
      // It has begun to follow.
      world.engine.heartbeat("a" as never, world.engine.assignmentFor("a" as never)!.generation as never);
      await world.say("a", "removing");
    }
    world.pass(20_000, ...rest);
    if (how === "lost, then drained") drainUnheard();
    const lost = loadRollout(world.journal, id)!.targets.get("a" as never)!.leftAs;
    uncordon("a");
    world.pass(10_000, ...rest);
    await world.join("a");
    expect([lost, world.phase(id), world.state(id, "a"), told(), world.engine.audit()]).toEqual(["lost", "rolling", "updating", ["a"], undefined]);
    await world.say("a", "healthy");
    world.pass(63_000, ...NAMES);
    expect(told()).toEqual(["a", "b"]);
  });

  test("is gone on without when somebody promotes it, one at a time until another has answered", async () => {
    const { world, id, drain, told } = await soaking(1, { maxUnavailable: count(3) });
    await drain("a");
    world.steer(id, { kind: "promote", all: false });
    expect(told()).toEqual(["b"]);
    await world.say("b", "healthy");
    world.pass(2000, ...NAMES);
    expect(told()).toEqual(["b", "c", "d"]);
  });

  test.each(["webhook", "prometheus"] as const)("does not let a %s answer for it", async (kind) => {
    const gate = kind === "webhook" ? { kind, url: "http://x/", retryIntervalMs: 1000, timeoutMs: 1000, retries: 3, onSilence: "go" } : { kind, url: "http://x/", query: "q", min: null, max: 1, intervalMs: 1000, count: 2, failureLimit: 0, timeoutMs: 1000, retries: 3, onSilence: "go" };
    const { world, drain, told } = await soaking(1, { waves: [{ ...wave(count(1)), gates: [gate] }, ALL] });
    await drain("a");
    for (let second = 0; second < 20; second += 1) {
      for (const { answer } of world.asked.splice(0)) answer({ kind: "go", detail: "" } as never);
      await new Promise((resolve) => setImmediate(resolve));
      world.pass(1000, ...NAMES);
    }
    expect(told()).toEqual([]);
  });

  test("does not hold up or begin anew the soak of the others, which vouch for themselves", async () => {
    const { world, drain, uncordon, told, confirmed } = await soaking(2);
    world.pass(50_000, ...NAMES);
    await drain("a");
    world.pass(9000, ...NAMES);
    // One place in the window is taken by the machine that is drained.
    expect([told(), confirmed("b")]).toEqual([["b", "c"], true]);
    uncordon("a");
    expect([world.wanted("a"), confirmed("a")]).toEqual(["2", false]);
  });

  test("runs what it ran before when the drain ends after an abort, and that is what it goes back to", async () => {
    const { world, id, drain, uncordon, confirmed } = await soaking();
    await drain("a");
    world.command(id, "abort");
    uncordon("a");
    // It was confirmed when it ran there, and is on no probation again.
    expect([world.wanted("a"), confirmed("a")]).toEqual(["1", true]);
    await world.say("a", "healthy");
    const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1) });
    await world.say("a", "failed");
    world.pass(1000, ...NAMES);
    expect([world.phase(third), world.wanted("a")]).toEqual(["rolling_back", "1"]);
  });

  test("is taken back with the others when the rollout goes back", async () => {
    const { world, id, drain, uncordon } = await soaking(2);
    await drain("a");
    world.command(id, "rollback");
    for (let round = 0; round < 4; round += 1) {
      await world.say("a", "removed");
      if (world.wanted("b") === "1") await world.say("b", "healthy");
      world.pass(2000, ...NAMES);
    }
    uncordon("a");
    world.pass(2000, ...NAMES);
    expect([world.phase(id), world.wanted("a"), world.wanted("b")]).toEqual(["rolled_back", "1", "1"]);
  });

  test("is drained and used again many times, which takes no good release back", async () => {
    const { world, id, drain, uncordon } = await soaking(2, { progressDeadlineMs: 120_000 });
    for (let round = 0; round < 12; round += 1) {
      await drain("a");
      world.pass(20_000, ...NAMES);
      uncordon("a");
      await world.say("a", "healthy");
      world.pass(20_000, ...NAMES);
    }
    expect([world.phase(id), loadRollout(world.journal, id)!.reason?.message]).toEqual(["rolling", undefined]);
  });

  test("of a wave that passes with some: whoever takes its place runs through the soak", async () => {
    const { world, drain, told } = await soaking(1, { waves: [SOAKED(2, { successThreshold: count(1) }), ALL] });
    expect(told()).toEqual(["a", "b"]);
    world.pass(50_000, ...NAMES);
    await world.say("b", "healthy");
    await drain("a");
    world.pass(30_000, ...NAMES);
    expect(told()).toEqual(["b"]);
    world.pass(32_000, ...NAMES);
    expect(told()).toEqual(["b", "c"]);
  });
});

test("a machine that is drained on its way leaves the soak of its wave to somebody else, or to nobody", async () => {
  const { world, id, drain, told } = await soaking(2);
  const other = world.deploy("3", { waves: [SOAKED(), ALL], onConflict: "supersede" });
  expect([world.phase(id), world.wanted("a")]).toEqual(["superseded", "3"]);
  await world.say("a", "activating");
  await drain("a");
  world.pass(200_000, ...NAMES);
  expect([world.phase(other), world.waitingOn(other), told().length, NAMES.filter((name) => world.wanted(name) === "3")]).toEqual(["rolling", "a to be uncordoned: no other machine of wave 1 shows how the release does (muster promote d-3 goes on without it)", 1, []]);
});

describe("the end of a drain starts nothing that nobody has called good", () => {
  /** Release 2 has failed on the first machine, which went back by itself. */
  async function failed(how: "paused" | "succeeded") {
    const world = new World();
    await world.join(...NAMES);
    world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
    await world.settle(...NAMES);
    world.pass(2000, ...NAMES);
    const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(9), onFailure: "pause", maxFailures: count(how === "paused" ? 0 : 1) });
    await world.say("a", "reverted");
    world.pass(2000, ...NAMES);
    if (how === "succeeded") await world.settle("b", "c", "d");
    world.pass(2000, ...NAMES);
    const drainAndUse = async () => {
      world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
      await world.say("a", "removed");
      const drained = world.engine.audit();
      world.engine.orders.uncordon("a" as never, by);
      return drained;
    };
    const given = () => {
      const { goal, confirmed, lastGoodVersion } = world.engine.assignmentFor("a" as never)!.apps[0]!;
      return [goal?.$case === "run" ? goal.value.version : goal?.$case, confirmed, lastGoodVersion];
    };
    return { world, id, drainAndUse, given };
  }

  test.each(["paused", "succeeded"] as const)("a release that failed on the machine stays failed there, and the one before it runs (%s)", async (how) => {
    const { world, id, drainAndUse, given } = await failed(how);
    expect([world.phase(id), world.state(id, "a")]).toEqual([how, "failed"]);
    const drained = await drainAndUse();
    expect([given(), drained, world.engine.audit()]).toEqual([["1", true, "1"], undefined, undefined]);
    // That is no answer about the release.
    await world.say("a", "healthy");
    world.pass(2000, ...NAMES);
    expect([world.phase(id), world.state(id, "a"), world.engine.audit(), world.bugs]).toEqual([how, "failed", undefined, []]);
    world.startEngine();
    world.pass(2000, ...NAMES);
    expect([given(), world.state(id, "a"), world.engine.audit()]).toEqual([["1", true, "1"], "failed", undefined]);
  });

  test.each(["paused", "succeeded"] as const)("a retry gives it to the machine again, and it can fail again (%s)", async (how) => {
    const { world, id, drainAndUse, given } = await failed(how);
    await drainAndUse();
    await world.say("a", "healthy");
    world.command(id, "retry");
    if (how === "paused") world.command(id, "resume");
    world.pass(1000, ...NAMES);
    expect([given(), world.state(id, "a")]).toEqual([["2", false, "1"], "updating"]);
    await world.say("a", "healthy");
    world.pass(3000, ...NAMES);
    expect([given(), world.state(id, "a"), world.engine.audit()]).toEqual([["2", true, "1"], "healthy", undefined]);
  });

  test.each(["paused", "succeeded"] as const)("a rollback finds it on what it goes back to (%s)", async (how) => {
    const { world, id, drainAndUse, given } = await failed(how);
    await drainAndUse();
    await world.say("a", "healthy");
    world.command(id, "rollback");
    for (let round = 0; round < 5; round += 1) {
      await world.settle(...NAMES);
      world.pass(2000, ...NAMES);
    }
    expect([world.phase(id), given(), world.state(id, "a"), world.engine.audit()]).toEqual(["rolled_back", ["1", true, "1"], "reverted", undefined]);
  });

  test.each(["healthy in its soak", "on its way"])("what was aborted when the machine was %s", async (how) => {
    const world = new World();
    await world.join(...NAMES);
    world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
    await world.settle(...NAMES);
    world.pass(2000, ...NAMES);
    const id = world.deploy("2", { waves: [SOAKED(), ALL], maxUnavailable: count(1) });
    await world.say("a", how === "on its way" ? "activating" : "healthy");
    world.pass(3000, ...NAMES);
    world.command(id, "abort");
    world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
    await world.say("a", "removed");
    world.engine.orders.uncordon("a" as never, by);
    await world.say("a", "healthy");
    const { confirmed } = world.engine.assignmentFor("a" as never)!.apps[0]!;
    expect([world.wanted("a"), confirmed, world.state(id, "a"), world.engine.audit()]).toEqual(["1", true, how === "on its way" ? "skipped" : "healthy", undefined]);
    // Lost with what it had before, it says nothing of the release.
    world.pass(20_000, "b", "c", "d");
    world.remove("a");
    expect(loadRollout(world.journal, id)!.targets.get("a" as never)!.leftAs).toBeNull();
  });

  test("what failed where nothing ran before is removed, and is not offered again", async () => {
    const world = new World();
    await world.join("a", "b");
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1) });
    await world.say("a", "failed");
    await world.say("b", "healthy");
    world.pass(3000, "a", "b");
    world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
    await world.say("a", "removed");
    world.engine.orders.uncordon("a" as never, by);
    world.pass(3000, "a", "b");
    expect([world.phase(id), world.state(id, "a"), world.wanted("a"), world.wanted("b"), world.engine.audit()]).toEqual(["succeeded", "failed", "remove", "1", undefined]);
  });

  test("a confirmed release stays, also when it fails later", async () => {
    const { world, id } = await failed("succeeded");
    await world.say("b", "unhealthy");
    world.engine.orders.cordon("b" as never, { drain: true, force: true }, by);
    await world.say("b", "removed");
    world.engine.orders.uncordon("b" as never, by);
    expect([world.phase(id), world.wanted("b"), world.engine.audit()]).toEqual(["succeeded", "2", undefined]);
  });

  test("what a drain gave back is in the tables that a replay of the journal gives", async () => {
    const { world, drainAndUse } = await failed("paused");
    await drainAndUse();
    const replayed = Journal.open(":memory:");
    replayed.transaction(() => {
      for (const row of world.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
    });
    expect(world.tables(replayed)).toEqual(world.tables());
    replayed.close();
  });
});

describe("a rollout whose machines are all kept from it", () => {
  test.each(["cordoned before it", "drained on their way"])("waits for a person, and no deadline passes (%s)", async (how) => {
    const world = new World();
    await world.join("a", "b");
    world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    const cordon = (drain: boolean) => {
      for (const name of ["a", "b"]) world.engine.orders.cordon(name as never, { drain, force: true }, by);
    };
    if (how === "cordoned before it") cordon(false);
    const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2), progressDeadlineMs: 120_000 });
    if (how === "drained on their way") {
      cordon(true);
      for (const name of ["a", "b"]) await world.say(name, "removed");
    }
    world.pass(300_000, "a", "b");
    expect([world.phase(id), loadRollout(world.journal, id)!.reason, world.waitingOn(id)]).toEqual(["rolling", null, "a, b to be uncordoned: no machine has shown how the release does"]);
    for (const name of ["a", "b"]) world.engine.orders.uncordon(name as never, by);
    world.pass(50_000, "a", "b");
    // Their time begins with the end of the wait.
    expect([world.phase(id), world.wanted("a"), world.wanted("b")]).toEqual(["rolling", "2", "2"]);
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    expect([world.phase(id), world.engine.audit()]).toEqual(["succeeded", undefined]);
  });
});

test.each(["healthy", "on its way", "silent"])("what goes back to an older release is not given the newer one when it is drained (%s)", async (how) => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  const back = world.engine.operators.rollbackTo(id, "1", by);
  if (!back.ok) throw new Error(back.refusal.message);
  if (how === "healthy") await world.say("a", "healthy");
  if (how === "silent") world.pass(20_000, "b");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  await world.say("a", "removed");
  world.command(back.value.deployment as never, "pause");
  world.engine.orders.uncordon("a" as never, by);
  expect(world.wanted("a")).toBe("1");
});

test("rollback --to brings a cordoned machine back when it is uncordoned", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  world.engine.orders.cordon("a" as never, { drain: false, force: false }, by);
  world.engine.operators.rollbackTo(id, "1", by);
  await world.settle("b");
  world.pass(2000, "a", "b");
  const before = world.wanted("a");
  world.engine.orders.uncordon("a" as never, by);
  world.pass(2000, "a", "b");
  expect([before, world.wanted("a")]).toEqual(["2", "1"]);
});

test("rollback --to where all that have the bad release are cordoned ends, or takes them back when they are uncordoned", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b");
  world.pass(2000, "a", "b");
  for (const name of ["a", "b"]) world.engine.orders.cordon(name as never, { drain: false, force: false }, by);
  world.engine.operators.rollbackTo(id, "1", by);
  world.pass(700_000, "a", "b");
  for (const name of ["a", "b"]) world.engine.orders.uncordon(name as never, by);
  world.pass(5000, "a", "b");
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "1"]);
});

test("a large rollout whose controller ends between its plan and its first wave, and a rollback between its turn round and its first machine, go on", async () => {
  const world = new World();
  const names = Array.from({ length: PLANNED_AT_ONCE_MAX + 1 }, (_, index) => `m-${String(index).padStart(4, "0")}`);
  await world.join(...names);
  const held: (() => void)[] = [];
  const { wakeAfter } = world.clock;
  const hold = () => {
    world.clock.wakeAfter = ((ms: number, callback: () => void) => {
      if (ms > 0) return wakeAfter.call(world.clock, ms, callback);
      held.push(callback);
      return () => (held.includes(callback) ? void held.splice(held.indexOf(callback), 1) : undefined);
    }) as never;
  };
  hold();
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(5) });
  held.shift()!();
  held.shift()!();
  const atStart = [world.phase(id), loadRollout(world.journal, id)!.waves[0]!.startedAt];
  world.clock.wakeAfter = wakeAfter;
  world.startEngine();
  world.pass(3000, ...names);
  const told = names.filter((name) => world.wanted(name) === "1");
  await Promise.all(told.map((name) => world.say(name, "healthy")));
  held.length = 0;
  hold();
  world.command(id, "rollback");
  const phase = world.phase(id);
  world.clock.wakeAfter = wakeAfter;
  world.startEngine();
  world.pass(3000, ...names);
  const back = names.filter((name) => world.wanted(name) === "remove");
  expect(lasting(loadRollout(world.journal, id))).toEqual(lasting(world.engine.rollout(id)));
  expect([atStart, told.length, phase, back.length > 0]).toEqual([["rolling", null], 5, "rolling_back", true]);
}, 50_000);

describe("what a person asks of many machines at once", () => {
  const MANY = 600;

  async function fleet(changes = {}) {
    const world = new World();
    const names = Array.from({ length: MANY }, (_, index) => `m-${String(index).padStart(3, "0")}`);
    await world.join(...names);
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(MANY), maxFailures: count(MANY), healthyDeadlineMs: 600_000, progressDeadlineMs: 3_000_000, ...changes });
    world.clock.advance(500);
    return { world, names, id };
  }

  /** Rows that it writes before anything else has its turn; then another controller takes it up. */
  function rowsOf(world: World, work: () => void): number {
    const { wakeAfter } = world.clock;
    world.clock.wakeAfter = () => () => {};
    const before = world.journal.lastSeq;
    work();
    const rows = world.journal.lastSeq - before;
    world.clock.wakeAfter = wakeAfter;
    return rows;
  }

  test.each(["while it rolls", "after its end"])("is few rows: a retry (%s), which goes on though the controller ends right after it", async (when) => {
    const { world, names, id } = await fleet();
    const failed = when === "after its end" ? names : names.slice(1);
    for (const name of failed) await world.say(name, "failed");
    const phase = world.phase(id);
    const rows = rowsOf(world, () => world.command(id, "retry"));
    expect([phase, rows < 10, lasting(loadRollout(world.journal, id))]).toEqual([when === "after its end" ? "failed" : "rolling", true, lasting(world.engine.rollout(id))]);
    world.startEngine();
    world.clock.advance(500);
    expect(loadRollout(world.journal, id)!.waves[0]!.counts).toMatchObject({ updating: MANY, failed: 0 });
  });

  test.each(["promote", "resume"] as const)("is few rows: to go on without those that are lost (%s)", async (how) => {
    const { world, names, id } = await fleet(how === "resume" ? { maxUnreachable: count(9), onFailure: "pause" } : { offline: { kind: "wait", forMs: null } });
    await world.say(names[0]!, "pulling");
    world.pass(30_000, names[0]!);
    expect(loadRollout(world.journal, id)!.waves[0]!.counts.unreachable).toBe(MANY - 1);
    if (how === "resume") expect(world.phase(id)).toBe("paused");
    const rows = rowsOf(world, () => (how === "promote" ? world.steer(id, { kind: "promote", all: false }) : world.command(id, "resume")));
    const loaded = loadRollout(world.journal, id)!;
    expect([rows < 10, loaded.lostTakers.size, lasting(loaded)]).toEqual([true, 0, lasting(world.engine.rollout(id))]);
  });
});
