/** One outage of the canary that `offline: wait` waits for; the controller is restarted in the middle of it. The release is good. */
import { expect, test } from "vitest";
import { ALL, alarm, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak } from "./on-one.fixture.ts";

const tick = () => new Promise((resolve) => setImmediate(resolve));

test.each(["no restart", "a restart of the controller"])("with %s, the rollout goes on when the canary is back", async (how) => {
  const world = await onOne(["a", "b", "c"]);
  const quiet = async () => {
    await tick();
    for (const { answer } of world.asked.splice(0)) answer({ kind: "go", detail: "0" } as never);
    await tick();
  };
  const pass = async (ms: number, ...names: string[]) => {
    for (let passed = 0; passed < ms; passed += 1000) {
      world.pass(1000, ...names);
      await quiet();
    }
  };
  const id = world.deploy("2", { waves: [{ ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(1), alarms: [alarm()], offline: { kind: "wait", forMs: null }, progressDeadlineMs: 120_000 });
  await quiet();
  await pass(1000, "a", "b", "c");
  expect(world.wanted("a")).toBe("2");
  await world.say("a", "healthy");
  await pass(5000, "a", "b", "c");
  await pass(300_000, "b", "c");
  expect(world.waitingOn(id)).toContain("a to be heard from");
  if (how !== "no restart") world.startEngine();
  await quiet();
  await pass(20_000, "b", "c");
  expect(world.waitingOn(id)).toContain("a to be heard from");
  await world.join("a");
  await pass(10_000, "a", "b", "c");
  expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", expect.stringContaining("soak")]);
});

test.each([1, 300])("with two canaries away in a soak, and the second for %ds longer, the rollout goes on when both are back", async (seconds) => {
  const names = ["a", "b", "c"];
  const world = await onOne(names);
  const id = world.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), offline: { kind: "wait", forMs: null }, progressDeadlineMs: 120_000 });
  await world.settle("a", "b");
  world.pass(5000, ...names);
  world.pass(300_000, "c");
  await world.join("a");
  world.pass(seconds * 1000, "a", "c");
  expect(world.waitingOn(id)).toContain("b to be heard from");
  await world.join("b");
  world.pass(50_000, ...names);
  expect([world.phase(id), world.waitingOn(id), world.wanted("c")]).toEqual(["rolling", expect.stringContaining("soak"), "1"]);
  world.pass(20_000, ...names);
  expect([world.phase(id), world.wanted("c")]).toEqual(["rolling", "2"]);
});

test("the soak of a wave goes on when a machine of the wave before is back, for which the rollout has waited", async () => {
  const names = ["a", "b", "c", "d"];
  const world = await onOne(names);
  const id = world.deploy("2", { waves: [wave(count(2)), { ...wave(count(3)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), offline: { kind: "wait", forMs: null }, progressDeadlineMs: 120_000 });
  await world.settle("a", "b");
  world.pass(3000, ...names);
  await world.settle("c");
  world.pass(5000, ...names);
  world.pass(300_000, "c", "d");
  expect(world.waitingOn(id)).toContain("a, b to be heard from");
  await world.join("a", "b");
  await world.say("c", "activating");
  await world.say("c", "healthy");
  world.pass(50_000, ...names);
  expect([world.phase(id), world.waitingOn(id), world.wanted("d")]).toEqual(["rolling", expect.stringContaining("soak"), "1"]);
  world.pass(30_000, ...names);
  expect([world.phase(id), world.wanted("d")]).toEqual(["rolling", "2"]);
});

test("a canary that is up for 5 s of each minute stops the rollout when progress_deadline more than its soak has passed (offline: skip, the default)", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000, 1), ALL], maxUnavailable: count(4), offline: { kind: "skip" }, progressDeadlineMs: 300_000 });
  await world.say("a", "healthy");
  let passed = 0;
  while (world.phase(second) === "rolling" && passed < 4 * 3600) {
    world.pass(55_000, "b", "c", "d");
    await world.join("a");
    world.pass(5_000, ...NAMES);
    passed += 60;
  }
  // 60 s of soak, 300 s of patience, and a round.
  expect(passed).toBeLessThanOrEqual(480);
});
