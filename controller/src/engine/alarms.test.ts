/**
 * Alarms through the engine: asked after the commit, answered in a transaction, asked again by the next controller.
 */
import { expect, test } from "vitest";
import { alarm, ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const ID = "d-1" as never;
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function begun(): Promise<World> {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [ALL], maxUnavailable: count(1), alarms: [alarm({ intervalMs: 10_000 })] });
  return world;
}

test("nobody is told before it was quiet, and it is asked again while they are on the way", async () => {
  const world = await begun();
  expect(world.asked.map(({ question: { asker, attempt, check } }) => [asker, attempt, check.kind])).toEqual([[{ kind: "alarm", alarm: 0 }, 1, "prometheus"]]);
  expect(world.wanted("a")).toBeUndefined();
  world.asked[0]!.answer({ kind: "go", detail: "errors is 0" });
  await turn();
  expect(world.wanted("a")).toBe("1");
  world.pass(10_000, "a", "b");
  expect(world.asked.length).toBe(2);
  world.asked[1]!.answer({ kind: "stop", detail: "errors is 1, more than max 0.01" });
  await turn();
  expect([world.phase(ID), world.engine.rollout(ID)?.reason?.code]).toEqual(["rolling_back", "alarm_active"]);
});

test("a controller that dies with a question open asks it anew, and not twice", async () => {
  const world = await begun();
  world.asked[0]!.answer({ kind: "go", detail: "errors is 0" });
  await turn();
  world.pass(10_000, "a", "b");
  world.startEngine();
  expect(world.engine.rollout(ID)?.alarms[0]).toMatchObject({ isClear: false, isAsked: true, attempts: 3, said: "" });
  expect(world.asked.map(({ question }) => question.attempt)).toEqual([1, 2, 3]);
  world.asked[2]!.answer({ kind: "stop", detail: "errors is 1" });
  await turn();
  expect(world.phase(ID)).toBe("rolling_back");
});

test("a wall clock that is set back does not make it deaf, also for the next controller", async () => {
  const world = await begun();
  world.asked[0]!.answer({ kind: "go", detail: "errors is 0" });
  await turn();
  world.clock.wall -= 500_000;
  world.startEngine();
  world.asked[1]!.answer({ kind: "go", detail: "errors is 0" });
  await turn();
  world.pass(9000, "a", "b");
  expect(world.asked.map(({ question }) => question.attempt)).toEqual([1, 2]);
  world.pass(2000, "a", "b");
  expect(world.asked.map(({ question }) => question.attempt)).toEqual([1, 2, 3]);
});
