/**
 * From the tables back to what the engine keeps in memory: the rollouts that have not ended.
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { LaneLabel } from "../plan/plan.ts";
import type { AlarmState } from "../rollout/alarms.ts";
import { isFailure } from "../rollout/known.ts";
import { rebuild } from "../rollout/derived.ts";
import type { TakenDown } from "../rollout/taken-down.ts";
import type { GateState } from "../rollout/gates.ts";
import type { Attended, Moment } from "../rollout/moment.ts";
import {
  emptyCounts,
  ENDED_PHASES,
  type Hold,
  type LeftAs,
  type LetGo,
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
import { owedRemovals, takeOwed } from "./removals.ts";
import { Slice, SLICE_ROWS } from "./slices.ts";
import { statement } from "./statement.ts";

/** In SQL. */
const ENDED = ENDED_PHASES.map((phase) => `'${phase}'`).join(", ");

/** One that has ended is seldom changed. */
const READS_MAX = 3;

interface DeploymentRow {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly strategy: string;
  readonly phase: RolloutPhase;
  readonly reason_code: ReasonCode | null;
  readonly reason_message: string | null;
  readonly submitted_at: Instant;
  readonly progress_attended: Attended;
  readonly wave: number;
  readonly max_unavailable: number;
  readonly unchanged: string;
  readonly lanes: string;
  readonly alarms: string;
  readonly start_approved: number;
  readonly back_seq: number | null;
  readonly promoted: number;
  readonly hold_kind: Hold["kind"] | null;
  readonly hold_message: string | null;
  readonly hold_since: Instant | null;
  readonly hold_attended: Attended | null;
  readonly hold_until: Instant | null;
}

interface WaveRow {
  readonly members: string;
  readonly gates: string;
  readonly begins_at: Instant | null;
  readonly after_ms: number;
  readonly max_failures: number;
  readonly max_unreachable: number | null;
  readonly success_threshold: number | null;
  readonly started_at: Instant | null;
  readonly finished_at: Instant | null;
  readonly finished_attended: Attended | null;
  readonly changed_at: Instant;
  readonly changed_attended: Attended;
  readonly gone_failed: number;
  readonly gone_lost: number;
  readonly gone_known: number;
}

interface TargetRow {
  readonly machine: MachineId;
  readonly wave: number;
  readonly position: number;
  readonly previous: ReleaseId | null;
  readonly previous_as_late: number;
  readonly taken_down: TakenDown | null;
  readonly lane: string;
  readonly on_trial: 0 | 1;
  readonly state: TargetState;
  readonly purpose: Purpose | null;
  readonly generation: Generation;
  readonly since: Instant;
  readonly since_attended: Attended;
  readonly attempts: number;
  readonly first_told: Generation;
  readonly was_healthy: 0 | 1;
  readonly reason_code: ReasonCode | null;
  readonly reason_message: string | null;
  readonly runs: string | null;
  readonly let_go: LetGo | null;
  readonly left_as: LeftAs | null;
  readonly is_known: 0 | 1;
}

/** In the order of submission. Whether their machines serve is not in the tables of rollouts, and is to be noted. */
export function loadActiveRollouts(journal: Journal): readonly RolloutState[] {
  return activeDeployments(journal).map((id) => loadRollout(journal, id)!);
}

export function activeDeployments(journal: Journal): readonly DeploymentId[] {
  return statement(journal.db, `SELECT id FROM deployments WHERE ended_at IS NULL AND phase NOT IN (${ENDED}) ORDER BY number`).pluck().all() as DeploymentId[];
}

/** Any rollout, ended or not; undefined when there is none. O(targets). Whether it contradicts itself is asked of it with `auditRollout`. */
export function loadRollout(journal: Journal, id: DeploymentId): RolloutState | undefined {
  const state = loadWithoutTargets(journal, id);
  if (state === undefined) return undefined;
  for (const row of statement(journal.db, "SELECT * FROM targets WHERE deployment = ? ORDER BY wave, position").iterate(id) as IterableIterator<TargetRow>) addTarget(state, row);
  rebuild(state);
  takeOwed(state, owedRemovals(journal.db));
  return state;
}

/** The same of one that has ended, in slices, for who only looks at it. Undefined, too: whenever it was read, it had been changed before the end of that. */
export async function readRollout(journal: Journal, id: DeploymentId): Promise<RolloutState | undefined> {
  const newest = (): unknown => statement(journal.db, "SELECT max(seq) FROM journal WHERE deployment = ?").pluck().get(id);
  for (let tries = 0; tries < READS_MAX; tries += 1) {
    const before = newest();
    const state = loadWithoutTargets(journal, id);
    if (state === undefined) return undefined;
    const owed = owedRemovals(journal.db);
    const rows = await targetRows(journal, id);
    if (newest() !== before) continue;
    rows.sort((a, b) => a.wave - b.wave || a.position - b.position);
    for (const row of rows) addTarget(state, row);
    rebuild(state);
    takeOwed(state, owed);
    return state;
  }
  return undefined;
}

async function targetRows({ db }: Journal, id: DeploymentId): Promise<TargetRow[]> {
  const all: TargetRow[] = [];
  const slice = new Slice();
  for (let after = ""; ; ) {
    const rows = statement(db, `SELECT * FROM targets WHERE deployment = ? AND machine > ? ORDER BY machine LIMIT ${SLICE_ROWS}`).all(id, after) as TargetRow[];
    all.push(...rows);
    await slice.took(rows.length);
    if (rows.length < SLICE_ROWS) return all;
    after = rows.at(-1)!.machine;
  }
}

function loadWithoutTargets(journal: Journal, id: DeploymentId): RolloutState | undefined {
  const row = statement(journal.db, "SELECT * FROM deployments WHERE id = ?").get(id) as DeploymentRow | undefined;
  if (row === undefined) return undefined;
  const state = newRollout({ id: row.id, app: row.app, release: row.release, strategy: JSON.parse(row.strategy) as Strategy }, { at: row.submitted_at, attended: row.progress_attended });
  state.phase = row.phase;
  state.reason = reasonOf(row);
  state.wave = row.wave;
  state.maxUnavailable = row.max_unavailable;
  state.unchanged = new Set(JSON.parse(row.unchanged) as MachineId[]);
  state.lanes = JSON.parse(row.lanes) as LaneLabel[];
  const withCursor = journal.questions.of(id);
  state.alarms = (JSON.parse(row.alarms) as AlarmState[]).map((each, alarm) => withCursor(each, { kind: "alarm", alarm }));
  state.startApproved = row.start_approved === 1;
  state.beganBack = row.back_seq !== null;
  state.promoted = row.promoted === 1;
  state.hold = row.hold_kind === null ? null : { kind: row.hold_kind, message: row.hold_message ?? "", until: row.hold_until, since: momentOf(row.hold_since, row.hold_attended)! };
  const waves = statement(journal.db, "SELECT * FROM waves WHERE deployment = ? ORDER BY wave").all(id) as WaveRow[];
  state.waves = waves.map((each, wave) => waveOf(each, (known, gate) => withCursor(known, { kind: "gate", wave, gate })));
  return state;
}

function momentOf(at: Instant | null, attended: Attended | null): Moment | null {
  return at === null || attended === null ? null : { at, attended };
}

/** Its targets and their counts follow. */
function waveOf(row: WaveRow, withCursor: (known: GateState, gate: number) => GateState): WaveState {
  return {
    members: row.members,
    targets: [],
    counts: emptyCounts(),
    countsOnTrial: emptyCounts(),
    gates: (JSON.parse(row.gates) as GateState[]).map(withCursor),
    at: row.begins_at,
    afterMs: row.after_ms,
    maxFailures: row.max_failures,
    maxUnreachable: row.max_unreachable,
    successThreshold: row.success_threshold,
    acknowledgedFailures: row.gone_known,
    acknowledgedUnreachable: 0,
    startedAt: row.started_at,
    finishedAt: momentOf(row.finished_at, row.finished_attended),
    changedAt: { at: row.changed_at, attended: row.changed_attended },
    awaited: new Set(),
    counted: 0,
    lost: 0,
    lostOnTrial: 0,
    leftFailed: 0,
    goneFailed: row.gone_failed,
    goneLost: row.gone_lost,
    goneKnown: row.gone_known,
  };
}

function addTarget(state: RolloutState, row: TargetRow): void {
  const { machine, wave: index, position, previous, previous_as_late: isAsLate, taken_down: takenDown, lane, on_trial: onTrial, state: stands, purpose, generation, attempts, first_told: firstTold, was_healthy: wasHealthy, runs, let_go: letGo, left_as: leftAs, is_known: isKnown } = row;
  const since: Moment = { at: row.since, attended: row.since_attended };
  const target: Target = { machine, wave: index, position, previous, isPreviousAsLate: isAsLate === 1, takenDown, lane, onTrial: onTrial === 1, state: stands, purpose, generation, since, letGo, leftAs, isKnown: isKnown === 1, attempts, firstTold, wasHealthy: wasHealthy === 1, reason: reasonOf(row), runs };
  const wave = state.waves[index]!;
  wave.counts[stands] += 1;
  if (target.onTrial) wave.countsOnTrial[stands] += 1;
  if (target.isKnown && isFailure(target)) wave.acknowledgedFailures += 1;
  else if (target.isKnown) wave.acknowledgedUnreachable += 1;
  wave.targets.push(target);
  state.targets.set(machine, target);
}

function reasonOf(row: { readonly reason_code: ReasonCode | null; readonly reason_message: string | null }): RolloutReason | null {
  return row.reason_code === null ? null : { code: row.reason_code, message: row.reason_message ?? "" };
}
