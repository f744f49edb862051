/**
 * From the tables back to what the engine keeps in memory: the rollouts that have not ended.
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { Strategy } from "../plan/strategy.ts";
import { aimRevert, settleTarget } from "../rollout/change.ts";
import { auditRollout } from "../rollout/invariants.ts";
import {
  emptyCounts,
  newRollout,
  type Purpose,
  type RolloutPhase,
  type RolloutReason,
  type RolloutState,
  type Target,
  type TargetState,
  type WaveState,
} from "../rollout/state.ts";
import type { Journal } from "./journal.ts";

interface DeploymentRow {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly strategy: string;
  readonly phase: RolloutPhase;
  readonly reason_code: ReasonCode | null;
  readonly reason_message: string | null;
  readonly progress_at: Instant;
  readonly wave: number;
  readonly max_unavailable: number;
  readonly unchanged: string;
}

interface TargetRow {
  readonly machine: MachineId;
  readonly wave: number;
  readonly previous: ReleaseId | null;
  readonly state: TargetState;
  readonly purpose: Purpose | null;
  readonly generation: Generation;
  readonly since: Instant;
  readonly attempts: number;
  readonly reason_code: ReasonCode | null;
  readonly reason_message: string | null;
}

/** In the order of submission. */
export function loadActiveRollouts(journal: Journal): readonly RolloutState[] {
  const ids = journal.db.prepare("SELECT id FROM deployments WHERE ended_at IS NULL ORDER BY number").pluck().all() as DeploymentId[];
  return ids.map((id) => loadRollout(journal, id)!);
}

/** Any rollout, ended or not; undefined when there is none. O(targets). */
export function loadRollout(journal: Journal, id: DeploymentId): RolloutState | undefined {
  const row = journal.db.prepare("SELECT * FROM deployments WHERE id = ?").get(id) as DeploymentRow | undefined;
  if (row === undefined) return undefined;
  const state = newRollout(
    { id: row.id, app: row.app, release: row.release, strategy: JSON.parse(row.strategy) as Strategy },
    row.progress_at,
  );
  state.phase = row.phase;
  state.reason = reasonOf(row);
  state.wave = row.wave;
  state.maxUnavailable = row.max_unavailable;
  state.unchanged = JSON.parse(row.unchanged) as MachineId[];
  state.waves = loadWaves(journal, id);
  for (const wave of state.waves) for (const target of wave.targets) state.targets.set(target.machine, target);
  for (const wave of state.waves) {
    if (state.phase === "rolling_back") aimRevert(wave, wave.targets.length - 1);
    for (const target of wave.targets) settleTarget(state, target);
  }
  auditRollout(state);
  return state;
}

function loadWaves(journal: Journal, id: DeploymentId): readonly WaveState[] {
  const waves = journal.db.prepare("SELECT max_failures, acknowledged_failures FROM waves WHERE deployment = ? ORDER BY wave").all(id) as {
    readonly max_failures: number;
    readonly acknowledged_failures: number;
  }[];
  const targets: Target[][] = waves.map(() => []);
  const rows = journal.db.prepare("SELECT * FROM targets WHERE deployment = ? ORDER BY wave, position").iterate(id) as IterableIterator<TargetRow>;
  for (const { machine, wave, previous, state, purpose, generation, since, attempts, ...row } of rows) {
    targets[wave]?.push({ machine, wave, previous, state, purpose, generation, since, attempts, reason: reasonOf(row) });
  }
  return waves.map((wave, index) => {
    const own = targets[index] ?? [];
    const counts = emptyCounts();
    for (const target of own) counts[target.state] += 1;
    return {
      targets: own,
      counts,
      maxFailures: wave.max_failures,
      acknowledgedFailures: wave.acknowledged_failures,
      nextPending: 0,
      nextRevert: -1,
    };
  });
}

function reasonOf(row: { readonly reason_code: ReasonCode | null; readonly reason_message: string | null }): RolloutReason | null {
  return row.reason_code === null ? null : { code: row.reason_code, message: row.reason_message ?? "" };
}
