/** A rollout waits for machines that are changing and not by a step of its own that could still go well: they go back by themselves, or another deployment changes them. Its progress deadline stands still, and each of them has its time. */
import { describe, expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
const MINUTE = 60_000;

test("a machine that is drained in the middle of its change is said to be", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  world.engine.orders.cordon("a" as never, { drain: true, force: false }, by);
  world.pass(1000, ...NAMES);
  expect(world.waitingOn(id)).toBe("a to be drained");
});

describe("a machine that failed within max_failures, and takes its time to go back by itself", () => {
  test.each([
    ["the default deadlines", 5 * MINUTE, 10 * MINUTE],
    ["those of docs/strategies/lost.yaml", 20_000, 30_000],
  ])("takes back nobody else (%s)", async (_name, healthyDeadlineMs, progressDeadlineMs) => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1), healthyDeadlineMs, progressDeadlineMs });
    world.pass(3000, ...NAMES);
    for (const name of ["b", "c", "d"]) await world.say(name, "healthy");
    await world.say("a", "probing");
    // Its host is broken: no release starts there. It is stopped, and the release before has as long again (agent: max(healthy_deadline, 30 s)).
    world.pass(healthyDeadlineMs, ...NAMES);
    await world.say("a", "reverting");
    world.pass(Math.max(healthyDeadlineMs, 30_000) + 8000, ...NAMES);
    await world.say("a", "failed");
    world.pass(4000, ...NAMES);
    expect([world.phase(id), world.engine.rollout(id)?.reason?.message, NAMES.map((name) => world.wanted(name))]).toEqual(["succeeded", undefined, ["2", "2", "2", "2"]]);
  });

  test("does not take the rollout back by holding the window: b, c and d have not had their turn", async () => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(1), healthyDeadlineMs: 5 * MINUTE, progressDeadlineMs: 10 * MINUTE });
    world.pass(3000, ...NAMES);
    await world.say("a", "probing");
    world.pass(5 * MINUTE, ...NAMES);
    await world.say("a", "reverting");
    world.pass(5 * MINUTE + 8000, ...NAMES);
    await world.say("a", "failed");
    world.pass(4000, ...NAMES);
    expect([world.phase(id), world.wanted("b")]).toEqual(["rolling", "2"]);
  });
});

describe("a machine that is still on its way in an older, aborted deployment, and is none of this one's concern", () => {
  async function aborted(): Promise<World> {
    const world = await onOne();
    const second = world.deploy("2", { ...WIDE, healthyDeadlineMs: 30 * MINUTE, progressDeadlineMs: 60 * MINUTE });
    for (const name of ["a", "b", "d"]) await world.say(name, "healthy");
    await world.say("c", "pulling");
    world.command(second, "abort");
    return world;
  }
  const THIRD = { waves: [ALL], healthyDeadlineMs: MINUTE, progressDeadlineMs: 5 * MINUTE };
  const answer = async (world: World, id: string) => {
    for (let round = 0; round < 6; round += 1) {
      for (const name of ["a", "b", "d"]) if (world.state(id as never, name) === "updating") await world.say(name, "healthy");
      world.pass(1000, ...NAMES);
    }
  };

  test("takes no good release back when it is cordoned", async () => {
    const world = await aborted();
    world.engine.orders.cordon("c" as never, { drain: false, force: false }, by);
    const third = world.deploy("3", { ...THIRD, maxUnavailable: count(9) });
    await answer(world, third);
    world.pass(6 * MINUTE, ...NAMES);
    expect([world.phase(third), ["a", "b", "d"].map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3"]]);
  });

  test("is waited for where it takes the only place in the window, for as long as it has", async () => {
    const world = await aborted();
    world.engine.orders.cordon("c" as never, { drain: false, force: false }, by);
    const third = world.deploy("3", { ...THIRD, maxUnavailable: count(1) });
    world.pass(6 * MINUTE, ...NAMES);
    expect([world.phase(third), world.waitingOn(third), world.wanted("a")]).toEqual(["rolling", "c to settle, which another deployment has changed", "2"]);
    for (let minute = 0; minute < 26; minute += 1) {
      world.pass(MINUTE, ...NAMES);
      await answer(world, third);
    }
    expect([world.phase(third), ["a", "b", "d"].map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3"]]);
  });

  test("takes no good release back when its labels match no more", async () => {
    const world = await aborted();
    world.engine.orders.addFreeze({ from: 0 as never, until: (world.clock.now() + 1000) as never }, by);
    const third = world.deploy("3", { ...THIRD, maxUnavailable: count(9) });
    world.label({ role: "db" }, "c");
    world.pass(2000, ...NAMES);
    await answer(world, third);
    world.pass(6 * MINUTE, ...NAMES);
    expect([world.phase(third), ["a", "b", "d"].map((name) => world.wanted(name))]).toEqual(["succeeded", ["3", "3", "3"]]);
  });

  test("does not end a rollback that it holds up", async () => {
    const world = await aborted();
    world.engine.orders.cordon("c" as never, { drain: false, force: false }, by);
    const third = world.deploy("3", { ...THIRD, maxUnavailable: count(2) });
    await answer(world, third);
    expect(["a", "b", "d"].map((name) => world.state(third, name))).toEqual(["healthy", "healthy", "healthy"]);
    world.steer(third, { kind: "set_max_unavailable", size: count(1) });
    world.command(third, "rollback");
    world.pass(6 * MINUTE, ...NAMES);
    expect([world.phase(third), world.waitingOn(third)]).toEqual(["rolling_back", "c to settle, which another deployment has changed"]);
    for (let minute = 0; minute < 26; minute += 1) {
      world.pass(MINUTE, ...NAMES);
      await work(world, ["a", "b", "d"], 1);
    }
    expect([world.phase(third), ["a", "b", "d"].map((name) => world.state(third, name))]).toEqual(["rolled_back", ["reverted", "reverted", "reverted"]]);
  });
});

/** a serves 2; b goes back from it by itself, for longer than progress_deadline, and has the only place in the window. */
describe("a machine that goes back by itself in a rollback", () => {
  async function holdsUp() {
    const world = await onOne();
    const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(1), healthyDeadlineMs: 20_000, progressDeadlineMs: 30_000 });
    await world.say("a", "healthy");
    world.pass(3000, ...NAMES);
    await world.say("b", "reverting");
    expect(world.phase(id)).toBe("rolling_back");
    world.pass(35_000, ...NAMES);
    expect([world.phase(id), world.waitingOn(id), world.wanted("a")]).toEqual(["rolling_back", "b to go back by itself", "2"]);
    return { world, id };
  }

  test("is waited for, also after a start of the controller", async () => {
    const { world, id } = await holdsUp();
    world.startEngine();
    await world.say("b", "reverted");
    await work(world, ["a", "b"], 10);
    expect([world.phase(id), world.wanted("a")]).toEqual(["rolled_back", "1"]);
  });

  test("has its time for that, and is told then like the others", async () => {
    const { world, id } = await holdsUp();
    await work(world, NAMES, 60);
    expect([world.phase(id), world.wanted("a"), loadRollout(world.journal, id)!.hold]).toEqual(["rolled_back", "1", null]);
  });
});
