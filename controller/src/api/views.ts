/**
 * What operators see, read from the tables: deployments and machines as the generated messages have them.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { AppPhase, type Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import {
  type Deployment,
  DeploymentPhase,
  type Target,
  TargetCounts,
  TargetState,
  type Wave,
  WavePhase,
} from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Engine } from "../engine/engine.ts";
import type { Journal } from "../journal/journal.ts";
import { waitingOn } from "../rollout/advance.ts";
import { type AgentPhase, isEnded, type RolloutPhase, type TargetState as TargetStateName } from "../rollout/state.ts";
import type { Strategy } from "../plan/strategy.ts";

interface DeploymentRow {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: string;
  readonly artifact: string;
  readonly strategy: string;
  readonly phase: RolloutPhase;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly submitted_at: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly wave: number;
  readonly unchanged: string;
  readonly notes: string;
}

const DEPLOYMENTS = "SELECT d.*, r.artifact FROM deployments d JOIN releases r ON r.id = d.release";

export interface DeploymentFilter {
  readonly app: string;
  readonly activeOnly: boolean;
  readonly limit: number;
}

export class DeploymentViews {
  readonly #journal: Journal;
  readonly #engine: Engine;

  constructor(journal: Journal, engine: Engine) {
    this.#journal = journal;
    this.#engine = engine;
  }

  /** Undefined when there is none. An empty id: the newest. */
  one(id: string, includeTargets: boolean): Deployment | undefined {
    const { db } = this.#journal;
    const row = (id === "" ? db.prepare(`${DEPLOYMENTS} ORDER BY number DESC LIMIT 1`).get() : db.prepare(`${DEPLOYMENTS} WHERE d.id = ?`).get(id)) as
      | DeploymentRow
      | undefined;
    return row === undefined ? undefined : this.#view(row, includeTargets);
  }

  /** Newest first. */
  list({ app, activeOnly, limit }: DeploymentFilter): Deployment[] {
    const rows = this.#journal.db
      .prepare(`${DEPLOYMENTS} WHERE (@app = '' OR d.app = @app) AND (@activeOnly = 0 OR ended_at IS NULL) ORDER BY number DESC LIMIT @limit`)
      .all({ app, activeOnly: activeOnly ? 1 : 0, limit }) as DeploymentRow[];
    return rows.map((row) => this.#view(row, false));
  }

  #view(row: DeploymentRow, includeTargets: boolean): Deployment {
    const waves = this.#waves(row);
    const unchanged = JSON.parse(row.unchanged) as string[];
    const counts = waves.reduce((sum, wave) => add(sum, wave.counts), { ...noCounts(), total: unchanged.length, unchanged: unchanged.length });
    return {
      id: row.id,
      app: row.app,
      version: row.release.slice(row.app.length + 1),
      artifact: row.artifact,
      phase: deploymentPhase(row.phase),
      waitingOn: this.#waitingOn(row),
      reason: reasonOf(row),
      waves,
      counts,
      targetsSelector: (JSON.parse(row.strategy) as Strategy).targets,
      submittedAt: row.submitted_at,
      startedAt: row.started_at ?? 0,
      endedAt: row.ended_at ?? 0,
      notes: JSON.parse(row.notes) as string[],
      targets: includeTargets ? [...this.#targets(row), ...this.#unchanged(row, unchanged)] : [],
    };
  }

  #waitingOn(row: DeploymentRow): string {
    const state = this.#engine.rollout(row.id);
    if (state === undefined) return "";
    const ahead = state.phase === "pending" ? this.#engine.aheadOf(state) : undefined;
    if (ahead !== undefined) return `${ahead.id} (${ahead.release}, ${ahead.phase}) to end`;
    const waiting = waitingOn(state) ?? "";
    const trouble = this.#troubleUnderWay(row);
    return waiting === "" || trouble === undefined ? waiting : `${waiting}; ${trouble}`;
  }

  /** What one of the machines under way says keeps it from being healthy. */
  #troubleUnderWay(row: DeploymentRow): string | undefined {
    return this.#journal.db
      .prepare(
        `SELECT t.machine || ' says: ' || ma.reason_message FROM targets t JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = ?
         WHERE t.deployment = ? AND t.wave = ? AND t.state IN ('updating', 'reverting') AND ma.generation = t.generation AND ma.reason_message <> '' LIMIT 1`,
      )
      .pluck()
      .get(row.app, row.id, row.wave) as string | undefined;
  }

  #waves(row: DeploymentRow): Wave[] {
    const { db } = this.#journal;
    const waves = db.prepare("SELECT wave, finished FROM waves WHERE deployment = ? ORDER BY wave").all(row.id) as { wave: number; finished: number }[];
    const counted = db.prepare("SELECT wave, state, count(*) AS n FROM targets WHERE deployment = ? GROUP BY wave, state").all(row.id) as {
      wave: number;
      state: TargetStateName;
      n: number;
    }[];
    const counts = waves.map(noCounts);
    for (const { wave, state, n } of counted) {
      const own = counts[wave];
      if (own === undefined) continue;
      own[state] += n;
      own.total += n;
    }
    return waves.map(({ wave, finished }) => {
      const own = counts[wave] ?? noCounts();
      return { index: wave + 1, size: own.total, phase: wavePhase(row, wave, finished === 1, own), counts: own };
    });
  }

  #targets(row: DeploymentRow): Target[] {
    const rows = this.#journal.db
      .prepare(
        `SELECT t.*, ma.phase AS app_phase, ma.generation AS said_generation, ma.reason_code AS said_code, ma.reason_message AS said_message
         FROM targets t LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = ? WHERE t.deployment = ? ORDER BY t.wave, t.position`,
      )
      .all(row.app, row.id) as TargetRow[];
    return rows.map((target) => {
      const said = target.generation > 0 && target.said_generation === target.generation ? target.app_phase : null;
      return {
        machine: target.machine,
        wave: target.wave + 1,
        state: targetState(target.state),
        generation: target.generation,
        since: target.since,
        attempts: target.attempts,
        reason: reasonOf(target) ?? (said === null ? undefined : reasonOf({ reason_code: target.said_code, reason_message: target.said_message })),
        appPhase: appPhase(said),
        previousVersion: target.previous === null ? "" : target.previous.slice(row.app.length + 1),
      };
    });
  }

  #unchanged(row: DeploymentRow, machines: readonly string[]): Target[] {
    return machines.map((machine) => ({
      machine,
      wave: 0,
      state: TargetState.UNCHANGED,
      generation: 0,
      since: row.started_at ?? row.submitted_at,
      attempts: 0,
      reason: { code: "unchanged", message: "ran it already" },
      appPhase: AppPhase.UNSPECIFIED,
      previousVersion: row.release.slice(row.app.length + 1),
    }));
  }
}

interface TargetRow {
  readonly machine: MachineId;
  readonly wave: number;
  readonly state: TargetStateName;
  readonly generation: number;
  readonly since: number;
  readonly attempts: number;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly previous: string | null;
  readonly app_phase: AgentPhase | null;
  readonly said_generation: number | null;
  readonly said_code: string | null;
  readonly said_message: string | null;
}

export function reasonOf(row: { readonly reason_code: string | null; readonly reason_message: string | null }): Reason | undefined {
  return row.reason_code === null ? undefined : { code: row.reason_code, message: row.reason_message ?? "" };
}

/** The generated enums spell `rolling_back` as `DEPLOYMENT_PHASE_ROLLING_BACK`. */
function deploymentPhase(phase: RolloutPhase): DeploymentPhase {
  return DeploymentPhase[phase.toUpperCase() as Uppercase<RolloutPhase>];
}

function targetState(state: TargetStateName): TargetState {
  return TargetState[state.toUpperCase() as Uppercase<TargetStateName>];
}

export function appPhase(phase: AgentPhase | null): AppPhase {
  return phase === null ? AppPhase.UNSPECIFIED : AppPhase[phase.toUpperCase() as Uppercase<AgentPhase>];
}

function wavePhase(row: DeploymentRow, wave: number, finished: boolean, { reverting, reverted }: TargetCounts): WavePhase {
  if (finished && reverting > 0) return WavePhase.ROLLING_BACK;
  if (finished && reverted > 0) return row.phase === "rolling_back" ? WavePhase.ROLLING_BACK : WavePhase.ROLLED_BACK;
  if (finished) return WavePhase.DONE;
  if (wave > row.wave) return WavePhase.PENDING;
  return isEnded(row.phase) || row.phase === "rolling_back" ? WavePhase.FAILED : WavePhase.ROLLING;
}

function noCounts(): TargetCounts {
  return TargetCounts.fromPartial({});
}

function add(a: TargetCounts, b: TargetCounts | undefined): TargetCounts {
  if (b === undefined) return a;
  const sum = { ...a };
  for (const key of Object.keys(sum) as (keyof TargetCounts)[]) sum[key] += b[key];
  return sum;
}
