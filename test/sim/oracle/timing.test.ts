/** The oracle holds agents to the times of the file: here by agents that were given other times than the file says, and by one that says what is not so. */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { describe, expect, test } from "vitest";
import { Scenario, SLOW } from "../scenario.fixture.ts";
import type { Character } from "../releases.ts";

const NEVER: Character = { kind: "broken", how: "never_healthy" };
const FLAPS: Character = { kind: "flaps", everyMs: 6_000 };

interface Times {
  readonly minHealthyTimeMs?: number;
  readonly healthyDeadlineMs?: number;
}

/** The agents of its machines go by these times, whatever they are told. */
async function misled(machines: number, times: Times): Promise<Scenario> {
  const scenario = await Scenario.of(machines);
  for (const machine of scenario.world.machines.values()) {
    const take = machine.take.bind(machine);
    machine.take = (assignment: Assignment) => take({ ...assignment, apps: assignment.apps.map((app) => ({ ...app, ...times })) });
  }
  return scenario;
}

describe("min_healthy_time", () => {
  test("is held against an agent that does not wait for it", async () => {
    const scenario = await misled(1, { minHealthyTimeMs: 0 });
    scenario.deploy("1", { minHealthyTimeMs: 10_000 });
    await expect(scenario.pass(60_000)).rejects.toThrow(/^healthy_time_kept: m-1 calls d-1 healthy, whose app has answered well for \d{1,3} ms at a time, of 10000/);
  });

  test("is held against an agent that waits for some of it", async () => {
    const scenario = await misled(1, { minHealthyTimeMs: 9_000 });
    scenario.deploy("1", { minHealthyTimeMs: 10_000 });
    await expect(scenario.pass(60_000)).rejects.toThrow(/^healthy_time_kept/);
  });

  test("counts one time without a break: what an app that flaps has been well for in all is not enough", async () => {
    const scenario = await misled(1, { minHealthyTimeMs: 5_000 });
    scenario.deploy("1", { minHealthyTimeMs: 10_000 }, FLAPS);
    await expect(scenario.pass(60_000)).rejects.toThrow(/^healthy_time_kept/);
    const right = await Scenario.of(1);
    right.deploy("1", { minHealthyTimeMs: 10_000 }, FLAPS);
    await right.settle();
  });

  test("is held against a wave that is passed, and a rollout that succeeds, with a machine that was not well for so long", async () => {
    const scenario = await misled(2, { minHealthyTimeMs: 0 });
    const { oracle } = scenario.world;
    // Nobody asks what the agent says: what the controller makes of it is found, too.
    oracle.said = () => {};
    scenario.deploy("1", { minHealthyTimeMs: 10_000 }, SLOW);
    await expect(scenario.pass(60_000)).rejects.toThrow(/^healthy_time_kept: d-1 finishes wave 1 with m-\d, whose app has answered well for/);
  });

  test("goes on for an app that ran on while its agent was away", async () => {
    const scenario = await Scenario.of(1);
    const id = scenario.deploy("1", { minHealthyTimeMs: 10_000 });
    await scenario.until(() => scenario.serves("m-1") === "1");
    await scenario.pass(6_000);
    scenario.machine("m-1").agent?.die();
    await scenario.until(() => scenario.phaseOf(id) === "succeeded");
    await scenario.settle();
  });
});

describe("healthy_deadline", () => {
  test("is held against an agent that gives up what is slow before it has passed", async () => {
    const scenario = await misled(1, { healthyDeadlineMs: 5_000 });
    scenario.deploy("1", { healthyDeadlineMs: 30_000 }, SLOW);
    await expect(scenario.pass(60_000)).rejects.toThrow(/^healthy_deadline_kept: m-1 gives d-1 up after 5\d{3} ms of 30000/);
  });

  test("is held against an agent that waits for much longer", async () => {
    const scenario = await misled(1, { healthyDeadlineMs: 600_000 });
    scenario.deploy("1", { healthyDeadlineMs: 30_000 }, NEVER);
    await expect(scenario.pass(120_000)).rejects.toThrow(/^healthy_deadline_kept: m-1 has run d-1 for \d+ ms and says probing, of 30000/);
  });

  test("is none of a release that ends by itself before it has passed", async () => {
    const scenario = await Scenario.of(1);
    scenario.deploy("1", { healthyDeadlineMs: 120_000 }, { kind: "broken", how: "exits" });
    await scenario.settle();
  });
});
