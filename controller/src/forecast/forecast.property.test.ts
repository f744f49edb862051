import fc from "fast-check";
import { expect, test } from "vitest";
import type { Instant, ReleaseId } from "@muster/proto/ids.ts";
import type { Strategy, WaveSpec } from "../plan/strategy.ts";
import type { Opening } from "../rollout/surroundings.ts";
import { blast, count, fleet, forecastOf, inputs, machine, MINUTE, percent, soak, strategy, wave } from "./forecast.fixture.ts";
import { forecast } from "./forecast.ts";
import type { ForecastInputs, ForecastMachine } from "./inputs.ts";
import { drawTenth } from "./world.ts";

const waves: fc.Arbitrary<readonly WaveSpec[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.boolean()), { maxLength: 3 })
  .map((sizes) => [...sizes.toSorted(([a], [b]) => a - b).map(([size, soaks]) => wave(percent(size), soaks ? [soak(6 * MINUTE)] : [])), wave(percent(100))]);

const machines: fc.Arbitrary<readonly ForecastMachine[]> = fc
  .array(
    fc.record({
      silent: fc.constantFrom(false, false, false, true),
      cordoned: fc.constantFrom(false, false, false, true),
      unhealthy: fc.boolean(),
      runsRelease: fc.constantFrom(false, false, false, true),
      runsUnconfirmed: fc.constant(false),
      lastGood: fc.constantFrom("shop@1.0" as ReleaseId, "shop@1.0" as ReleaseId, null),
      labels: fc.record({ zone: fc.constantFrom("a", "b", "c"), rack: fc.constantFrom("r1", "r2", "r3", "r4") }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((states) => fleet(states.length, (index) => states[index]!));

const strategies: fc.Arbitrary<Strategy> = fc
  .record({
    waves,
    maxUnavailable: fc.oneof(fc.integer({ min: 1, max: 10 }).map(count), fc.integer({ min: 1, max: 100 }).map(percent)),
    spread: fc.constantFrom(null, "zone"),
    maxUnavailablePer: fc.constantFrom([], [{ label: "rack", max: 1 }]),
    maxFailures: fc.constantFrom(count(0), count(2), percent(100)),
    maxUnreachable: fc.constantFrom(null, count(0), count(3)),
    onFailure: fc.constantFrom("rollback" as const, "pause" as const, "abort" as const),
    offline: fc.constantFrom({ kind: "skip" } as const, { kind: "wait", forMs: 5 * MINUTE } as const, { kind: "wait", forMs: null } as const),
  })
  .map(strategy);

/** The world around them: a window that is open for ten minutes of each hour, or always; a budget of a zone. */
const surroundings = fc
  .record({ hasWindow: fc.boolean(), budgets: fc.constantFrom([], [{ selector: "zone=a", max: 1, restingElsewhere: 1 }]) })
  .map(({ hasWindow, budgets }): Partial<ForecastInputs> => ({ budgets, ...(hasWindow ? { opening: (_, now) => tenMinutesOfEach(60 * MINUTE, now) } : {}) }));
const WINDOW = { cron: "0 * * * *", durationMs: 10 * MINUTE, timeZone: "UTC" };

function tenMinutesOfEach(periodMs: number, now: Instant): Opening {
  const begin = Math.floor(now / periodMs) * periodMs;
  if (now < begin + 10 * MINUTE) return { open: true, until: (begin + 10 * MINUTE) as Instant };
  return { open: false, opensAt: (begin + periodMs) as Instant, message: "its window" };
}

test("no world has a bad release on more machines than are targets, and bad ones alone never on more than the window", () => {
  fc.assert(
    fc.property(strategies, machines, surroundings, (how, of, around) => {
      const made = forecastOf({ ...around, strategy: { ...how, window: WINDOW }, machines: of });
      const targets = of.filter(({ runsRelease }) => !runsRelease).length;
      for (const { maxMachines, stoppedAfterMs, restoredAfterMs } of made.blastRadius) {
        expect(maxMachines).toBeLessThanOrEqual(targets);
        for (const ms of [stoppedAfterMs, restoredAfterMs]) expect(ms ?? 0).toBeGreaterThanOrEqual(0);
      }
      if (made.blastRadius.length === 0) return;
      for (const world of ["broken everywhere", "broken on 10%"]) expect(blast(made, world).maxMachines).toBeLessThanOrEqual(made.maxUnavailable);
    }),
    { numRuns: 300 },
  );
});

test("without allowed failures a release that is broken everywhere comes no further than one wave and its window, and all are put right", () => {
  fc.assert(
    fc.property(strategies, machines, surroundings, (how, of, around) => {
      const made = forecastOf({ ...around, strategy: { ...how, window: WINDOW, maxFailures: count(0), onFailure: "rollback", maxUnreachable: null, offline: { kind: "skip" } }, machines: of });
      if (made.blastRadius.length === 0) return;
      const { maxMachines, stoppedAfterMs, restoredAfterMs, phase } = blast(made, "broken everywhere");
      const largest = Math.max(...made.waves.map((one) => Math.min(one.machines.length, made.maxUnavailable)));
      expect(maxMachines).toBeLessThanOrEqual(largest);
      if (maxMachines === 0) return;
      expect(phase).toBe("rolled_back");
      expect(stoppedAfterMs).toBeGreaterThanOrEqual(5 * MINUTE);
      expect(restoredAfterMs).toBeGreaterThanOrEqual(stoppedAfterMs!);
    }),
    { numRuns: 300 },
  );
});

test("the same fleet in another order has the same forecast, to the byte", () => {
  fc.assert(
    fc.property(strategies, machines, (how, of) => {
      const text = (order: readonly ForecastMachine[]) => JSON.stringify(forecastOf({ strategy: how, machines: order }));
      expect(text(of.toReversed())).toBe(text(of));
    }),
    { numRuns: 100 },
  );
});

test("a tenth is a tenth, rounded up, of those that there are", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), (size) => {
      const ids = Array.from({ length: size }, (_, index) => machine(index));
      const drawn = drawTenth(ids);
      expect(drawn.size).toBe(Math.ceil(size / 10));
      expect(ids).toEqual(expect.arrayContaining([...drawn]));
      expect(drawTenth(ids.toReversed())).toEqual(drawn);
    }),
  );
});

test("work on a large fleet is given in pieces, even where little happens and all of it at once", () => {
  const machines = fleet(2_000, (index) => ({ silent: index > 0, labels: {} }));
  const work = forecast(inputs({ machines, strategy: strategy({ waves: [wave(percent(100))] }) }));
  let pieces = 0;
  while (work.next().done !== true) pieces += 1;
  // Five worlds, in each of which 2,000 changes come at the start, 256 at a time.
  expect(pieces).toBeGreaterThan(5 * 5);
});
