/** Labels: a machine brings them when it joins, and from then on they are the controller's. */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { describe, expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

function labelsOf(world: World, machine: string): unknown {
  return JSON.parse(world.journal.db.prepare("SELECT labels FROM machines WHERE id = ?").pluck().get(machine) as string);
}

function kinds(world: World): unknown {
  return world.journal.db.prepare("SELECT kind FROM journal WHERE machine IS NOT NULL ORDER BY seq").pluck().all();
}

test("a later hello with other labels changes nothing; one with another agent is kept without them", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a");
  await world.joinAs({ role: "db" }, "a");
  expect([labelsOf(world, "a"), kinds(world)]).toEqual([{ role: "web" }, ["machine_joined"]]);
  const said = { kind: "machine_joined", machine: "a" as MachineId, instance: "i-a", labels: { role: "db" }, agentVersion: "2", hostname: "h", os: "linux", arch: "x64" } as const;
  await world.engine.hello(said, 0);
  expect([labelsOf(world, "a"), kinds(world)]).toEqual([{ role: "web" }, ["machine_joined", "agent_changed"]]);
});

test("an operator sets some and removes others, and a hello later does not undo it", async () => {
  const world = new World();
  await world.joinAs({ role: "web", canary: "true" }, "a");
  const change = { set: { zone: "b", role: "web" }, remove: ["canary", "nothing"] };
  expect(world.engine.orders.labelMachine("a" as MachineId, change, "anna")).toEqual({ ok: true, value: { role: "web", zone: "b" } });
  await world.joinAs({ role: "web", canary: "true" }, "a");
  world.startEngine();
  expect([labelsOf(world, "a"), kinds(world)]).toEqual([{ role: "web", zone: "b" }, ["machine_joined", "machine_labelled"]]);
});

test("what is so already is not written again", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a");
  expect(world.engine.orders.labelMachine("a" as MachineId, { set: { role: "web" }, remove: ["zone"] }, "anna").ok).toBe(true);
  expect(kinds(world)).toEqual(["machine_joined"]);
});

test("a machine has a bounded number of them, and must be there", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a");
  const many = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`l${index}`, ""]));
  expect(world.engine.orders.labelMachine("a" as MachineId, { set: many, remove: [] }, "anna")).toMatchObject({ ok: false, refusal: { message: "a would have 65 labels; at most 64 are allowed" } });
  expect(world.engine.orders.labelMachine("b" as MachineId, { set: {}, remove: [] }, "anna")).toMatchObject({ ok: false, refusal: { kind: "not_found" } });
});

test("they count at once: in budgets, and for what stands", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a", "b");
  await world.joinAs({ role: "db" }, "c");
  world.engine.orders.setBudget("role=db", 1, "anna");
  world.deploy("1", { waves: [ALL] });
  await world.settle("a", "b");
  world.label({ role: "db" }, "b");
  expect(world.engine.orders.budgets()).toMatchObject([{ selector: "role=db", machines: 2 }]);
  world.label({ role: "web" }, "c");
  expect([world.wanted("c"), world.engine.orders.budgets()[0]?.machines]).toEqual(["1", 1]);
});

test("a silent machine has what they bring it when it is back", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a");
  await world.joinAs({ role: "db" }, "b");
  world.deploy("1", { waves: [ALL] });
  await world.settle("a");
  world.pass(20_000, "a");
  world.label({ role: "web" }, "b");
  expect(world.wanted("b")).toBeUndefined();
  await world.join("b");
  expect(world.wanted("b")).toBe("1");
});

test("a release is told the labels of the time of its assignment, and other ones only with a newer generation", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  const labelsTold = () => world.engine.assignmentFor("a" as MachineId)?.apps[0]?.labels;
  world.deploy("1", { waves: [ALL] });
  await world.settle("a");
  const generation = world.generation("a");
  world.label({ role: "web", zone: "b" }, "a");
  expect([world.generation("a"), labelsTold()]).toEqual([generation, { role: "web", zone: "a" }]);
  world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, { by: "", reason: "" });
  expect(labelsTold()).toEqual({ role: "web", zone: "b" });
  world.engine.orders.uncordon("a" as MachineId, { by: "", reason: "" });
  world.label({ role: "web", zone: "c" }, "a");
  world.deploy("2", { waves: [ALL] });
  expect(labelsTold()).toEqual({ role: "web", zone: "c" });
});

describe("a machine that its deployment selects no longer is not given the release", () => {
  const NAMES = ["a", "b", "c", "d"];
  const by = { by: "anna", reason: "" };

  async function rolling(changes = {}) {
    const world = new World();
    await world.join(...NAMES);
    world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
    await world.settle(...NAMES);
    world.pass(2000, ...NAMES);
    const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), ...changes });
    return { world, id };
  }

  /** Everybody becomes healthy, but for `a` on the release that it should not be told. */
  async function others(world: World) {
    if (world.wanted("a") === "1") await world.say("a", "healthy");
    for (let round = 0; round < 10; round += 1) {
      for (const name of NAMES.slice(1)) if (world.wanted(name) === "2") await world.say(name, "healthy");
      world.pass(2000, ...NAMES);
    }
  }

  async function drainOnItsWay(world: World) {
    await world.say("a", "activating");
    world.engine.orders.cordon("a" as MachineId, { drain: true, force: true }, by);
    await world.say("a", "removed");
  }

  test("when it was drained on its way and is used again", async () => {
    const { world, id } = await rolling();
    await drainOnItsWay(world);
    world.label({ role: "spare" }, "a");
    world.engine.orders.uncordon("a" as MachineId, by);
    expect([world.wanted("a"), loadRollout(world.journal, id)!.targets.get("a" as MachineId)!.reason?.message]).toEqual(["1", "its labels do not match role=web any more"]);
    await others(world);
    expect([world.wanted("a"), world.phase(id)]).toEqual(["1", "succeeded"]);
  });

  test("when it is used again after the end, which says so once", async () => {
    const { world, id } = await rolling();
    await drainOnItsWay(world);
    world.label({ role: "spare" }, "a");
    await others(world);
    world.engine.orders.uncordon("a" as MachineId, by);
    await world.join("a");
    world.startEngine();
    world.pass(5000, ...NAMES);
    const rows = world.journal.db.prepare("SELECT count(*) FROM journal WHERE machine = 'a' AND kind = 'target_changed' AND data LIKE '%unmatched%'").pluck().get();
    expect([world.phase(id), world.wanted("a"), world.state(id, "a"), rows]).toEqual(["succeeded", "1", "skipped", 1]);
  });

  test("when it had failed and is retried", async () => {
    const { world, id } = await rolling({ onFailure: "pause" });
    await world.say("a", "reverted");
    world.label({ role: "spare" }, "a");
    const before = world.generation("a");
    world.command(id, "retry");
    await others(world);
    expect([world.generation("a"), world.state(id, "a"), world.phase(id)]).toEqual([before, "skipped", "succeeded"]);
  });

  test("when it waits for its turn after a retry, which is said at once", async () => {
    const { world, id } = await rolling({ onFailure: "pause" });
    await world.say("a", "reverted");
    world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
    world.command(id, "retry");
    expect(world.state(id, "a")).toBe("pending");
    world.label({ role: "spare" }, "a");
    expect(world.state(id, "a")).toBe("skipped");
    world.label({ role: "web" }, "a");
    expect(world.state(id, "a")).toBe("pending");
  });

  test("when it had failed, was silent when it was retried, and is heard again", async () => {
    const { world, id } = await rolling({ onFailure: "pause" });
    await world.say("a", "reverted");
    world.pass(20_000, "b", "c", "d");
    world.command(id, "retry");
    expect(world.state(id, "a")).toBe("unreachable");
    world.label({ role: "spare" }, "a");
    const before = world.generation("a");
    await world.join("a");
    await others(world);
    expect([world.generation("a"), world.state(id, "a"), world.phase(id)]).toEqual([before, "skipped", "succeeded"]);
  });

  test("but holds it until it is taken back, if it has it", async () => {
    const { world, id } = await rolling({ waves: [{ ...wave(count(2)), gates: [{ kind: "approval" }] } as never, ALL], maxUnavailable: count(2), maxFailures: count(1) });
    await world.say("a", "failed");
    await world.say("b", "healthy");
    world.label({ role: "spare" }, "a");
    world.command(id, "retry");
    expect([world.state(id, "a"), world.wanted("a")]).toEqual(["skipped", "2"]);
    world.command(id, "rollback");
    expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "1"]);
  });

  test("until its labels match again", async () => {
    const { world, id } = await rolling();
    await drainOnItsWay(world);
    world.label({ role: "spare" }, "a");
    world.engine.orders.uncordon("a" as MachineId, by);
    await others(world);
    expect(world.phase(id)).toBe("succeeded");
    world.label({ role: "web" }, "a");
    world.pass(2000, ...NAMES);
    expect(world.wanted("a")).toBe("2");
  });
});

describe("a rollout whose machines all have other labels before any of them has its turn", () => {
  /** Nobody can have a turn in d-2. */
  async function held(by: "cordon" | "silence" | "budget"): Promise<{ readonly world: World; readonly id: DeploymentId }> {
    const world = new World();
    await world.join("a", "b");
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    await world.settle("a", "b");
    world.pass(2000, "a", "b");
    if (by === "cordon") for (const machine of ["a", "b"]) world.engine.orders.cordon(machine as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
    if (by === "silence") world.pass(30_000);
    if (by === "budget") world.engine.orders.setBudget("role=web", 0, "anna");
    return { world, id: world.deploy("2") };
  }

  test.each(["cordon", "silence", "budget"] as const)("ends, and says why: %s", async (by) => {
    const { world, id } = await held(by);
    world.label({ role: "db" }, "a");
    expect(world.phase(id)).toBe("rolling");
    world.label({ role: "db" }, "b");
    expect(loadRollout(world.journal, id)).toMatchObject({ phase: "failed", reason: { code: "no_targets", message: "none of the machines that were to be changed has the labels role=web any more" } });
    expect(world.wanted("a")).toBe("1");
  });

  test("it is not said that they are cordoned while another one is waited for", async () => {
    const { world, id } = await held("cordon");
    world.label({ role: "db" }, "a");
    expect(world.waitingOn(id)).toBe("b to be uncordoned: no machine has shown how the release does");
  });

  test("it goes on with those that come back in time", async () => {
    const { world, id } = await held("cordon");
    world.label({ role: "db" }, "a");
    world.label({ role: "web" }, "a");
    world.label({ role: "db" }, "b");
    world.engine.orders.uncordon("a" as MachineId, { by: "anna", reason: "" });
    expect([world.phase(id), world.wanted("a")]).toEqual(["rolling", "2"]);
  });
});
