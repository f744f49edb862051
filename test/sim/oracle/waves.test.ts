/** The oracle reads a file as docs/strategies.md says it, without the planner. */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Gate, Members, Size, Strategy, WaveSpec } from "@muster/controller/src/plan/strategy.ts";
import { describe, expect, test } from "vitest";
import { plainStrategy, waveOf } from "../strategies.ts";
import { askedWaves, type Planned } from "./waves.ts";

const HALF: Size = { kind: "percent", percent: 50 };
const ALL: Size = { kind: "percent", percent: 100 };
const SOAK: Gate = { kind: "soak", forMs: 10_000 };
const APPROVAL: Gate = { kind: "approval" };
const count = (of: number): Size => ({ kind: "count", count: of });
const named = (selector: string): WaveSpec => ({ ...waveOf(ALL), members: { kind: "selector", selector } satisfies Members });
const strategyOf = (waves: readonly WaveSpec[], changes: Partial<Strategy> = {}): Strategy => ({ ...plainStrategy(), waves, ...changes });

/** Waves of so many machines, `dev-0` in the first place. */
function planOf(...sizes: number[]): readonly (readonly Planned[])[] {
  let next = 0;
  return sizes.map((size) => Array.from({ length: size }, () => planned(next++)));
}

function planned(index: number): Planned {
  return { machine: `dev-${index}` as MachineId, labels: { index: String(index) } };
}

describe("the waves of a file", () => {
  test("count from the first one on, and percentages round up", () => {
    const asked = strategyOf([waveOf(count(3)), waveOf({ kind: "percent", percent: 34 }), waveOf(ALL)]);
    expect(askedWaves(asked, planOf(3, 4, 13)).fault).toBeUndefined();
    expect(askedWaves(asked, planOf(3, 3, 14)).fault).toContain("3 machines are in the wave");
    expect(askedWaves(asked, planOf(3, 4, 12, 1)).fault).toBeDefined();
  });

  test("are of those that they name, and leave to others whom these name, as long as there is somebody else", () => {
    const asked = strategyOf([waveOf(count(1)), named("index=0"), waveOf(ALL)]);
    const [zero, one, two] = [planned(0), planned(1), planned(2)];
    expect(askedWaves(asked, [[one], [zero], [two]]).fault).toBeUndefined();
    expect(askedWaves(asked, [[zero], [one, two]]).fault).toContain("a later one names them");
    expect(askedWaves(asked, [[one], [two], [zero]]).fault).toContain("does not name them");
  });

  test("leave their gates to the wave before them when they have nobody, and to the first one when there is none", () => {
    const asked = strategyOf([{ ...named("index=9"), gates: [APPROVAL] }, waveOf(count(2), [SOAK]), waveOf(HALF, [{ ...SOAK, forMs: 20_000 }]), waveOf(ALL)]);
    const { waves, fault } = askedWaves(asked, planOf(2, 2));
    expect(fault).toBeUndefined();
    expect(waves.map(({ gates }) => gates)).toEqual([[{ kind: "soak", forMs: 20_000 }, APPROVAL], []]);
  });

  test("begin no earlier when one before them has nobody", () => {
    const asked = strategyOf([waveOf(count(2)), { ...waveOf(HALF), afterMs: 5_000 }, waveOf(ALL)]);
    expect(askedWaves(asked, planOf(2, 2)).waves.map(({ afterMs }) => afterMs)).toEqual([0, 5_000]);
  });

  test("have the limits of the rollout where they say nothing, of their own size, and rounded down", () => {
    const strict: WaveSpec = { ...waveOf(HALF), maxFailures: count(0), maxUnreachable: count(2), successThreshold: HALF };
    const asked = strategyOf([strict, { ...waveOf(ALL), successThreshold: HALF }], { maxFailures: HALF, maxUnreachable: HALF });
    const { waves } = askedWaves(asked, planOf(5, 5));
    expect(waves).toMatchObject([{ maxFailures: 0, maxUnreachable: 2, successThreshold: 3 }, { maxFailures: 2, maxUnreachable: 2, successThreshold: null }]);
    expect(askedWaves(strategyOf([waveOf(ALL)]), planOf(4)).waves[0]!.maxUnreachable).toBeNull();
  });
});
