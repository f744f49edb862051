/** Machines that leave a rollout, by a person or by a program that removes the dead, hide nothing of the release. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const SOAK = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] } as never;

test.each(["stays away", "comes back under its name, as a new host"])("a release that kills its host 10s after it was healthy, which is removed 10s later, and %s, does not pass its canary", async (how) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 300_000, healthyDeadlineMs: 60_000 });
  const taken = new Map<string, number>();
  const killed: string[] = [];
  let gone = new Set<string>();
  for (let at = 0; at < 1_200_000; at += 1000) {
    for (const name of NAMES) {
      const since = taken.get(name);
      if (!gone.has(name) && since === undefined && world.wanted(name) === "2") taken.set(name, at);
      else if (since !== undefined && at === since + 3000) await world.say(name, "healthy");
      else if (since !== undefined && at === since + 13_000) killed.push(name);
      else if (since !== undefined && at === since + 23_000) {
        world.remove(name);
        gone.add(name);
        taken.delete(name);
      }
    }
    if (how.startsWith("comes back") && at % 60_000 === 59_000) {
      for (const name of gone) await world.loseDisk(name);
      gone = new Set();
    }
    world.pass(1000, ...NAMES.filter((name) => !gone.has(name) && !(taken.has(name) && at >= taken.get(name)! + 13_000)));
  }
  expect([killed.length, world.phase(id) === "succeeded"]).toEqual([1, false]);
});

test("machines that fail and are removed for it stay counted, also after a restart", async () => {
  const world = new World();
  await world.join(...NAMES);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(1), onFailure: "pause" });
  for (const name of ["a", "b"]) {
    await world.say(name, "failed");
    world.remove(name);
    world.startEngine();
  }
  expect([world.phase(id), world.wanted("d")]).toEqual(["paused", undefined]);
});

test.each(["removes", "drains"] as const)("a program that %s dead machines leads no release that kills its hosts through the fleet; a person may go on", async (how) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 300_000, healthyDeadlineMs: 60_000 });
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  // A machine that is drained is still watched for silence, and one that is removed is not.
  world.pass(how === "removes" ? 9000 : 20_000, ...NAMES.slice(1));
  if (how === "removes") world.remove("a");
  else world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "hook", reason: "dead" });
  world.startEngine();
  world.pass(100_000, ...NAMES.slice(1));
  expect([world.phase(id), NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["rolling", []]);
  expect(world.waitingOn(id)).toContain(`somebody to go on without it (muster promote ${id}) or to take it back: 1 machine took the release and was lost after it, which may be its fault: a, drained or removed since; else it is taken back at `);
  world.command(id, "promote");
  expect(NAMES.filter((name) => world.wanted(name) === "2")).toEqual(["b"]);
});

test("a machine that is heard when it is removed says nothing of the release", async () => {
  const world = new World();
  await world.join(...NAMES);
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(10) });
  await world.say("a", "healthy");
  world.remove("a");
  world.remove("b");
  expect([world.phase(id), world.wanted("c")]).toEqual(["rolling", "2"]);
});

test.each(["is removed", "is drained and removed"])("a gate opens for a person alone when the canary that it watched %s, however well it was", async (how) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  if (how === "is drained and removed") {
    world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "ops", reason: "smaller" });
    await world.say("a", "removed");
  }
  world.remove("a");
  world.startEngine();
  world.pass(200_000, ...NAMES.slice(1));
  expect([world.phase(id), NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["rolling", []]);
  expect(world.waitingOn(id)).toBe(`somebody to go on (muster promote ${id} goes on without it): a took the release and was removed from the fleet, and no other machine of wave 1 shows how it does`);
  expect(world.command(id, "promote")).toMatchObject({ ok: true });
  // One at a time, until one has answered.
  expect(NAMES.filter((name) => world.wanted(name) === "2")).toEqual(["b"]);
});

const THREE = ["a", "b", "c"];

/** 2 has succeeded on three machines. */
async function standing(changes = {}) {
  const world = new World();
  await world.join(...THREE);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), ...changes });
  await world.settle(...THREE);
  world.pass(2000, ...THREE);
  expect(world.phase(id)).toBe("succeeded");
  return { world, id };
}

type Fate = "fails" | "dies after it was healthy" | "dies on its way" | "turns unhealthy, and is heard" | "dies on its way, and is drained" | "dies after it was healthy, and is drained";
const FATES: readonly Fate[] = ["fails", "dies after it was healthy", "dies on its way", "turns unhealthy, and is heard", "dies on its way, and is drained", "dies after it was healthy, and is drained"];

async function meet(world: World, name: string, fate: Fate): Promise<void> {
  if (fate === "fails") await world.say(name, "failed");
  else await world.say(name, fate.startsWith("dies on its way") ? "activating" : "healthy");
  const isHeard = fate === "fails" || fate.startsWith("turns");
  if (fate.startsWith("turns")) await world.say(name, "unhealthy");
  world.pass(30_000, ...THREE, ...(isHeard ? [name] : []));
  if (fate.endsWith("drained")) world.engine.orders.cordon(name as never, { drain: true, force: true }, { by: "hook", reason: "dead" });
}

/** A program replaces each that is not well. Returns to how many of twelve the release came. */
async function replaced(world: World, fate: Fate, { name = (index: number): string => `x${index}`, between = (_world: World): void => {} } = {}): Promise<number> {
  for (let index = 0; index < 12; index += 1) {
    const machine = name(index);
    // Of a host that takes over the name of another the disk is another one, too.
    await world.loseDisk(machine);
    world.pass(2000, ...THREE, machine);
    if (world.wanted(machine) !== "2") {
      world.remove(machine);
      return index;
    }
    await meet(world, machine, fate);
    world.remove(machine);
    between(world);
    world.pass(2000, ...THREE);
  }
  return 12;
}

test.each(FATES)("after the end, a machine that came late and %s with the release hides nothing of it when a program replaces it", async (fate) => {
  const { world } = await standing();
  expect(await replaced(world, fate)).toBeLessThan(4);
});

test.each(FATES)("the same where the new machine has the name of the old one (%s)", async (fate) => {
  const { world, id } = await standing();
  expect(await replaced(world, fate, { name: () => "x" })).toBeLessThan(4);
  expect(world.phase(id)).toBe("succeeded");
});

test.each(FATES)("the same over restarts and transactions that fail (%s)", async (fate) => {
  const { world } = await standing();
  const between = (): void => {
    world.startEngine();
    world.pass(2000, ...THREE);
    world.journal.db.exec("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT raise(ABORT, 'disk full'); END");
    expect(() => world.label({ role: "web", n: "1" }, "a")).toThrow("disk full");
    world.journal.db.exec("DROP TRIGGER full");
    world.pass(5000, ...THREE);
  };
  expect(await replaced(world, fate, { between })).toBeLessThan(4);
  expect(world.engine.audit()).toBeUndefined();
});

test.each(FATES)("a person excuses them with a retry, and is told so; only new ones count then (%s)", async (fate) => {
  const { world, id } = await standing();
  await replaced(world, fate);
  await replaced(world, fate, { name: () => "x" });
  await world.join("y");
  world.pass(2000, ...THREE, "y");
  expect(world.wanted("y")).toBeUndefined();
  if (fate !== "fails") expect(world.engine.unsound(id)).toMatch(/^app@2 to be healthy where it runs: 3 of \d are now, with those that failed or were lost with it and are gone \(muster retry excuses them\)$/);
  expect(world.command(id, "retry")).toEqual({ ok: true, value: undefined });
  expect(world.command(id, "retry").ok).toBe(false);
  world.pass(2000, ...THREE, "y");
  expect(world.wanted("y")).toBe("2");
  await world.say("y", "healthy");
  world.pass(2000, ...THREE, "y");
  expect(await replaced(world, fate)).toBeLessThan(4);
});

test.each(FATES)("a new deployment of the release excuses them (%s)", async (fate) => {
  const { world } = await standing();
  await replaced(world, fate);
  await world.join("y");
  world.pass(2000, ...THREE, "y");
  expect(world.wanted("y")).toBeUndefined();
  const again = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("y");
  world.pass(2000, ...THREE, "y");
  await world.join("z");
  world.pass(2000, ...THREE, "y", "z");
  expect([world.phase(again), world.wanted("z")]).toEqual(["succeeded", "2"]);
});

test("one that finds it everywhere is no decision, and excuses nobody", async () => {
  const { world } = await standing();
  await replaced(world, "dies after it was healthy");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.join("y");
  world.pass(2000, ...THREE, "y");
  expect(world.wanted("y")).toBeUndefined();
});

test("a fleet that shrinks says nothing of the release: whoever is heard when it is removed, or has stood with it for long when it dies", async () => {
  const { world } = await standing();
  const late = ["k", "l", "m", "n"];
  await world.join(...late);
  await world.settle(...late);
  world.pass(2 * 3_600_000, ...THREE, ...late);
  for (const name of ["k", "l"]) world.remove(name);
  world.pass(30_000, ...THREE);
  for (const name of ["m", "n"]) world.remove(name);
  await world.join("y");
  world.pass(2000, ...THREE, "y");
  expect(world.wanted("y")).toBe("2");
});

test("a machine of the tail that was drained while it was lost has its turn when it is back and used again", async () => {
  const { world, id } = await standing();
  await world.join("x");
  await meet(world, "x", "dies on its way, and is drained");
  world.pass(5000, ...THREE);
  await world.join("x");
  world.engine.orders.uncordon("x" as never, { by: "anna", reason: "" });
  world.pass(5000, ...THREE, "x");
  expect([world.wanted("x"), world.state(id, "x")]).toEqual(["2", "updating"]);
});

test("what failed before a failed deployment is retried, and is gone, is known to who retries", async () => {
  const world = new World();
  await world.join(...THREE);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2), onFailure: "abort" });
  await world.say("a", "failed");
  await world.say("b", "failed");
  expect(world.phase(id)).toBe("failed");
  world.remove("a");
  expect(world.command(id, "retry").ok).toBe(true);
  await world.settle("b", "c");
  world.pass(2000, "b", "c");
  expect(world.phase(id)).toBe("succeeded");
});

test.each(FATES)("production waits for what kills late machines in staging, though a program removes them there (%s)", async (fate) => {
  const world = new World();
  await world.joinAs({ env: "prod" }, "p");
  await world.join(...THREE);
  world.deploy("1", { waves: [ALL], targets: "env=prod" });
  await world.settle("p");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...THREE);
  world.pass(2000, ...THREE, "p");
  for (const name of ["x", "y"]) {
    await world.join(name);
    world.pass(2000, ...THREE, name, "p");
    if (world.wanted(name) !== "2") break;
    await meet(world, name, fate);
    world.remove(name);
    world.pass(2000, ...THREE, "p");
  }
  // Two of three were lost: more than one. One failure alone is what the deployment tolerates.
  const prod = world.deploy("2", { waves: [ALL], targets: "env=prod", after: { deploymentOf: "app", targets: "role=web", soakMs: 0 } as never });
  world.pass(5000, ...THREE, "p");
  expect([world.phase(prod), world.wanted("p")]).toEqual(fate === "fails" ? ["rolling", "2"] : ["pending", "1"]);
});

test.each([false, true])("a canary that is drained with the release and matches no more lets nobody pass a soak that nobody saw (restarted: %s)", async (isRestarted) => {
  const world = new World();
  await world.join(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(9) });
  const canary = NAMES.find((name) => world.wanted(name) === "2")!;
  await world.say(canary, "healthy");
  world.pass(2000, ...NAMES);
  world.engine.orders.cordon(canary as never, { drain: true, force: false }, { by: "anna", reason: "" });
  await world.say(canary, "removed");
  world.label({ role: "db" }, canary);
  world.engine.orders.uncordon(canary as never, { by: "anna", reason: "" });
  if (isRestarted) world.startEngine();
  world.pass(200_000, ...NAMES);
  expect([world.state(id, canary), world.wanted("b"), world.waitingOn(id)]).toEqual(["skipped", undefined, `somebody to go on (muster promote ${id} goes on without it): ${canary} took the release and was let go, since its labels match no more, and no other machine of wave 1 shows how it does`]);
  world.command(id, "promote");
  world.pass(2000, ...NAMES);
  // One at a time, until somebody has answered.
  expect(NAMES.filter((name) => world.wanted(name) === "2")).toHaveLength(1);
});
