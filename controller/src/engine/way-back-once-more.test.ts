/** An older release that is asked for once more in the middle of a rollback to it, or after something else has taken its place: what whoever takes that back finds. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { NAMES, obey, WIDE } from "./on-one.fixture.ts";
import { BY, ONE_BY_ONE, onThree, rounds, to, wanted } from "./way-back.fixture.ts";
import type { World } from "./world.fixture.ts";

const NO_DRAIN = { drain: false, force: false };
const again = (world: World): DeploymentId => world.deploy("1", { ...ONE_BY_ONE, onConflict: "supersede" });

test.each(([["rollback --to", to], ["deploy", again]] as const).flatMap(([how, ask]) => [1, 2, 3].map((told) => [how, told, ask] as const)))("%s, twice, the second time when %i machines have it: taken back, all run what they ran before", async (_, told, ask) => {
  const { world, third } = await onThree();
  const first = ask(world, third);
  for (const name of NAMES.slice(0, told - 1)) await obey(world, name);
  const had = NAMES.map((name) => world.wanted(name)).filter((version) => version === "1");
  expect(had).toHaveLength(told);
  const second = ask(world, third);
  await rounds(world, 12);
  expect([world.phase(first), world.phase(second), wanted(world)]).toEqual(["superseded", "succeeded", "1,1,1,1"]);
  world.command(second, "rollback");
  await rounds(world, 12);
  expect([world.phase(second), wanted(world)]).toEqual(["rolled_back", "3,3,3,3"]);
});

test.each(["rollback --to", "deploy"])("a fix that fails in the middle of the second gives nobody what both took back (%s)", async (how) => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  if (how === "deploy") again(world);
  else to(world, third);
  await obey(world, "a");
  const ran = wanted(world);
  const fix = world.deploy("4", { ...WIDE, onConflict: "supersede" });
  await rounds(world, 4);
  world.command(fix, "rollback");
  await rounds(world, 12);
  expect([world.phase(fix), ran.includes("1"), wanted(world).includes("3")]).toEqual(["rolled_back", true, false]);
});

test("a machine that joins when both were taken back gets what the others run again", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  const second = to(world, third);
  await rounds(world, 12);
  world.command(second, "rollback");
  await rounds(world, 12);
  expect([world.phase(second), wanted(world)]).toEqual(["rolled_back", "3,3,3,3"]);
  await world.joinAs({ role: "web", zone: "b" }, "e");
  await rounds(world, 6, [...NAMES, "e"]);
  expect(world.wanted("e")).toBe("3");
});

test("three times, with a restart of the controller in between", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  to(world, third);
  await obey(world, "a", "b");
  world.startEngine();
  const last = to(world, third);
  await rounds(world, 12);
  world.startEngine();
  world.command(last, "rollback");
  await rounds(world, 12);
  expect([world.phase(last), wanted(world)]).toEqual(["rolled_back", "3,3,3,3"]);
});

test("something else took its place, and long after the release is deployed again where it runs, and fails on a new machine: who ran it all the time keeps it", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  expect(wanted(world)).toBe("1,1,3,3");
  // b is told and obeys, too; the fix is for zone b.
  world.deploy("4", { ...ONE_BY_ONE, targets: "zone=b", onConflict: "supersede" });
  await rounds(world, 12);
  expect(wanted(world)).toBe("1,4,4,4");
  // Three weeks on 1.
  world.pass(600_000, ...NAMES);
  await world.joinAs({ role: "web", zone: "a" }, "e");
  world.pass(3000, ...NAMES, "e");
  const all = [...NAMES, "e"];
  world.deploy("1", { ...ONE_BY_ONE, targets: "zone=a" });
  world.pass(2000, ...all);
  await obey(world, "a");
  await world.say("e", "reverted");
  world.pass(2000, ...all);
  await rounds(world, 6, NAMES);
  expect(world.wanted("a")).toBe("1");
});

test("something else took its place, and long after the release is deployed again, and taken back: who ran it all the time keeps it", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  world.deploy("4", { ...ONE_BY_ONE, targets: "zone=b", onConflict: "supersede" });
  await rounds(world, 12);
  world.pass(600_000, ...NAMES);
  const sixth = world.deploy("1", ONE_BY_ONE);
  await rounds(world, 12);
  expect([world.phase(sixth), wanted(world)]).toEqual(["succeeded", "1,1,1,1"]);
  world.command(sixth, "rollback");
  await rounds(world, 12);
  expect([world.phase(sixth), wanted(world)]).toEqual(["rolled_back", "1,4,4,4"]);
});

test("a rollback to another older release is not the same once more: nobody is given what both took back", async () => {
  const { world, third } = await onThree();
  to(world, third, "1");
  await obey(world, "a");
  expect(wanted(world)).toBe("1,1,3,3");
  const second = to(world, third, "2");
  await rounds(world, 12);
  expect([world.phase(second), wanted(world)]).toEqual(["succeeded", "2,2,2,2"]);
  world.command(second, "rollback");
  await rounds(world, 12);
  // ADR 25: what takes its place in the middle goes back behind both.
  expect(wanted(world).includes("3")).toBe(false);
});

test("a machine that is drained, and whose deployment is ended, runs on with it", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  const second = world.deploy("1", { ...ONE_BY_ONE, waves: [{ ...WIDE.waves[0]!, gates: [{ kind: "soak" as const, forMs: 60_000 }] }], onConflict: "supersede" });
  await obey(world, "a");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, BY);
  await rounds(world, 1);
  world.command(second, "abort");
  await rounds(world, 1);
  world.engine.orders.uncordon("a" as never, BY);
  await rounds(world, 4);
  expect(world.wanted("a")).toBe("1");
});

test("a machine that is cordoned before the second", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  world.engine.orders.cordon("a" as never, NO_DRAIN, BY);
  world.pass(1000, ...NAMES);
  const second = to(world, third);
  await rounds(world, 12);
  world.engine.orders.uncordon("a" as never, BY);
  await rounds(world, 6);
  world.command(second, "rollback");
  await rounds(world, 12);
  expect(wanted(world)).toBe("3,3,3,3");
});

test("the first is paused", async () => {
  const { world, third } = await onThree();
  const first = to(world, third);
  await obey(world, "a");
  world.command(first, "pause");
  world.pass(1000, ...NAMES);
  const second = to(world, third);
  await rounds(world, 12);
  world.command(second, "rollback");
  await rounds(world, 12);
  expect([world.phase(second), wanted(world)]).toEqual(["rolled_back", "3,3,3,3"]);
});

test("a machine that joined between the two goes back to what the others ran, also in a freeze, and never loses the app", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  await world.joinAs({ role: "web", zone: "b" }, "e");
  const all = [...NAMES, "e"];
  world.pass(500, ...all);
  const second = to(world, third);
  await rounds(world, 14, all);
  expect(wanted(world, all)).toBe("1,1,1,1,1");
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, BY);
  world.command(second, "rollback");
  await rounds(world, 12, all);
  world.pass(600_000, ...all);
  expect([world.phase(second), wanted(world, all)]).toEqual(["rolled_back", "3,3,3,3,3"]);
});

test("the second is taken back, and a fix that takes the place of that fails: nobody stays on what was being taken back", async () => {
  const { world, third } = await onThree();
  to(world, third);
  await obey(world, "a");
  const second = to(world, third);
  await rounds(world, 12);
  world.command(second, "rollback");
  await obey(world, "d");
  const fix = world.deploy("4", { ...WIDE, onConflict: "supersede" });
  await rounds(world, 4);
  world.command(fix, "rollback");
  await rounds(world, 12);
  expect([world.phase(fix), wanted(world)]).toEqual(["rolled_back", "3,3,3,3"]);
});
