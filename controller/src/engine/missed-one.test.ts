/** A machine that missed a release, and from which the next was taken back, gets what stands like any other that missed it. */
import { expect, test } from "vitest";
import { NAMES, obey, onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const REST = ["a", "b", "c"];

const wanted = (world: World): readonly (string | undefined)[] => NAMES.map((name) => world.wanted(name));

async function settled(world: World, ...names: string[]): Promise<void> {
  for (let round = 0; round < 3; round += 1) await obey(world, ...names);
  world.pass(20_000, ...names);
}

test.each([
  ["off", "3 is rolled back", false],
  ["off", "4 is rolled back, and then 3", true],
  ["cordoned", "3 is rolled back", false],
  ["cordoned", "4 is rolled back, and then 3", true],
])("it was %s while 2 and 3 were deployed, got 3 when it was back, and %s", async (how, _, isFourthBetween) => {
  const world = await onOne();
  const there = how === "off" ? REST : NAMES;
  if (how === "off") world.pass(20_000, ...REST);
  else world.engine.orders.cordon("d" as never, { drain: false, force: true }, BY);
  world.deploy("2", WIDE);
  await obey(world, ...REST);
  world.pass(20_000, ...there);
  const third = world.deploy("3", WIDE);
  await obey(world, ...REST);
  world.pass(20_000, ...there);
  if (how === "off") await world.join("d");
  else world.engine.orders.uncordon("d" as never, BY);
  await settled(world, ...NAMES);
  if (isFourthBetween) {
    const fourth = world.deploy("4", WIDE);
    await settled(world, ...NAMES);
    world.command(fourth, "rollback");
    await settled(world, ...NAMES);
    expect(world.phase(fourth)).toBe("rolled_back");
  }
  expect(wanted(world)).toEqual(["3", "3", "3", "3"]);
  expect(world.command(third, "rollback").ok).toBe(true);
  await settled(world, ...NAMES);
  world.pass(60_000, ...NAMES);
  await settled(world, ...NAMES);
  expect(wanted(world)).toEqual(["2", "2", "2", "2"]);
  world.startEngine();
  world.pass(60_000, ...NAMES);
  expect(wanted(world)).toEqual(["2", "2", "2", "2"]);
});

test("one on which the release failed keeps what it ran", async () => {
  const world = await onOne();
  world.deploy("2", { ...WIDE, maxFailures: { kind: "count", count: 1 } });
  await world.say("d", "failed");
  await obey(world, ...REST);
  world.pass(20_000, ...NAMES);
  const third = world.deploy("3", WIDE);
  await settled(world, ...NAMES);
  world.command(third, "rollback");
  await settled(world, ...NAMES);
  world.startEngine();
  world.pass(60_000, ...NAMES);
  await settled(world, ...NAMES);
  expect(wanted(world)).toEqual(["2", "2", "2", "1"]);
});
