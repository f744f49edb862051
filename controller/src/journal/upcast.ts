/**
 * Rows that an older version wrote, in today's shape. The journal's own rows are never changed: they are read through here.
 *
 * Version 1 knew waves by their size alone, one failure budget, and nobody's name. Later ones lacked single keys of the strategy and of its waves.
 */
import type { Gate, Size, Strategy } from "../plan/strategy.ts";
import type { PlannedTarget } from "../plan/plan.ts";

type Data = Readonly<Record<string, unknown>>;

interface StrategyV1 extends Data {
  readonly waves: readonly Size[];
}

interface PlanV1 extends Data {
  readonly waves: readonly (readonly Omit<PlannedTarget, "lane">[])[];
  readonly maxFailures: readonly number[];
}

interface HasWaves extends Data {
  readonly waves: readonly Data[];
}

export function upcast(kind: string, data: Data): Data {
  switch (kind) {
    case "deployment_submitted":
      return "by" in data
        ? { ...data, strategy: withNewKeys(data["strategy"] as HasWaves) }
        : { ...data, by: "", note: "", strategy: withNewKeys(strategyOf(data["strategy"] as StrategyV1)) };
    case "rollout_started":
      return { ...data, plan: isPlanV1(data["plan"]) ? planOf(data["plan"]) : waitsForAll(data["plan"] as HasWaves) };
    case "command_accepted":
      return "by" in data ? data : { ...data, by: "", detail: "" };
    case "failures_acknowledged":
      return "unreachable" in data ? data : { ...data, unreachable: 0 };
    case "retention_set":
      return "stepsForMs" in data ? data : { ...data, stepsForMs: STEPS_FOR_MS };
    case "target_changed":
      return "runs" in data ? data : { ...data, runs: null };
    default:
      return data;
  }
}

/** Keys of the strategy that came later, with the values that they had without being written. */
const NEW_KEYS = { alarms: [], order: [], start: "auto" } as const satisfies Partial<Strategy>;

/** Those that it has stay as they are, to their order: tables must come out the same from a replay. */
function withNewKeys(strategy: HasWaves): Data {
  const missing = Object.entries(NEW_KEYS).filter(([key]) => !(key in strategy));
  return { ...waitsForAll(strategy), ...Object.fromEntries(missing) };
}

/** Of a strategy or a plan: a wave that does not say how many are enough. */
function waitsForAll<Of extends HasWaves>(of: Of): Of {
  return { ...of, waves: of.waves.map((wave) => ("successThreshold" in wave ? wave : { ...wave, successThreshold: null })) };
}

function strategyOf(old: StrategyV1): HasWaves {
  const waves = old.waves.map((size) => ({ members: { kind: "size", size } as const, gates: NO_GATES, at: null, afterMs: 0, maxFailures: null, maxUnreachable: null }));
  return {
    ...old,
    waves,
    maxUnavailablePer: [],
    spread: null,
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "ignore",
    window: null,
    startAt: null,
    after: null,
    priority: 0,
  };
}

function isPlanV1(plan: unknown): plan is PlanV1 {
  return typeof plan === "object" && plan !== null && "maxFailures" in plan;
}

function planOf({ waves, maxFailures, ...plan }: PlanV1): Data {
  return {
    ...plan,
    lanes: [],
    waves: waves.map((targets, wave) => ({
      members: `${targets.length}`,
      targets: targets.map((target) => ({ ...target, lane: "" })),
      gates: NO_GATES,
      at: null,
      afterMs: 0,
      maxFailures: maxFailures[wave] ?? 0,
      maxUnreachable: null,
      successThreshold: null,
    })),
  };
}

const NO_GATES: readonly Gate[] = [];

/** 30 days: what holds where nobody has said otherwise. */
const STEPS_FOR_MS = 30 * 86_400_000;
