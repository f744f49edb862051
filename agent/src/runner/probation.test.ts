import { mkdirSync, rmSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { confirmed, processRelease, remove, run } from "../machine/hand-driven.fixture.ts";
import type { MachineRunner } from "./machine-runner.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.remove());

const v1 = processRelease("1");
const v2 = processRelease("2");
const second = run(2, v2, { confirmed: false });

const until = (generation: number, phase: string): Promise<void> => world.clock.until(() => world.saw("web", generation, phase));

const crash = (): void => world.crash([...world.living.keys()][0]!);

async function running(): Promise<MachineRunner> {
  const agent = world.agent();
  await agent.start();
  agent.offer(assignment(1, run(1, v1)));
  await until(1, "HEALTHY");
  return agent;
}

/** Runs 2, healthy and not confirmed, with 1 to go back to. */
async function onProbation(): Promise<MachineRunner> {
  const agent = await running();
  agent.offer(assignment(2, second));
  await until(2, "HEALTHY");
  return agent;
}

describe("a release on probation", () => {
  it("is taken back without a word from the controller when it turns unhealthy", async () => {
    const well = Array.from({ length: 30 }, () => ({ health: "healthy" }) as const);
    world.behaviours.set("2", { verdicts: [...well, { health: "unhealthy", detail: "GET / answered 500" }] });
    await onProbation();
    await until(2, "REVERTED");
    expect(world.last?.reason).toEqual({ code: "turned_unhealthy", message: "GET / answered 500; back on 1" });
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2", "stop web@2", "start web@1"]);
    expect(world.links.get("web")).toBe(v1.artifact);
  });

  it("outlives an agent that is killed, which goes back when the workload ended meanwhile", async () => {
    await onProbation();
    world.kill();
    crash();
    await world.agent().start();
    await until(2, "REVERTED");
    expect(world.reports.filter(({ generation }) => generation === 2).map(({ phase }) => phase).slice(-3)).toEqual(["APP_PHASE_HEALTHY", "APP_PHASE_REVERTING", "APP_PHASE_REVERTED"]);
    expect(world.running).toEqual(["web@1"]);
  });

  it("outlives an agent that is killed, which goes back when it ends later", async () => {
    await onProbation();
    world.kill();
    const agent = world.agent();
    await agent.start();
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2"]);
    await world.clock.until(() => world.last?.phase === "APP_PHASE_HEALTHY");
    crash();
    await until(2, "REVERTED");
    expect(world.last?.reason).toMatchObject({ code: "exited" });
  });

  it.each(Array.from({ length: 14 }, (_, index) => index + 1))("is taken back by an agent that is killed in call %i of it", async (calls) => {
    await onProbation();
    world.callsToLive = calls;
    crash();
    await world.clock.until(() => world.saw("web", 2, "REVERTED")).catch(() => {});
    world.kill();
    await world.agent().start();
    await until(2, "REVERTED");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2", "start web@1"]);
    expect(world.links.get("web")).toBe(v1.artifact);
  });

  it("is started again after a reboot without a network, and stays when it is well", async () => {
    await onProbation();
    world.reboot();
    await world.agent().start();
    const count = world.reports.length;
    await world.clock.until(() => world.reports.slice(count).some(({ phase }) => phase === "APP_PHASE_HEALTHY"));
    expect(world.running).toEqual(["web@2"]);
    expect([...world.releases]).toEqual([`web/${v1.artifact}`, `web/${v2.artifact}`]);
  });

  it("is taken back after a reboot without a network when it does not come up", async () => {
    await onProbation();
    world.reboot();
    world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "GET / answered 500" }], pullFault: { code: "artifact_unavailable", message: "no network", retryable: true } });
    await world.agent().start();
    await until(2, "REVERTED");
    expect(world.running).toEqual(["web@1"]);
    expect(world.last?.reason).toMatchObject({ code: "never_healthy" });
  });
});

describe("an assignment of the release that the agent goes back to by itself", () => {
  it.each(Array.from({ length: 12 }, (_, index) => index + 1))("that comes after call %i of going back starts it once, and is answered healthy", async (calls) => {
    const agent = await onProbation();
    let left = calls;
    world.onCall = () => {
      left -= 1;
      if (left === 0) agent.offer(assignment(3, run(3, v1)));
    };
    crash();
    await world.clock.until(() => left <= 0 || world.saw("web", 2, "REVERTED"));
    agent.offer(assignment(3, run(3, v1)));
    await until(3, "HEALTHY");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2", "start web@1"]);
    expect(world.running).toEqual(["web@1"]);
  });

  it("is refused when it must not run here any more", async () => {
    const fault = { code: "below_floor", message: "1 is below the floor", retryable: false } as const;
    const agent = await onProbation();
    world.behaviours.set("1", { distrust: { judgeReturn: fault } });
    crash();
    await world.clock.until(() => world.saw("web", 2, "REVERTING"));
    agent.offer(assignment(3, run(3, v1)));
    await until(3, "FAILED");
    expect(world.last?.reason?.message).toContain(fault.message);
    expect(world.running).toEqual([]);
  });
});

describe("a confirmation", () => {
  it("is taken without a restart, a probe or a report", async () => {
    const agent = await onProbation();
    const [deeds, reports] = [world.deeds.length, world.reports.length];
    agent.offer(assignment(3, confirmed(second)));
    expect(agent.generation).toBe(3);
    await expect(world.clock.until(() => world.reports.length > reports)).rejects.toThrow("it never came to that");
    expect(world.deeds).toHaveLength(deeds);
    crash();
    await until(2, "UNHEALTHY");
    await world.clock.until(() => world.running.length === 1);
    expect(world.running).toEqual(["web@2"]);
  });

  it("counts although the agent is killed before it has done anything about it", async () => {
    const agent = await onProbation();
    agent.offer(assignment(3, confirmed(second)));
    world.kill();
    const next = world.agent();
    await next.start();
    expect(next.generation).toBe(3);
    await world.clock.until(() => world.last?.phase === "APP_PHASE_HEALTHY");
    crash();
    await until(2, "UNHEALTHY");
    expect(world.saw("web", 2, "REVERTING")).toBe(false);
  });
});

describe("a drain", () => {
  it("stops the app and keeps its files and what is good, also in an agent that is killed, for the release that comes after it", async () => {
    const agent = await running();
    agent.offer(assignment(2, remove(2, true)));
    await until(2, "REMOVED");
    expect(world.running).toEqual([]);
    expect(world.links.has("web")).toBe(false);
    expect([...world.releases]).toEqual([`web/${v1.artifact}`]);
    world.kill();
    world.behaviours.set("2", { pullFault: { code: "artifact_corrupt", message: "frame 0 is damaged", retryable: false } });
    const next = world.agent();
    await next.start();
    next.offer(assignment(3, run(3, v2, { confirmed: false })));
    await until(3, "REVERTED");
    expect(world.running).toEqual(["web@1"]);
  });
});

describe("what the agent cannot take", () => {
  it("is said of a state that cannot be written, until it can", async () => {
    const agent = await running();
    expect(agent.refusal).toBeUndefined();
    world.disk.fail({ from: 2, kinds: ["record"], forMs: 60_000, code: "ENOSPC" });
    agent.offer(assignment(2, second));
    await world.clock.until(() => agent.refusal !== undefined);
    expect(agent.refusal).toEqual({
      code: "cannot_store",
      message: "the state of web cannot be stored in the agent's directory: no space left on the disk; free some space there, and the agent goes on by itself",
    });
    await until(2, "HEALTHY");
    expect(agent.refusal).toBeUndefined();
  });

  it("is an assignment that cannot be written: the one before stands, and it can be offered again", async () => {
    const agent = await running();
    const obstacle = join(world.dir, "assignment.json.new");
    rmSync(obstacle);
    mkdirSync(obstacle);
    expect(() => agent.offer(assignment(2, second))).toThrow("EISDIR");
    expect(agent.generation).toBe(1);
    rmdirSync(obstacle);
    agent.offer(assignment(2, second));
    await until(2, "HEALTHY");
  });

  it("is a driver that it does not know: that is said, the rest is done, and forgotten with the next assignment", async () => {
    const agent = await running();
    const unknown: Release = { ...processRelease("5"), app: "db", driver: undefined };
    agent.offer(assignment(2, run(2, unknown, { app: "db" }), second));
    await until(2, "HEALTHY");
    expect(agent.refusal).toEqual({
      code: "unsupported",
      message: 'the assignment holds a driver that this agent does not know (app "db"): if this agent is older than its controller, update it, then deploy again',
    });
    world.kill();
    const next = world.agent();
    await next.start();
    expect(next.refusal).toMatchObject({ code: "unsupported" });
    next.offer(assignment(3, second));
    expect(next.refusal).toBeUndefined();
  });
});
