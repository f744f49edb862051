/** How large and how unlucky a world is: most are small, and a few of each thousand are not. */
import { CALM, type NetworkFaults } from "./network.ts";
import type { Random } from "./random.ts";

export interface Shape {
  readonly machines: number;
  /** More may join. */
  readonly machinesMax: number;
  /** Mean time between two faults, and between two acts of an operator; undefined: there are none. */
  readonly faultEveryMs: number | undefined;
  readonly actEveryMs: number | undefined;
  readonly network: NetworkFaults;
  readonly agentDies: number;
  readonly stepFails: number;
  readonly isJournalOnFile: boolean;
  readonly apps: readonly string[];
  readonly safetyMs: number;
  /** In which nothing may happen, at the end. */
  readonly restMs: number;
}

/** Many times what the engine changes in one slice, so that each wave takes several. */
const LARGE = { least: 520, most: 640 };
const LARGE_ONE_IN = 400;

/** For scenarios: so many machines, all alike, and nothing happens but what is asked for. */
export function quietShape(machines: number): Shape {
  return { machines, machinesMax: machines + 10, faultEveryMs: undefined, actEveryMs: undefined, network: CALM, agentDies: 0, stepFails: 0, isJournalOnFile: false, apps: ["web"], safetyMs: 0, restMs: 600_000 };
}

export function shapeOf(seed: number, random: Random): Shape {
  // Without faults of their own, hosts show best what rollouts and releases do to them.
  const isLucky = random.chance(0.45);
  const isLarge = seed % LARGE_ONE_IN === LARGE_ONE_IN / 2;
  const machines = isLarge ? random.whole(LARGE.least, LARGE.most) : random.whole(2, 8);
  return {
    machines,
    machinesMax: isLarge ? machines + 10 : 10,
    faultEveryMs: isLucky ? undefined : random.pick([5_000, 20_000, 60_000]),
    actEveryMs: random.pick([6_000, 20_000, 60_000]),
    network: isLucky ? CALM : { loss: random.pick([0, 0.02, 0.2]), twice: random.pick([0, 0.1]), slow: random.pick([0, 0.05, 0.3]) },
    agentDies: isLucky ? 0 : isLarge ? 0.001 : random.pick([0, 0.01, 0.05]),
    stepFails: isLucky ? 0 : random.pick([0, 0.02]),
    isJournalOnFile: seed % 25 === 7,
    apps: random.chance(0.7) ? ["web"] : ["web", "db"],
    safetyMs: isLarge ? 90_000 : random.whole(120_000, 700_000),
    restMs: isLarge ? 30_000 : random.chance(0.05) ? 3_600_000 : 180_000,
  };
}
