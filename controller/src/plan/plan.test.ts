import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type PlanMachine, planRollout } from "./plan.ts";
import type { Size, Strategy } from "./strategy.ts";

const percent = (value: number): Size => ({ kind: "percent", percent: value });
const count = (value: number): Size => ({ kind: "count", count: value });

function strategy(changes: Partial<Strategy> = {}): Strategy {
  return {
    targets: "role=web",
    waves: [count(1), percent(25), percent(100)],
    maxUnavailable: percent(25),
    minHealthyTimeMs: 1000,
    healthyDeadlineMs: 10_000,
    progressDeadlineMs: 60_000,
    maxFailures: count(0),
    onFailure: "rollback",
    onConflict: "queue",
    ...changes,
  };
}

function fleet(size: number, changes: (index: number) => Partial<PlanMachine> = () => ({})): PlanMachine[] {
  return Array.from({ length: size }, (_, index) => ({
    id: `m-${String(index).padStart(4, "0")}` as MachineId,
    silent: false,
    runsRelease: false,
    lastGood: "app@1" as ReleaseId,
    ...changes(index),
  }));
}

const sizes = (plan: { waves: readonly (readonly unknown[])[] }) => plan.waves.map((wave) => wave.length);

describe("waves", () => {
  test("are cumulative and round percentages up", () => {
    expect(sizes(planRollout(strategy(), fleet(20)))).toEqual([1, 4, 15]);
    expect(sizes(planRollout(strategy({ waves: [percent(10), percent(100)] }), fleet(11)))).toEqual([2, 9]);
  });

  test("do not round up what is whole but for floating point", () => {
    expect(sizes(planRollout(strategy({ waves: [percent(30), percent(100)] }), fleet(10)))).toEqual([3, 7]);
    expect(sizes(planRollout(strategy({ waves: [percent(0.07), percent(100)] }), fleet(10_000)))).toEqual([7, 9993]);
  });

  test("that add nobody are dropped and said", () => {
    const plan = planRollout(strategy(), fleet(3));
    expect(sizes(plan)).toEqual([1, 2]);
    expect(plan.notes).toEqual(["wave 25% adds nobody (1 of 3 machines) and is dropped"]);
  });

  test("larger than the fleet take the fleet", () => {
    expect(sizes(planRollout(strategy({ waves: [count(50), percent(100)] }), fleet(3)))).toEqual([3]);
  });

  test("leave out machines that run the release, and say so", () => {
    const plan = planRollout(strategy({ waves: [percent(50), percent(100)] }), fleet(6, (index) => ({ runsRelease: index < 2 })));
    expect(plan.unchanged).toEqual(["m-0000", "m-0001"]);
    expect(sizes(plan)).toEqual([2, 2]);
    expect(plan.notes).toEqual(["2 machines already run it and are not touched"]);
  });

  test("ask machines that are heard before silent ones", () => {
    const plan = planRollout(strategy({ waves: [count(1), percent(100)] }), fleet(3, (index) => ({ silent: index === 0 })));
    expect(plan.waves.map((wave) => wave.map((target) => target.machine))).toEqual([["m-0001"], ["m-0002", "m-0000"]]);
  });

  test("keep each machine's own last good release for the way back", () => {
    const plan = planRollout(strategy({ waves: [percent(100)] }), fleet(2, (index) => ({ lastGood: index === 0 ? null : ("app@7" as ReleaseId) })));
    expect(plan.waves[0]?.map((target) => target.previous)).toEqual([null, "app@7"]);
  });
});

test("limits round down, and the window is never nothing", () => {
  expect(planRollout(strategy({ maxUnavailable: percent(20) }), fleet(9)).maxUnavailable).toBe(1);
  expect(planRollout(strategy({ maxUnavailable: percent(20) }), fleet(3)).maxUnavailable).toBe(1);
  expect(planRollout(strategy({ maxFailures: percent(10), waves: [percent(50), percent(100)] }), fleet(38)).maxFailures).toEqual([1, 1]);
});

test("every machine is in exactly one wave or unchanged, whatever the strategy", () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 300 }).map(count), fc.integer({ min: 1, max: 10_000 }).map((hundredths) => percent(hundredths / 100)));
  fc.assert(
    fc.property(
      fc.array(size, { maxLength: 6 }),
      fc.array(fc.record({ silent: fc.boolean(), runsRelease: fc.boolean() }), { maxLength: 200 }),
      (waves, machines) => {
        const plan = planRollout(strategy({ waves: [...waves, percent(100)] }), fleet(machines.length, (index) => machines[index]!));
        const planned = [...plan.waves.flat().map((target) => target.machine), ...plan.unchanged];
        expect(new Set(planned).size).toBe(planned.length);
        expect(planned.length).toBe(machines.length);
        expect(plan.waves.every((wave) => wave.length > 0)).toBe(true);
        expect(plan.maxFailures.length).toBe(plan.waves.length);
        expect(plan.maxUnavailable).toBeGreaterThanOrEqual(1);
      },
    ),
  );
});

test("a cumulative percentage is reached and never passed by a whole machine", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 10_000 }), (machines, hundredths) => {
      const [first] = sizes(planRollout(strategy({ waves: [percent(hundredths / 100), percent(100)] }), fleet(machines)));
      expect(first! * 10_000).toBeGreaterThanOrEqual(machines * hundredths);
      expect((first! - 1) * 10_000).toBeLessThan(machines * hundredths);
    }),
  );
});
