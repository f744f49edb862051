/** Attended time advances by what has passed, however often something is written. */
import { expect, test } from "vitest";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

test.each([0.9, 1.9, 4.9])("a transaction every %f ms", async (everyMs) => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", WIDE);
  await world.say("a", "healthy");
  const newest = () => world.journal.db.prepare("SELECT attended FROM journal ORDER BY seq DESC LIMIT 1").pluck().get() as number;
  world.engine.orders.cordon("b" as never, { drain: false, force: false }, by);
  const before = newest();
  // The monotonic clock has fractions of milliseconds, as performance.now() has.
  let monotonicMs = world.clock.elapsed;
  world.clock.monotonicMs = () => monotonicMs;
  const from = monotonicMs;
  for (let i = 0; i < 400; i += 1) {
    monotonicMs += everyMs;
    world.clock.wall = 1_000_000 + Math.floor(monotonicMs) - world.clock.elapsed;
    if (i % 2 === 0) world.engine.orders.uncordon("b" as never, by);
    else world.engine.orders.cordon("b" as never, { drain: false, force: false }, by);
  }
  const passed = monotonicMs - from;
  expect((newest() - before) / passed).toBeGreaterThan(0.95);
});
