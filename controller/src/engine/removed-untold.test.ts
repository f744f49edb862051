/** A dead canary that never took the release is removed from the fleet, as the docs advise. */
import { expect, test } from "vitest";
import { ALL, wave } from "../rollout/rollout.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test.each(["stays silent", "is removed", "is cordoned, and removed"])("a canary that was silent at its turn and %s holds nobody up", async (how) => {
  const world = new World();
  await world.joinAs({ role: "web", canary: "true" }, "a");
  await world.join("b", "c");
  world.deploy("1", WIDE);
  for (const name of ["a", "b", "c"]) await world.say(name, "healthy", world.generation(name), "app", "1");
  world.pass(2000, "a", "b", "c");
  if (how.startsWith("is cordoned")) world.engine.orders.cordon("a" as never, { drain: false, force: false }, { by: "anna", reason: "" });
  else world.pass(20_000, "b", "c");
  const id = world.deploy("2", { ...WIDE, waves: [{ ...wave("canary=true"), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL] });
  world.pass(5000, "b", "c");
  expect(world.state(id, "a")).toBe(how.startsWith("is cordoned") ? "skipped" : "unreachable");
  if (how.endsWith("removed")) world.remove("a");
  world.pass(70_000, "b", "c");
  expect([world.waitingOn(id), world.wanted("b")]).toEqual([expect.not.stringContaining("took the release"), "2"]);
});

/** docs/strategies.md, "shrink a fleet in this order": drain, wait until nothing runs there, remove. */
test.each(["is there", "is drained and removed", "is removed"])("the only machine of a wave to come %s: the rollout goes on behind its gate", async (how) => {
  const world = new World();
  await world.joinAs({ role: "web", first: "true" }, "a");
  await world.joinAs({ role: "web", second: "true" }, "b");
  await world.join("c");
  const say = async (name: string) => world.say(name, world.wanted(name) === "remove" ? "removed" : "healthy", world.generation(name), "app", world.wanted(name) === "remove" ? "" : world.wanted(name));
  world.deploy("1", WIDE);
  for (const name of ["a", "b", "c"]) await say(name);
  world.pass(2000, "a", "b", "c");
  const gates = [{ kind: "soak" as const, forMs: 20_000 }];
  const id = world.deploy("2", { ...WIDE, waves: [{ ...wave("first=true"), gates }, { ...wave("second=true"), gates }, ALL] });
  if (how === "is drained and removed") {
    world.engine.orders.cordon("b" as never, { drain: true, force: true }, { by: "anna", reason: "" });
    await say("b");
    world.pass(1000, "a", "b", "c");
  }
  if (how !== "is there") world.remove("b");
  await say("a");
  world.pass(30_000, "a", "b", "c");
  if (how === "is there") await say("b");
  world.pass(35_000, "a", ...(how === "is there" ? ["b"] : []), "c");
  expect([world.waitingOn(id), world.wanted("c")]).toEqual([expect.not.stringContaining("took the release"), "2"]);
});
