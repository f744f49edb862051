/** A machine that a rollback to an older release had still to come to, or that was drained in it: what was taken back from the others is nothing that it goes back to, whatever has become of that rollback. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { NAMES, obey, WIDE } from "./on-one.fixture.ts";
import { BY, ONE_BY_ONE, byZone, onThree, rounds, to, wanted } from "./way-back.fixture.ts";
import type { World } from "./world.fixture.ts";

const FIRST = "a";
const OTHERS = NAMES.filter((name) => name !== FIRST);
/** What a plain rollback does is what either has to do. */
const BACK = ["rollback", "rollback --to"] as const;
type Back = (typeof BACK)[number];

const lastGood = (world: World): string => NAMES.map((name) => world.engine.assignmentFor(name as never)?.apps[0]?.lastGoodVersion ?? "-").join(",");

function goBack(world: World, third: DeploymentId, how: Back): void {
  if (how === "rollback") world.command(third, "rollback");
  else to(world, third, "2");
}

const outcome = async (world: World, id: DeploymentId) => (await viewsOf(world).one(id))!.outcome;
const drain = (world: World, name: string) => world.engine.orders.cordon(name as never, { drain: true, force: true }, BY);
const cordon = (world: World, name: string) => world.engine.orders.cordon(name as never, { drain: false, force: false }, BY);
const uncordon = (world: World, name: string) => world.engine.orders.uncordon(name as never, BY);
const freeze = (world: World) => world.engine.orders.addFreeze({ from: 0 as never, until: null }, BY);

test.each(BACK)("away while 3 is taken back (%s), back when 4 stands: its agent goes back from 4 as those of the others do", async (how) => {
  const { world, third } = await onThree();
  world.pass(20_000, ...OTHERS);
  goBack(world, third, how);
  await rounds(world, 12, OTHERS);
  const fourth = world.deploy("4", ONE_BY_ONE);
  await rounds(world, 8, OTHERS);
  expect([world.phase(fourth), wanted(world, OTHERS)]).toEqual(["succeeded", "4,4,4"]);
  await world.joinAs({ role: "web", zone: "a" }, FIRST);
  world.pass(3000, ...NAMES);
  expect([wanted(world), lastGood(world)]).toEqual(["4,4,4,4", "2,2,2,2"]);
});

test.each(BACK)("cordoned while 3 is taken back (%s), used again under 4, 4 is rolled back in a freeze: all are on 2", async (how) => {
  const { world, third } = await onThree();
  cordon(world, FIRST);
  goBack(world, third, how);
  if (how === "rollback") uncordon(world, FIRST);
  await rounds(world, 12);
  const fourth = world.deploy("4", ONE_BY_ONE);
  await rounds(world, 8);
  uncordon(world, FIRST);
  await rounds(world, 4);
  expect(wanted(world)).toBe("4,4,4,4");
  freeze(world);
  world.command(fourth, "rollback");
  await rounds(world, 12);
  world.pass(600_000, ...NAMES);
  expect([world.phase(fourth), await outcome(world, fourth), wanted(world)]).toEqual(["rolled_back", "rolled back", "2,2,2,2"]);
});

test("told by the rollback and drained in the middle of it, a fix takes its place and fails: it goes back behind both", async () => {
  const { world, third } = await onThree();
  to(world, third, "1");
  await obey(world, FIRST);
  drain(world, FIRST);
  await obey(world, "b");
  const fix = world.deploy("4", { ...WIDE, onConflict: "supersede" });
  await rounds(world, 2, OTHERS);
  uncordon(world, FIRST);
  world.pass(2000, ...NAMES);
  await rounds(world, 3);
  world.command(fix, "rollback");
  await rounds(world, 12);
  world.startEngine();
  world.pass(600_000, ...NAMES);
  expect([world.phase(fix), await outcome(world, fix), wanted(world)]).toEqual(["rolled_back", "rolled back", expect.not.stringContaining("3")]);
});

test("told by the rollback and drained in it, that succeeds, 4 is deployed, it is used again: its agent goes back from 4 as those of the others do", async () => {
  const { world, third } = await onThree();
  const back = to(world, third, "1");
  await obey(world, FIRST);
  drain(world, FIRST);
  await rounds(world, 12, OTHERS);
  expect(world.phase(back)).toBe("succeeded");
  world.deploy("4", ONE_BY_ONE);
  await rounds(world, 8, OTHERS);
  uncordon(world, FIRST);
  world.pass(2000, ...NAMES);
  await rounds(world, 3);
  expect([wanted(world), lastGood(world)]).toEqual(["4,4,4,4", "1,1,1,1"]);
});

test.each((["drained", "cordoned", "silent"] as const).flatMap((how) => BACK.map((back) => [how, back] as const)))("%s when 3 is taken back (%s), used again in a freeze: it goes back all the same", async (how, back) => {
  const { world, third } = await onThree();
  if (how === "drained") {
    drain(world, FIRST);
    await world.say(FIRST, "removed", undefined, "app", "");
  } else if (how === "cordoned") cordon(world, FIRST);
  else world.pass(20_000, ...OTHERS);
  goBack(world, third, back);
  await rounds(world, 12, OTHERS);
  world.pass(2000, ...(how === "silent" ? OTHERS : NAMES));
  freeze(world);
  if (how === "silent") await world.joinAs({ role: "web", zone: "a" }, FIRST);
  else uncordon(world, FIRST);
  world.pass(2000, ...NAMES);
  await rounds(world, 4);
  world.pass(600_000, ...NAMES);
  expect(wanted(world)).toBe("2,2,2,2");
});

test("two zones are taken back by two commands, one after the other: the second waits until the first has gone over its zone", async () => {
  const { world, inA, inB } = await byZone();
  const first = to(world, inA, "1");
  world.pass(100, ...NAMES);
  const second = to(world, inB, "1");
  expect([world.phase(first), world.phase(second)]).toEqual(["rolling", "pending"]);
  await rounds(world, 10);
  expect([world.phase(first), world.phase(second), wanted(world), await outcome(world, first)]).toEqual(["succeeded", "succeeded", "1,1,1,1", "succeeded"]);
});

test("what is not for all machines of a rollback to an older release waits until that is over; what is, takes its place", async () => {
  const { world, third } = await onThree();
  const back = to(world, third, "1");
  await obey(world, FIRST);
  const narrow = world.deploy("4", { ...ONE_BY_ONE, targets: "zone=b", onConflict: "supersede" });
  world.pass(100, ...NAMES);
  expect([world.phase(back), world.phase(narrow)]).toEqual(["rolling", "pending"]);
  const wide = world.deploy("5", { ...ONE_BY_ONE, onConflict: "supersede" });
  world.pass(100, ...NAMES);
  expect([world.phase(back), world.phase(wide)]).toEqual(["superseded", "rolling"]);
});
