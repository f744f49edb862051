/** Bugs of plans: who is in which wave, and what a wave asks for. */
import type { Mutation } from "./mutation.ts";

const PLAN = "controller/src/plan/plan.ts";

export const PLAN_MUTATIONS: readonly Mutation[] = [
  {
    name: "percentages of waves round down",
    breaks: "waves_as_asked",
    seed: 1,
    edits: [{ file: PLAN, find: "Math.min(all, roundedUp(size, all))", put: "Math.min(all, roundedDown(size, all))" }],
  },
  {
    name: "whoever runs the release already counts in the sizes of waves",
    breaks: "waves_as_asked",
    seed: 14,
    edits: [{ file: PLAN, find: "const others = fresh.length === 0 ? targets : fresh;", put: "const others = targets;" }],
  },
  {
    name: "a wave that adds nobody takes its gates with it",
    breaks: "wave_order",
    seed: 2,
    edits: [{ file: PLAN, find: "if (before !== undefined) waves[waves.length - 1] =", put: "if (before !== undefined && targets.length === 0) waves[waves.length - 1] =" }],
  },
  {
    name: "behind each wave are the gates of the one before it",
    breaks: "gates_hold",
    seed: 12,
    edits: [{ file: PLAN, find: "gates: mergedGates(carried.gates, spec.gates),", put: "gates: mergedGates(carried.gates, strategy.waves.at(strategy.waves.indexOf(spec) - 1)!.gates)," }],
  },
  {
    name: "one healthy target is enough for every wave with a threshold",
    breaks: "wave_order",
    seed: 84,
    edits: [{ file: PLAN, find: "Math.min(roundedUp(spec.successThreshold, members.length), members.length)", put: "1" }],
  },
  {
    name: "max_unreachable is not looked at",
    breaks: "failures_stop",
    seed: 174,
    edits: [{ file: PLAN, find: "const maxUnreachable = spec.maxUnreachable ?? strategy.maxUnreachable;", put: "const maxUnreachable: Size | null = null;" }],
  },
  {
    name: "a wave has no max_failures of its own",
    breaks: "outcome_confirmed",
    seed: 137,
    edits: [{ file: PLAN, find: "roundedDown(spec.maxFailures ?? strategy.maxFailures, members.length)", put: "roundedDown(strategy.maxFailures, members.length)" }],
  },
];
