/**
 * What a gate asks the world outside: the rollout as it stands.
 */
import type { GateQuestion } from "../gates/verdict.ts";
import { emptyCounts, type RolloutState, TARGET_STATES } from "../rollout/state.ts";

/** Undefined: the gate is gone, or asks nobody outside. */
export function questionOf(state: RolloutState | undefined, wave: number, index: number): GateQuestion | undefined {
  const asked = state?.waves[wave]?.gates[index];
  if (state === undefined || asked === undefined) return undefined;
  const { gate, attempts: attempt } = asked;
  if (gate.kind !== "webhook" && gate.kind !== "prometheus") return undefined;
  const { id: deployment, app, release, waves } = state;
  const counts = emptyCounts();
  for (const each of waves) for (const name of TARGET_STATES) counts[name] += each.counts[name];
  return { gate, deployment, app, version: release.slice(app.length + 1), wave: wave + 1, waves: waves.length, gateIndex: index, attempt, counts };
}
