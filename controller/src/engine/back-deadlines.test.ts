/** How long a machine has that goes back: what its release needs, and not what the file of the release that is taken back allows. */
import { describe, expect, test } from "vitest";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
const NAMES = ["a", "b"];
const STOPS_IN_10_S: Partial<Release> = { driver: { $case: "process", value: { command: ["serve"], env: {}, stopTimeoutMs: 10_000 } } };
const SHORT = { ...WIDE, minHealthyTimeMs: 2000, healthyDeadlineMs: 8000, progressDeadlineMs: 600_000 };

/** 2 is everywhere, by a file that gives it 8 s. */
async function onTwo({ first = 40_000, progressDeadlineMs = 600_000, release = {} as Partial<Release> } = {}): Promise<{ readonly world: World; readonly id: DeploymentId }> {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { ...WIDE, healthyDeadlineMs: first });
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  const id = world.deploy("2", { ...SHORT, progressDeadlineMs }, release);
  await world.settle(...NAMES);
  world.pass(2000, ...NAMES);
  expect(world.phase(id)).toBe("succeeded");
  return { world, id };
}

function rollbackTo(world: World, id: DeploymentId, version: string): DeploymentId {
  const answer = world.engine.operators.rollbackTo(id, version, by);
  if (!answer.ok) throw new Error(answer.refusal.message);
  return answer.value.deployment as DeploymentId;
}

function deadlineOf(world: World, machine = "a"): number | undefined {
  return world.engine.assignmentFor(machine as MachineId)?.apps[0]?.healthyDeadlineMs;
}

describe("the healthy_deadline of a machine that goes back", () => {
  test("is the longest of what deployments gave its release before, and min_healthy_time is the deployment's own", async () => {
    const { world, id } = await onTwo();
    expect(deadlineOf(world)).toBe(8000);
    world.command(id, "rollback");
    expect(world.engine.assignmentFor("a" as MachineId)?.apps[0]).toMatchObject({ healthyDeadlineMs: 40_000, minHealthyTimeMs: 2000, confirmed: true });
  });

  test("is half a minute at least", async () => {
    const { world, id } = await onTwo({ first: 5000 });
    world.command(id, "rollback");
    expect(deadlineOf(world)).toBe(30_000);
  });

  test("is as long by rollback --to", async () => {
    const { world, id } = await onTwo();
    rollbackTo(world, id, "1");
    expect([world.wanted("a"), deadlineOf(world)]).toEqual(["1", 40_000]);
  });

  test("asks no deployment that never began", async () => {
    const { world, id } = await onTwo({ first: 5000 });
    const never = world.deploy("1", { ...WIDE, healthyDeadlineMs: 900_000, start: "manual" });
    world.command(never, "abort");
    world.command(id, "rollback");
    expect(deadlineOf(world)).toBe(30_000);
  });

  test("is the file's own for whoever is given the release anew", async () => {
    const { world } = await onTwo();
    world.deploy("1", SHORT);
    expect([world.wanted("a"), deadlineOf(world)]).toEqual(["1", 8000]);
  });

  test.each(["rollback", "drain"])("is as long when the end of a drain gives the release again (%s)", async (how) => {
    const { world, id } = await onTwo();
    if (how === "rollback") world.command(id, "rollback");
    await world.settle(...NAMES);
    world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
    await world.say("a", "removed");
    world.engine.orders.uncordon("a" as never, by);
    expect(deadlineOf(world)).toBe(how === "rollback" ? 40_000 : 30_000);
  });
});

describe("a machine that goes back and gives no answer", () => {
  /** It is asked to go back, and says nothing; after how many seconds its time is over. */
  function overAfterS(world: World, id: DeploymentId): number {
    for (let seconds = 1; seconds < 500; seconds += 1) {
      world.pass(1000, ...NAMES);
      if (world.state(id, "a") === "failed") return seconds;
    }
    throw new Error("never");
  }

  test.each([["an engine", false], ["another engine after it", true]])("has its deadline, the time to stop what it replaces, and silent-after (%s)", async (_, isAnother) => {
    const { world, id } = await onTwo({ release: STOPS_IN_10_S });
    world.command(id, "rollback");
    if (isAnother) world.startEngine();
    const seconds = overAfterS(world, id);
    expect(seconds).toBeGreaterThanOrEqual(65);
    expect(seconds).toBeLessThanOrEqual(67);
  });

  test("has as long by rollback --to", async () => {
    const { world, id } = await onTwo({ release: STOPS_IN_10_S });
    expect(overAfterS(world, rollbackTo(world, id, "1"))).toBeGreaterThanOrEqual(65);
  });

  test.each([["an engine", false], ["another engine after it", true]])("has all of it anew when it had to wait for its turn (%s)", async (_, isAnother) => {
    const { world, id } = await onTwo({ release: STOPS_IN_10_S });
    world.command(id, "rollback");
    await world.say("a", "staged");
    world.pass(50_000, ...NAMES);
    await world.say("a", "activating");
    if (isAnother) world.startEngine();
    expect(overAfterS(world, id)).toBeGreaterThanOrEqual(65);
  });

  test("does not have it anew for a release that is new there", async () => {
    const world = new World();
    await world.join(...NAMES);
    const id = world.deploy("1", { ...SHORT, onFailure: "pause" });
    await world.say("a", "staged");
    world.pass(20_000, ...NAMES);
    await world.say("a", "activating");
    expect(overAfterS(world, id)).toBeLessThanOrEqual(4);
  });
});

describe("the progress_deadline of a rollback", () => {
  test("leaves machines the time that each of them has", async () => {
    const { world, id } = await onTwo({ progressDeadlineMs: 10_000 });
    world.command(id, "rollback");
    world.pass(50_000, ...NAMES);
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling_back", "reverting"]);
    await world.say("a", "healthy");
    await world.say("b", "healthy");
    expect(world.phase(id)).toBe("rolled_back");
  });

  test("ends it when nobody has come back for so long", async () => {
    const { world, id } = await onTwo({ progressDeadlineMs: 100_000, first: 8000 });
    world.command(id, "rollback");
    await world.say("a", "probing");
    for (let round = 0; round < 30; round += 1) {
      await world.say("a", "probing", world.generation("a"));
      world.pass(5000, ...NAMES);
    }
    expect(world.phase(id)).toBe("failed");
  });
});

test("a machine that could not go back in time, and is well with the older release later, is said to be back", async () => {
  const { world, id } = await onTwo();
  world.command(id, "rollback");
  await world.say("a", "failed", world.generation("a"), "app", "1");
  await world.say("b", "healthy", world.generation("b"), "app", "1");
  world.pass(2000, ...NAMES);
  expect([world.phase(id), world.state(id, "a")]).toEqual(["failed", "failed"]);
  await world.say("a", "healthy", world.generation("a"), "app", "1");
  world.pass(2000, ...NAMES);
  expect([world.state(id, "a"), (await viewsOf(world).one(id))!.outcome]).toEqual(["reverted", expect.stringMatching(/^failed; all \d machines have gone back since$/)]);
});
