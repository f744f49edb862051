/** While the write-ahead log is long, what would write much waits for it, and goes on by itself. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { onOne, soak } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const FEW = ["a", "b", "c"];
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

test("a machine that has answered in time does not fail since what it said waits for the write-ahead log", async () => {
  const world = new World();
  await world.join(...FEW);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(3), healthyDeadlineMs: 30_000 });
  world.pass(2000, ...FEW);
  world.journal.log.isLong = true;
  const said = FEW.map((name) => world.say(name, "healthy"));
  for (let second = 0; second < 50; second += 1) {
    world.pass(1000, ...FEW);
    await nextTurn();
  }
  world.journal.log.isLong = false;
  await Promise.allSettled(said);
  world.pass(5000, ...FEW);
  expect([world.phase(id), ...FEW.map((name) => world.state(id, name))]).toEqual(["succeeded", "healthy", "healthy", "healthy"]);
});

test("a canary that comes back with another disk vouches for nothing while its hello waits, for the write-ahead log or behind others", async () => {
  const crowd = Array.from({ length: 60 }, (_, index) => `n-${index}`);
  for (const isLong of [true, false]) {
    const world = await onOne(["a", ...crowd]);
    const told = (): number => crowd.filter((name) => world.wanted(name) === "2").length;
    const id = world.deploy("2", { waves: [soak(20_000), ALL], maxUnavailable: count(99) });
    await world.say("a", "healthy");
    world.pass(18_000, "a", ...crowd);
    world.pass(3000, ...crowd);
    expect([told(), world.waitingOn(id)]).toEqual([0, "a to be heard after the soak of wave 1"]);
    world.journal.log.isLong = isLong;
    // More than a transaction takes.
    const hellos = [...(isLong ? [] : crowd.map((name) => world.loseDisk(name))), world.loseDisk("a")];
    for (let turns = 0; turns < (isLong ? 40 : 1); turns += 1) {
      world.pass(50, ...crowd);
      await nextTurn();
    }
    expect([told(), world.state(id, "a"), world.waitingOn(id)]).toEqual([0, "healthy", expect.stringMatching(/^reports of .* to come in$/)]);
    world.journal.log.isLong = false;
    await Promise.all(hellos);
    world.pass(100, "a", ...crowd);
    expect([told(), world.state(id, "a")]).toEqual([0, "updating"]);
  }
});
