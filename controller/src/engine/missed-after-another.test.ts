/** What a machine missed before it got what it goes back from is caught up with, also when another release was taken back from it in between. */
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
  ["off", false],
  ["off", true],
  ["cordoned", false],
  ["cordoned", true],
])("it was %s while 2 and 3 were deployed, got 3 when it was back; 4 is rolled back (%s), and then 3", async (how, isFourthBetween) => {
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
});
