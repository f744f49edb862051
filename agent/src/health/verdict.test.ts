import fc from "fast-check";
import { expect, test } from "vitest";
import type { Verdict } from "../runner/ports.ts";
import { combine, record, UNKNOWN, type Sample, type Standing } from "./verdict.ts";

const thresholds = fc.record({ healthyAfter: fc.integer({ min: 1, max: 4 }), unhealthyAfter: fc.integer({ min: 1, max: 4 }) });
const samples = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 });

function sample(ok: boolean, index: number): Sample {
  return ok ? { ok } : { ok, detail: `sample ${index}` };
}

function trailing(history: readonly boolean[]): number {
  return history.length - 1 - history.findLastIndex((ok) => ok !== history.at(-1));
}

test("the verdict turns exactly when enough equal samples have come in a row, and at no other time", () => {
  fc.assert(
    fc.property(samples, thresholds, (history, limits) => {
      let standing: Standing = UNKNOWN;
      for (const [index, ok] of history.entries()) {
        const before = standing.verdict.health;
        standing = record(standing, sample(ok, index), limits);
        const isEnough = trailing(history.slice(0, index + 1)) >= (ok ? limits.healthyAfter : limits.unhealthyAfter);
        expect(standing.verdict.health).toBe(isEnough ? (ok ? "healthy" : "unhealthy") : before);
      }
    }),
  );
});

test("an unhealthy verdict carries what was seen last", () => {
  fc.assert(
    fc.property(samples, thresholds, (history, limits) => {
      const end = history.reduce((standing, ok, index) => record(standing, sample(ok, index), limits), UNKNOWN);
      if (end.verdict.health === "unhealthy") expect(end.verdict.detail).toBe(`sample ${history.lastIndexOf(false)}`);
    }),
  );
});

test("together they are unhealthy if any is, healthy if all are, and otherwise unknown", () => {
  const healthy: Verdict = { health: "healthy" };
  const unknown: Verdict = { health: "unknown" };
  const unhealthy = (detail: string): Verdict => ({ health: "unhealthy", detail });
  expect(combine([healthy, healthy])).toEqual(healthy);
  expect(combine([healthy, unknown])).toEqual(unknown);
  expect(combine([unknown, healthy, unhealthy("first"), unhealthy("second")])).toEqual(unhealthy("first"));
  expect(combine([])).toEqual(healthy);
});
