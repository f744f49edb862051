/** What a drain, or its end, gives back to a machine on which nothing was ever good: what stands for machines like it by then. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const BY = { by: "anna", reason: "" };
const all = ["0-new", ...NAMES];

const wanted = (world: World): readonly (string | undefined)[] => all.map((name) => world.wanted(name));

/** 2 runs everywhere but on a new machine, which is the canary of 3. */
async function canaryOfThree() {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 6);
  world.engine.orders.addFreeze({ from: world.clock.now(), until: null }, BY);
  await world.join("0-new");
  const waves = [wave(count(1), { gates: [{ kind: "soak", forMs: 500_000 }] }), { ...ALL, afterMs: 600_000 }];
  const third = world.deploy("3", { waves, maxUnavailable: count(1), onConflict: "supersede", onFailure: "abort" });
  for (const { id } of world.engine.orders.freezes()) world.engine.orders.endFreeze(id, "anna");
  world.pass(1000, ...all);
  expect(wanted(world)).toEqual(["3", "2", "2", "2", "2"]);
  return { world, second, third };
}

async function drained(world: World): Promise<void> {
  world.engine.orders.cordon("0-new" as never, { drain: true, force: true }, BY);
  await world.say("0-new", "removed");
  world.pass(3000, ...all);
}

async function uncordoned(world: World): Promise<void> {
  world.engine.orders.uncordon("0-new" as never, BY);
  await work(world, all, 10);
}

test.each(["healthy", "updating", "failed"] as const)("it gets what stands when its rollout has ended, with the machine %s", async (how) => {
  const { world, third } = await canaryOfThree();
  if (how === "healthy") await work(world, all, 4);
  if (how === "failed") await world.say("0-new", "failed");
  else world.command(third, "abort");
  world.pass(1000, ...all);
  await drained(world);
  await uncordoned(world);
  expect(wanted(world)).toEqual(all.map(() => "2"));
  world.startEngine();
  world.pass(30_000, ...all);
  await work(world, all, 6);
  expect(wanted(world)).toEqual(all.map(() => "2"));
});

test.each(["before", "after"])("it does not get what was taken back from everybody, drained %s that", async (when) => {
  const { world, second, third } = await canaryOfThree();
  if (when === "before") await drained(world);
  world.command(third, "abort");
  world.command(second, "rollback");
  await work(world, NAMES, 8);
  if (when === "after") await drained(world);
  await uncordoned(world);
  expect(wanted(world)).toEqual(all.map(() => "1"));
});
