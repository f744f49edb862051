/** What a machine answered before it was lost, was rebooted, or was assigned something else is not taken for what it says now; and a reload knows until when an answer is awaited. */
import { describe, expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { failCommitOnce } from "./failing-disk.fixture.ts";
import { World } from "./world.fixture.ts";

const soak = (forMs: number) => ({ ...wave(count(1)), gates: [{ kind: "soak" as const, forMs }] });
const all = ["a", "b", "c"];

async function running(...machines: string[]): Promise<World> {
  const world = new World();
  await world.join(...machines);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...machines);
  return world;
}

/** `newestPending`: of the reports that its agent has kept, and sends after it. */
function hello(world: World, machine: string, newestPending: number): Promise<number> {
  return world.engine.hello({ kind: "machine_joined", machine: machine as MachineId, instance: `i-${machine}`, labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, world.generation(machine), newestPending);
}

describe("a host that reboots late in a soak has its whole time to be healthy again", () => {
  test.each(["nothing", "a disk that is full for a moment", "a new controller"])("whatever comes beside it: %s", async (beside) => {
    const world = await running(...all);
    const id = world.deploy("2", { waves: [soak(600_000), ALL], healthyDeadlineMs: 60_000, progressDeadlineMs: 600_000 });
    await world.say("a", "healthy");
    world.pass(200_000, ...all);
    await world.say("a", "probing");
    world.pass(30_000, ...all);
    if (beside.startsWith("a disk")) {
      failCommitOnce(world);
      await expect(world.say("b", "unhealthy")).rejects.toThrow("disk is full");
    }
    if (beside === "a new controller") world.startEngine();
    world.pass(30_000, ...all);
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling", "updating"]);
    world.pass(30_000, ...all);
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling_back", "reverting"]);
  });

  test("and so has one that had been overdue, and was healthy after all", async () => {
    const world = await running(...all);
    const id = world.deploy("2", { waves: [soak(600_000), ALL], healthyDeadlineMs: 20_000, progressDeadlineMs: 600_000, maxFailures: count(1) });
    world.pass(60_000, ...all);
    expect(world.state(id, "a")).toBe("failed");
    await world.say("a", "healthy");
    await world.say("a", "probing");
    expect(world.engine.nowOf(id)).toEqual({ machines: 1, healthy: 0, bad: 0 });
    world.pass(60_000, ...all);
    expect(world.engine.nowOf(id).bad).toBe(1);
  });
});

describe("a machine that goes back, and forgets in a power cut that it does, has its whole time to answer again", () => {
  // Going back takes 30 s + 15 s at most, and taking a release 20 s + 15 s.
  const short = { waves: [ALL], maxUnavailable: count(9), healthyDeadlineMs: 20_000, maxFailures: count(9) };

  test.each([
    ["it takes the release once more", 0, "probing"],
    ["it speaks of what it had before", 0, "healthy"],
    ["its time was over, and it takes the release once more", 50_000, "probing"],
    ["its time was over, and it speaks of what it had before", 50_000, "healthy"],
  ] as const)("as a reload knows: %s", async (_how, afterMs, phase) => {
    const world = await running(...all);
    const before = world.generation("a");
    const id = world.deploy("2", short);
    await world.say("b", "healthy");
    await world.say("c", "healthy");
    await world.say("a", "reverting");
    world.pass(afterMs, ...all);
    await world.say("a", phase, phase === "healthy" ? before : world.generation("a"));
    expect([world.engine.audit(), world.engine.nowOf(id).bad]).toEqual([undefined, 0]);
    world.pass(34_000, ...all);
    expect([world.engine.audit(), world.engine.nowOf(id).bad]).toEqual([undefined, 0]);
    world.pass(3_000, ...all);
    expect([world.engine.audit(), world.engine.nowOf(id).bad]).toEqual([undefined, 1]);
  });
});

describe("a machine that is heard again", () => {
  async function lostInItsWave(): Promise<{ readonly world: World; readonly id: ReturnType<World["deploy"]>; readonly lost: string }> {
    const world = await running(...all);
    const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(1), offline: { kind: "wait" as const, forMs: null } });
    await world.say("a", "healthy");
    world.pass(20_000, "b", "c");
    await world.say("b", "healthy");
    world.pass(2000, "b", "c");
    expect([world.state(id, "a"), world.wanted("c")]).toEqual(["unreachable", "1"]);
    return { world, id, lost: "a" };
  }

  test("with a report that says it failed: nobody else is told the release meanwhile", async () => {
    const { world, id, lost } = await lostInItsWave();
    await world.say(lost, "reverted");
    world.pass(1000, ...all);
    expect([world.phase(id), world.state(id, "c")]).toEqual(["rolling_back", "pending"]);
  });

  test("by its heartbeat, and with reports that are still to come: what it said before is no answer", async () => {
    const { world, id, lost } = await lostInItsWave();
    world.engine.heartbeat(lost as MachineId, 0 as never, { owed: 3 });
    await new Promise(setImmediate);
    world.pass(2000, ...all);
    expect(world.state(id, "c")).toBe("pending");
    await world.say(lost, "reverted");
    world.pass(1000, ...all);
    expect([world.phase(id), world.state(id, "c")]).toEqual(["rolling_back", "pending"]);
  });

  test("by a report about something else: what it said before is its answer once all is said", async () => {
    const { world, id, lost } = await lostInItsWave();
    await world.say(lost, "healthy", world.generation(lost), "other");
    world.pass(1000, ...all);
    expect([world.state(id, lost), world.wanted("c")]).toEqual(["healthy", "2"]);
  });

  test("after the end of its deployment, with a report still to come: that one counts", async () => {
    const world = await running(...all, "d");
    const id = world.deploy("2", { waves: [{ ...ALL, gates: [{ kind: "soak", forMs: 60_000 }] }], maxUnavailable: count(9) });
    for (const machine of [...all, "d"]) await world.say(machine, "healthy");
    world.pass(140_000, "b", "c", "d");
    expect([world.phase(id), world.state(id, "a")]).toEqual(["succeeded", "unreachable"]);
    await hello(world, "a", 50);
    world.pass(2000, ...all, "d");
    expect(world.state(id, "a")).not.toBe("healthy");
    await world.saySeq("a", "reverted", world.generation("a"), 50);
    world.pass(2000, ...all, "d");
    expect(world.state(id, "a")).toBe("failed");
    const next = world.deploy("3", { waves: [ALL], maxUnavailable: count(9) });
    world.pass(2000, ...all, "d");
    expect(["a", "b"].map((machine) => loadRollout(world.journal, next)!.targets.get(machine as MachineId)!.previous)).toEqual(["app@1", "app@2"]);
  });

  test("after the end of its deployment, with reports of another app to come: its answer stands when they are stored", async () => {
    const world = await running(...all, "d");
    const id = world.deploy("2", { waves: [{ ...ALL, gates: [{ kind: "soak", forMs: 60_000 }] }], maxUnavailable: count(9) });
    for (const machine of [...all, "d"]) await world.say(machine, "healthy");
    world.pass(140_000, "b", "c", "d");
    await hello(world, "a", 50);
    await world.saySeq("a", "healthy", 0, 50, "other");
    world.pass(2000, ...all, "d");
    expect(world.state(id, "a")).toBe("healthy");
  });
});

test("what was wrong with the release before is no reason of this one", async () => {
  const world = await running("a", "b");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(9) });
  await world.say("a", "reverted");
  await world.say("b", "reverted");
  world.pass(2000, "a", "b");
  const id = world.deploy("3", { waves: [ALL], maxUnavailable: count(9), healthyDeadlineMs: 60_000, progressDeadlineMs: 20_000, onFailure: "pause" });
  world.pass(25_000, "a", "b");
  const { phase, reason } = loadRollout(world.journal, id)!;
  expect(phase).toBe("paused");
  expect(reason!.message).not.toContain("exited");
});

test("a failed machine that has left is counted in words as it is in numbers", async () => {
  const world = await running(...all, "d");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(1), onFailure: "pause" });
  await world.say("a", "reverted");
  world.remove("a");
  await world.say("b", "reverted");
  world.pass(1000, "b", "c", "d");
  const { phase, reason } = loadRollout(world.journal, id)!;
  expect([phase, reason!.message]).toEqual(["paused", "2 machines failed in wave 1, 1 allowed: a: anna removed it from the fleet: scrapped; b: exited with code 1"]);
});

const TEN = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const SLOW = { waves: [ALL], maxUnavailable: count(1), healthyDeadlineMs: 60_000, progressDeadlineMs: 900_000, offline: { kind: "wait" as const, forMs: null } , maxFailures: count(2) };

/** a is healthy on 2; b takes the release, and its link is cut until its time to answer is over; c is on the way when it is heard again. */
async function heardLate() {
  const world = await running(...TEN);
  const id = world.deploy("2", SLOW);
  await world.say("a", "healthy");
  world.pass(1000, ...TEN);
  expect(TEN.filter((n) => world.wanted(n) === "2")).toEqual(["a", "b"]);
  await world.say("b", "pulling");
  const others = TEN.filter((n) => n !== "b");
  world.pass(50_000, ...others);
  expect(TEN.filter((n) => world.wanted(n) === "2")).toEqual(["a", "b", "c"]); // one place beside b, which is down
  await world.say("c", "pulling");
  world.pass(20_000, ...others);
  await world.say("c", "healthy");
  world.pass(1000, ...others);
  expect(TEN.filter((n) => world.wanted(n) === "2")).toEqual(["a", "b", "c", "d"]);
  world.pass(10_000, ...others); // 81 s: b's deadline of 75 s has passed
  await world.join("b");
  await world.say("b", "activating");
  world.pass(1000, ...TEN);
  expect(world.state(id, "b")).toBe("updating");
  return { world, id };
}

/** Everybody but b is quick and well. */
async function goOn(world: World, id: ReturnType<World["deploy"]>, rounds: number) {
  for (let round = 0; round < rounds; round += 1) {
    for (const n of TEN) if (n !== "b" && world.wanted(n) === "2" && world.state(id, n) === "updating") await world.say(n, "healthy");
    world.pass(20_000, ...TEN);
  }
}

test("one that is heard again after its deadline counts as changing: nobody starts beside it", async () => {
  const { world } = await heardLate();
  await world.say("d", "healthy");
  world.pass(2000, ...TEN);
  expect(TEN.filter((n) => world.wanted(n) === "2")).toEqual(["a", "b", "c", "d"]);
});

test("it fails by its own healthy_deadline, counted from when it was heard again", async () => {
  const { world, id } = await heardLate();
  await goOn(world, id, 15);
  expect(world.state(id, "b")).toBe("failed"); // 300 s later
});

test("and a good release is not taken back for it", async () => {
  const { world, id } = await heardLate();
  await goOn(world, id, 70);
  expect([world.phase(id), loadRollout(world.journal, id)!.reason?.message]).toEqual(["succeeded", undefined]);
});
