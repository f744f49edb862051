/** A rollback that takes nobody else down has ended for good, whatever becomes of the machines that showed it: a person goes on with it. */
import { expect, test } from "vitest";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { loadRollout } from "../journal/load.ts";
import { viewsOf } from "../api/views.fixture.ts";
import type { Strategy } from "../plan/strategy.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { lasting, World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e"];
const BY = { by: "anna", reason: "" };

/** All run 2, and 2 is being rolled back, e first. */
async function rollingBack(changes: Partial<Strategy> = {}): Promise<{ readonly world: World; readonly second: DeploymentId }> {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", WIDE);
  await work(world, NAMES, 6);
  const second = world.deploy("2", { ...WIDE, maxUnavailable: count(1), ...changes });
  await work(world, NAMES, 20);
  world.command(second, "rollback");
  expect([world.phase(second), world.state(second, "e")]).toEqual(["rolling_back", "reverting"]);
  return { world, second };
}

const states = (world: World, id: DeploymentId): string => NAMES.map((name) => world.state(id, name)).join(" ");
const reverting = (world: World, id: DeploymentId): string | undefined => NAMES.find((name) => world.state(id, name) === "reverting");

async function fails(world: World, name: string): Promise<void> {
  await world.say(name, "failed", undefined, "app", "");
}

test("the machine that could not go back is removed, after the end", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  expect(world.phase(second)).toBe("aborted");
  world.remove("e");
  world.pass(60_000, ...NAMES);
  expect(states(world, second)).toBe("healthy healthy healthy healthy removed");
});

const EACH_ALONE = { waves: [1, 2, 3, 4].map((size) => wave(count(size))).concat(ALL) };

/** What a program does with a machine that is dead. */
const AFTERWARDS: Readonly<Record<string, (world: World, name: string) => Promise<void> | void>> = {
  nothing: () => {},
  "it is removed": (world, name) => world.remove(name),
  "it is drained": async (world, name) => {
    world.engine.orders.cordon(name as MachineId, { drain: true, force: true }, BY);
    await world.say(name, "removed");
  },
  "it falls silent": (world, name) => world.pass(20_000, ...NAMES.filter((each) => each !== name)),
  "the controller is killed": (world) => world.startEngine(),
};

const WAVES = { "one wave": {}, "waves of one": EACH_ALONE };
const CASES = Object.entries(AFTERWARDS).flatMap(([what, then]) => [0, 1].flatMap((tolerated) => Object.entries(WAVES).map(([where, waves]) => [what, tolerated, where, then, waves] as const)));

test.each(CASES)("nobody else is taken down when more could not go back than could, and than max_failures allows (then %s; max_failures %i, %s)", async (_, tolerated, _where, then, waves) => {
  const { world, second } = await rollingBack({ maxFailures: count(tolerated), ...waves });
  const failed: string[] = [];
  for (let name = reverting(world, second); name !== undefined; name = reverting(world, second)) {
    failed.push(name);
    await fails(world, name);
    await then(world, name);
    world.pass(3000, ...NAMES.filter((each) => !failed.includes(each)));
  }
  expect([failed.length, NAMES.filter((name) => world.state(second, name) === "healthy").length, world.phase(second)]).toEqual([tolerated + 1, NAMES.length - tolerated - 1, "aborted"]);
  const { reason } = loadRollout(world.journal, second)!;
  expect(reason?.message).toContain(`${failed.length} ${failed.length === 1 ? "machine" : "machines"} could not go back`);
  expect(world.command(second, "rollback").ok).toBe(true);
  expect(reverting(world, second)).toBeDefined();
});

test("memory and tables agree on what had become of those that were taken down, also when the rollback is asked for again", async () => {
  const { world, second } = await rollingBack({ maxFailures: count(1) });
  const agree = (): void => expect(lasting(world.engine.rollout(second))).toEqual(lasting(loadRollout(world.journal, second)));
  await fails(world, "e");
  agree();
  const next = reverting(world, second)!;
  await world.say(next, "healthy", undefined, "app", "1");
  agree();
  world.command(second, "abort");
  world.command(second, "rollback");
  expect(world.phase(second)).toBe("rolling_back");
  agree();
  world.startEngine();
  world.pass(20_000, ...NAMES);
  agree();
});

test("who is drained is taken back whatever the others show, and keeps nothing", async () => {
  const { world, second } = await rollingBack({ maxUnavailable: count(2) });
  expect(states(world, second)).toBe("healthy healthy healthy reverting reverting");
  await fails(world, "e");
  world.engine.orders.cordon("b" as MachineId, { drain: true, force: true }, BY);
  await world.say("b", "removed");
  world.pass(1000, ...NAMES);
  await fails(world, "d");
  world.pass(3000, ...NAMES);
  expect([world.phase(second), states(world, second)]).toEqual(["aborted", "healthy reverted healthy failed failed"]);
  expect(loadRollout(world.journal, second)!.reason!.message).toContain("a, c keep 2");
});

test.each(["failed", "reverted"] as const)("a machine whose release was stopped to go back, and that has only that, was taken down (then %s)", async (last) => {
  const { world, second } = await rollingBack();
  for (const [phase, runs] of [["staged", "2"], ["activating", "2"], ["reverting", ""], [last, "2"]] as const) await world.say("e", phase, undefined, "app", runs);
  world.pass(60_000, ...NAMES);
  expect([world.phase(second), states(world, second)]).toEqual(["aborted", "healthy healthy healthy healthy failed"]);
});

test("a machine that could not go back, and is drained, could not go back all the same", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  const before = (await viewsOf(world).one(second))!.outcome;
  expect(before).toContain("e could not go back");
  world.engine.orders.cordon("e" as MachineId, { drain: true, force: true }, BY);
  await world.say("e", "removed");
  expect([world.state(second, "e"), (await viewsOf(world).one(second))!.outcome]).toEqual(["failed", before]);
});

test("a rollback that a newer deployment took the place of takes nobody else down either, and ends so", async () => {
  const { world, second } = await rollingBack();
  const third = world.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(2), onConflict: "supersede" });
  const canary = NAMES.find((name) => world.state(third, name) === "updating")!;
  await world.say(canary, "reverting");
  await world.say(canary, "reverted");
  world.pass(3000, ...NAMES);
  const failed = new Set<string>();
  for (let round = 0; round < 20; round += 1) {
    for (const name of NAMES) {
      if (world.wanted(name) !== "1") continue;
      failed.add(name);
      await fails(world, name);
    }
    world.pass(60_000, ...NAMES);
  }
  // The one that was on its way when it was superseded, and the canary, which 3 gives back 1.
  expect([...failed].sort()).toEqual([canary, "e"]);
  const { phase, reason } = loadRollout(world.journal, second)!;
  expect(phase).toBe("aborted");
  expect(reason?.message).toMatch(/^1 machine could not go back to what it ran before: e runs nothing; b, c, d keep 2, .*muster rollback d-2 goes on with them; d-3 \(app@3\) took its place$/);
  world.startEngine();
  world.pass(60_000, ...NAMES);
  expect([world.phase(second), NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["aborted", ["b", "c", "d"]]);
  expect(world.command(second, "rollback")).toEqual({ ok: true, value: undefined });
  expect(reverting(world, second)).toBeDefined();
  expect(world.bugs).toEqual([]);
});

test.each([false, true])("whom it has left to the newer deployment keeps the release, too, when that comes to nothing (restarted: %s)", async (isRestarted) => {
  const { world, second } = await rollingBack();
  // It is none of the newer one's machines.
  world.label({ role: "db" }, "d");
  const third = world.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(2), onConflict: "supersede" });
  await fails(world, "e");
  world.pass(3000, ...NAMES);
  const canary = NAMES.find((name) => world.state(third, name) === "updating")!;
  await world.say(canary, "reverting");
  await world.say(canary, "reverted");
  world.pass(3000, ...NAMES);
  await fails(world, canary);
  world.pass(3000, ...NAMES);
  if (isRestarted) world.startEngine();
  world.pass(60_000, ...NAMES);
  expect([world.phase(second), world.phase(third), NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["aborted", "failed", ["b", "c", "d"]]);
  expect((await viewsOf(world).one(second))!.outcome).toMatch(/^aborted; 3 machines kept 2/);
  expect(loadRollout(world.journal, second)!.reason!.message).toContain("d, b, c keep 2");
});

test.each([false, true])("one that has failed ends so when its last machine is heard, and gives no failure of its own as its cause (restarted: %s)", async (isRestarted) => {
  const { world, second } = await rollingBack({ maxUnavailable: count(9) });
  const others = NAMES.filter((name) => name !== "a");
  world.startEngine({ isHeard: false });
  expect(world.state(second, "a")).toBe("reverting");
  world.pass(40_000, ...others);
  for (const name of others) await fails(world, name);
  world.pass(3000, ...others);
  expect(world.state(second, "a")).toBe("unreachable");
  if (isRestarted) world.startEngine();
  world.pass(20_000, ...others);
  await world.join("a");
  world.pass(3000, ...NAMES);
  expect(loadRollout(world.journal, second)!.reason!.message.match(/could not go back/g)).toHaveLength(1);
});

test("the machine that could not go back is well for a moment, after the end", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  world.pass(600_000, ...NAMES);
  await world.say("e", "healthy", undefined, "app", "1");
  world.pass(60_000, ...NAMES);
  expect(states(world, second).replace("reverted", "failed")).toBe("healthy healthy healthy healthy failed");
});

test("what it goes back to crashes again and again, and is well for some seconds each time", async () => {
  const { world } = await rollingBack();
  for (let round = 0; round < 10; round += 1) {
    for (const name of NAMES) if (world.wanted(name) === "1") await fails(world, name);
    world.pass(60_000, ...NAMES);
    for (const name of NAMES) if (world.wanted(name) === "1") await world.say(name, "healthy", undefined, "app", "1");
    world.pass(3_000, ...NAMES);
  }
  expect(NAMES.filter((name) => world.wanted(name) === "2").length).toBeGreaterThanOrEqual(3);
});

test("a drain on the way back shows nothing of the release", async () => {
  const { world, second } = await rollingBack();
  world.engine.orders.cordon("e" as never, { drain: true, force: true }, BY);
  await world.say("e", "removed");
  world.pass(10_000, ...NAMES);
  await fails(world, "d");
  world.pass(10_000, ...NAMES);
  expect([world.phase(second), states(world, second)]).toEqual(["aborted", "healthy healthy healthy failed reverted"]);
});

test("nobody is under way by it any more, so that rollback --watch ends", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  world.pass(60_000, ...NAMES);
  const { underWay } = (await viewsOf(world).one(second))!;
  expect([world.phase(second), underWay]).toEqual(["aborted", false]);
});

test("it holds no later deployment up, and says who has what", async () => {
  const { world, second } = await rollingBack();
  await fails(world, "e");
  const { outcome } = (await viewsOf(world).one(second))!;
  expect([world.phase(second), outcome]).toEqual(["aborted", expect.stringMatching(/^aborted; 4 machines kept 2.*; e could not go back$/)]);
  const third = world.deploy("3", WIDE);
  await work(world, NAMES, 8);
  expect([world.phase(third), NAMES.map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3", "3", "3"]]);
});

test("whoever is lost on the way back is heard later, and goes back by what it was told", async () => {
  const { world, second } = await rollingBack();
  world.pass(40_000, "a", "b", "c", "d");
  await fails(world, "d");
  expect([world.phase(second), world.wanted("e")]).toEqual(["aborted", "1"]);
  world.startEngine();
  await world.join("e");
  await world.say("e", "healthy", undefined, "app", "1");
  world.pass(60_000, ...NAMES);
  expect([states(world, second), NAMES.map((name) => world.wanted(name))]).toEqual(["healthy healthy healthy failed reverted", ["2", "2", "2", "1", "1"]]);
});
