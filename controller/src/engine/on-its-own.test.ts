/** What a machine ran and keeps on its own account, left out by a deployment of the same release, is nobody's to take back. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const all = ["a", "b", "c"];

/** a runs 1, confirmed, by a deployment that was aborted at its second wave; 2 came and was rolled back; then 1 is deployed to all: it leaves a out. */
async function leftOut(): Promise<{ world: World; third: string }> {
  const world = new World();
  await world.join(...all);
  const first = world.deploy("1", { waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }], maxUnavailable: count(9) });
  await work(world, all, 4);
  world.command(first, "abort");
  expect(all.map((name) => world.wanted(name))).toEqual(["1", undefined, undefined]);
  const second = world.deploy("2", { ...WIDE, waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }] });
  await work(world, all, 4);
  expect(world.wanted("a")).toBe("2");
  world.command(second, "rollback");
  await work(world, all, 4);
  expect([world.phase(second), world.wanted("a")]).toEqual(["rolled_back", "1"]);
  const third = world.deploy("1", WIDE);
  await work(world, all, 6);
  expect([world.phase(third), world.state(third, "a"), ...all.map((name) => world.wanted(name))]).toEqual(["succeeded", undefined, "1", "1", "1"]);
  return { world, third };
}

test("it stays on what it ran", async () => {
  const { world, third } = await leftOut();
  expect(world.command(third as never, "rollback").ok).toBe(true);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "remove", "remove"]);
});

test("also where the controller was restarted in between", async () => {
  const { world, third } = await leftOut();
  world.startEngine();
  await world.join(...all);
  await work(world, all, 6);
  expect(world.command(third as never, "rollback").ok).toBe(true);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "remove", "remove"]);
});

test("also where its link was cut for half a minute in between", async () => {
  const { world, third } = await leftOut();
  world.pass(30_000, "b", "c");
  await world.join("a");
  await work(world, all, 6);
  expect(world.command(third as never, "rollback").ok).toBe(true);
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "remove", "remove"]);
});

test("also where something newer came to it and was rolled back, and the controller was restarted then", async () => {
  const { world, third } = await leftOut();
  const fourth = world.deploy("3", { ...WIDE, waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }] });
  await work(world, all, 4);
  expect(world.wanted("a")).toBe("3");
  world.command(fourth, "rollback");
  await work(world, all, 4);
  expect([world.phase(fourth), world.wanted("a")]).toEqual(["rolled_back", "1"]);
  world.startEngine();
  await world.join(...all);
  await work(world, all, 6);
  world.command(third as never, "rollback");
  await work(world, all, 6);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "remove", "remove"]);
});
