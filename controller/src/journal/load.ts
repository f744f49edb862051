/**
 * From the tables back to what the engine keeps in memory: the rollouts that have not ended.
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { LaneLabel } from "../plan/plan.ts";
import type { AlarmState } from "../rollout/alarms.ts";
import { noteUnwell, rebuild } from "../rollout/derived.ts";
import type { GateState } from "../rollout/gates.ts";
import { auditRollout } from "../rollout/invariants.ts";
import {
  emptyCounts,
  type Hold,
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
import { statement } from "./statement.ts";

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
  readonly lanes: string;
  readonly alarms: string;
  readonly start_approved: number;
  readonly promoted: number;
  readonly hold_kind: Hold["kind"] | null;
  readonly hold_message: string | null;
  readonly hold_since: Instant | null;
}

interface WaveRow {
  readonly members: string;
  readonly gates: string;
  readonly begins_at: Instant | null;
  readonly after_ms: number;
  readonly max_failures: number;
  readonly max_unreachable: number | null;
  readonly success_threshold: number | null;
  readonly acknowledged_failures: number;
  readonly acknowledged_unreachable: number;
  readonly started_at: Instant | null;
  readonly finished_at: Instant | null;
  readonly waited_out: number;
  readonly changed_at: Instant;
}

interface TargetRow {
  readonly machine: MachineId;
  readonly wave: number;
  readonly position: number;
  readonly previous: ReleaseId | null;
  readonly lane: string;
  readonly state: TargetState;
  readonly purpose: Purpose | null;
  readonly generation: Generation;
  readonly since: Instant;
  readonly attempts: number;
  readonly reason_code: ReasonCode | null;
  readonly reason_message: string | null;
  readonly runs: string | null;
  readonly unwell: number;
}

/** In the order of submission. */
export function loadActiveRollouts(journal: Journal): readonly RolloutState[] {
  const ids = statement(journal.db, "SELECT id FROM deployments WHERE ended_at IS NULL ORDER BY number").pluck().all() as DeploymentId[];
  return ids.map((id) => loadRollout(journal, id)!);
}

/** Any rollout, ended or not; undefined when there is none. O(targets). */
export function loadRollout(journal: Journal, id: DeploymentId): RolloutState | undefined {
  const row = statement(journal.db, "SELECT * FROM deployments WHERE id = ?").get(id) as DeploymentRow | undefined;
  if (row === undefined) return undefined;
  const state = newRollout({ id: row.id, app: row.app, release: row.release, strategy: JSON.parse(row.strategy) as Strategy }, row.progress_at);
  state.phase = row.phase;
  state.reason = reasonOf(row);
  state.wave = row.wave;
  state.maxUnavailable = row.max_unavailable;
  state.unchanged = JSON.parse(row.unchanged) as MachineId[];
  state.lanes = JSON.parse(row.lanes) as LaneLabel[];
  state.alarms = JSON.parse(row.alarms) as AlarmState[];
  state.startApproved = row.start_approved === 1;
  state.promoted = row.promoted === 1;
  state.hold = row.hold_kind === null ? null : { kind: row.hold_kind, message: row.hold_message ?? "", since: row.hold_since ?? row.progress_at };
  const waves = statement(journal.db, "SELECT * FROM waves WHERE deployment = ? ORDER BY wave").all(id) as WaveRow[];
  state.waves = waves.map(waveOf);
  const unwell = loadTargets(journal, state);
  rebuild(state);
  for (const machine of unwell) noteUnwell(state, machine, true);
  auditRollout(state);
  return state;
}

/** Its targets and their counts follow. */
function waveOf(row: WaveRow): WaveState {
  return {
    members: row.members,
    targets: [],
    counts: emptyCounts(),
    gates: JSON.parse(row.gates) as GateState[],
    at: row.begins_at,
    afterMs: row.after_ms,
    maxFailures: row.max_failures,
    maxUnreachable: row.max_unreachable,
    successThreshold: row.success_threshold,
    acknowledgedFailures: row.acknowledged_failures,
    acknowledgedUnreachable: row.acknowledged_unreachable,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    changedAt: row.changed_at,
    waitedOut: row.waited_out === 1,
  };
}

/** The same as `isUnwell` of the engine's wellness: silent, drained, or what runs there is not well. */
const TARGETS = `
  SELECT t.*, t.state <> 'removed' AND (m.silent_since IS NOT NULL OR m.drained = 1 OR coalesce(ma.phase IN ('unhealthy', 'failed'), 0)) AS unwell
  FROM targets t LEFT JOIN machines m ON m.id = t.machine LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = ?
  WHERE t.deployment = ? ORDER BY t.wave, t.position`;

/** Returns the machines that are not well. */
function loadTargets(journal: Journal, state: RolloutState): readonly MachineId[] {
  const unwell: MachineId[] = [];
  for (const row of statement(journal.db, TARGETS).iterate(state.app, state.id) as IterableIterator<TargetRow>) {
    const { machine, wave: index, position, previous, lane, state: stands, purpose, generation, since, attempts, runs } = row;
    const target: Target = { machine, wave: index, position, previous, lane, state: stands, purpose, generation, since, attempts, reason: reasonOf(row), runs };
    const wave = state.waves[index]!;
    wave.counts[stands] += 1;
    wave.targets.push(target);
    state.targets.set(machine, target);
    if (row.unwell === 1) unwell.push(machine);
  }
  return unwell;
}

function reasonOf(row: { readonly reason_code: ReasonCode | null; readonly reason_message: string | null }): RolloutReason | null {
  return row.reason_code === null ? null : { code: row.reason_code, message: row.reason_message ?? "" };
}
