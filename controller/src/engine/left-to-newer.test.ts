/** A retry is no decision about machines that it leaves to a newer deployment: that one goes on with them, be it forward or back. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
const all = ["a", "b", "c"];

/** 1 everywhere; 2 has failed on a, its canary, and came to nobody else. */
async function failedOnA(): Promise<{ readonly world: World; readonly second: DeploymentId }> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a");
  await world.joinAs({ role: "web", zone: "b" }, "b", "c");
  world.deploy("1", WIDE);
  await world.settle(...all);
  world.pass(2000, ...all);
  const second = world.deploy("2", { waves: [{ ...wave(count(1)), gates: [{ kind: "approval" }] }, ALL], maxUnavailable: count(9), onFailure: "abort" });
  await world.say("a", "reverting");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  expect([world.phase(second), world.state(second, "b")]).toEqual(["failed", "pending"]);
  return { world, second };
}

test.each([false, true])("whoever a retry leaves to the newer deployment has its turn there (retried: %s)", async (isRetried) => {
  const { world, second } = await failedOnA();
  world.engine.orders.cordon("b" as never, { drain: false, force: false }, by);
  const third = world.deploy("3", { ...WIDE, targets: "zone=b" });
  await world.say("c", "healthy");
  world.pass(2000, ...all);
  expect(world.phase(third)).toBe("succeeded");
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  world.engine.orders.uncordon("b" as never, by);
  world.pass(2000, ...all);
  expect(world.state(third, "b")).toBe("pending");
  if (isRetried) expect(world.command(second, "retry")).toMatchObject({ ok: true });
  world.engine.orders.endFreeze("f-1", "anna");
  world.pass(2000, ...all);
  if (isRetried) await world.say("a", "healthy");
  world.pass(50_000, ...all);
  const why = (id: string) => world.journal.db.prepare("SELECT reason_message FROM targets WHERE deployment = ? AND machine = 'b'").pluck().get(id);
  expect([world.wanted("b"), world.state(third, "b"), why(second), why(third)]).toEqual(["3", "updating", isRetried ? expect.stringContaining("goes on with it") : null, null]);
});

test.each([false, true])("a machine that is still to be taken back from 3 is, while an older deployment is retried that does not tell it anything (retried: %s)", async (isRetried) => {
  const { world, second } = await failedOnA();
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
