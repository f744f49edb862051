import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { processRelease, run } from "../machine/hand-driven.fixture.ts";
import type { MachineRunner } from "./machine-runner.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.remove());

const until = (generation: number, phase: string): Promise<void> => world.clock.until(() => world.saw("web", generation, phase));
const unhealthy = { health: "unhealthy", detail: "GET / answered 500" } as const;
const healthy = { health: "healthy" } as const;

async function passMs(ms: number): Promise<void> {
  let isOver = false;
  world.clock.after(ms, () => (isOver = true));
  await world.clock.until(() => isOver);
}

async function probing(verdicts: readonly (typeof unhealthy | typeof healthy)[]): Promise<MachineRunner> {
  const agent = world.agent();
  await agent.start();
  agent.offer(assignment(1, run(1, processRelease("1"))));
  await until(1, "HEALTHY");
  world.behaviours.set("2", { verdicts });
  agent.offer(assignment(2, run(2, processRelease("2"), { confirmed: false })));
  await until(2, "PROBING");
  return agent;
}

describe("an agent that is stopped for ten minutes while it probes", () => {
  it("takes no good release back: the deadline has passed while nobody looked", async () => {
    await probing([unhealthy, healthy]);
    await passMs(500);
    world.clock.stop(600_000);
    await until(2, "HEALTHY");
    expect(world.saw("web", 2, "REVERTING")).toBe(false);
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2"]);
  });

  it("does not call a release healthy for the time in which nobody looked", async () => {
    await probing([healthy, unhealthy, unhealthy]);
    await passMs(100);
    // The second verdict comes 1 s after the probes are asked anew.
    world.clock.stop(600_000);
    await passMs(3_000);
    expect(world.saw("web", 2, "HEALTHY")).toBe(false);
    await until(2, "REVERTING");
    expect(world.last?.reason).toMatchObject({ code: "turned_unhealthy" });
  });

  it("gives a bad one no more than the time that was left", async () => {
    await probing([unhealthy]);
    await passMs(50_000);
    world.clock.stop(600_000);
    await passMs(7_000);
    expect(world.saw("web", 2, "REVERTING")).toBe(false);
    await passMs(2_000);
    expect(world.saw("web", 2, "REVERTING")).toBe(true);
  });
});
