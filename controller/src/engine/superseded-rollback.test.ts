/**
 * A rollback in the middle of which a newer deployment takes its place: what the newer one does not decide about still goes back.
 */
import { describe, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const ONE_BY_ONE = { waves: [ALL], maxUnavailable: count(1) };
/** A canary first. */
const FIX = { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onConflict: "supersede" as const };

const wanted = (world: World, names: readonly string[] = NAMES) => names.map((name) => world.wanted(name));
const states = (world: World, id: DeploymentId, names: readonly string[] = NAMES) => names.map((name) => world.state(id, name));

function refused(world: World, id: DeploymentId, command: "rollback" | "retry" = "rollback"): string {
  const answer = world.command(id, command);
  return answer.ok ? "" : answer.refusal.message;
}

async function failsAndGoesBack(world: World, name: string): Promise<void> {
  await world.say(name, "reverting");
  await world.say(name, "reverted");
}

/** All four run 2, a is unwell with it, and 2 is being rolled back, a first. */
async function rollingBack(strategy: object = ONE_BY_ONE): Promise<{ readonly world: World; readonly second: DeploymentId }> {
  const world = await onOne([...NAMES, "e"]);
  const second = world.deploy("2", strategy);
  for (const name of NAMES) {
    await world.say(name, "healthy");
    world.pass(2000, ...NAMES, "e");
  }
  await world.say("a", "unhealthy");
  expect([world.phase(second), world.wanted("a"), wanted(world, ["b", "c", "d"])]).toEqual(["rolling_back", "1", ["2", "2", "2"]]);
  return { world, second };
}

/** The canary of the fix fails, and the fix is rolled back. */
async function fixFails(world: World, third: DeploymentId): Promise<void> {
  for (const name of ["a", "e"]) await world.say(name, "healthy");
  world.pass(2000, ...NAMES, "e");
  expect(world.wanted("a")).toBe("3");
  await failsAndGoesBack(world, "a");
  world.pass(2000, ...NAMES, "e");
  await work(world, ["a"], 2);
  expect(world.phase(third)).toBe("rolled_back");
}

test("goes on when the newer deployment is rolled back without having told its machines", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", FIX);
  expect([world.phase(second), states(world, second)]).toEqual(["superseded", ["reverting", "skipped", "skipped", "skipped"]]);
  await fixFails(world, third);
  // In its own window.
  expect(states(world, second).filter((state) => state === "reverting").length).toBe(1);
  await work(world, [...NAMES, "e"], 20);
  expect([wanted(world, [...NAMES, "e"]), states(world, second, ["b", "c", "d"])]).toEqual([["1", "1", "1", "1", "1"], ["reverted", "reverted", "reverted"]]);
  expect(refused(world, second)).toMatch(/^d-2 can't be rolled back: it is being taken back already: .*muster rollback d-2 --to VERSION/);
});

test("leaves its machines to the newer deployment as long as that has them, also over a restart", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", FIX);
  world.pass(30_000, ...NAMES, "e");
  expect(wanted(world)).toEqual(["1", "2", "2", "2"]);
  world.startEngine();
  world.pass(30_000, ...NAMES, "e");
  expect([wanted(world), states(world, second)]).toEqual([["1", "2", "2", "2"], ["reverting", "skipped", "skipped", "skipped"]]);
  await work(world, [...NAMES, "e"], 20);
  expect([world.phase(third), wanted(world), world.engine.rollout(second)]).toEqual(["succeeded", ["3", "3", "3", "3"], undefined]);
  world.startEngine();
  world.pass(30_000, ...NAMES, "e");
  expect(wanted(world)).toEqual(["3", "3", "3", "3"]);
});

test("leaves them in one row, however many they are, and the tables say the same as memory", async () => {
  const { world, second } = await rollingBack();
  world.deploy("3", FIX);
  const rows = world.journal.db.prepare("SELECT kind, data FROM journal WHERE deployment = ? AND seq > (SELECT max(seq) FROM journal WHERE deployment = ? AND kind = 'phase_changed')").all(second, second) as { kind: string; data: string }[];
  expect(rows.map(({ kind, data }) => [kind, (JSON.parse(data) as { machines: unknown }).machines])).toEqual([["targets_left", ["b", "c", "d"]]]);
  const before = [...world.engine.rollout(second)!.targets.values()].map(({ machine, state, purpose, reason, since }) => ({ machine, state, purpose, reason, since }));
  world.startEngine();
  expect([...world.engine.rollout(second)!.targets.values()].map(({ machine, state, purpose, reason, since }) => ({ machine, state, purpose, reason, since }))).toEqual(before);
});

test("goes on after a restart in between", async () => {
  const { world } = await rollingBack();
  const third = world.deploy("3", FIX);
  await fixFails(world, third);
  world.startEngine();
  world.pass(2000, ...NAMES, "e");
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
});

test("goes on with those that an aborted newer deployment has not told, and leaves it those that it has", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", { ...FIX, maxUnavailable: count(2) });
  for (const name of ["a", "e"]) await world.say(name, "healthy");
  world.pass(2000, ...NAMES, "e");
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES, "e");
  world.command(third, "abort");
  const took = NAMES.filter((name) => world.wanted(name) === "3");
  expect(took.length).toBeGreaterThan(1);
  await work(world, [...NAMES, "e"], 20);
  expect(NAMES.map((name) => [name, world.wanted(name)])).toEqual(NAMES.map((name) => [name, took.includes(name) ? "3" : "1"]));
  expect(took.includes("b") ? world.state(second, "b") : "skipped").toBe("skipped");
});

test("is left to a third deployment that takes the place of the second, and goes on when that ends", async () => {
  const { world, second } = await rollingBack();
  world.deploy("3", FIX);
  const fourth = world.deploy("4", { ...FIX, start: "auto" });
  world.pass(10_000, ...NAMES, "e");
  expect([world.phase(fourth), wanted(world), states(world, second, ["b", "c", "d"])]).toEqual(["rolling", ["1", "2", "2", "2"], ["skipped", "skipped", "skipped"]]);
  world.command(fourth, "abort");
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
});

test("two rollbacks, the second of which was superseded too, give each machine back what ran before the first", async () => {
  const { world } = await rollingBack();
  const third = world.deploy("3", { ...WIDE, onConflict: "supersede" });
  await world.say("a", "healthy");
  await work(world, [...NAMES, "e"], 4);
  expect(world.phase(third)).toBe("succeeded");
  world.steer(third, { kind: "set_max_unavailable", size: count(1) });
  world.command(third, "rollback");
  const fourth = world.deploy("4", FIX);
  world.command(fourth, "abort");
  await work(world, [...NAMES, "e"], 30);
  expect(wanted(world, [...NAMES, "e"])).toEqual(["1", "1", "1", "1", "1"]);
});

test("takes back a machine that was silent all the while, when it is heard after the newer one was aborted", async () => {
  const { world, second } = await rollingBack();
  const rest = ["a", "c", "d", "e"];
  world.pass(30_000, ...rest);
  const third = world.deploy("3", FIX);
  await world.say("a", "healthy");
  world.pass(2000, ...rest);
  world.command(third, "abort");
  await work(world, rest, 20);
  expect([wanted(world, ["b", "c", "d"]), world.state(second, "b")]).toEqual([["2", "1", "1"], "unreachable"]);
  world.startEngine({ isHeard: false });
  world.pass(30_000, ...rest);
  await world.join("b");
  world.pass(2000, ...NAMES, "e");
  await work(world, [...NAMES, "e"], 4);
  expect([world.wanted("b"), world.state(second, "b")]).toEqual(["1", "reverted"]);
});

test("takes back a cordoned machine that the newer one passed over, when that has ended", async () => {
  const { world } = await rollingBack();
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, { by: "anna", reason: "" });
  const third = world.deploy("3", FIX);
  await fixFails(world, third);
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
});

test("goes on with a machine that has other labels by now, beside the newer deployment", async () => {
  const world = await onOne();
  const second = world.deploy("2", ONE_BY_ONE);
  await work(world, NAMES);
  world.label({ role: "db" }, "a");
  world.command(second, "rollback");
  const third = world.deploy("3", { ...ONE_BY_ONE, onConflict: "supersede" });
  expect([world.phase(second), world.phase(third)]).toEqual(["superseded", "rolling"]);
  await work(world, NAMES, 20);
  expect([world.phase(third), wanted(world), states(world, second, ["a"])]).toEqual(["succeeded", ["1", "3", "3", "3"], ["reverted"]]);
});

test("goes on with a machine that leaves the selector of the newer one before it is told", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", FIX);
  world.label({ role: "db" }, "d");
  world.pass(1000, ...NAMES, "e");
  await work(world, [...NAMES, "e"], 30);
  expect([world.phase(third), wanted(world), world.state(second, "d")]).toEqual(["succeeded", ["3", "3", "3", "1"], "reverted"]);
});

test("leaves a machine to the newer one again that is back in its selector before it went back", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", { ...FIX, waves: [soak(60_000), ALL] });
  for (const name of ["a", "e"]) await world.say(name, "healthy");
  world.pass(2000, ...NAMES, "e");
  await world.say("a", "healthy");
  // The place of the rollback is taken by c.
  for (const name of ["c", "d"]) world.label({ role: "db" }, name);
  world.pass(1000, ...NAMES, "e");
  expect(states(world, second, ["c", "d"]).map(String).toSorted()).toEqual(["failed", "reverting"]);
  const [waits, goes] = world.state(second, "c") === "failed" ? ["c", "d"] : ["d", "c"];
  world.label({ role: "web" }, waits);
  expect([world.state(second, waits), world.state(third, waits)]).toEqual(["skipped", "pending"]);
  await world.say(goes, "healthy");
  await work(world, [...NAMES, "e"], 60);
  expect([world.phase(third), world.wanted(waits), world.wanted(goes)]).toEqual(["succeeded", "3", "1"]);
});

test("goes on though a fault of the controller had stopped it", async () => {
  const { world, second } = await rollingBack();
  world.journal.db.prepare("UPDATE deployments SET phase = 'paused', reason_code = 'internal', reason_message = 'there is no such day' WHERE id = ?").run(second);
  world.startEngine();
  const third = world.deploy("3", FIX);
  expect([world.phase(second), states(world, second, ["b", "c", "d"])]).toEqual(["superseded", ["skipped", "skipped", "skipped"]]);
  world.command(third, "abort");
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world, ["b", "c", "d"])).toEqual(["1", "1", "1"]);
});

test("knows of a machine that is removed, and of the one that takes its name", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", FIX);
  world.remove("d");
  expect(world.state(second, "d")).toBe("removed");
  world.command(third, "abort");
  await world.join("d");
  await work(world, [...NAMES, "e"], 20);
  expect([wanted(world, ["b", "c", "d"]), world.engine.audit()]).toEqual([["1", "1", "1"], undefined]);
});

test("starts nobody beyond its window, nor beyond a budget", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", FIX);
  world.engine.orders.setBudget("role=web", 1, "anna");
  world.command(third, "abort");
  for (const name of ["a", "e"]) await world.say(name, "healthy");
  for (let round = 0; round < 20; round += 1) {
    const changing = states(world, second).filter((state) => state === "reverting").length;
    expect(changing).toBeLessThanOrEqual(1);
    for (const name of NAMES) if (world.state(second, name) === "reverting") await world.say(name, "healthy");
    world.pass(2000, ...NAMES, "e");
  }
  expect(states(world, second, ["b", "c", "d"])).toEqual(["reverted", "reverted", "reverted"]);
});

test("waits for no selector that says the same in another order, or is for more", async () => {
  const world = await onOne();
  const second = world.deploy("2", { ...ONE_BY_ONE, targets: "role=web,!db" });
  await work(world, NAMES);
  world.command(second, "rollback");
  const third = world.deploy("3", { ...FIX, targets: "!db,role=web" });
  expect([world.phase(second), world.phase(third)]).toEqual(["superseded", "rolling"]);
});

test("is waited for by a deployment to some of its machines", async () => {
  const { world, second } = await rollingBack();
  world.label({ role: "web", zone: "a" }, "b");
  const third = world.deploy("3", { ...FIX, targets: "zone=a" });
  expect([world.phase(second), world.phase(third), world.waitingOn(third)]).toEqual(["rolling_back", "pending", "d-2 (app@2) to have gone back: it goes to other machines, too; muster abort d-2 ends it"]);
});

describe("while it goes on", () => {
  /** Machines that are on their way, whoever sent them. */
  const changing = (world: World) =>
    world.journal.db
      .prepare("SELECT a.machine FROM assignments a LEFT JOIN machine_apps s ON s.machine = a.machine AND s.app = a.app AND s.generation = a.generation WHERE coalesce(s.phase, '') NOT IN ('healthy', 'reverted')")
      .pluck()
      .all() as string[];

  test.each(["queue", "supersede"] as const)("no deployment to some of its machines begins beside it (%s)", async (onConflict) => {
    const { world, second } = await rollingBack();
    for (const name of ["a", "e"]) await world.say(name, "healthy");
    world.label({ role: "web", zone: "a" }, "a");
    const third = world.deploy("3", FIX);
    world.command(third, "abort");
    const fourth = world.deploy("4", { ...ONE_BY_ONE, targets: "zone=a", onConflict });
    world.pass(2000, ...NAMES, "e");
    expect([world.phase(second), world.phase(fourth), world.waitingOn(fourth)]).toEqual([
      "superseded",
      "pending",
      onConflict === "queue" ? "d-2 (app@2, superseded) to have gone back" : "d-2 (app@2) to have gone back: it goes to other machines, too",
    ]);
    for (let round = 0; round < 12; round += 1) {
      expect(changing(world).length).toBeLessThanOrEqual(1);
      for (const name of changing(world)) await world.say(name, "healthy");
      world.pass(2000, ...NAMES, "e");
    }
    expect([world.phase(fourth), wanted(world)]).toEqual(["succeeded", ["4", "1", "1", "1"]]);
  });

  test("one that waited for the newer deployment waits for it as well, also over a restart", async () => {
    const { world, second } = await rollingBack();
    for (const name of ["a", "e"]) await world.say(name, "healthy");
    world.label({ role: "web", zone: "a" }, "a");
    const third = world.deploy("3", { ...FIX, waves: [soak(600_000), ALL] });
    const fourth = world.deploy("4", { ...ONE_BY_ONE, targets: "zone=a" });
    world.startEngine();
    world.pass(4000, ...NAMES, "e");
    world.command(third, "abort");
    expect([world.phase(fourth), states(world, second, ["b", "c", "d"]).filter((state) => state === "reverting").length]).toEqual(["pending", 1]);
    await work(world, [...NAMES, "e"], 20);
    expect([world.phase(fourth), wanted(world)]).toEqual(["succeeded", ["4", "1", "1", "1"]]);
  });

  test("a deployment to all of its machines takes its place at once", async () => {
    const { world, second } = await rollingBack();
    world.command(world.deploy("3", FIX), "abort");
    const fourth = world.deploy("4", FIX);
    expect([world.phase(fourth), states(world, second, ["b", "c", "d"])]).toEqual(["rolling", ["skipped", "skipped", "skipped"]]);
  });
});

describe("a release that is being taken back", () => {
  test("is none that the newer deployment goes back to, though it was confirmed", async () => {
    const world = await onOne();
    const second = world.deploy("2", { ...WIDE, maxUnavailable: count(4) });
    await work(world, NAMES);
    expect(world.phase(second)).toBe("succeeded");
    world.steer(second, { kind: "set_max_unavailable", size: count(1) });
    world.command(second, "rollback");
    const third = world.deploy("3", { ...WIDE, onConflict: "supersede" });
    await work(world, NAMES, 4);
    expect([world.phase(third), wanted(world)]).toEqual(["succeeded", ["3", "3", "3", "3"]]);
    world.command(third, "rollback");
    await work(world, NAMES, 8);
    expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
  });

  test("is none that machines go back to which were not heard in the rollback", async () => {
    const world = await onOne();
    const second = world.deploy("2", WIDE);
    await work(world, NAMES);
    const rest = ["a", "b", "c"];
    world.pass(30_000, ...rest);
    world.command(second, "rollback");
    await work(world, rest);
    expect([world.phase(second), world.wanted("d")]).toEqual(["rolled_back", "2"]);
    const third = world.deploy("3", { ...WIDE, maxFailures: count(4) });
    await world.join("d");
    await work(world, NAMES);
    expect(world.wanted("d")).toBe("3");
    world.command(third, "rollback");
    await work(world, NAMES);
    expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
  });

  test("is watched anew when somebody deploys it again in the middle of that", async () => {
    const world = await onOne();
    const second = world.deploy("2", WIDE);
    await work(world, NAMES);
    world.steer(second, { kind: "set_max_unavailable", size: count(1) });
    world.command(second, "rollback");
    const again = world.deploy("2", { ...WIDE, waves: [soak(10_000, 9)], onConflict: "supersede" });
    await work(world, NAMES, 20);
    expect([world.phase(again), wanted(world), states(world, again)]).toEqual(["succeeded", ["2", "2", "2", "2"], ["healthy", "healthy", "healthy", "healthy"]]);
    world.command(again, "rollback");
    await work(world, NAMES, 8);
    expect(wanted(world)).toEqual(["1", "1", "1", "1"]);
  });
});

test("that a person has aborted stays where it is when newer deployments fail", async () => {
  const { world, second } = await rollingBack();
  world.command(second, "abort");
  const third = world.deploy("3", FIX);
  await fixFails(world, third);
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world, ["b", "c", "d"])).toEqual(["2", "2", "2"]);
});

test("a machine that was silent meanwhile, and is heard while the newer deployment has still to tell it, is left to that", async () => {
  const { world, second } = await rollingBack();
  const others = [...NAMES.slice(0, 3), "e"];
  world.pass(20_000, ...others);
  expect(world.state(second, "d")).toBe("unreachable");
  const third = world.deploy("3", FIX);
  await world.join("d");
  await world.say("d", "probing");
  world.pass(10_000, ...NAMES, "e");
  expect([world.wanted("d"), world.state(second, "d")]).toEqual(["2", "unreachable"]);
  await world.say("d", "healthy");
  await fixFails(world, third);
  await work(world, [...NAMES, "e"], 20);
  expect(wanted(world, [...NAMES, "e"])).toEqual(["1", "1", "1", "1", "1"]);
});

test.each(["healthy", "probing", "unhealthy"] as const)("a machine that was lost in the rollback waits for its turn in the newer deployment, whatever it says first: %s", async (phase) => {
  const world = await onOne();
  const second = world.deploy("2", ONE_BY_ONE);
  await work(world, NAMES, 20);
  const generation = world.generation("b");
  world.command(second, "rollback");
  world.pass(20_000, "a", "c", "d");
  expect(states(world, second)).toEqual(["healthy", "unreachable", "healthy", "reverting"]);
  const third = world.deploy("3", FIX);
  expect([world.phase(second), world.state(third, "b")]).toEqual(["superseded", "pending"]);
  await world.say("b", phase, generation);
  world.pass(2000, ...NAMES);
  await world.say("d", "healthy");
  world.pass(4000, ...NAMES);
  expect(world.wanted("b")).toBe("2");
});

describe("a machine that could not go back", () => {
  /** The others do what they are told, and it says nothing more, but is heard. */
  async function workBeside(stuck: string, world: World): Promise<void> {
    for (let round = 0; round < 10; round += 1) {
      await work(world, [...NAMES, "e"].filter((name) => name !== stuck), 2);
      world.pass(100, ...NAMES, "e");
    }
  }

  /** The rollback of 2 was superseded by 3, which was aborted before it told anybody anything; a could not go back, and the others are back. */
  async function stuck(): Promise<{ readonly world: World; readonly second: DeploymentId }> {
    const { world, second } = await rollingBack();
    const third = world.deploy("3", FIX);
    world.command(third, "abort");
    world.pass(2000, ...NAMES, "e");
    await world.say("a", "failed");
    world.pass(2000, ...NAMES, "e");
    await workBeside("a", world);
    expect([states(world, second), wanted(world)]).toEqual([["failed", "reverted", "reverted", "reverted"], ["1", "1", "1", "1"]]);
    return { world, second };
  }

  test("is waited for no longer, and goes back again when somebody asks for that", async () => {
    const { world, second } = await stuck();
    expect([world.engine.rollout(second), (await world.engine.remedies(second)).rollback, world.phase(second)]).toEqual([undefined, true, "superseded"]);
    const before = world.generation("a");
    expect(refused(world, second)).toBe("");
    world.pass(2000, ...NAMES, "e");
    expect([world.generation("a") > before, world.state(second, "a")]).toEqual([true, "reverting"]);
    await world.say("a", "healthy");
    world.pass(2000, ...NAMES, "e");
    expect([states(world, second), world.engine.rollout(second)]).toEqual([["reverted", "reverted", "reverted", "reverted"], undefined]);
    expect(refused(world, second)).toMatch(/it is being taken back already/);
  });

  test("goes back again after a restart in between, and takes nobody with it whom the newer deployment has told", async () => {
    const { world, second } = await rollingBack();
    const third = world.deploy("3", FIX);
    for (const name of ["a", "e"]) await world.say(name, "healthy");
    world.pass(2000, ...NAMES, "e");
    world.command(third, "abort");
    await world.say("a", "healthy");
    world.pass(2000, ...NAMES, "e");
    expect(world.wanted("a")).toBe("3");
    const goes = NAMES.find((name) => world.state(second, name) === "reverting")!;
    await world.say(goes, "failed");
    await workBeside(goes, world);
    world.startEngine();
    world.pass(2000, ...NAMES, "e");
    expect([world.state(second, goes), world.engine.rollout(second)]).toEqual(["failed", undefined]);
    expect(refused(world, second)).toBe("");
    await work(world, [...NAMES, "e"], 4);
    expect([wanted(world), states(world, second, ["b", "c", "d"]), world.engine.audit()]).toEqual([["3", "1", "1", "1"], ["reverted", "reverted", "reverted"], undefined]);
  });

  test("is another's when a newer deployment has told it something", async () => {
    const { world, second } = await stuck();
    const fourth = world.deploy("4", WIDE);
    await work(world, [...NAMES, "e"], 4);
    expect([world.phase(fourth), refused(world, second)]).toEqual(["succeeded", expect.stringMatching(/^d-2 can't be rolled back: d-4 of app has been carried out since; roll that back instead/)]);
  });
});

test("canaries that a bad release had not come to, when it took the place of theirs, are named: nobody has called good what they run", async () => {
  const world = await onOne();
  const strategy = { waves: [soak(600_000, 2), ALL], maxUnavailable: count(1), onConflict: "supersede" as const };
  const second = world.deploy("2", strategy);
  for (const name of ["a", "b"]) await world.say(name, "healthy", world.generation(name), "app", "2");
  const third = world.deploy("3", strategy);
  await world.say("a", "reverted", world.generation("a"), "app", "1");
  await work(world, NAMES, 6);
  expect([world.phase(third), world.wanted("a"), world.wanted("b")]).toEqual(["rolled_back", "1", "2"]);
  expect((await viewsOf(world).one(second))!.outcome).toBe("superseded; b still runs 2, which was never confirmed there");
  world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  expect((await viewsOf(world).one(second))!.outcome).toBe("superseded");
});
