/** Machines that missed several deployments, of which some were rolled back: what they run when all is said, and what outcomes say of them until then. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { NAMES, obey, onOne, WIDE } from "./on-one.fixture.ts";

const by = { by: "anna", reason: "" };

test("a machine that is lost in a rollback, and drained since it is dead, is still named by the outcome", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await obey(world, ...NAMES);
  expect(world.phase(second)).toBe("succeeded");
  world.pass(20_000, "a", "b", "c"); // d is cut off
  world.command(second, "rollback");
  await obey(world, "a", "b", "c");
  expect((await viewsOf(world).one(second))!.outcome).toContain("d may still run 2");
  world.engine.orders.cordon("d" as never, { drain: true, force: true }, by);
  world.pass(3000, "a", "b", "c");
  expect((await viewsOf(world).one(second))!.outcome).toMatch(/\bd\b/);
});

test("a machine that was off when 2 came, which was rolled back, and when 3 came, goes back to 1 when it is on again in a freeze, and gets 3 after it", async () => {
  const world = await onOne();
  world.pass(14_000, "a", "b", "c"); // d is off, and that is not known yet
  const second = world.deploy("2", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(20_000, "a", "b", "c");
  world.command(second, "rollback");
  await obey(world, "a", "b", "c");
  world.pass(3000, "a", "b", "c");
  expect(world.phase(second)).toBe("rolled_back");
  const third = world.deploy("3", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(3000, "a", "b", "c");
  expect(world.phase(third)).toBe("succeeded");
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  await world.join("d");
  world.pass(3000, ...NAMES);
  expect(world.wanted("d")).toBe("1");
  await obey(world, "d");
  world.engine.orders.endFreeze("f-1", "anna");
  world.pass(3000, ...NAMES);
  expect([world.wanted("d"), world.phase(third)]).toEqual(["3", "succeeded"]);
});

test("an uncordoned machine that a newer deployment kept from catching up gets what stands once that is rolled back, and not only after a restart", async () => {
  const world = await onOne();
  world.engine.orders.cordon("d" as never, { drain: false, force: true }, by);
  const second = world.deploy("2", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(2000, ...NAMES);
  const third = world.deploy("3", { ...WIDE, lateJoiners: "ignore" });
  await obey(world, "a", "b", "c");
  world.pass(2000, ...NAMES);
  expect([world.phase(second), world.phase(third)]).toEqual(["succeeded", "succeeded"]);
  for (const name of ["a", "b", "c"]) await world.say(name, "unhealthy", world.generation(name), "app", "3");
  world.engine.orders.uncordon("d" as never, by);
  world.pass(3000, ...NAMES);
  expect(world.wanted("d")).toBe("1");
  world.command(third, "rollback");
  await obey(world, "a", "b", "c");
  world.pass(600_000, ...NAMES);
  const before = world.wanted("d");
  world.startEngine();
  world.pass(20_000, ...NAMES);
  expect([world.phase(third), before, world.wanted("d")]).toEqual(["rolled_back", "2", "2"]);
});

test.each(["a freeze", "3 that is not well", "3 that is not well, and it was off"])("a machine that had missed 2 and 3 waits since there is %s; 3 is rolled back: it gets 2, and not only after a restart", async (what) => {
  const world = await onOne();
  const off = what.endsWith("off");
  if (off) world.pass(20_000, "a", "b", "c");
  else world.engine.orders.cordon("d" as never, { drain: false, force: true }, by);
  const here = off ? ["a", "b", "c"] : NAMES;
  world.deploy("2", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(2000, ...here);
  const third = world.deploy("3", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(2000, ...here);
  expect(world.phase(third)).toBe("succeeded");
  if (what === "a freeze") world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  else for (const name of ["a", "b", "c"]) await world.say(name, "unhealthy", world.generation(name), "app", "3");
  if (off) await world.join("d");
  else world.engine.orders.uncordon("d" as never, by);
  world.pass(3000, ...NAMES);
  world.command(third, "rollback");
  await obey(world, "a", "b", "c");
  world.pass(3000, ...NAMES);
  for (const { id } of world.engine.orders.freezes()) world.engine.orders.endFreeze(id, "anna");
  world.pass(3_600_000, ...NAMES);
  const before = NAMES.map((name) => world.wanted(name)).join("");
  world.startEngine();
  world.pass(20_000, ...NAMES);
  await obey(world, "d");
  expect([world.phase(third), before, NAMES.map((name) => world.wanted(name)).join("")]).toEqual(["rolled_back", "2222", "2222"]);
});

test("the same where 3 is not well, and the machine ran 2 when that was rolled back", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await obey(world, ...NAMES);
  world.pass(20_000, "a", "b", "c");
  world.command(second, "rollback");
  await obey(world, "a", "b", "c");
  const third = world.deploy("3", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(3000, "a", "b", "c");
  expect(world.phase(third)).toBe("succeeded");
  for (const name of ["a", "b"]) await world.say(name, "unhealthy", world.generation(name), "app", "3");
  await world.join("d");
  world.pass(3000, ...NAMES);
  expect(world.wanted("d")).toBe("1");
  await obey(world, "d");
  expect((await viewsOf(world).one(second))!.outcome).toBe("rolled back");
  await obey(world, "a", "b");
  world.pass(3000, ...NAMES);
  expect(world.wanted("d")).toBe("3");
});

test("3 is rolled back to 2, and 2 to 1, and a machine was cut off in between: the outcome names it", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await obey(world, ...NAMES);
  const third = world.deploy("3", WIDE);
  await obey(world, ...NAMES);
  world.command(third, "rollback");
  await obey(world, ...NAMES);
  expect([world.phase(second), world.phase(third), NAMES.map((name) => world.wanted(name)).join("")]).toEqual(["succeeded", "rolled_back", "2222"]);
  world.pass(20_000, "a", "b", "c"); // d is cut off
  expect(world.command(second, "rollback").ok).toBe(true);
  await obey(world, "a", "b", "c");
  const { outcome, outstanding } = (await viewsOf(world).one(second))!;
  expect([world.phase(second), world.state(second, "d"), world.wanted("d"), outcome, outstanding?.count]).toEqual(["rolled_back", "unreachable", "2", expect.stringMatching(/\bd\b/), 1]);
});

test.each(["3 is not well where it runs", "a freeze"])("a machine that was lost when 2 was rolled back is heard while 3 waits (%s), and 3 is rolled back, too: it goes back to 1, and not only after a restart", async (how) => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await obey(world, ...NAMES);
  world.pass(20_000, "a", "b", "c");
  world.command(second, "rollback");
  await obey(world, "a", "b", "c");
  const third = world.deploy("3", WIDE);
  await obey(world, "a", "b", "c");
  world.pass(3000, "a", "b", "c");
  expect([world.phase(second), world.phase(third)]).toEqual(["rolled_back", "succeeded"]);
  if (how === "a freeze") world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  else for (const name of ["a", "b"]) await world.say(name, "unhealthy", world.generation(name), "app", "3");
  await world.join("d");
  world.pass(3000, ...NAMES);
  world.command(third, "rollback");
  await obey(world, "a", "b", "c");
  world.pass(3_600_000, ...NAMES);
  const before = NAMES.map((name) => world.wanted(name)).join("");
  world.startEngine();
  world.pass(20_000, ...NAMES);
  expect({ wanted: before, afterRestart: NAMES.map((name) => world.wanted(name)).join("") }).toEqual({ wanted: "1111", afterRestart: "1111" });
});

test("a machine that came after a deployment had failed gets its release once a retry of it has succeeded", async () => {
  const world = await onOne(["a", "b"]);
  const second = world.deploy("2", { ...WIDE, onFailure: "abort" });
  await world.say("a", "healthy");
  await world.say("b", "reverting");
  await world.say("b", "reverted");
  world.pass(3000, "a", "b");
  expect(world.phase(second)).toBe("failed");
  await world.join("new");
  await obey(world, "new");
  expect(world.wanted("new")).toBe("1");
  world.command(second, "retry");
  await obey(world, "b");
  world.pass(3000, "a", "b", "new");
  expect([world.phase(second), world.wanted("new")]).toEqual(["succeeded", "2"]);
});

test("two releases are rolled back while a machine is away that has the newer one: it goes back behind both", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await obey(world, ...NAMES);
  const third = world.deploy("3", WIDE);
  await obey(world, ...NAMES);
  world.pass(20_000, "a", "b", "c");
  world.command(third, "rollback");
  await obey(world, "a", "b", "c");
  world.command(second, "rollback");
  await obey(world, "a", "b", "c");
  expect([world.phase(third), world.phase(second)]).toEqual(["rolled_back", "rolled_back"]);
  await world.join("d");
  world.pass(3000, ...NAMES);
  await obey(world, "d");
  await obey(world, "d");
  expect([world.wanted("d"), (await viewsOf(world).one(second))!.outcome, (await viewsOf(world).one(third))!.outcome]).toEqual(["1", "rolled back", "rolled back"]);
});
