/** A deployment that stands has decided about the machines that it left out, since they ran its release already, just as about those that it told. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const ONE_AT_ONCE = { waves: [ALL], maxUnavailable: count(1) };
const NO_DRAIN = { drain: false, force: false };

const wanted = (world: World, names: readonly string[] = NAMES): readonly (string | undefined)[] => names.map((name) => world.wanted(name));

/** 2 runs everywhere; somebody takes it back with `rollback --to 1`, sees the mistake when one machine has been told, and deploys 2 again. */
async function mistakeMended(how: string): Promise<World> {
  const world = await onOne();
  const second = world.deploy("2", ONE_AT_ONCE);
  await work(world, NAMES, 10);
  expect(world.engine.operators.rollbackTo(second, "1", BY).ok).toBe(true);
  world.pass(1000, ...NAMES);
  expect(wanted(world)).toEqual(["1", "2", "2", "2"]);
  const again = world.deploy("2", { ...ONE_AT_ONCE, onConflict: "supersede" });
  world.pass(1000, ...NAMES);
  if (how === "aborted") world.command(again, "abort");
  if (how !== "superseded") await work(world, NAMES, 10);
  expect([world.phase(again), ...wanted(world)]).toEqual([how === "superseded" ? "rolling" : how, "2", "2", "2", "2"]);
  return world;
}

test.each(["succeeded", "aborted", "superseded"])("a rollback --to that was given up for the same release leaves that as the last good one, however the newer one ends: %s", async (how) => {
  const world = await mistakeMended(how);
  const third = world.deploy("3", { waves: [wave(count(4)), ALL], maxUnavailable: count(4), onConflict: "supersede" });
  world.pass(1000, ...NAMES);
  const others = NAMES.slice(1);
  expect(others.map((name) => world.engine.assignmentFor(name as never)?.apps[0]?.lastGoodVersion)).toEqual(others.map(() => "2"));
  await work(world, NAMES, 6);
  world.command(third, "rollback");
  await work(world, NAMES, 8);
  expect([world.phase(third), ...wanted(world, others)]).toEqual(["rolled_back", ...others.map(() => "2")]);
});

test.each([false, true])("a machine stays on what was decided about it last when its labels change, left out by that: %s", async (isLeftOut) => {
  const all = ["a", "b", "c"];
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, "c");
  world.deploy("2", WIDE);
  await work(world, all, 4);
  world.engine.orders.cordon("a" as never, NO_DRAIN, BY);
  world.deploy("3", WIDE);
  await work(world, all, 4);
  const uncordon = async (): Promise<void> => {
    world.engine.orders.uncordon("a" as never, BY);
    await work(world, all, 4);
  };
  if (!isLeftOut) await uncordon();
  const newest = world.deploy("2", { ...WIDE, targets: "zone=a" });
  await work(world, all, 4);
  if (isLeftOut) await uncordon();
  expect([world.phase(newest), ...wanted(world, all)]).toEqual(["succeeded", "2", "2", "3"]);
  world.label({ role: "web", zone: "c" }, "a");
  await work(world, all, 6);
  expect(world.wanted("a")).toBe("2");
  // Also where something newer stands for the others of its former zone.
  world.deploy("4", { ...WIDE, targets: "zone=a" });
  await work(world, all, 6);
  world.startEngine();
  world.pass(20_000, ...all);
  await work(world, all, 6);
  expect(wanted(world, all)).toEqual(["2", "4", "3"]);
});

test("one of its name that comes again after it was removed counts once", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, "c");
  const all = ["a", "b", "c"];
  world.deploy("1", { ...WIDE, targets: "zone=a" });
  await work(world, all, 4);
  const id = world.deploy("1", WIDE);
  await work(world, all, 4);
  world.remove("a");
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await work(world, all, 4);
  const counted = async (): Promise<readonly unknown[]> => {
    const { counts } = (await viewsOf(world).one(id))!;
    return [world.state(id, "a"), counts!.healthy, counts!.unchanged];
  };
  expect(await counted()).toEqual(["healthy", 2, 1]);
  world.startEngine();
  expect([await counted(), world.engine.audit()]).toEqual([["healthy", 2, 1], undefined]);
});

test("a rollback --to that was given up before it had told anybody takes nothing from late machines", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 6);
  for (const name of NAMES) world.engine.orders.cordon(name as never, NO_DRAIN, BY);
  const to = world.engine.operators.rollbackTo(second, "1", BY);
  if (!to.ok) throw new Error("refused");
  world.pass(2000, ...NAMES);
  expect(world.command(to.value.deployment as never, "abort").ok).toBe(true);
  for (const name of NAMES) world.engine.orders.uncordon(name as never, BY);
  await world.join("new");
  await work(world, [...NAMES, "new"], 6);
  expect(wanted(world, [...NAMES, "new"])).toEqual(["2", "2", "2", "2", "2"]);
});

test("what a rollback --to was to take back stays taken back when what took its place is rolled back", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 6);
  for (const name of NAMES) world.engine.orders.cordon(name as never, NO_DRAIN, BY);
  expect(world.engine.operators.rollbackTo(second, "1", BY).ok).toBe(true);
  world.pass(2000, ...NAMES);
  const third = world.deploy("3", { ...WIDE, onConflict: "supersede" });
  for (const name of NAMES) world.engine.orders.uncordon(name as never, BY);
  await work(world, NAMES, 6);
  world.command(third, "rollback");
  await work(world, NAMES, 6);
  await world.join("new");
  await work(world, [...NAMES, "new"], 6);
  expect(wanted(world, NAMES)).toEqual(["1", "1", "1", "1"]);
  expect(world.wanted("new")).not.toBe("2");
});

test.each(["rollback", "rollback --to", "deploy"])("what stood for a machine that came late is no way back for it once that was replaced for all others: %s", async (how) => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 6);
  const all = ["0-new", ...NAMES];
  world.engine.orders.addFreeze({ from: world.clock.now(), until: null }, BY);
  await world.join("0-new");
  const third = world.deploy("3", { waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }], maxUnavailable: count(1), onConflict: "supersede" });
  for (const { id } of world.engine.orders.freezes()) world.engine.orders.endFreeze(id, "anna");
  await work(world, all, 6);
  expect(wanted(world, all)).toEqual(["3", "2", "2", "2", "2"]);
  world.command(third, "abort");
  world.engine.orders.cordon("0-new" as never, NO_DRAIN, BY);
  if (how === "rollback") world.command(second, "rollback");
  else if (how === "deploy") world.submit("1", WIDE);
  else world.engine.operators.rollbackTo(second, "1", BY);
  await work(world, all, 10);
  expect(wanted(world, all)).toEqual(["3", "1", "1", "1", "1"]);
  expect(world.command(third, "rollback").ok).toBe(true);
  await work(world, all, 10);
  expect(world.wanted("0-new")).toBe("1");
});
