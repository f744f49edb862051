/**
 * What becomes of machines that were not there when a deployment was carried out.
 */
import { describe, expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

async function deployed(version: string, ...machines: string[]): Promise<World> {
  const world = new World();
  await world.join(...machines);
  world.deploy(version);
  await world.settle(...machines);
  return world;
}

describe("a machine that joins later", () => {
  test("gets the last succeeded release", async () => {
    const world = await deployed("1", "a", "b");
    await world.join("c");
    expect(world.wanted("c")).toBe("1");
    await world.say("c", "healthy");
    expect(world.state("d-1" as never, "c")).toBe("healthy");
    expect(world.phase("d-1" as never)).toBe("succeeded");
  });

  test("is left alone with late_joiners: ignore, and when it does not match", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1", { lateJoiners: "ignore" });
    await world.settle("a");
    await world.join("b");
    expect(world.wanted("b")).toBeUndefined();
    const other = await deployed("1", "a");
    await other.joinAs({ role: "db" }, "b");
    expect(other.wanted("b")).toBeUndefined();
    other.label({ role: "web" }, "b");
    expect(other.wanted("b")).toBe("1");
  });

  test("waits while a newer one has the window, and gets the newer one when that has succeeded", async () => {
    const world = await deployed("1", "a", "b");
    const second = world.deploy("2");
    await world.join("c");
    expect(world.wanted("c")).toBeUndefined();
    await world.settle("a", "b", "c");
    expect(world.phase(second)).toBe("succeeded");
    expect(world.wanted("c")).toBe("2");
    await world.settle("c");
    expect(world.state(second, "c")).toBe("healthy");
  });

  test("takes its turn in the window with others that came", async () => {
    const world = await deployed("1", "a");
    await world.join("b", "c", "d");
    const told = () => ["b", "c", "d"].filter((machine) => world.wanted(machine) === "1");
    expect(told()).toEqual(["b"]);
    await world.say("b", "healthy");
    expect(told()).toEqual(["b", "c"]);
    world.startEngine();
    await world.join("a", "b", "c", "d");
    await world.say("c", "healthy");
    expect(told()).toEqual(["b", "c", "d"]);
  });

  test("stops the others of its kind when it fails, until somebody retries", async () => {
    const world = await deployed("1", "a");
    await world.join("b", "c");
    await world.say("b", "failed");
    expect(world.state("d-1" as never, "b")).toBe("failed");
    expect(world.wanted("c")).toBeUndefined();
    expect(world.phase("d-1" as never)).toBe("succeeded");
    expect(world.command("d-1" as never, "retry").ok).toBe(true);
    await world.settle("b", "c");
    expect([world.state("d-1" as never, "b"), world.state("d-1" as never, "c")]).toEqual(["healthy", "healthy"]);
  });
});

describe("a machine that was silent at its turn", () => {
  test("has its turn again in the open rollout when it is back", async () => {
    const world = new World();
    await world.join("a", "b", "c");
    world.pass(20_000, "a", "b");
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
    await world.say("a", "healthy");
    expect(world.wanted("b")).toBe("1");
    expect(world.wanted("c")).toBeUndefined();
    await world.join("c");
    expect(world.wanted("c")).toBeUndefined();
    await world.say("b", "healthy");
    expect(world.wanted("c")).toBe("1");
    await world.say("c", "healthy");
    expect(world.phase(id)).toBe("succeeded");
  });

  test("takes up what the newest deployment brought when that has ended", async () => {
    const world = new World();
    await world.join("a", "b");
    world.pass(20_000, "a");
    for (const version of ["1", "2"]) {
      world.deploy(version);
      await world.settle("a");
    }
    expect(world.wanted("b")).toBeUndefined();
    await world.join("b");
    expect(world.wanted("b")).toBe("2");
    await world.settle("b");
    expect(world.state("d-2" as never, "b")).toBe("healthy");
    expect(world.state("d-1" as never, "b")).toBe("unreachable");
  });

  test("is left alone when the deployment was taken back meanwhile", async () => {
    const world = new World();
    await world.join("a", "b");
    world.pass(20_000, "a");
    const id = world.deploy("1");
    await world.settle("a");
    world.command(id, "rollback");
    await world.settle("a");
    expect(world.phase(id)).toBe("rolled_back");
    await world.join("b");
    expect(world.wanted("b")).toBeUndefined();
  });
});

describe("a cordoned machine", () => {
  test("is passed over, and has its turn when that ends", async () => {
    const world = new World();
    await world.join("a", "b");
    world.engine.orders.cordon("b" as MachineId, { drain: false, force: false }, { by: "anna", reason: "bad fan" });
    const id = world.deploy("1");
    await world.settle("a");
    expect(world.phase(id)).toBe("succeeded");
    expect(world.state(id, "b")).toBe("skipped");
    world.engine.orders.uncordon("b" as MachineId, { by: "anna", reason: "" });
    expect(world.wanted("b")).toBe("1");
    await world.settle("b");
    expect(world.state(id, "b")).toBe("healthy");
  });

  test("that is drained runs nothing until that ends, and then what it ran", async () => {
    const world = await deployed("1", "a", "b");
    world.engine.orders.cordon("b" as MachineId, { drain: true, force: false }, { by: "anna", reason: "" });
    expect(world.wanted("b")).toBe("remove");
    await world.say("b", "removed");
    const second = world.deploy("2");
    await world.settle("a");
    expect(world.phase(second)).toBe("succeeded");
    expect(world.wanted("b")).toBe("remove");
    world.startEngine();
    await world.join("a", "b");
    expect(world.wanted("b")).toBe("remove");
    world.engine.orders.uncordon("b" as MachineId, { by: "anna", reason: "" });
    await world.settle("b");
    expect(world.wanted("b")).toBe("2");
    expect(world.state(second, "b")).toBe("healthy");
  });

  test("that is drained while it is on the move does not hold its rollout", async () => {
    const world = new World();
    await world.join("a", "b");
    const id = world.deploy("1");
    expect(world.state(id, "a")).toBe("updating");
    world.engine.orders.cordon("a" as MachineId, { drain: true, force: false }, { by: "anna", reason: "" });
    expect([world.state(id, "a"), world.wanted("b")]).toEqual(["skipped", undefined]);
    // Until then it is on its way.
    await world.say("a", "removed");
    await world.settle("b");
    expect(world.phase(id)).toBe("succeeded");
    world.engine.orders.uncordon("a" as MachineId, { by: "anna", reason: "" });
    await world.settle("a");
    expect(world.state(id, "a")).toBe("healthy");
  });
});

test("a newer rollout takes a machine over from the tail of an older one, and gives it back when it ends without it", async () => {
  const world = await deployed("1", "a");
  await world.join("b", "c");
  expect(world.state("d-1" as never, "c")).toBe("pending");
  const second = world.deploy("2", { onFailure: "abort" });
  expect(world.state("d-1" as never, "c")).toBe("skipped");
  world.command(second, "abort");
  expect([world.wanted("b"), world.wanted("c")]).toEqual(["1", undefined]);
  await world.settle("b", "c");
  expect(world.state("d-1" as never, "c")).toBe("healthy");
});

test("staging and production stand side by side: who comes later gets what stands for it", async () => {
  const world = new World();
  await world.joinAs({ env: "prod" }, "p");
  await world.joinAs({ env: "staging" }, "s");
  world.deploy("1", { targets: "env=prod" });
  await world.settle("p");
  world.deploy("2", { targets: "env=staging" });
  await world.settle("s");
  await world.joinAs({ env: "prod" }, "q");
  await world.joinAs({ env: "staging" }, "t");
  expect([world.wanted("q"), world.wanted("t")]).toEqual(["1", "2"]);
});

test("a machine takes its turn in one standing deployment at a time: the newest that is for it", async () => {
  const world = await deployed("1", "a");
  await world.joinAs({ role: "web", zone: "a" }, "z");
  await world.settle("z");
  const second = world.deploy("2", { targets: "zone=a" });
  await world.settle("z");
  await world.join("b", "c");
  expect([world.wanted("b"), world.state("d-1" as never, "c")]).toEqual(["1", "pending"]);
  world.label({ role: "web", zone: "a" }, "c");
  expect([world.wanted("c"), world.state("d-1" as never, "c")]).toEqual(["2", "skipped"]);
  await world.settle("b", "c");
  expect([world.wanted("c"), world.state(second, "c")]).toEqual(["2", "healthy"]);
});

/** All of them run 1; 2 was rolled back while b was lost with it. */
async function lostInRollback(): Promise<World> {
  const world = await deployed("1", "a", "b");
  world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  world.pass(20_000, "a");
  world.command("d-2" as never, "rollback");
  await world.say("a", "healthy");
  world.pass(2000, "a");
  expect([world.phase("d-2" as never), world.state("d-2" as never, "b")]).toEqual(["rolled_back", "unreachable"]);
  return world;
}

describe("a machine that was lost in a rollback", () => {
  test("goes back also when it says how it went while the controller catches up", async () => {
    const world = await lostInRollback();
    const generation = world.generation("b");
    world.startEngine({ isHeard: false });
    await world.join("b");
    await world.say("b", "failed", generation);
    expect(world.wanted("b")).toBe("2");
    world.pass(2000, "a", "b");
    expect(world.wanted("b")).toBe("1");
  });

  test("is not taken back by the older deployment once a newer one has decided about it", async () => {
    const world = await lostInRollback();
    const generation = world.generation("b");
    const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(2) });
    world.startEngine({ isHeard: false });
    await world.join("b");
    await world.say("b", "failed", generation);
    world.pass(2000, "a", "b");
    expect(world.wanted("b")).toBe("3");
    world.startEngine();
    expect(world.wanted("b")).toBe("3");
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    expect([world.phase(third), world.wanted("b"), world.state("d-2" as never, "b")]).toEqual(["succeeded", "3", "skipped"]);
    world.deploy("4", { waves: [ALL], maxUnavailable: count(2) });
    expect(world.wanted("b")).toBe("4");
  });

  test("is not taken back once more by the older deployment when a newer one begins", async () => {
    const world = await lostInRollback();
    await world.join("b");
    expect(world.wanted("b")).toBe("1");
    world.deploy("3", { waves: [ALL], maxUnavailable: count(2) });
    expect(world.wanted("b")).toBe("3");
    world.pass(2000, "a", "b");
    expect(world.wanted("b")).toBe("3");
  });
});

describe("what a newer deployment has decided about a machine", () => {
  test("is not undone by an older rollback that goes on with machines that were lost in it", async () => {
    const world = await deployed("1", "a", "b", "c");
    const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
    await world.settle("a", "b", "c");
    world.pass(30_000, "a", "b");
    world.command(second, "rollback");
    await world.settle("a", "b");
    expect([world.phase(second), world.state(second, "c")]).toEqual(["rolled_back", "unreachable"]);
    const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(9), offline: { kind: "wait", forMs: null } });
    await world.settle("a", "b");
    world.told.length = 0;
    await world.join("c");
    expect(world.wanted("c")).toBe("3");
    await world.settle("c");
    expect(world.phase(third)).toBe("succeeded");
    world.deploy("4", { waves: [ALL], maxUnavailable: count(9) });
    expect(world.wanted("c")).toBe("4");
  });

  test("does not keep a machine that is on the way from being healthy with what it has, and from going back to it", async () => {
    const world = await deployed("1", "a");
    await world.join("b");
    const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
    expect(world.wanted("b")).toBe("1");
    await world.say("b", "healthy");
    expect(world.state("d-1" as never, "b")).toBe("healthy");
    await world.settle("a", "b");
    expect([world.wanted("b"), world.phase(second)]).toEqual(["2", "succeeded"]);
    world.command(second, "rollback");
    await world.settle("a", "b");
    expect(world.wanted("b")).toBe("1");
  });
});

test("a machine that gets over its failure after the end of its rollout has the release confirmed, and goes back to it", async () => {
  const world = new World();
  await world.join("a", "b");
  const first = world.deploy("1", { waves: [ALL], maxUnavailable: count(2), maxFailures: count(1) });
  await world.say("a", "failed");
  await world.say("b", "healthy");
  expect([world.phase(first), world.state(first, "a")]).toEqual(["succeeded", "failed"]);
  await world.say("a", "healthy");
  expect(world.state(first, "a")).toBe("healthy");
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await world.settle("a", "b");
  world.command(second, "rollback");
  expect(world.wanted("a")).toBe("1");
});

test("a deployment is not taken back from under a later one that stands, also when one after that was taken back", async () => {
  const world = await deployed("1", "a", "b");
  const second = world.deploy("2");
  await world.settle("a", "b");
  const third = world.deploy("3");
  await world.settle("a", "b");
  world.command(third, "rollback");
  await world.settle("a", "b");
  expect(world.command("d-1" as never, "rollback").ok).toBe(false);
  expect(world.command(second, "rollback").ok).toBe(true);
  await world.settle("a", "b");
  expect(world.command("d-1" as never, "rollback").ok).toBe(true);
});

test("late machines wait as soon as the release does not stand, also while some of them are on their way", async () => {
  const world = new World();
  const first = ["a", "b"];
  const late = ["c", "d", "e", "f", "g", "h"];
  const told = (): number => late.filter((name) => world.wanted(name) === "2").length;
  await world.join(...first, ...late);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...first, ...late);
  world.pass(20_000, ...first);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
  await world.settle(...first);
  world.pass(2000, ...first);
  expect(world.phase(id)).toBe("succeeded");
  await world.join(...late);
  expect(told()).toBe(4);
  world.pass(20_000, ...late);
  for (const name of ["c", "d", "e"]) await world.say(name, "healthy");
  world.pass(2000, ...late);
  expect([world.engine.unsound(id)?.startsWith("app@2 to be healthy where it runs"), told()]).toEqual([true, 4]);
  await world.join(...first);
  world.pass(2000, ...first, ...late);
  expect(told()).toBe(6);
});

test("a late machine behind others that have failed is said to wait for somebody to retry", async () => {
  const world = await deployed("1", "a", "b");
  const id = "d-1" as never;
  await world.join("c");
  await world.say("c", "failed");
  await world.join("d");
  expect([world.wanted("d"), world.engine.unsound(id)]).toEqual([undefined, "somebody to retry it (muster retry d-1): more late machines have failed than max_failures allows"]);
  world.command(id, "retry");
  await world.say("c", "healthy");
  world.pass(2000, "a", "b", "c", "d");
  expect([world.wanted("d"), world.engine.unsound(id)]).toEqual(["1", undefined]);
});

test.each(["before", "while"])("one of ten that stand becomes unhealthy %s a late machine is on its way: the others that are late get the release all the same", async (when) => {
  const all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
  const standing = all.slice(2);
  const world = await deployed("1", ...all);
  world.pass(20_000, ...standing);
  const id = world.deploy("2", { maxUnavailable: count(1) });
  await world.settle(...standing);
  world.pass(2000, ...standing);
  if (when === "before") await world.say("c", "unhealthy");
  await world.join("a", "b");
  world.pass(1000, ...all);
  if (when === "while") await world.say("c", "unhealthy");
  for (const name of ["a", "b"]) {
    expect(world.wanted(name)).toBe("2");
    await world.say(name, "healthy");
    world.pass(4000, ...all);
  }
  expect([world.state(id, "a"), world.state(id, "b")]).toEqual(["healthy", "healthy"]);
});
