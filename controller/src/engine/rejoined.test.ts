/** What views say of a rollback after which a machine runs the release that was taken back. */
import { expect, test } from "vitest";
import { LAST_GOOD } from "../journal/confirmed.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test("1 on a fails after it joined again with a release that was taken back: what a later deployment goes back to", async () => {
  const world = new World();
  const all = ["a", "b", "c"];
  const say = async (...names: string[]) => {
    for (const name of names) await world.say(name, "healthy", world.generation(name), "app", world.wanted(name));
    world.pass(2000, ...names);
  };
  await world.join(...all);
  world.deploy("1", WIDE);
  await say(...all);
  const second = world.deploy("2", WIDE);
  await say(...all);
  world.pass(2000, ...all);
  world.remove("a");
  world.command(second, "rollback");
  await say("b", "c");
  world.pass(2000, "b", "c");
  expect([world.phase(second), world.wanted("b")]).toEqual(["rolled_back", "1"]);
  await world.joinOwing("a");
  await world.say("a", "healthy", 0, "app", "2");
  world.pass(3000, ...all);
  expect(world.wanted("a")).toBe("1");
  // On its way with 1: what it goes back to by itself, and what a drain gives it back.
  const lastGood = world.journal.db.prepare(LAST_GOOD).pluck().get({ machine: "a", app: "app", given: null });
  expect(world.engine.assignmentFor("a" as never)?.apps[0]?.lastGoodVersion).not.toBe("2");
  expect(lastGood).not.toBe("app@2");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, { by: "anna", reason: "" });
  expect(world.wanted("a")).not.toBe("2");
});
test("a drain of the machine gives it nothing that was taken back", async () => {
  const world = new World();
  const all = ["a", "b", "c"];
  const say = async (...names: string[]) => {
    for (const name of names) await world.say(name, "healthy", world.generation(name), "app", world.wanted(name));
    world.pass(2000, ...names);
  };
  await world.join(...all);
  world.deploy("1", WIDE);
  await say(...all);
  const second = world.deploy("2", WIDE);
  await say(...all);
  world.pass(2000, ...all);
  world.remove("a");
  world.command(second, "rollback");
  await say("b", "c");
  world.pass(2000, "b", "c");
  await world.joinOwing("a");
  await world.say("a", "healthy", 0, "app", "2");
  world.pass(3000, ...all);
  expect(world.wanted("a")).toBe("1");
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "anna", reason: "" });
  await world.say("a", "removed");
  world.engine.orders.uncordon("a" as never, { by: "anna", reason: "" });
  expect(world.wanted("a")).not.toBe("2");
});
