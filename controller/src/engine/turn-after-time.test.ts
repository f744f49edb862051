/** Memory and tables say the same of a machine whose turn comes after its time was over. */
import { expect, test } from "vitest";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b"];

test.each(["in time", "too late"])("its turn comes %s", async (when) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { ...WIDE, healthyDeadlineMs: 40_000 });
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  const id = world.deploy("2", { ...WIDE, minHealthyTimeMs: 2000, healthyDeadlineMs: 8000, progressDeadlineMs: 600_000 });
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  world.command(id, "rollback");
  for (const name of NAMES) await world.say(name, "staged");
  world.pass(when === "in time" ? 50_000 : 60_000, ...NAMES);
  for (const name of NAMES) await world.say(name, "activating");
  world.pass(2000, ...NAMES);
  const seen = () => [world.phase(id), world.state(id, "a"), world.engine.isOverdue("a" as never, "app" as never), world.engine.audit()];
  const before = seen();
  world.startEngine();
  world.pass(2000, ...NAMES);
  expect(seen()).toEqual(before);
});
