/** A retry decides about the machines on which the release failed. What was decided about the others since stands, whoever decided it, and whether it told them anything. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test("a retry leaves a machine that a newer deployment left out, since it ran its release already", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a", "b");
  await world.joinAs({ role: "web", zone: "q" }, "c");
  await world.joinAs({ zone: "q" }, "x");
  const all = ["a", "b", "c", "x"];
  world.deploy("1", { ...WIDE, targets: "role=web" });
  await world.settle("a", "b", "c");
  world.pass(2000, ...all);
  const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "abort" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  expect([world.phase(second), world.state(second, "c")]).toEqual(["failed", "pending"]);
  const third = world.deploy("1", { ...WIDE, targets: "zone=q" });
  await world.say("x", "healthy");
  world.pass(3000, ...all);
  expect([world.phase(third), world.wanted("c"), world.wanted("x")]).toEqual(["succeeded", "1", "1"]);
  const answer = world.command(second, "retry");
  if (!answer.ok) throw new Error(answer.refusal.message);
  await work(world, all, 20);
  expect([world.phase(second), world.wanted("a"), world.wanted("b"), world.wanted("c"), world.wanted("x")]).toEqual(["succeeded", "2", "2", "1", "1"]);
});

test("a retry leaves a machine to the newer deployment that stands for it, whose release it has", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a", "b", "c");
  await world.joinAs({ zone: "q" }, "x");
  const all = ["a", "b", "c", "x"];
  world.deploy("1", { ...WIDE, targets: "role=web" });
  await world.settle("a", "b", "c");
  world.pass(2000, ...all);
  const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "abort" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  const third = world.deploy("1", { ...WIDE, targets: "zone=q" });
  await world.say("x", "healthy");
  world.pass(3000, ...all);
  world.label({ role: "web", zone: "q" }, "c");
  world.pass(3000, ...all);
  expect([world.phase(second), world.phase(third), world.wanted("c")]).toEqual(["failed", "succeeded", "1"]);
  expect(world.command(second, "retry").ok).toBe(true);
  await work(world, all, 20);
  expect(world.wanted("c")).toBe("1");
});

async function takenBackFromC() {
  const world = new World();
  await world.joinAs({ role: "web" }, "a", "b", "c");
  const all = ["a", "b", "c"];
  world.deploy("1", { ...WIDE, targets: "role=web" });
  await world.settle(...all);
  world.pass(2000, ...all);
  const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "abort" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  world.label({ role: "web", zone: "q" }, "c");
  const third = world.deploy("2", { ...WIDE, targets: "zone=q" });
  await world.say("c", "healthy");
  world.pass(3000, ...all);
  expect([world.phase(second), world.phase(third), world.wanted("c")]).toEqual(["failed", "succeeded", "2"]);
  world.command(third, "rollback");
  await world.say("c", "healthy");
  world.pass(3000, ...all);
  expect([world.phase(third), world.wanted("c")]).toEqual(["rolled_back", "1"]);
  return { world, second, all };
}
test("a retry gives a release to no machine from which it was taken back", async () => {
  const { world, second, all } = await takenBackFromC();
  expect(world.command(second, "retry").ok).toBe(true);
  await work(world, all, 20);
  expect([world.wanted("b"), world.wanted("c")]).toEqual(["2", "1"]);
});
test("nor, from which it was taken back, whatever its labels are by now", async () => {
  const { world, second, all } = await takenBackFromC();
  world.label({ role: "web" }, "c");
  expect(world.command(second, "retry").ok).toBe(true);
  await work(world, all, 20);
  expect([world.wanted("b"), world.wanted("c")]).toEqual(["2", "1"]);
});
