/** `rollback --to` is a way back, and waits for nothing that a rollback does not wait for; what was asked for before it does not undo it. */
import { describe, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { lastGood } from "../journal/last-good.ts";
import { alarm, ALL, count, wave } from "../rollout/rollout.fixture.ts";
import type { Strategy } from "../plan/strategy.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "wrong prices" };
const tick = () => new Promise((resolve) => setImmediate(resolve));

async function onTwo(changes: Partial<Strategy> = {}) {
  const world = new World();
  await world.join("a", "b", "c");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle("a", "b", "c");
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), ...changes });
  return { world, id };
}

test("an alarm that the release itself has made go off does not keep it from going back", async () => {
  const { world, id } = await onTwo({ alarms: [alarm()] });
  const answerAll = async (kind: "go" | "stop") => {
    await tick();
    for (const { answer } of world.asked.splice(0)) answer({ kind, detail: "errors" } as never);
    await tick();
  };
  await answerAll("go");
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  expect(world.phase(id)).toBe("succeeded");
  const back = world.engine.operators.rollbackTo(id, "1", by);
  expect(back.ok).toBe(true);
  for (let round = 0; round < 4; round += 1) {
    await answerAll("stop");
    world.pass(2000, "a", "b", "c");
  }
  expect([world.wanted("a"), world.wanted("b"), world.wanted("c")]).toEqual(["1", "1", "1"]);
});

test("a freeze does not keep it", async () => {
  const { world, id } = await onTwo();
  await world.settle("a", "b", "c");
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, { by: "anna", reason: "sale" });
  world.engine.operators.rollbackTo(id, "1", by);
  world.pass(2000, "a", "b", "c");
  expect([world.wanted("a"), world.wanted("b"), world.wanted("c")]).toEqual(["1", "1", "1"]);
});

test("max_unreachable: 0 of the file does not stop it for a machine that is away", async () => {
  const { world, id } = await onTwo({ maxUnreachable: count(0), maxUnavailable: count(1) });
  await world.settle("a", "b", "c");
  world.pass(2000, "a", "b", "c");
  world.pass(20_000, "b", "c");
  const back = world.engine.operators.rollbackTo(id, "1", by);
  await world.settle("b", "c");
  world.pass(2000, "b", "c");
  expect([world.wanted("b"), world.wanted("c"), world.phase((back.ok ? back.value.deployment : "") as never)]).toEqual(["1", "1", "succeeded"]);
});

test("machines that the bad release kills on their way back do not keep the others on it", async () => {
  const world = new World();
  const names = ["a", "b", "c", "d", "e", "f"];
  await world.join(...names);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(9) });
  await world.settle(...names);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2) });
  await world.settle(...names);
  world.pass(2000, ...names);
  world.engine.operators.rollbackTo(id, "1", by);
  const told = names.filter((name) => world.wanted(name) === "1");
  expect(told).toEqual(["a", "b"]);
  // They are on the way when 2 takes their hosts with it.
  for (const name of told) await world.say(name, "pulling");
  world.pass(700_000, ...names.slice(2));
  expect(names.slice(2).some((name) => world.wanted(name) === "1")).toBe(true);
});

for (const who of ["its own failure", "an operator"]) test(`a repetition of the file that was queued while it was under way does not undo that ${who} took it back`, async () => {
  const { world, id } = await onTwo({ waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  const again = world.submit("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  expect(again.ok).toBe(true);
  if (who === "an operator") {
    await world.say("a", "healthy");
    world.command(id, "rollback");
    await world.settle("a", "b", "c");
  } else {
    const before = world.generation("a");
    await world.say("a", "reverting");
    await world.say("a", "reverted");
    if (world.generation("a") !== before && world.wanted("a") === "1") await world.say("a", "healthy");
  }
  world.pass(5000, "a", "b", "c");
  expect([world.phase(id), world.wanted("a"), world.wanted("b"), world.wanted("c")]).toEqual(["rolled_back", "1", "1", "1"]);
});

test("a plain rollback is not kept by a freeze ", async () => {
  const { world, id } = await onTwo();
  await world.settle("a", "b", "c");
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, { by: "anna", reason: "sale" });
  world.command(id, "rollback");
  world.pass(2000, "a", "b", "c");
  expect([world.wanted("a"), world.wanted("b"), world.wanted("c")]).toEqual(["1", "1", "1"]);
});

test("a budget of 0 lets it go on one at a time, as a rollback", async () => {
  const { world, id } = await onTwo();
  await world.settle("a", "b", "c");
  world.engine.orders.setBudget("role=web", 0, "anna");
  world.engine.operators.rollbackTo(id, "1", by);
  world.pass(2000, "a", "b", "c");
  expect(["a", "b", "c"].filter((name) => world.wanted(name) === "1")).toHaveLength(1);
});

describe("a fix in the middle of rollback --to", () => {
  /** 2 stood on all four, and is taken back: a is healthy with 1, b is on its way, c and d still run 2. */
  async function halfWayBack() {
    const world = await onOne();
    const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
    await work(world, NAMES, 20);
    const answer = world.engine.operators.rollbackTo(second, "1", by);
    await world.say("a", "healthy");
    world.pass(2000, ...NAMES);
    expect(NAMES.map((name) => world.wanted(name))).toEqual(["1", "1", "2", "2"]);
    return { world, back: (answer.ok ? answer.value.deployment : "") as never };
  }

  async function failsOnC(world: World): Promise<void> {
    await world.say("c", "reverting");
    await world.say("c", "reverted");
    world.pass(2000, ...NAMES);
    await work(world, ["a", "b", "d"], 8);
  }

  test("goes back behind both when it fails itself", async () => {
    const { world } = await halfWayBack();
    const fix = world.deploy("3", { ...WIDE, onConflict: "supersede" });
    await failsOnC(world);
    expect([world.phase(fix), NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
  });

  test("makes nothing of what is taken back the last good release", async () => {
    const { world } = await halfWayBack();
    world.deploy("3", { ...WIDE, onConflict: "supersede", onFailure: "pause" });
    expect(NAMES.map((machine) => lastGood(world.journal.db, machine as never, "app" as never))).toEqual(["app@1", "app@1", "app@1", "app@1"]);
  });

  test("leaves what went back there, when that had been aborted", async () => {
    const { world, back } = await halfWayBack();
    world.command(back, "abort");
    world.deploy("3", WIDE);
    await failsOnC(world);
    expect([world.wanted("a"), world.wanted("b")]).toEqual(["1", "1"]);
  });
});

describe("a machine that was removed, and joins again while it runs 1", () => {
  async function joinedAgain(): Promise<{ readonly world: World; readonly second: DeploymentId }> {
    const world = await onOne();
    const before = world.generation("a");
    world.remove("a");
    const second = world.deploy("2", WIDE);
    for (const name of ["b", "c", "d"]) await world.say(name, "healthy");
    world.pass(2000, "b", "c", "d");
    expect(world.phase(second)).toBe("succeeded");
    await world.joinOwing("a");
    await world.say("a", "probing", before, "app", "1");
    world.pass(3000, ...NAMES);
    expect(world.wanted("a")).toBe("2");
    return { world, second };
  }

  test.each(["healthy", "failed there, and it is back on 1"])("goes back to 1 by a rollback of 2, which is %s", async (how) => {
    const { world, second } = await joinedAgain();
    await world.say("a", how === "healthy" ? "healthy" : "reverted", world.generation("a"), "app", how === "healthy" ? "2" : "1");
    world.pass(3000, ...NAMES);
    expect(world.command(second, "rollback").ok).toBe(true);
    await work(world, NAMES);
    expect([world.phase(second), ...NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", "1", "1", "1", "1"]);
  });
});
