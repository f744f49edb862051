/**
 * Who comes first: by id, by label, by a shuffle, and what stays as it is however machines are ordered.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { ALL, count, fleetOf, percent, strategyOf, wave } from "../rollout/rollout.fixture.ts";
import { compareRanks, orderKeyText, ranksOf } from "./order.ts";
import { type PlanMachine, planRollout } from "./plan.ts";
import type { OrderKey, Strategy } from "./strategy.ts";

const RELEASE = "app@2" as ReleaseId;
const by = (label: string, reversed = false): OrderKey => ({ kind: "label", label, reversed });
const byId = (reversed = false): OrderKey => ({ kind: "id", reversed });
const SHUFFLE: OrderKey = { kind: "shuffle" };

function planned(order: readonly OrderKey[], machines: readonly PlanMachine[], changes: Partial<Strategy> = {}, release = RELEASE): readonly (readonly string[])[] {
  return planRollout(strategyOf({ order, ...changes }), machines, release).waves.map(({ targets }) => targets.map(({ machine }) => machine));
}

const named = (...ids: string[]) => fleetOf(ids.length, (index) => ({ id: ids[index] as MachineId }));
const racked = (...racks: (string | undefined)[]) => fleetOf(racks.length, (index): Partial<PlanMachine> => ({ labels: racks[index] === undefined ? {} : { rack: racks[index] } }));

describe("by id", () => {
  test("numbers count as numbers, and are reversed with the rest", () => {
    const fleet = named("web-10", "web-9", "db-1", "web-010", "web-2a");
    expect(planned([byId()], fleet)).toEqual([["db-1", "web-2a", "web-9", "web-010", "web-10"]]);
    expect(planned([byId(true)], fleet)).toEqual([["web-010", "web-10", "web-9", "web-2a", "db-1"]]);
  });

  test("decides who is in the first waves", () => {
    expect(planned([byId(true)], fleetOf(4), { waves: [wave(count(1)), wave(percent(50)), ALL] })).toEqual([["m-3"], ["m-2"], ["m-1", "m-0"]]);
  });
});

describe("by label", () => {
  test("values compare naturally, and whoever has none comes last, reversed or not", () => {
    const fleet = racked("r10", undefined, "r2", "", "R3");
    expect(planned([by("rack")], fleet)).toEqual([["m-3", "m-4", "m-2", "m-0", "m-1"]]);
    expect(planned([by("rack", true)], fleet)).toEqual([["m-0", "m-2", "m-4", "m-3", "m-1"]]);
  });

  test("the next key decides where values are the same, and then the lanes and the id as ever", () => {
    const fleet = fleetOf(4, (index): Partial<PlanMachine> => ({ labels: { rack: index < 2 ? "1" : "2", zone: "ba"[index % 2]! } }));
    expect(planned([by("rack", true), byId(true)], fleet)).toEqual([["m-3", "m-2", "m-1", "m-0"]]);
    expect(planned([by("rack", true)], fleet, { spread: "zone" })).toEqual([["m-3", "m-2", "m-1", "m-0"]]);
    expect(planned([by("rack", true)], fleet)).toEqual([["m-2", "m-3", "m-0", "m-1"]]);
  });

  test("a label that no machine has is said: it is likely misspelt", () => {
    expect(planRollout(strategyOf({ order: [by("rakc"), by("rack")] }), racked("1", undefined), RELEASE).notes).toEqual(["no machine has the label rakc, so ordering by it changes nothing"]);
    expect(planRollout(strategyOf({ order: [by("rack")] }), [], RELEASE).notes).toEqual([]);
  });
});

describe("a shuffle", () => {
  const orderFor = (release: string) => planned([SHUFFLE], fleetOf(50), {}, release as ReleaseId)[0]!;

  test("is the same for the same release, and another for another", () => {
    expect(orderFor("app@2")).toEqual(orderFor("app@2"));
    expect(orderFor("app@2")).not.toEqual(orderFor("app@3"));
    expect(orderFor("app@2")).not.toEqual(fleetOf(50).map(({ id }) => id));
    // So for ever: a plan that was shown must be the one that is carried out, whichever version of Muster does it.
    expect(orderFor("app@2").slice(0, 5)).toMatchInlineSnapshot(`
      [
        "m-16",
        "m-12",
        "m-37",
        "m-11",
        "m-34",
      ]
    `);
  });

  test("takes every machine first about equally often", () => {
    const firsts = new Map<string, number>();
    for (let version = 0; version < 2000; version += 1) {
      const first = planned([SHUFFLE], fleetOf(10), {}, `app@${version}` as ReleaseId)[0]![0]!;
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    expect(firsts.size).toBe(10);
    for (const times of firsts.values()) expect(Math.abs(times - 200)).toBeLessThan(60);
  });
});

test("those that answer go before those that do not, and in a wave the unhealthy before the others, whatever the order", () => {
  const fleet = fleetOf(5, (index) => ({ silent: index === 4, cordoned: index === 3, unhealthy: index === 0 }));
  expect(planned([byId(true)], fleet)).toEqual([["m-0", "m-2", "m-1", "m-4", "m-3"]]);
  expect(planned([byId(true)], fleet, { waves: [wave(count(1)), ALL] })).toEqual([["m-2"], ["m-0", "m-1", "m-4", "m-3"]]);
});

test("a key is told as it was written", () => {
  expect([byId(), byId(true), SHUFFLE, by("zone"), by("zone", true)].map(orderKeyText)).toEqual(["id", "-id", "shuffle", "zone", "-zone"]);
});

const key: fc.Arbitrary<OrderKey> = fc.oneof(fc.boolean().map(byId), fc.constant(SHUFFLE), fc.tuple(fc.constantFrom("zone", "rack", "none"), fc.boolean()).map(([label, reversed]) => by(label, reversed)));
const order = fc.array(key, { maxLength: 3 });
const machine = fc.record({
  labels: fc.record({ zone: fc.constantFrom("a", "b", "10", "9"), rack: fc.stringMatching(/^[0-9a-b-]{0,4}$/) }, { requiredKeys: [] }),
  silent: fc.boolean(),
  unhealthy: fc.boolean(),
});
const fleet = fc.array(machine, { maxLength: 60 }).map((found) => fleetOf(found.length, (index) => found[index] as Partial<PlanMachine>));
const waves = fc.constantFrom([ALL], [wave(count(2)), ALL], [wave("zone=a"), wave(percent(40)), ALL]);

describe("whatever the order and the fleet", () => {
  test("it is the same whichever way the fleet is read, and nobody is lost", () => {
    fc.assert(
      fc.property(order, fleet, waves, (keys, machines, asked) => {
        const made = planned(keys, machines, { waves: asked });
        expect(planned(keys, machines.toReversed(), { waves: asked })).toEqual(made);
        expect(made.flat().sort()).toEqual(machines.map(({ id }) => id).sort());
      }),
    );
  });

  test("in a wave nobody stands before another whom the keys put first, of those that answer alike and are alike well", () => {
    fc.assert(
      fc.property(order, fleet, waves, (keys, machines, asked) => {
        const byName = new Map<string, PlanMachine>(machines.map((found) => [found.id, found]));
        for (const turns of planned(keys, machines, { waves: asked })) {
          for (const [index, id] of turns.entries()) {
            const [a, b] = [byName.get(id)!, byName.get(turns[index + 1] ?? id)!];
            if (a.silent === b.silent && a.unhealthy === b.unhealthy) expect(compareRanks(keys, ranksOf(keys, a, RELEASE), ranksOf(keys, b, RELEASE))).toBeLessThanOrEqual(0);
          }
        }
      }),
    );
  });

  test("with sizes alone, nobody is in a later wave whom the keys put before one in an earlier, of those that answer alike", () => {
    fc.assert(
      fc.property(order, fleet, (keys, machines) => {
        const ranks = new Map<string, PlanMachine>(machines.map((found) => [found.id, found]));
        const [first = [], ...later] = planned(keys, machines, { waves: [wave(percent(30)), wave(percent(60)), ALL] });
        for (const early of first.map((id) => ranks.get(id)!)) {
          for (const late of later.flat().map((id) => ranks.get(id)!)) {
            if (early.silent === late.silent) expect(compareRanks(keys, ranksOf(keys, early, RELEASE), ranksOf(keys, late, RELEASE))).toBeLessThanOrEqual(0);
            else expect(late.silent).toBe(true);
          }
        }
      }),
    );
  });

  test("numbers in names compare as numbers", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.constantFrom("", "rack-", "r"), (a, b, prefix) => {
        const rank = (number: number) => ranksOf([by("rack")], racked(`${prefix}${number}`)[0]!, RELEASE);
        expect(Math.sign(compareRanks([by("rack")], rank(a), rank(b)))).toBe(Math.sign(a - b));
      }),
    );
  });
});
