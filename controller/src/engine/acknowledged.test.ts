/** A person goes on knowing of failures: those count no more, and stand in for no others. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { onOne } from "./on-one.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"];

test("one that recovers in the same turn in which another fails does not hide that", async () => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [wave(count(3)), ALL], maxUnavailable: count(9), onFailure: "pause" });
  await world.say("a", "failed");
  world.command(id, "resume");
  expect(world.phase(id)).toBe("rolling");
  await Promise.all([world.say("b", "failed"), world.say("a", "healthy")]);
  expect([world.state(id, "b"), world.phase(id)]).toEqual(["failed", "paused"]);
});

test.each([false, true])("two that recover leave no room for two others, with one allowed (after a restart: %s)", async (restarts) => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), onFailure: "pause", maxFailures: count(1) });
  await world.say("a", "unhealthy");
  await world.say("b", "unhealthy");
  world.command(id, "resume");
  await world.say("c", "failed");
  expect(world.phase(id)).toBe("rolling");
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  if (restarts) world.startEngine();
  await world.say("d", "failed");
  expect(world.phase(id)).toBe("paused");
});

test("one that is lost, and was known, stands in for no other that is lost", async () => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), onFailure: "pause", maxUnreachable: count(0) });
  for (const name of NAMES) await world.say(name, "probing");
  world.pass(20_000, ...NAMES.slice(1));
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["unreachable", "paused"]);
  world.command(id, "resume");
  expect(world.phase(id)).toBe("rolling");
  await world.join("a");
  world.pass(20_000, "a", ...NAMES.slice(2));
  expect([world.state(id, "b"), world.phase(id)]).toEqual(["unreachable", "paused"]);
});

test("one that came late, failed, was known and is gone is known once, however often a person goes on", async () => {
  const world = await onOne(NAMES);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  for (const name of NAMES) await world.say(name, "healthy");
  world.pass(2000, ...NAMES);
  expect(world.phase(id)).toBe("succeeded");
  const late = ["u", "v", "w", "x", "y", "z"];
  const comes = async (name: string, phase: "failed" | "healthy"): Promise<void> => {
    await world.loseDisk(name);
    world.pass(2000, ...NAMES, ...late);
    expect(world.wanted(name)).toBe("2");
    await world.say(name, phase);
  };
  await comes("x", "failed");
  world.remove("x");
  expect(world.command(id, "retry").ok).toBe(true);
  await comes("x", "healthy");
  await comes("y", "failed");
  expect(world.command(id, "retry").ok).toBe(true);
  await world.say("y", "healthy");
  await comes("z", "failed");
  await world.join("u");
  world.pass(2000, ...NAMES, ...late);
  expect(world.wanted("u")).toBeUndefined();
});
