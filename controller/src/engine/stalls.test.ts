/** A controller that is held up again and again, for a part of the time: silence is found all the same, and nothing stands still for ever. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
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
