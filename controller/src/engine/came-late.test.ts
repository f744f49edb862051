/** Machines that came late, and what they run after one rollback, or several. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { lastGood } from "../journal/last-good.ts";
import { NAMES, obey, onOne, WIDE } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

/** They do what they are told, and then what follows from that. */
async function answers(world: World, ...names: string[]): Promise<void> {
  for (let round = 0; round < 2; round += 1) await obey(world, ...names);
}

function run(world: World, ...names: string[]): string {
  return names.map((name) => world.wanted(name) ?? "-").join(" ");
}

test("two releases are rolled back one after the other; a machine that came in between does not keep the second", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await answers(world, ...NAMES);
  const third = world.deploy("3", WIDE);
  await answers(world, ...NAMES);
  await world.join("new");
  world.pass(3000, ...NAMES, "new");
  await answers(world, "new");
  const all = [...NAMES, "new"];
  world.command(third, "rollback");
  await answers(world, ...all);
  expect(run(world, ...all)).toBe("2 2 2 2 2");
  world.command(second, "rollback");
  await answers(world, ...all);
  world.pass(3_600_000, ...all);
  const { outcome } = (await viewsOf(world).one(second))!;
  expect({ phase: world.phase(second), outcome, runs: run(world, ...all) }).toEqual({ phase: "rolled_back", outcome: "rolled back", runs: "1 1 1 1 1" });
});

test("the same of a machine whose disk was replaced", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await answers(world, ...NAMES);
  const third = world.deploy("3", WIDE);
  await answers(world, ...NAMES);
  world.remove("d");
  await world.loseDisk("d");
  world.pass(3000, ...NAMES);
  await answers(world, "d");
  world.command(third, "rollback");
  await answers(world, ...NAMES);
  world.command(second, "rollback");
  await answers(world, ...NAMES);
  world.pass(3_600_000, ...NAMES);
  expect(run(world, ...NAMES)).toBe("1 1 1 1");
});

test("the same where the second rollback takes back the first release of the app", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await answers(world, ...NAMES);
  await world.join("new");
  const all = [...NAMES, "new"];
  world.pass(3000, ...all);
  await answers(world, "new");
  world.command(second, "rollback");
  await answers(world, ...all);
  world.command("d-1" as never, "rollback");
  await answers(world, ...all);
  world.pass(60_000, ...all);
  expect(run(world, ...all)).toBe("remove remove remove remove remove");
});

test("a rollback --to is rolled back; a machine that came after it gets what the others run, and does not lose the app", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await answers(world, ...NAMES);
  expect(world.engine.operators.rollbackTo(second, "1", by).ok).toBe(true);
  await answers(world, ...NAMES);
  const all = [...NAMES, "new"];
  await world.join("new");
  world.pass(3000, ...all);
  await answers(world, "new");
  expect(run(world, ...all)).toBe("1 1 1 1 1");
  expect(world.command("d-3" as never, "rollback").ok).toBe(true);
  await answers(world, ...all);
  world.pass(3_600_000, ...all);
  world.startEngine();
  world.pass(60_000, ...all);
  expect(run(world, ...all)).toBe("2 2 2 2 2");
});

test.each(["cordoned", "off"])("the same file was deployed twice while a machine was %s; the first is rolled back: a machine that comes then gets what stood before both", async (how) => {
  const world = await onOne();
  const here = how === "off" ? ["a", "b", "c"] : NAMES;
  if (how === "off") world.pass(20_000, ...here);
  else world.engine.orders.cordon("d" as never, { drain: false, force: true }, by);
  const second = world.deploy("2", WIDE);
  await answers(world, "a", "b", "c");
  world.deploy("2", WIDE);
  world.pass(3000, ...here);
  if (how === "off") await world.join("d");
  else world.engine.orders.uncordon("d" as never, by);
  world.pass(3000, ...NAMES);
  await answers(world, "d");
  expect(run(world, ...NAMES)).toBe("2 2 2 2");
  expect(world.command(second, "rollback").ok).toBe(true);
  await answers(world, ...NAMES);
  await world.join("new");
  world.pass(600_000, ...NAMES, "new");
  // What the second deployment gave to d is not taken back with the first.
  expect(run(world, ...NAMES, "new")).toBe("1 1 1 2 1");
});

test("a machine that came late does not go back to what was taken back from machines like it", async () => {
  const world = await onOne(["a", "b"]);
  await world.joinAs({ role: "db" }, "z");
  const wide = world.deploy("1", { ...WIDE, targets: "" });
  await answers(world, "a", "b", "z");
  world.command(wide, "rollback");
  await answers(world, "a", "b", "z");
  expect(world.phase(wide)).toBe("rolled_back");
  await world.join("new");
  world.pass(3000, "a", "b", "z", "new");
  const third = world.deploy("3", WIDE);
  await answers(world, "a", "b", "new");
  world.command(third, "rollback");
  await answers(world, "a", "b", "new");
  expect([world.phase(third), run(world, "a", "b", "new")]).toEqual(["rolled_back", "1 1 remove"]);
});

test("what was taken back, and given again since, is found on a machine that joins again", async () => {
  const world = await onOne(["a", "b"]);
  const second = world.deploy("2", WIDE);
  await answers(world, "a", "b");
  world.command(second, "rollback");
  await answers(world, "a", "b");
  world.deploy("2", { ...WIDE, lateJoiners: "ignore" });
  await answers(world, "a", "b");
  const before = world.generation("a");
  world.remove("a");
  await world.joinOwing("a");
  await world.say("a", "healthy", before, "app", "2");
  expect(lastGood(world.journal.db, "a" as never, "app" as never)).toBe("app@2");
});

test("a machine that came late, and went back in a rollout that had not succeeded, is one of what stands at once, and not only after a restart", async () => {
  const world = await onOne(["a", "b"]);
  const all = ["a", "b", "new"];
  const second = world.deploy("2", { ...WIDE, progressDeadlineMs: 600_000 });
  await world.say("a", "healthy");
  world.pass(1000, "a", "b");
  world.remove("a");
  await world.join("new", "a");
  world.pass(1000, ...all);
  world.command(second, "rollback");
  await answers(world, ...all);
  await answers(world, ...all);
  const before = all.map((name) => world.generation(name));
  world.startEngine();
  world.pass(20_000, ...all);
  expect([world.phase(second), run(world, ...all), all.map((name) => world.generation(name))]).toEqual(["rolled_back", "1 1 1", before]);
});

test("two machines that came late go back at different times: each to what stands then", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await answers(world, ...NAMES);
  world.engine.orders.addFreeze({ from: world.clock.now(), until: null }, by);
  await world.join("x", "y");
  const third = world.deploy("3", { ...WIDE, onConflict: "supersede" });
  for (const { id } of world.engine.orders.freezes()) world.engine.orders.endFreeze(id, "anna");
  world.pass(1000, ...NAMES, "x", "y");
  await answers(world, ...NAMES, "x", "y");
  expect(run(world, ...NAMES, "x", "y")).toBe("3 3 3 3 3 3");
  world.pass(20_000, ...NAMES, "x");
  world.command(third, "rollback");
  await answers(world, ...NAMES, "x");
  expect(run(world, "x", "y")).toBe("2 3");
  world.command(second, "rollback");
  await answers(world, ...NAMES, "x");
  await world.join("y");
  world.pass(1000, ...NAMES, "x", "y");
  expect(run(world, ...NAMES, "x", "y")).toBe("1 1 1 1 1 1");
});
