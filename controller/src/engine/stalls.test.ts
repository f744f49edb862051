/** A controller that is held up again and again, for a part of the time: silence is found all the same, and nothing stands still for ever. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { Attendance } from "./attendance.ts";
import { NAMES, onOne, soak } from "./on-one.fixture.ts";

test("a machine that is gone is found, and a rollout of others goes on", async () => {
  const world = await onOne();
  await world.joinAs({ role: "db" }, "x");
  const id = world.deploy("2", { waves: [soak(20_000), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  // Held up for 8 of 22 seconds, for half an hour. x is never heard.
  for (let stall = 0; stall < 80; stall += 1) {
    world.clock.elapsed += 8000;
    for (let second = 0; second < 14; second += 1) {
      for (const name of NAMES) if (world.state(id, name) === "updating") await world.say(name, "healthy");
      world.pass(1000, ...NAMES);
    }
  }
  expect([world.phase(id), world.journal.db.prepare("SELECT silent_since IS NOT NULL FROM machines WHERE id = ?").pluck().get("x")]).toEqual(["succeeded", 1]);
});

test("a heartbeat that waited to be read while the controller was held up for a moment says nothing of the end of a soak", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [soak(30_000), ALL], maxUnavailable: count(9), progressDeadlineMs: 120_000 });
  await world.say("a", "healthy");
  world.pass(29_000, ...NAMES);
  // It was said a second before the soak is over, and its machine died then.
  world.clock.elapsed += 6000;
  world.engine.heartbeat("a" as never, 0 as never);
  world.pass(40_000, "b", "c", "d");
  expect(["b", "c", "d"].map((name) => world.state(id, name))).toEqual(["pending", "pending", "pending"]);
});

test("while nothing waits for time, no more of a stop than 2 s is attended either", async () => {
  const world = await onOne();
  world.pass(12_000, ...NAMES);
  const attended = (): number => Number(world.journal.db.prepare("SELECT value FROM meta WHERE key = 'attended_ms'").pluck().get());
  const before = attended();
  for (let stop = 0; stop < 10; stop += 1) {
    world.clock.elapsed += 7000;
    world.pass(500, ...NAMES);
  }
  world.pass(10_000, ...NAMES);
  const looked = 10 * 500 + 10_000;
  expect(attended() - before).toBeGreaterThan(looked);
  expect(attended() - before).toBeLessThan(looked + 10 * 2000 + 10_000);
});

test("attended time does not go back when the controller is held up before it has written down what it attended", async () => {
  const { journal, clock } = await onOne();
  const attendance = new Attendance({ db: journal.db, clock, silentAfterMs: 15_000, spreadMs: () => 0, owes: () => false });
  clock.elapsed += 700;
  const before = attendance.now().attended;
  clock.elapsed += 60_000;
  expect(attendance.look()).toBe(true);
  attendance.catchUp([]);
  expect(attendance.now().attended).toBe(before);
});
