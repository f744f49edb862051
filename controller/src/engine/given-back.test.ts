/** What a machine goes back to was given to it by a decision, and that decision stands again: the tail of an older one does not overrule it. Nor does anything follow a rollback that a person has aborted. */
import { expect, test } from "vitest";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const BAD = { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "rollback" as const };
const BOTH = ["a", "b"];

async function zones(): Promise<World> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b");
  return world;
}

const wanted = (world: World, names: readonly string[]) => names.map((name) => world.wanted(name));

test.each(["bad", "rolled back by a person"])("a machine that moved into the selector of an older deployment, and then 3 is %s", async (how) => {
  const world = await zones();
  world.deploy("1", { ...WIDE, targets: "zone=b" });
  await work(world, BOTH, 4);
  world.deploy("2", { ...WIDE, targets: "zone=a" });
  await work(world, BOTH, 4);
  world.label({ role: "web", zone: "b" }, "a");
  world.pass(120_000, ...BOTH);
  await work(world, BOTH, 4);
  expect(wanted(world, BOTH)).toEqual(["2", "1"]);

  const third = world.deploy("3", { ...BAD, targets: "role=web" });
  if (how === "bad") {
    await world.say("a", "reverted", world.generation("a"), "app", "2");
  } else {
    await work(world, BOTH, 4);
    expect(world.phase(third)).toBe("succeeded");
    world.command(third, "rollback");
  }
  await work(world, BOTH, 8);
  expect([world.phase(third), ...wanted(world, BOTH)]).toEqual(["rolled_back", "2", "1"]);
});

test("the canary of an aborted rollout, on which its release was confirmed", async () => {
  const world = await zones();
  world.deploy("1", { ...WIDE, targets: "zone=a" });
  await work(world, BOTH, 4);
  const all = world.deploy("1", WIDE);
  await work(world, BOTH, 4);
  expect([world.phase(all), world.state(all, "a")]).toEqual(["succeeded", undefined]);
  const second = world.deploy("2", { ...WIDE, waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }] });
  await work(world, BOTH, 4);
  world.command(second, "abort");
  world.pass(120_000, ...BOTH);
  expect(wanted(world, BOTH)).toEqual(["2", "1"]);

  const third = world.deploy("3", BAD);
  await world.say("a", "reverted", world.generation("a"), "app", "2");
  await work(world, BOTH, 8);
  expect([world.phase(third), (await viewsOf(world).one(third))!.outcome, ...wanted(world, BOTH)]).toEqual(["rolled_back", "rolled back", "2", "1"]);
});

test("and once more after another release was taken back from it", async () => {
  const world = await zones();
  world.deploy("1", WIDE);
  await work(world, BOTH, 4);
  const second = world.deploy("2", { ...WIDE, waves: [wave(count(1)), { ...ALL, afterMs: 600_000 }] });
  await work(world, BOTH, 4);
  world.command(second, "abort");
  for (const version of ["3", "4"]) {
    const bad = world.deploy(version, BAD);
    await world.say("a", "reverted", world.generation("a"), "app", "2");
    await work(world, BOTH, 8);
    expect([world.phase(bad), ...wanted(world, BOTH)]).toEqual(["rolled_back", "2", "1"]);
  }
});

test("a rollback that is aborted leaves a machine that missed what stands as it is", async () => {
  const rest = ["a", "b", "c"];
  const world = await onOne();
  world.pass(20_000, ...rest);
  world.deploy("2", WIDE);
  await work(world, rest, 6);
  const third = world.deploy("3", { ...WIDE, maxUnavailable: count(1) });
  await work(world, rest, 8);
  await world.join("d");
  await work(world, NAMES, 6);
  world.command(third, "rollback");
  expect(world.wanted("d")).toBe("1");
  await world.say("d", "healthy");
  const stood = wanted(world, NAMES);
  expect(world.command(third, "abort").ok).toBe(true);
  await work(world, NAMES, 12);
  world.pass(120_000, ...NAMES);
  expect(wanted(world, NAMES)).toEqual(stood);
});
