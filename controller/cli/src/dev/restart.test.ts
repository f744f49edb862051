import { describe, expect, it } from "vitest";
import { afterEnd, type ChildEnd } from "./restart.ts";

const killed: ChildEnd = { role: "agent", exitCode: null, uptimeMs: 1_000, lastDelayMs: 0, fleetReady: true };

describe("what becomes of a child that has ended", () => {
  it("starts one that was killed again, waiting twice as long each time up to 10 s", () => {
    const delays: number[] = [];
    let lastDelayMs = 0;
    for (let end = 0; end < 7; end += 1) {
      const next = afterEnd({ ...killed, lastDelayMs });
      if (next.kind !== "restart") throw new Error(next.kind);
      delays.push((lastDelayMs = next.delayMs));
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it("begins with the shortest wait again after 5 s of life", () => {
    expect(afterEnd({ ...killed, uptimeMs: 5_000, lastDelayMs: 8_000 })).toEqual({ kind: "restart", delayMs: 500 });
  });

  it("lets an agent go that was asked to", () => {
    expect(afterEnd({ ...killed, exitCode: 0 })).toEqual({ kind: "stay_away" });
  });

  it("starts a controller again that was asked to go: the fleet needs it", () => {
    expect(afterEnd({ ...killed, role: "controller", exitCode: 0 })).toEqual({ kind: "restart", delayMs: 500 });
  });

  it("gives up on bad input of the controller at any time, and of an agent before the fleet was ready", () => {
    expect(afterEnd({ ...killed, role: "controller", exitCode: 2 })).toEqual({ kind: "give_up" });
    expect(afterEnd({ ...killed, exitCode: 2, fleetReady: false })).toEqual({ kind: "give_up" });
    expect(afterEnd({ ...killed, exitCode: 2 })).toEqual({ kind: "restart", delayMs: 500 });
  });
});
