/**
 * The return of ten thousand machines in virtual time: the agents' own delays, the controller's own spread and queue, and between them nothing but what a handshake costs. How long it takes with real handshakes is a benchmark, `herd`.
 */
import { returnDelayMs } from "@muster/agent/link/return.ts";
import { returnSpreadMs } from "@muster/controller/src/fleet/return-spread.ts";
import { AdmissionQueue } from "@muster/controller/src/grpc/admission-queue.ts";
import { Heap } from "@muster/controller/src/rollout/heap.ts";
import { describe, expect, it } from "vitest";

const MACHINES = 10_000;
const BOUNDS = { silentMax: 1_024, waitingMax: 16_384, servedMax: 256, yieldMs: 1_000, slowMax: 4_096 };
/** Of the controller's loop, for one machine: handshake, hello and welcome. */
const SERVICE_MS = 4.5;

interface Returned {
  readonly backAt: number;
  readonly attempts: number;
  readonly waitingMost: number;
  readonly arrivedInASecondMost: number;
}

/** All connections are lost at 0; the controller listens again at `downMs`. */
function fleetReturns({ spreadMs, downMs }: { readonly spreadMs: number; readonly downMs: number }): Returned {
  const events = new Heap<{ readonly at: number; readonly call: () => void }>((a, b) => a.at < b.at);
  const random = randomOf(7);
  const arrivals = new Map<number, number>();
  let [now, busyUntil, attempts, back, backAt, waitingMost] = [0, 0, 0, 0, 0, 0];
  const after = (delayMs: number, call: () => void): (() => void) => {
    let isCancelled = false;
    events.push({ at: now + delayMs, call: () => isCancelled || call() });
    return () => (isCancelled = true);
  };
  const queue = new AdmissionQueue({
    bounds: BOUNDS,
    begin: (machine) => {
      busyUntil = Math.max(now, busyUntil) + SERVICE_MS;
      after(busyUntil - now, () => {
        queue.leave(machine);
        [back, backAt] = [back + 1, now];
      });
    },
    drop: (machine) => connectLater(machine, 1),
    elapsedMs: () => now,
    // The loop turns when it is done with what it has begun.
    nextTurn: (call) => after(Math.max(0, busyUntil - now), call),
    after,
  });
  const connectLater = (machine: string, failures: number): void => {
    after(returnDelayMs({ spreadMs, failures, fraction: random() }), () => {
      attempts += 1;
      if (now < downMs) return connectLater(machine, failures + 1);
      const second = Math.floor(now / 1_000);
      arrivals.set(second, (arrivals.get(second) ?? 0) + 1);
      queue.arrive(machine);
      queue.wait(machine);
      waitingMost = Math.max(waitingMost, queue.counts().waiting);
    });
  };
  for (let machine = 0; machine < MACHINES; machine += 1) connectLater(`m-${machine}`, 0);
  for (let next = events.pop(); next !== undefined; next = events.pop()) {
    now = next.at;
    next.call();
  }
  expect(back).toBe(MACHINES);
  return { backAt, attempts: attempts / MACHINES, waitingMost, arrivedInASecondMost: Math.max(...arrivals.values()) };
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("ten thousand machines", () => {
  it.each([2_000, 5_000, 10_000])("are back within a minute, with 1.5 attempts each at most, after a controller that was away for %i ms", (downMs) => {
    const { backAt, attempts, waitingMost } = fleetReturns({ spreadMs: returnSpreadMs(MACHINES), downMs });
    expect(backAt).toBeLessThanOrEqual(60_000);
    expect(attempts).toBeLessThanOrEqual(1.5);
    expect(waitingMost).toBeLessThan(BOUNDS.waitingMax / 2);
  });

  it("arrive about as fast as they can be served", () => {
    const { arrivedInASecondMost } = fleetReturns({ spreadMs: returnSpreadMs(MACHINES), downMs: 2_000 });
    expect(arrivedInASecondMost).toBeLessThan(2 * (1_000 / SERVICE_MS));
  });

  it("are all served in one attempt after another, though nobody spreads them: the queue holds the whole fleet", () => {
    const { backAt, waitingMost } = fleetReturns({ spreadMs: 0, downMs: 0 });
    expect(waitingMost).toBeGreaterThan(MACHINES / 2);
    expect(backAt).toBeLessThanOrEqual(60_000);
  });
});
