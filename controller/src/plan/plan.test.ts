import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Instant, ReleaseId } from "@muster/proto/ids.ts";
import { ALL, APPROVAL, count, fleetOf, machineId, percent, prometheus, soak, strategyOf, wave, webhook } from "../rollout/rollout.fixture.ts";
import { laneOf, membersText, type Plan, type PlanMachine, planRollout, windowOf } from "./plan.ts";
import { roundedDown, roundedUp } from "./size.ts";
import type { Gate, Size, Strategy, WaveSpec } from "./strategy.ts";

function plan(waves: readonly WaveSpec[], machines: number | readonly PlanMachine[], changes: Partial<Strategy> = {}, release = "app@2" as ReleaseId): Plan {
  return planRollout(strategyOf({ waves, ...changes }), typeof machines === "number" ? fleetOf(machines) : machines, release);
}

const sizes = ({ waves }: Plan) => waves.map(({ targets }) => targets.length);
const members = ({ waves }: Plan) => waves.map(({ targets }) => targets.map(({ machine }) => Number(machine.slice(2))));
const sorted = (names: readonly string[]) => names.toSorted((a, b) => (a < b ? -1 : 1));

describe("waves by size", () => {
  test("are cumulative, and percentages round up", () => {
    expect(sizes(plan([wave(count(1)), wave(percent(25)), ALL], 20))).toEqual([1, 4, 15]);
    expect(sizes(plan([wave(percent(10)), ALL], 11))).toEqual([2, 9]);
  });

  test("do not round up what is whole but for floating point", () => {
    expect(sizes(plan([wave(percent(30)), ALL], 10))).toEqual([3, 7]);
    expect(sizes(plan([wave(percent(0.07)), ALL], 10_000))).toEqual([7, 9993]);
  });

  test("larger than the fleet take the fleet", () => {
    expect(sizes(plan([wave(count(50)), ALL], 3))).toEqual([3]);
  });

  test("that add nobody are dropped and said", () => {
    const made = plan([wave(count(1)), wave(percent(25)), ALL], 3);
    expect(sizes(made)).toEqual([1, 2]);
    expect(made.notes).toEqual(["wave 25% adds nobody (of 3 machines) and is dropped"]);
  });
});

describe("waves by selector", () => {
  const fleet = fleetOf(8, (index): Partial<PlanMachine> => ({ labels: index < 2 ? { canary: "true" } : { zone: index < 5 ? "a" : "b" } }));

  test("take whoever is not in an earlier wave", () => {
    expect(members(plan([wave("canary=true"), wave("zone=a"), ALL], fleet))).toEqual([[0, 1], [2, 3, 4], [5, 6, 7]]);
    expect(members(plan([wave("zone=a"), wave("zone"), ALL], fleet))).toEqual([[2, 3, 4], [5, 6, 7], [0, 1]]);
  });

  test("count towards sizes that come after them", () => {
    expect(members(plan([wave("canary=true"), wave(percent(50)), ALL], fleet))).toEqual([[0, 1], [2, 3], [4, 5, 6, 7]]);
  });

  test("are left theirs by sizes that come before them, as long as there are others", () => {
    expect(members(plan([wave(count(2)), wave("canary=true"), ALL], fleet))).toEqual([[2, 3], [0, 1], [4, 5, 6, 7]]);
    expect(members(plan([wave(count(7)), wave("canary=true"), ALL], fleet))).toEqual([[0, 2, 3, 4, 5, 6, 7], [1]]);
  });

  test("that select nobody are dropped, and their gates are asked for with the next", () => {
    const made = plan([wave("canary=never", { gates: [APPROVAL] }), ALL], fleet);
    expect(made.waves.map(({ gates }) => gates)).toEqual([[APPROVAL]]);
    expect(made.notes).toEqual(["wave canary=never adds nobody (of 8 machines) and is dropped; its gates are asked for with the wave after it"]);
  });
});

describe("gates of waves that are dropped", () => {
  test("are asked for with the wave before, and merged: the longest soak, each question once, metrics before webhooks, one approval", () => {
    const own = webhook();
    const made = plan([wave(count(3), { gates: [soak(60_000), own, APPROVAL] }), wave(percent(50), { gates: [soak(90_000), webhook(), prometheus(), APPROVAL] }), wave(percent(60)), ALL], 5);
    expect(sizes(made)).toEqual([3, 2]);
    expect(made.waves[0]!.gates).toEqual([soak(90_000), prometheus(), own, APPROVAL]);
    expect(made.waves[1]!.gates).toEqual([]);
  });

  test("and their times: the next begins no earlier than it would have", () => {
    const at = 5000 as Instant;
    const made = plan([wave("canary=true", { at, afterMs: 1000 }), wave(count(1), { afterMs: 10 }), wave(count(1), { at, afterMs: 20 }), wave(percent(100), { afterMs: 10 })], 3);
    expect(made.waves.map((planned) => [planned.at, planned.afterMs])).toEqual([[at, 1000], [at, 20]]);
  });
});

describe("limits", () => {
  test("round down, and the window is never nothing", () => {
    expect(windowOf(percent(20), 9)).toBe(1);
    expect(windowOf(percent(20), 3)).toBe(1);
    expect(windowOf(percent(50), 9)).toBe(4);
    expect(windowOf(count(7), 3)).toBe(7);
  });

  test("are of each wave's own machines, and a wave's own before the rollout's", () => {
    const made = plan([wave(percent(50)), wave(percent(100), { maxFailures: count(7), maxUnreachable: percent(50) })], 38, { maxFailures: percent(10) });
    expect(made.waves.map((planned) => [planned.maxFailures, planned.maxUnreachable])).toEqual([[1, null], [7, 9]]);
  });

  test("enough is a share of the wave, rounded up, and never in the last wave", () => {
    const thresholds = (machines: number, ...waves: WaveSpec[]) => plan(waves, machines).waves.map(({ successThreshold }) => successThreshold);
    const half = wave(percent(50), { successThreshold: percent(80) });
    expect(thresholds(38, wave(count(1), { successThreshold: percent(1) }), half, ALL)).toEqual([1, 15, null]);
    expect(thresholds(4, wave(count(2), { successThreshold: count(9) }), ALL)).toEqual([2, null]);
    // Nobody is left for the wave after it.
    expect(thresholds(1, half, ALL)).toEqual([null]);
  });
});

describe("who is where", () => {
  test("machines that run the release unconfirmed are beside the first of the others, of whom sizes, limits and thresholds are", () => {
    const fleet = fleetOf(10, (index) => ({ runsUnconfirmed: index < 4 }));
    const half = wave(percent(20), { successThreshold: percent(50) });
    const made = plan([half, ALL], fleet, { maxFailures: percent(50), maxUnreachable: percent(50) });
    expect(members(made).map((each) => each.toSorted((a, b) => a - b))).toEqual([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]);
    expect(made.waves.map(({ targets }) => targets.filter(({ onTrial }) => onTrial === true).length)).toEqual([4, 0]);
    expect(made.waves.map((planned) => [planned.maxFailures, planned.maxUnreachable, planned.successThreshold])).toEqual([[1, 1, 1], [2, 2, null]]);
    expect(made.notes).toEqual(["4 machines run it already, unconfirmed: they are in the first wave beside its own machines, are not restarted, and do not count in its sizes and limits"]);
  });

  test("where nobody else is left, sizes, limits and thresholds are of them", () => {
    const made = plan([wave(count(2), { successThreshold: percent(50) }), ALL], fleetOf(6, () => ({ runsUnconfirmed: true })), { maxFailures: percent(50) });
    expect(sizes(made)).toEqual([2, 4]);
    expect(made.waves.map((planned) => [planned.maxFailures, planned.successThreshold])).toEqual([[1, 1], [2, null]]);
    expect(made.waves.some(({ targets }) => targets.some(({ onTrial }) => onTrial === true))).toBe(false);
  });

  test("machines that run the release are left out, and said", () => {
    const made = plan([wave(percent(50)), ALL], fleetOf(6, (index) => ({ runsRelease: index < 2 })));
    expect(made.unchanged).toEqual(["m-0", "m-1"]);
    expect(sizes(made)).toEqual([2, 2]);
    expect(made.notes).toEqual(["2 machines already run it and are not touched"]);
  });

  test("silent and cordoned machines are in the last places, over all waves, and said", () => {
    const made = plan([wave(count(2)), ALL], fleetOf(4, (index) => ({ silent: index === 0, cordoned: index === 1 })));
    expect(members(made)).toEqual([[2, 3], [0, 1]]);
    expect(made.notes).toEqual(["1 machine is silent and is changed when heard, if the deployment stands then", "1 machine is cordoned and is changed when uncordoned, if the deployment stands then"]);
  });

  test("within a wave the unhealthy go first, then by lane, then by id; silent ones last", () => {
    const fleet = fleetOf(6, (index) => ({ labels: { zone: "ba"[index % 2]! }, unhealthy: index === 3 || index === 4 || index === 5, silent: index === 5 }));
    expect(members(plan([ALL], fleet, { spread: "zone" }))).toEqual([[3, 4, 1, 0, 2, 5]]);
  });

  test("unhealthy machines do not come into an earlier wave for it", () => {
    expect(members(plan([wave(count(2)), ALL], fleetOf(4, (index) => ({ unhealthy: index === 3 }))))).toEqual([[0, 1], [3, 2]]);
  });

  test("lanes are the values of spread and of max_unavailable_per, in this order", () => {
    const fleet = fleetOf(2, (index): Partial<PlanMachine> => ({ labels: index === 0 ? { zone: "a", rack: "r1" } : { zone: "b" } }));
    const made = plan([ALL], fleet, { spread: "zone", maxUnavailablePer: [{ label: "rack", max: 2 }] });
    expect(made.lanes).toEqual([{ label: "zone", max: null }, { label: "rack", max: 2 }]);
    expect(made.waves[0]!.targets.map(({ lane }) => lane)).toEqual(["a/r1", "b/"]);
    expect(laneOf(made.lanes, { rack: "r9" })).toBe("/r9");
    expect(plan([ALL], fleet).waves[0]!.targets[0]!.lane).toBe("");
  });
});

const size: fc.Arbitrary<Size> = fc.oneof(fc.integer({ min: 1, max: 300 }).map(count), fc.integer({ min: 1, max: 10_000 }).map((hundredths) => percent(hundredths / 100)));
const gate: fc.Arbitrary<Gate> = fc.oneof(fc.integer({ min: 1, max: 9 }).map(soak), fc.constant(APPROVAL), fc.constantFrom("a", "b").map((url) => webhook({ url })), fc.constantFrom("a", "b").map((query) => prometheus({ query })));
const spec = fc
  .record({ members: fc.oneof(size, fc.constantFrom("zone=a", "zone in (a,b)", "!zone", "canary=true")), gates: fc.array(gate, { maxLength: 3 }), afterMs: fc.nat(3) })
  .map(({ members: who, ...rest }) => wave(who, rest));
const machine = fc
  .record({
    labels: fc.constantFrom<Record<string, string>>({}, { zone: "a" }, { zone: "b" }, { zone: "b", canary: "true" }),
    silent: fc.boolean(),
    cordoned: fc.boolean(),
    unhealthy: fc.boolean(),
    runsRelease: fc.boolean(),
    runsUnconfirmed: fc.boolean(),
  })
  .map((made) => ({ ...made, runsUnconfirmed: made.runsUnconfirmed && !made.runsRelease }));
const fleet = fc.array(machine, { maxLength: 150 }).map((found) => fleetOf(found.length, (index) => found[index]!));
const lanes = fc.record({ spread: fc.constantFrom(null, "zone"), maxUnavailablePer: fc.constantFrom([], [{ label: "canary", max: 1 }]) });

describe("whatever the strategy and the fleet", () => {
  test("every machine is in exactly one wave or unchanged, and no wave is empty", () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 6 }), fleet, lanes, size, (specs, machines, labels, maxUnavailable) => {
        const made = plan([...specs, ALL], machines, { ...labels, maxUnavailable });
        const planned = [...made.waves.flatMap(({ targets }) => targets.map((target) => target.machine)), ...made.unchanged];
        expect(sorted(planned)).toEqual(sorted(machines.map(({ id }) => id)));
        expect(made.waves.every(({ targets }) => targets.length > 0)).toBe(true);
        const onTrial = machines.filter(({ runsUnconfirmed }) => runsUnconfirmed).map(({ id }) => id);
        const isOnlyTrial = machines.every(({ runsRelease, runsUnconfirmed }) => runsRelease || runsUnconfirmed);
        if (!isOnlyTrial) expect(made.waves[0]!.targets.map((target) => target.machine)).toEqual(expect.arrayContaining(onTrial));
        expect(sorted(made.waves.flatMap(({ targets }) => targets.flatMap((target) => (target.onTrial === true ? [target.machine] : []))))).toEqual(isOnlyTrial ? [] : sorted(onTrial));
        expect(made.maxUnavailable).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  test("no gate is lost, whichever waves are dropped, and none comes later than it was asked for", () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 6 }), fleet, (specs, machines) => {
        const made = plan([...specs, ALL], machines);
        const all = made.waves.flatMap(({ gates }) => gates);
        const isKept = (wanted: Gate) => all.some((kept) => (wanted.kind === "soak" ? kept.kind === "soak" && kept.forMs >= wanted.forMs : JSON.stringify(kept) === JSON.stringify(wanted)));
        if (made.waves.length > 0) for (const { gates } of specs) for (const wanted of gates) expect(isKept(wanted)).toBe(true);
        // Those that are asked for before the last wave's own: it has none, and must have been given none unless it is the only one.
        const isLastAll = specs.every(({ members }) => membersText(members) !== "100%") && made.waves.at(-1)?.members === "100%";
        if (made.waves.length > 1 && isLastAll) expect(made.waves.at(-1)!.gates).toEqual([]);
        for (const { gates } of made.waves) expect(gates.filter(({ kind }) => kind === "soak" || kind === "approval").length).toBeLessThanOrEqual(2);
      }),
    );
  });

  test("within a wave: those that answer before those that do not, the unhealthy of them first, then by lane and id", () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 4 }), fleet, lanes, (specs, machines, labels) => {
        const byId = new Map(machines.map((found) => [found.id, found]));
        for (const { targets } of plan([...specs, ALL], machines, labels).waves) {
          const keys = targets.map(({ machine: id, lane }) => {
            const { silent, cordoned, unhealthy } = byId.get(id)!;
            return `${silent || cordoned ? 1 : 0}${unhealthy ? 0 : 1}\u0000${lane}\u0000${id}`;
          });
          expect(keys).toEqual(sorted(keys));
        }
      }),
    );
  });

  test("the order in which the fleet is read makes no difference", () => {
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 4 }), fleet, (specs, machines) => {
        const { unchanged, ...made } = plan([...specs, ALL], machines);
        const { unchanged: same, ...again } = plan([...specs, ALL], machines.toReversed());
        expect(again).toEqual(made);
        expect(sorted(same)).toEqual(sorted(unchanged));
      }),
    );
  });

  test("sizes are cumulative: after each wave as many as it says are in it or before it, as far as there are", () => {
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 400 }), (wanted, machines) => {
        const made = plan([...wanted.map((members) => wave(members)), ALL], machines);
        let reached = 0;
        const expected: number[] = [];
        for (const next of [...wanted, percent(100)]) {
          const upTo = Math.min(machines, roundedUp(next, machines));
          if (upTo > reached) expected.push(upTo - reached);
          reached = Math.max(reached, upTo);
        }
        expect(sizes(made)).toEqual(expected);
      }),
    );
  });
});

test("a percentage that rounds up is reached and never passed by a whole machine; one that rounds down is never passed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 10_000 }), (machines, hundredths) => {
      const up = roundedUp(percent(hundredths / 100), machines);
      const down = roundedDown(percent(hundredths / 100), machines);
      expect(up * 10_000).toBeGreaterThanOrEqual(machines * hundredths);
      expect((up - 1) * 10_000).toBeLessThan(machines * hundredths);
      expect(down * 10_000).toBeLessThanOrEqual(machines * hundredths);
      expect((down + 1) * 10_000).toBeGreaterThan(machines * hundredths);
    }),
  );
});

test("a fleet of 200,000 machines in named groups and lanes is planned without losing one", () => {
  const machines = fleetOf(200_000, (index) => ({ labels: { zone: `z${index % 3}`, rack: `r${index % 1000}` } }));
  const made = plan([wave("zone=z1,rack in (r1,r2)"), wave(percent(10)), ALL], machines, { spread: "zone", maxUnavailablePer: [{ label: "rack", max: 2 }] });
  expect(sizes(made).reduce((sum, n) => sum + n, 0)).toBe(200_000);
  expect(sizes(made).slice(0, 2).reduce((sum, n) => sum + n, 0)).toBe(20_000);
  expect(new Set(made.waves.flatMap(({ targets }) => targets.map(({ machine: id }) => id))).size).toBe(200_000);
  expect(made.waves[0]!.targets.some(({ machine: id }) => id === machineId(1))).toBe(true);
});
