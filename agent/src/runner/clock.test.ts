import { describe, expect, it } from "vitest";
import { createClock, type TimeSource } from "./clock.ts";

/** Time that is passed by hand: `run` lets the clock look by itself, `stop` does not. */
function byHand(): TimeSource & { run(ms: number): void; stop(ms: number): void; wall: number } {
  let elapsed = 5_000;
  let look = (): void => {};
  let intervalMs = 0;
  return {
    wall: 1_700_000_000_000,
    elapsedMs: () => elapsed,
    wallMs() {
      return this.wall;
    },
    every: (ms, call) => {
      look = call;
      intervalMs = ms;
    },
    after: () => () => {},
    run(ms) {
      for (const end = elapsed + ms; elapsed < end; ) {
        elapsed = Math.min(end, elapsed + intervalMs);
        look();
      }
    },
    stop(ms) {
      elapsed += ms;
    },
  };
}

describe("the agent's time", () => {
  it("passes like any other while the agent runs, asked or not", () => {
    const source = byHand();
    const clock = createClock(source);
    const begun = clock.now();
    source.run(3_600_000);
    expect(clock.now() - begun).toBe(3_600_000);
    expect(clock.gaps).toBe(0);
  });

  it("stands still, but for two seconds, while the agent is stopped, and that is a gap", () => {
    const source = byHand();
    const clock = createClock(source);
    source.run(10_000);
    const before = clock.now();
    source.stop(600_000);
    expect(clock.now() - before).toBe(2_000);
    expect(clock.gaps).toBe(1);
    source.run(1_000);
    expect(clock.now() - before).toBe(3_000);
    expect(clock.gaps).toBe(1);
  });

  it("knows nothing of the wall clock's jumps", () => {
    const source = byHand();
    const clock = createClock(source);
    const begun = clock.now();
    for (const jumpMs of [600_000, -86_400_000]) {
      source.wall += jumpMs;
      source.run(1_000);
    }
    expect(clock.now() - begun).toBe(2_000);
    expect(clock.gaps).toBe(0);
  });
});
