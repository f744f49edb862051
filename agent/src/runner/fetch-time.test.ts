/** The time to fetch passes only while the controller is heard at its pace. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { processRelease, run } from "../machine/hand-driven.fixture.ts";
import type { MachineRunner } from "./machine-runner.ts";
import { stateFile } from "./on-disk.ts";
import { writeRecord } from "./record.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

const PACE_MS = 5_000;
const OFFLINE = { code: "artifact_unavailable", message: "no answer", retryable: true } as const;

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.remove());

async function passMs(ms: number): Promise<void> {
  let isOver = false;
  world.clock.after(ms, () => (isOver = true));
  await world.clock.until(() => isOver);
}

/** 1 runs; 2 can't be fetched, and has a minute to be healthy. */
async function fetching(): Promise<MachineRunner> {
  const agent = world.agent();
  await agent.start();
  agent.offer(assignment(1, run(1, processRelease("1"))));
  await world.clock.until(() => world.saw("web", 1, "HEALTHY"));
  agent.heard(0);
  world.behaviours.set("2", { pullFault: OFFLINE });
  agent.offer(assignment(2, run(2, processRelease("2"), { confirmed: false })));
  await world.clock.until(() => world.saw("web", 2, "PULLING"));
  return agent;
}

async function heardFor(agent: MachineRunner, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += PACE_MS) {
    await passMs(PACE_MS);
    agent.heard(PACE_MS);
  }
}

const isBack = (): boolean => world.saw("web", 2, "REVERTED");

test("a fetch that can't succeed fails in its time while the controller is heard", async () => {
  const agent = await fetching();
  await heardFor(agent, 55_000);
  expect(isBack()).toBe(false);
  await heardFor(agent, 10_000);
  expect(isBack()).toBe(true);
});

test.each(["session", "heartbeat"])("what was away for ten minutes, and is heard by a %s again, takes nothing of that time", async (by) => {
  const agent = await fetching();
  await heardFor(agent, 30_000);
  await passMs(600_000);
  agent.heard(by === "session" ? 0 : PACE_MS);
  await heardFor(agent, 25_000);
  expect(isBack()).toBe(false);
  await heardFor(agent, 10_000);
  expect(isBack()).toBe(true);
});

test("an agent whose record was written by one that did not note when the controller was heard has the time that was left", async () => {
  await fetching();
  const path = stateFile(world.dir, "web");
  const { heardAt: _, isFetchedLate: __, ...before } = JSON.parse(readFileSync(path, "utf8")).value as Record<string, unknown>;
  writeRecord(path, "muster.app-state.v2", before);
  const next = world.agent();
  await next.start();
  next.heard(0);
  await heardFor(next, 50_000);
  expect(isBack()).toBe(false);
  await heardFor(next, 15_000);
  expect(isBack()).toBe(true);
});
