import type { AppName, Generation, MachineId } from "@muster/proto/ids.ts";
import { describe, expect, it } from "vitest";

import type { Attended } from "../rollout/moment.ts";
import { Overdue } from "./overdue.ts";

const SILENT_AFTER_MS = 15_000;
const machine = "web-1" as MachineId;
const app = "shop" as AppName;

function assigned(healthyDeadlineMs: number, progressDeadlineMs: number, stopTimeoutMs: number | null = null): Overdue {
  const overdue = new Overdue(SILENT_AFTER_MS);
  overdue.await({ machine, app, generation: 7 as Generation, healthyDeadlineMs, progressDeadlineMs, stopTimeoutMs }, 1000 as Attended, false);
  return overdue;
}

/** Assigned at 1000; at 5000 its agent says that it goes back, and nothing more. */
function goingBack(healthyDeadlineMs: number): Overdue {
  const overdue = assigned(healthyDeadlineMs, 600_000);
  overdue.await({ machine, app, generation: 7 as Generation, healthyDeadlineMs, progressDeadlineMs: 600_000, stopTimeoutMs: null }, 5000 as Attended, true);
  return overdue;
}

/** The first moment at which it is said. */
function saidAt(overdue: Overdue): number {
  for (let now = 0; now < 1_000_000; now += 500) if (overdue.takeNext(now as Attended) !== undefined) return now;
  throw new Error("it is never said");
}

describe("a machine that gives no answer", () => {
  it("has silent-after beyond healthy_deadline, for the way there and back", () => {
    expect(saidAt(assigned(60_000, 600_000))).toBe(76_000);
  });

  it.each([[5_000, 10_000, 8_500], [5_000, 6_000, 6_500], [9_000, 9_000, 10_000], [9_000, 3_000, 10_000]])(
    "with %d ms to be healthy and a progress deadline of %d ms fails at %d ms, and so before the rollout does where the file allows it",
    (healthyDeadlineMs, progressDeadlineMs, at) => {
      expect(saidAt(assigned(healthyDeadlineMs, progressDeadlineMs))).toBe(at);
    },
  );

  it("has silent-after and the time to stop what runs beyond its deadline when it goes back, however short the progress deadline is", () => {
    expect(saidAt(assigned(40_000, 10_000, 16_000))).toBe(1000 + 40_000 + 16_000 + SILENT_AFTER_MS);
    expect(assigned(40_000, 10_000, 16_000).dueAt(machine, app)).toBe(72_000);
    expect(saidAt(assigned(30_000, 10_000, 0))).toBe(1000 + 30_000 + SILENT_AFTER_MS);
  });

  it("is not waited for any more once it has answered", () => {
    const overdue = assigned(60_000, 600_000);
    overdue.answered(machine, app);
    expect(overdue.takeNext(1_000_000 as Attended)).toBeUndefined();
    expect(overdue.isWaiting).toBe(false);
  });
});

describe("a machine that says that it goes back, and nothing more", () => {
  it("has half a minute and silent-after for it, where healthy_deadline is shorter", () => {
    expect(saidAt(goingBack(5_000))).toBe(50_000);
  });

  it("has healthy_deadline and silent-after for it, where that is longer", () => {
    expect(saidAt(goingBack(60_000))).toBe(80_000);
  });

  it("is overdue once, and not by the deadline that it had before", () => {
    const overdue = goingBack(60_000);
    expect(overdue.takeNext(79_999 as Attended)).toBeUndefined();
    expect(overdue.takeNext(80_000 as Attended)).toMatchObject({ machine, app });
    expect(overdue.takeNext(1_000_000 as Attended)).toBeUndefined();
  });
});
