/** A retry that leaves a machine to a rollback which is still taking it back stops that rollback nowhere. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

test.each([false, true])("a machine that is still to be taken back from 3 is, while an older deployment is retried that does not tell it anything (retried: %s)", async (isRetried) => {
  const world = new World();
  const all = ["a", "b", "c"];
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b", "c");
  world.deploy("1", WIDE);
  await world.settle(...all);
  world.pass(2000, ...all);
  const second = world.deploy("2", { waves: [{ ...wave(count(1)), gates: [{ kind: "approval" }] }, ALL], maxUnavailable: count(9), onFailure: "abort" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  expect(world.phase(second)).toBe("failed");
  const third = world.deploy("3", { waves: [{ ...wave(count(2)), gates: [{ kind: "approval" }] }], maxUnavailable: count(1), targets: "zone=b" });
  for (const name of ["b", "c"]) {
    await world.say(name, "healthy");
    world.pass(2000, ...all);
  }
  world.command(third, "rollback");
  world.pass(1000, ...all);
  expect(world.phase(third)).toBe("rolling_back");
  const [first, last] = world.wanted("c") === "1" ? (["c", "b"] as const) : (["b", "c"] as const);
  expect([world.wanted(first), world.wanted(last)]).toEqual(["1", "3"]);
  const fourth = world.deploy("4", { waves: [ALL], maxUnavailable: count(1), targets: "zone=b", onConflict: "supersede" });
  world.pass(1000, ...all);
  world.command(fourth, "abort");
  world.pass(3000, ...all);
  if (isRetried) expect(world.command(second, "retry")).toMatchObject({ ok: true });
  world.pass(1000, ...all);
  if (isRetried) await world.say("a", "healthy");
  await world.say(first, "healthy");
  world.pass(600_000, ...all);
  expect(world.wanted(last)).toBe("1");
});
