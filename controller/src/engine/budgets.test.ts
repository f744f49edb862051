/**
 * Budgets of groups, over all rollouts.
 */
import { expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const wide = { waves: [ALL], maxUnavailable: count(10) } as const;

function used(world: World): readonly string[] {
  return world.engine.orders.budgets()[0]!.unavailable;
}

test("two apps together never move more of a group than its budget", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.engine.orders.setBudget("role=web", 2, "anna");
  world.deploy("1", wide);
  const shop = world.deploy("1", wide, { app: "shop" });
  expect(used(world)).toEqual(["a", "b"]);
  // The same machine takes no second place.
  expect([world.wanted("a", "shop"), world.wanted("b", "shop"), world.wanted("c", "shop")]).toEqual(["1", "1", undefined]);
  await world.say("a", "healthy", world.generation("a"), "shop");
  expect(world.wanted("c")).toBeUndefined();
  expect(world.waitingOn(shop)).toMatch(/^b to be healthy/);
  const generation = world.engine.assignmentFor("a" as MachineId)!.apps.find(({ app }) => app === "app")!.generation;
  await world.say("a", "healthy", generation, "app");
  expect(used(world)).toEqual(["b", "c"]);
  expect(world.wanted("c")).toBe("1");
});

test("a rollout that waits for a budget says so, and the more important goes first when there is room", async () => {
  const world = new World();
  await world.joinAs({ role: "db", app: "x" }, "a");
  await world.joinAs({ role: "db", app: "y" }, "b");
  await world.joinAs({ role: "db", app: "z" }, "c");
  world.engine.orders.setBudget("role=db", 1, "anna");
  world.deploy("1", { ...wide, targets: "app=x" }, { app: "x" });
  const low = world.deploy("1", { ...wide, targets: "app=y", progressDeadlineMs: 60_000 }, { app: "y" });
  const high = world.deploy("1", { ...wide, targets: "app=z", priority: 5 }, { app: "z" });
  expect(world.waitingOn(low)).toBe("room in the budget of role=db");
  world.pass(120_000, "a", "b", "c");
  expect(world.phase(low)).toBe("rolling");
  await world.say("a", "healthy");
  expect([world.wanted("b", "y"), world.wanted("c", "z")]).toEqual([undefined, "1"]);
  expect(world.waitingOn(low)).toBe("room in the budget of role=db");
  world.engine.orders.setBudget("role=db", 2, "anna");
  expect(world.wanted("b", "y")).toBe("1");
  expect(world.phase(high)).toBe("rolling");
});

test("a silent machine takes a place, but never the last one; a budget of 0 is nobody", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.pass(20_000, "a", "b");
  world.engine.orders.setBudget("role=web", 2, "anna");
  expect(used(world)).toEqual(["c"]);
  world.deploy("1", wide);
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", undefined]);
  world.engine.orders.setBudget("role=web", 1, "anna");
  await world.say("a", "healthy");
  expect(world.wanted("b")).toBe("1");
  await world.say("b", "healthy");
  world.engine.orders.setBudget("role=web", 0, "anna");
  const second = world.deploy("2", wide);
  expect(world.wanted("a")).toBe("1");
  expect(world.waitingOn(second)).toBe("room in the budget of role=web");
  world.engine.orders.removeBudget("role=web", "anna");
  expect(world.wanted("a")).toBe("2");
  world.engine.orders.setBudget("role=web", 0, "anna");
  world.command(second, "rollback");
  await world.settle("a", "b");
  expect(world.phase(second)).toBe("rolled_back");
});

test("draining is refused where it would exceed a budget, unless it is forced", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1");
  await world.settle("a", "b");
  world.engine.orders.setBudget("role=web", 1, "anna");
  const drain = (machine: string, force = false) => world.engine.orders.cordon(machine as MachineId, { drain: true, force }, { by: "anna", reason: "" });
  expect(drain("a").ok).toBe(true);
  expect(drain("b")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("would exceed the budget of role=web") } });
  expect(drain("b", true).ok).toBe(true);
});

test("machines that are changing are drained within the budget too: their change would end, and the drain does not", async () => {
  const world = await onOne();
  world.engine.orders.setBudget("role=web", 1, "anna");
  world.deploy("2", WIDE);
  const drained: boolean[] = [];
  for (const machine of NAMES) {
    drained.push(world.engine.orders.cordon(machine as MachineId, { drain: true, force: false }, { by: "", reason: "" }).ok);
    if (drained.at(-1) === true) await world.say(machine, "removed");
    world.pass(1000, ...NAMES);
  }
  expect([drained, world.state("d-2" as never, "b"), used(world)]).toEqual([[true, false, false, false], "updating", ["a", "b"]]);
});

test("of machines that were changing before there was a budget none is drained; one that is down already always is", async () => {
  const world = await onOne();
  world.deploy("2", { ...WIDE, onFailure: "pause", maxFailures: count(9) });
  world.engine.orders.setBudget("role=web", 1, "anna");
  const drain = (machine: string) => world.engine.orders.cordon(machine as MachineId, { drain: true, force: false }, { by: "", reason: "" }).ok;
  expect(drain("a")).toBe(false);
  await world.say("b", "failed");
  world.pass(20_000, "a", "b", "d");
  expect([drain("a"), drain("b"), drain("c")]).toEqual([false, true, true]);
});

test("a budget and a lane of one name are two things", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  world.engine.orders.setBudget("zone=a", 1, "anna");
  const id = world.deploy("1", { ...wide, maxUnavailablePer: [{ label: "zone", max: 1 }] });
  world.deploy("1", { ...wide, targets: "zone=a" }, { app: "shop" });
  const generationOf = (app: string) => world.engine.assignmentFor("a" as MachineId)!.apps.find((each) => each.app === app)!.generation;
  await world.say("a", "healthy", generationOf("app"), "app");
  expect([world.phase(id), world.wanted("b")]).toEqual(["rolling", undefined]);
  await world.say("a", "healthy", generationOf("shop"), "shop");
  expect(world.wanted("b")).toBe("1");
});

test("machines that an ended rollout left on the move count again when it is retried", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { ...wide, onFailure: "abort" });
  await world.say("a", "failed");
  expect([world.phase(id), world.state(id, "b")]).toEqual(["failed", "updating"]);
  world.engine.orders.setBudget("role=web", 1, "anna");
  expect(world.command(id, "retry").ok).toBe(true);
  // What is down already costs its group nothing more.
  expect([world.state(id, "a"), used(world)]).toEqual(["updating", ["a", "b"]]);
  await world.say("b", "healthy");
  expect(used(world)).toEqual(["a"]);
});

test("a machine on its way in the tail of a deployment that stands no more takes a place, also for the next controller", async () => {
  const world = new World();
  await world.join("a");
  world.deploy("1");
  await world.settle("a");
  await world.join("b");
  world.deploy("1");
  await world.join("c");
  await world.say("b", "healthy");
  expect([world.phase("d-2" as never), world.state("d-2" as never, "c")]).toEqual(["succeeded", "updating"]);
  world.engine.orders.setBudget("role=web", 1, "anna");
  world.startEngine();
  await world.join("a", "b", "c");
  expect(used(world)).toEqual(["c"]);
});

test("a machine that is down for another app starts beside one that serves; none that serves starts beside it", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", wide);
  await world.settle("a", "b", "c");
  world.deploy("1", { ...wide, maxFailures: count(9) }, { app: "shop" });
  for (const machine of ["a", "b", "c"]) await world.say(machine, machine === "b" ? "failed" : "healthy", world.generation(machine), "shop");
  world.engine.orders.setBudget("role=web", 1, "anna");
  expect(used(world)).toEqual(["b"]);
  world.deploy("2", wide);
  expect([world.wanted("a"), world.wanted("b"), world.wanted("c"), used(world)]).toEqual(["2", "2", "1", ["a", "b"]]);
  await world.say("a", "healthy", world.generation("a"), "app");
  // While b is changing.
  expect(world.wanted("c")).toBe("1");
  await world.say("b", "healthy", world.generation("b"), "app");
  expect([world.wanted("c"), used(world)]).toEqual(["2", ["b", "c"]]);
});
