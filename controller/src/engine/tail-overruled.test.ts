/** Whoever waits for its turn in the tail of a deployment gets nothing that was decided otherwise meanwhile, be it left out of the newer deployment since it runs that already. */
import { describe, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
const ABC = ["a", "b", "c"];

/** Those that are told 1 go back to it. */
async function backToOne(world: World, every: readonly string[]): Promise<void> {
  for (let round = 0; round < 6; round += 1) {
    for (const name of ABC) if (world.wanted(name) === "1") await world.say(name, "healthy");
    world.pass(2000, ...every);
  }
}

describe.each(["were off", "were cordoned"])("machines that %s when 2 went out, which is not healthy", (how) => {
  const LATE = ["d", "e", "f"];
  const every = [...ABC, ...LATE];

  test.each(["rollback --to 1", "deploying 1 from its file", "rollback"])("keep 1 after %s", async (back) => {
    const world = await onOne(every);
    if (how === "were off") world.pass(60_000, ...ABC);
    else for (const name of LATE) world.engine.orders.cordon(name as never, { drain: false, force: false }, by);
    const second = world.deploy("2", { ...WIDE, offline: { kind: "skip" } });
    for (const name of ABC) await world.say(name, "healthy");
    world.pass(3000, ...ABC);
    expect(world.phase(second)).toBe("succeeded");
    for (const name of ABC) await world.say(name, "unhealthy");
    if (how === "were off") await world.join(...LATE);
    else for (const name of LATE) world.engine.orders.uncordon(name as never, by);
    world.pass(5000, ...every);
    expect([world.state(second, "d"), world.wanted("d"), world.engine.unsound(second)]).toEqual(["pending", "1", expect.stringContaining("0 of 3")]);
    const ok = back === "rollback" ? world.command(second, "rollback") : back.startsWith("rollback") ? world.engine.operators.rollbackTo(second, "1", by) : world.submit("1", WIDE);
    expect(ok.ok).toBe(true);
    await backToOne(world, every);
    expect(every.map((name) => world.wanted(name))).toEqual(["1", "1", "1", "1", "1", "1"]);
  });
});

test("in a freeze, with 2 well where it runs: rollback --to 1 holds for the one that waits", async () => {
  const world = await onOne();
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, by);
  const second = world.deploy("2", WIDE);
  for (const name of ABC) await world.say(name, "healthy");
  world.pass(3000, ...NAMES);
  world.engine.orders.addFreeze({ from: 0 as never, until: (world.clock.now() + 60_000) as never }, by);
  world.engine.orders.uncordon("d" as never, by);
  world.pass(3000, ...NAMES);
  world.engine.operators.rollbackTo(second, "1", by);
  await backToOne(world, NAMES);
  world.pass(60_000, ...NAMES);
  expect(NAMES.map((name) => world.wanted(name))).toEqual(["1", "1", "1", "1"]);
});

test("it has its turn again when the newer deployment is aborted before it told anybody", async () => {
  const world = await onOne();
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, by);
  const second = world.deploy("2", WIDE);
  for (const name of ABC) await world.say(name, "healthy");
  world.pass(3000, ...NAMES);
  world.engine.orders.addFreeze({ from: 0 as never, until: (world.clock.now() + 30_000) as never }, by);
  world.engine.orders.uncordon("d" as never, by);
  world.pass(3000, ...NAMES);
  const third = world.deploy("1", WIDE);
  world.pass(3000, ...NAMES);
  expect(world.state(second, "d")).toBe("skipped");
  world.command(third, "abort");
  world.pass(40_000, ...NAMES);
  expect([world.wanted("d"), world.phase(third)]).toEqual(["2", "aborted"]);
});

test.each(["waits in the tail", "comes afterwards"])("2 was taken back from machines like d, which %s", async (how) => {
  const every = [...ABC, "d", "e"];
  const world = new World();
  await world.join(...ABC, "d");
  await world.joinAs({ role: "db", zone: "a" }, "e");
  world.deploy("1", WIDE);
  world.deploy("1", { ...WIDE, targets: "role=db" });
  await world.settle(...every);
  world.pass(2000, ...every);
  world.engine.orders.cordon("d" as never, { drain: false, force: false }, by);
  const third = world.deploy("2", WIDE);
  for (const name of ABC) await world.say(name, "healthy");
  world.pass(3000, ...every);
  for (const name of ABC) await world.say(name, "unhealthy");
  const uncordon = () => world.engine.orders.uncordon("d" as never, by);
  if (how === "waits in the tail") uncordon();
  world.pass(3000, ...every);
  const fourth = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), targets: "zone=a" });
  await world.say("e", "healthy");
  world.pass(3000, ...every);
  world.command(fourth, "rollback");
  await world.say("e", "healthy");
  world.pass(3000, ...every);
  expect([world.phase(fourth), world.wanted("e"), world.state(third, "d")]).toEqual(["rolled_back", "1", how === "waits in the tail" ? "pending" : "skipped"]);
  world.label({ role: "web", zone: "a" }, "d");
  for (const name of ABC) await world.say(name, "healthy");
  world.pass(3000, ...every);
  if (how === "comes afterwards") uncordon();
  world.pass(3000, ...every);
  expect(world.wanted("d")).toBe("1");
});

describe("a deployment that has failed, beside an older one that a late machine waits for, and is retried", () => {
  const every = [...NAMES, "e", "f"];

  /** e is on its way to 1, and f waits for its place. 2 has failed on a. */
  async function failedBeside(): Promise<{ readonly world: World; readonly first: DeploymentId; readonly second: DeploymentId }> {
    const world = new World();
    await world.join(...NAMES);
    const first = world.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
    await work(world, NAMES);
    await world.join("e", "f");
    world.pass(1000, ...every);
    expect([world.state(first, "e"), world.state(first, "f")]).toEqual(["updating", "pending"]);
    const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(9), onFailure: "abort" });
    await world.say("a", "reverting");
    await world.say("a", "reverted");
    world.pass(2000, ...every);
    expect([world.phase(second), world.state(first, "f")]).toEqual(["failed", "pending"]);
    return { world, first, second };
  }

  test("decides again about who was left to the older one meanwhile", async () => {
    const { world, first, second } = await failedBeside();
    expect(world.command(second, "retry").ok).toBe(true);
    await world.say("e", "healthy");
    await world.say("a", "healthy");
    world.pass(5000, ...every);
    expect(world.wanted("f")).toBeUndefined();
    expect(world.state(first, "f")).toBe("skipped");
    world.pass(60_000, ...every);
    expect(every.map((name) => world.wanted(name))).toEqual(["2", "2", "2", "2", "2", "2"]);
  });

  test("and leaves it to the older one again when it is aborted", async () => {
    const { world, first, second } = await failedBeside();
    world.command(second, "retry");
    await world.say("e", "healthy");
    await world.say("a", "healthy");
    world.pass(2000, ...every);
    world.command(second, "abort");
    world.pass(5000, ...every);
    expect([world.wanted("f"), world.state(first, "f")]).toEqual(["1", "updating"]);
  });
});
