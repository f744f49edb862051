/** While the write-ahead log is long, what would write much waits for it, and goes on by itself. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = Array.from({ length: 200 }, (_, index) => `m-${index}`);

test("a rollout to many machines, and what agents say", async () => {
  const world = new World();
  await world.join(...NAMES);
  const told = (): number => NAMES.filter((name) => world.wanted(name) === "2").length;
  world.journal.log.isLong = true;
  world.deploy("2", { waves: [ALL], maxUnavailable: count(NAMES.length) });
  world.clock.advance(0);
  await nextTurn();
  const first = told();
  expect([first > 0, first < NAMES.length]).toEqual([true, true]);
  let isTaken = false;
  const saying = world.say("m-0", "staged").then(() => {
    isTaken = true;
  });
  world.clock.advance(1_000);
  await nextTurn();
  expect([told(), isTaken]).toEqual([first, false]);

  world.journal.log.isLong = false;
  await saying;
  world.clock.advance(0);
  expect(told()).toBe(NAMES.length);
});
