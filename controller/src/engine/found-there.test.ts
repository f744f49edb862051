/** "A release that is being taken back, or was, is nothing to go back to": also for a machine that was removed with it, and joins again. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test.each(["before", "after"])("a machine that was removed with 2 and joins again %s 2 is taken back is never given 2 again", async (when) => {
  const world = new World();
  const all = ["a", "b", "c"];
  const say = async (...names: string[]) => {
    for (const name of names) await world.say(name, "healthy", world.generation(name), "app", world.wanted(name));
    world.pass(2000, ...names);
  };
  await world.join(...all);
  world.deploy("1", { ...WIDE, lateJoiners: "ignore" });
  await say(...all);
  const second = world.deploy("2", { ...WIDE, lateJoiners: "ignore" });
  await say(...all);
  world.pass(2000, ...all);
  expect(world.phase(second)).toBe("succeeded");
  world.remove("a");
  const rejoin = async () => {
    await world.joinOwing("a");
    await world.say("a", "healthy", 0, "app", "2");
    world.pass(2000, ...all);
  };
  if (when === "before") await rejoin();
  world.command(second, "rollback");
  await say("b", "c");
  world.pass(2000, "b", "c");
  expect([world.phase(second), world.wanted("b")]).toEqual(["rolled_back", "1"]);
  if (when === "after") await rejoin();
  const third = world.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
  world.pass(1000, ...all);
  expect(world.wanted("a")).toBe("3");
  await world.say("a", "failed");
  world.pass(2000, ...all);
  expect(world.phase(third)).not.toBe("rolling");
  expect(world.wanted("a")).not.toBe("2");
});

test("a machine that joined again while it ran 2, and got 2 as a late joiner, does not stay on 2 when 2 is rolled back", async () => {
  const world = new World();
  const all = ["a", "b", "c"];
  const say = async (...names: string[]) => {
    for (const name of names) await world.say(name, world.wanted(name) === "remove" ? "removed" : "healthy", world.generation(name), "app", world.wanted(name) === "remove" ? "" : world.wanted(name));
    world.pass(2000, ...names);
  };
  await world.join(...all);
  world.deploy("1", WIDE);
  await say(...all);
  const second = world.deploy("2", WIDE);
  await say(...all);
  world.pass(2000, ...all);
  expect(world.phase(second)).toBe("succeeded");
  world.remove("a");
  world.pass(2000, "b", "c");
  await world.joinOwing("a");
  await world.say("a", "healthy", 0, "app", "2");
  world.pass(3000, ...all);
  expect([world.wanted("a"), world.state(second, "a")]).toEqual(["2", "updating"]);
  await say("a");
  world.pass(3000, ...all);
  expect(world.command(second, "rollback")).toMatchObject({ ok: true });
  await say(...all);
  await say(...all);
  world.pass(3000, ...all);
  expect([world.phase(second), world.wanted("b"), world.wanted("c")]).toEqual(["rolled_back", "1", "1"]);
  expect([world.state(second, "a"), world.wanted("a")]).not.toEqual(["reverted", "2"]);
});
