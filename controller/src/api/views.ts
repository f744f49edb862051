/**
 * What operators see, read from the tables: deployments and machines as the generated messages have them.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { AppPhase, type Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import {
  Deployment,
  type DeploymentNow,
  DeploymentPhase,
  type Target,
  TargetCounts,
  TargetState,
  type Wave,
  WavePhase,
} from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Database } from "better-sqlite3";
import { NOBODY_OVERTAKEN, openStates, outcomeText, outstandingText, overtakenText, stateNow } from "../history/outcome.ts";
import { differenceText, leftOutMachines, leftOutNow, NOBODY_LEFT_OUT, nowText, outstandingOf, overtakenOf, type Outstanding, type Present, SAID, SAID_FROM, type Said } from "../history/present.ts";
import { isFaultOfDisk } from "../engine/own-bug.ts";
import { QuestionCursors, type WithCursor } from "../journal/question-cursors.ts";
import { statement } from "../journal/statement.ts";
import type { Hold } from "../rollout/state.ts";
import { alarmView, gateView } from "./gate-view.ts";
import type { AlarmState } from "../rollout/alarms.ts";
import type { GateState } from "../rollout/gates.ts";
import { placesTaken } from "../rollout/words.ts";
import { type AgentPhase, awaitsStart, isEnded, mayGoBack, type RolloutPhase, type RolloutState, type TargetState as TargetStateName, wentBack } from "../rollout/state.ts";
import { isTailTripped } from "../rollout/tail.ts";
import type { Strategy } from "../plan/strategy.ts";

interface DeploymentRow {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: string;
  readonly artifact: string;
  readonly strategy: string;
  readonly selector: string;
  readonly phase: RolloutPhase;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly submitted_at: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly wave: number;
  readonly max_unavailable: number;
  readonly unchanged: string;
  readonly unchanged_archived: number;
  readonly notes: string;
  readonly start_approved: number;
  readonly back_seq: number | null;
  readonly promoted: number;
  readonly alarms: string;
  readonly hold_kind: Hold["kind"] | null;
  readonly hold_until: number | null;
}

/** Of the machines under way that are asked for what keeps them: bounds one picture of a large fleet. */
const TROUBLED_ASKED_MAX = 50;

const UNDER_WAY = "SELECT machine, generation FROM targets WHERE deployment = ? AND state IN ('updating', 'reverting') ORDER BY generation LIMIT ?";
/**
 * On their way by what the machine was told last: of what a newer deployment has told something else, nothing is to come any more. Nobody listens to one that was lost when the deployment was aborted, or another
 * took its place; it may be heard again all the same.
 */
const HEARD_UNDER_WAY = `SELECT t.machine FROM assignments a JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine JOIN deployments d ON d.id = a.deployment JOIN machines m ON m.id = t.machine
  WHERE a.deployment = ? AND (t.state IN ('updating', 'reverting') OR (t.state = 'unreachable' AND t.purpose IS NOT NULL AND d.phase IN ('aborted', 'superseded'))) AND m.silent_since IS NULL AND m.drained = 0`;
const TARGETS = `
  SELECT t.*, ${SAID}, ma.phase AS app_phase, ma.running_version, ma.generation AS said_generation, ma.reason_code AS said_code
  FROM targets t ${SAID_FROM} WHERE t.deployment = ? ORDER BY t.wave, t.position`;
const NOBODY_OUTSTANDING: Outstanding = { targets: [], count: 0 };
const DEPLOYMENTS = "SELECT d.*, r.artifact FROM deployments d JOIN releases r ON r.id = d.release";

export interface DeploymentFilter {
  readonly app: string;
  readonly activeOnly: boolean;
  readonly limit: number;
}

export class DeploymentViews {
  readonly #db: Database;
  readonly #questions: QuestionCursors;
  readonly #waiting: (id: DeploymentId) => string | undefined;
  readonly #rollout: (id: DeploymentId) => RolloutState | undefined;
  readonly #present: Present | undefined;
  readonly #isTimeStill: () => boolean;

  /**
   * `waiting`: what a deployment waits for; undefined when it has ended. `rollout`: one that is in memory, at the same row of the journal as the tables; what it counts is
   * not counted again. By default none is. Without `present` a deployment is seen as it was while it was the newest that there was. `isTimeStill`: no time counts now, so that no end can be
   * foreseen; by default it counts.
   */
  constructor(db: Database, waiting: (id: DeploymentId) => string | undefined, rollout: (id: DeploymentId) => RolloutState | undefined = () => undefined, present?: Present, isTimeStill = () => false) {
    this.#db = db;
    this.#questions = new QuestionCursors(db);
    this.#waiting = waiting;
    this.#rollout = rollout;
    this.#present = present;
    this.#isTimeStill = isTimeStill;
  }

  /** Undefined when there is none. An empty id: the newest. */
  find(id: string): DeploymentId | undefined {
    const sql = id === "" ? "SELECT id FROM deployments WHERE @id = '' ORDER BY number DESC LIMIT 1" : "SELECT id FROM deployments WHERE id = @id";
    return statement(this.#db, sql).pluck().get({ id }) as DeploymentId | undefined;
  }

  /** Undefined when there is none. An empty id: the newest. */
  one(id: string, includeTargets: boolean): Deployment | undefined {
    const found = this.find(id);
    if (found === undefined) return undefined;
    const deployment = this.#view(statement(this.#db, `${DEPLOYMENTS} WHERE d.id = ?`).get(found) as DeploymentRow, includeTargets);
    return needsRemedy(deployment) ? { ...deployment, remedies: this.#present?.remedies(found) } : deployment;
  }

  /** Newest first. */
  list({ app, activeOnly, limit }: DeploymentFilter): Deployment[] {
    const wanted = `(@app = '' OR d.app = @app) AND (@activeOnly = 0 OR ended_at IS NULL)`;
    const rows = statement(this.#db, `${DEPLOYMENTS} WHERE ${wanted} ORDER BY number DESC LIMIT @limit`).all({ app, activeOnly: activeOnly ? 1 : 0, limit }) as DeploymentRow[];
    return rows.map((row) => this.#view(row, false));
  }

  /** One that can't be read hides no other, and is shown with what can be. */
  #view(row: DeploymentRow, includeTargets: boolean): Deployment {
    try {
      return this.#whole(row, includeTargets);
    } catch (error) {
      if (isFaultOfDisk(error)) throw error;
      const { id, app, artifact, max_unavailable: maxUnavailable } = row;
      const notes = [`not all that is kept of it can be read, through a fault of the controller itself (${error instanceof Error ? error.message : String(error)}); report the fault`];
      const times = { submittedAt: row.submitted_at, startedAt: row.started_at ?? 0, endedAt: row.ended_at ?? 0 };
      return Deployment.fromPartial({ id, app, artifact, version: versionOf(row), phase: deploymentPhase(row), reason: reasonOf(row), targetsSelector: row.selector, ...times, notes, maxUnavailable, promoted: row.promoted === 1, counts: noCounts() });
    }
  }

  #whole(row: DeploymentRow, includeTargets: boolean): Deployment {
    const waiting = this.#waiting(row.id) ?? "";
    const withCursor = this.#questions.of(row.id);
    const waves = this.#waves(row, waiting, withCursor);
    const strategy = JSON.parse(row.strategy) as Strategy;
    const unchanged = JSON.parse(row.unchanged) as string[];
    const leftOut = unchanged.length + row.unchanged_archived;
    const counts = waves.reduce((sum, wave) => add(sum, wave.counts), { ...noCounts(), total: leftOut, unchanged: leftOut });
    return {
      id: row.id,
      app: row.app,
      version: versionOf(row),
      artifact: row.artifact,
      phase: deploymentPhase(row, isSoaking(waves[row.wave])),
      waitingOn: this.#waitingOn(row, waiting),
      reason: row.phase === "paused" ? withFailuresSince(reasonOf(row), waves[row.wave]) : reasonOf(row),
      waves,
      counts,
      targetsSelector: strategy.targets,
      submittedAt: row.submitted_at,
      startedAt: row.started_at ?? 0,
      endedAt: row.ended_at ?? 0,
      notes: JSON.parse(row.notes) as string[],
      maxUnavailable: row.max_unavailable,
      priority: strategy.priority,
      promoted: row.promoted === 1,
      alarms: (JSON.parse(row.alarms) as AlarmState[]).map((each, alarm) => alarmView(withCursor(each, { kind: "alarm", alarm }))),
      awaitsStart: awaitsStart({ phase: row.phase, strategy, startApproved: row.start_approved === 1 }),
      targets: includeTargets ? [...this.#targets(row), ...this.#unchanged(row, unchanged)] : [],
      ...this.#ending(row, counts),
      now: this.#now(row, unchanged.length > 0),
      // Asked for where one is shown.
      remedies: undefined,
      underWay: isEnded(row.phase) && this.#isUnderWay(row, counts),
    };
  }

  #ending(row: DeploymentRow, counts: TargetCounts): Pick<Deployment, "outcome" | "outstanding" | "overtaken"> {
    const { id, phase } = row;
    if (!isEnded(phase)) return { outcome: "", outstanding: undefined, overtaken: undefined };
    const version = versionOf(row);
    // Where all are as it ended, which is the rule, no target is looked at.
    const ending = { phase, beganBack: row.back_seq !== null };
    const isOpen = openStates(ending).some((state) => counts[state] > 0);
    const { targets, count } = isOpen ? outstandingOf(this.#db, id, ending, this.#present) : NOBODY_OUTSTANDING;
    const overtaken = isOpen && phase === "succeeded" && this.#present !== undefined ? overtakenOf(this.#db, id) : NOBODY_OVERTAKEN;
    const outcome = outcomeText({ ...ending, version, counts, outstanding: targets, outstandingCount: count, overtaken });
    const left = targets.map((target) => ({ machine: target.machine, state: targetState(stateNow(ending, target)), text: outstandingText(ending, version, target) }));
    const past = overtaken.targets.map((target) => ({ machine: target.machine, state: targetState(target.state), text: overtakenText(target) }));
    return { outcome, outstanding: count === 0 ? undefined : { count, machines: left }, overtaken: overtaken.count === 0 ? undefined : { count: overtaken.count, machines: past } };
  }

  #now(row: DeploymentRow, hasLeftOut: boolean): DeploymentNow | undefined {
    const { id, phase } = row;
    const own = this.#present?.nowOf(id);
    if (own === undefined) return undefined;
    const leftOut = hasLeftOut && phase === "succeeded" ? leftOutNow(this.#db, row) : NOBODY_LEFT_OUT;
    const now = { machines: own.machines + leftOut.machines, healthy: own.healthy + leftOut.healthy, bad: own.bad + leftOut.bad };
    if (now.machines === 0) return undefined;
    const hasEnded = isEnded(phase);
    const unsound = phase === "succeeded" ? this.#present?.unsound(id) : undefined;
    return { ...now, text: hasEnded ? differenceText(this.#db, id, phase, own, leftOut) : "", lateWaitsFor: unsound ?? "" };
  }

  /** Of one that has ended: machines that are heard are on their way, or have their turn and nothing holds them. */
  #isUnderWay({ id, app, phase }: DeploymentRow, { updating, reverting, unreachable, pending }: TargetCounts): boolean {
    const present = this.#present;
    if (present === undefined) return false;
    const state = this.#rollout(id);
    const isToGo = state !== undefined && state.hold === null && (phase === "succeeded" ? pending > 0 && !isTailTripped(state) : wentBack(state) && [...state.targets.values()].some((target) => mayGoBack(state, target)));
    if (isToGo || updating + reverting + unreachable === 0) return isToGo;
    for (const machine of statement(this.#db, HEARD_UNDER_WAY).pluck().iterate(id) as IterableIterator<MachineId>) if (!present.isOverdue(machine, app)) return true;
    return false;
  }

  #waitingOn(row: DeploymentRow, waiting: string): string {
    if (waiting === "") return "";
    const state = this.#rollout(row.id);
    return [waiting, state === undefined ? "" : placesTaken(state), this.#troubleUnderWay(row) ?? ""].filter((part) => part !== "").join("; ");
  }

  /** What one of the machines under way says keeps it from being healthy: of those that began first, since the others have hardly had time. */
  #troubleUnderWay(row: DeploymentRow): string | undefined {
    const db = this.#db;
    const state = this.#rollout(row.id);
    const asked = statement(db, "SELECT reason_message FROM machine_apps WHERE machine = ? AND app = ? AND generation = ? AND reason_message <> ''").pluck();
    const underWay =
      state === undefined
        ? (statement(db, UNDER_WAY).all(row.id, TROUBLED_ASKED_MAX) as Pick<TargetRow, "machine" | "generation">[])
        : [...state.moving.values().take(TROUBLED_ASKED_MAX)].map((machine) => state.targets.get(machine)!);
    for (const { machine, generation } of underWay) {
      const message = asked.get(machine, row.app, generation) as string | undefined;
      if (message !== undefined) return `${machine} says: ${message}`;
    }
    return undefined;
  }

  #waves(row: DeploymentRow, waitingOn: string, withCursor: WithCursor): Wave[] {
    const waves = statement(this.#db, "SELECT * FROM waves WHERE deployment = ? ORDER BY wave").all(row.id) as WaveRow[];
    const counts = this.#counts(row.id, waves.length);
    const isOnItsWay = row.phase === "rolling" || row.phase === "paused";
    const soakEndsAt = row.phase === "rolling" && row.hold_kind === "soak" && !this.#isTimeStill() ? (row.hold_until ?? 0) : 0;
    return waves.map((each) => {
      const { wave } = each;
      const own = counts[wave] ?? noCounts();
      const around = { changedAt: each.changed_at, isForAll: each.success_threshold === null, healthy: own.healthy, soakEndsAt: wave === row.wave ? soakEndsAt : 0, waitingOn: isOnItsWay ? waitingOn : "" };
      return {
        index: wave + 1,
        size: own.total,
        phase: wavePhase(row, each, own),
        counts: own,
        members: each.members,
        gates: (JSON.parse(each.gates) as GateState[]).map((known, gate) => gateView(withCursor(known, { kind: "gate", wave, gate }), around)),
        beginsAt: beginsAt(each, row.started_at ?? 0, waves[wave - 1]),
        maxFailures: each.max_failures,
        ...(each.max_unreachable === null ? {} : { maxUnreachable: each.max_unreachable }),
        ...(each.success_threshold === null ? {} : { successThreshold: each.success_threshold }),
        successThresholdOf: each.success_threshold === null ? 0 : this.#newTo(row.id, wave),
      };
    });
  }

  /** Targets of a wave to which the release is new: of those, a success threshold asks for so many. */
  #newTo(id: DeploymentId, wave: number): number {
    const state = this.#rollout(id);
    if (state !== undefined) return state.waves[wave]!.targets.filter(({ onTrial }) => !onTrial).length;
    return statement(this.#db, "SELECT count(*) FROM targets WHERE deployment = ? AND wave = ? AND on_trial = 0").pluck().get(id, wave) as number;
  }

  /** By wave. */
  #counts(id: DeploymentId, waveCount: number): readonly TargetCounts[] {
    const counts = Array.from({ length: waveCount }, noCounts);
    const state = this.#rollout(id);
    const counted =
      state === undefined
        ? (statement(this.#db, COUNTED).all({ id }) as CountedRow[])
        : state.waves.flatMap((wave, index) => Object.entries(wave.counts).map(([name, n]) => ({ wave: index, state: name as TargetStateName, n })));
    for (const { wave, state: name, n } of counted) {
      const own = counts[wave];
      if (own === undefined) continue;
      own[name] += n;
      own.total += n;
    }
    return counts;
  }

  #targets(row: DeploymentRow): Target[] {
    const rows = statement(this.#db, TARGETS).all(row.id) as TargetRow[];
    return rows.map((target) => {
      const said = target.generation > 0 && target.said_generation === target.generation ? target.app_phase : null;
      return {
        machine: target.machine,
        wave: target.wave + 1,
        state: targetState(target.state),
        generation: target.generation,
        since: target.since,
        attempts: target.attempts,
        reason: passedOver(row, target) ?? reasonOf(target) ?? (said === null ? undefined : reasonOf({ reason_code: target.said_code, reason_message: target.said_message })),
        appPhase: appPhase(said),
        previousVersion: target.previous === null ? "" : target.previous.slice(row.app.length + 1),
        // A machine of its name that joined later is another one.
        runningVersion: target.state === "removed" ? "" : (target.running_version ?? ""),
        now: this.#present === undefined ? "" : (nowText(target) ?? ""),
      };
    });
  }

  #unchanged(row: DeploymentRow, machines: readonly string[]): Target[] {
    const version = versionOf(row);
    const now = new Map<string, string>();
    if (this.#present !== undefined && machines.length > 0) for (const { machine, text } of leftOutMachines(this.#db, row)) now.set(machine, text ?? "");
    const running = statement(this.#db, "SELECT running_version FROM machine_apps WHERE machine = ? AND app = ?").pluck();
    return machines.map((machine) => ({
      machine,
      wave: 0,
      state: TargetState.UNCHANGED,
      generation: 0,
      since: row.started_at ?? row.submitted_at,
      attempts: 0,
      reason: { code: "unchanged", message: "ran it already" },
      appPhase: AppPhase.UNSPECIFIED,
      previousVersion: version,
      runningVersion: this.#present === undefined ? version : ((running.get(machine, row.app) as string | undefined) ?? ""),
      now: now.get(machine) ?? "",
    }));
  }
}

interface CountedRow {
  readonly wave: number;
  readonly state: TargetStateName;
  readonly n: number;
}

/** Of a deployment whose steps are in the archive, the counts alone are left. */
const COUNTED = `SELECT wave, state, count(*) AS n FROM targets WHERE deployment = @id GROUP BY wave, state
  UNION ALL SELECT wave, CASE state WHEN 'unmatched' THEN 'skipped' ELSE state END AS state, count AS n FROM archived_targets WHERE deployment = @id`;

interface WaveRow {
  readonly wave: number;
  readonly members: string;
  readonly gates: string;
  readonly begins_at: number | null;
  readonly after_ms: number;
  readonly max_failures: number;
  readonly max_unreachable: number | null;
  readonly success_threshold: number | null;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly changed_at: number;
}

interface TargetRow extends Said {
  readonly machine: MachineId;
  readonly wave: number;
  readonly state: TargetStateName;
  readonly generation: number;
  readonly since: number;
  readonly attempts: number;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly previous: string | null;
  readonly running_version: string | null;
  readonly app_phase: AgentPhase | null;
  readonly said_generation: number | null;
  readonly said_code: string | null;
}

export function reasonOf(row: { readonly reason_code: string | null; readonly reason_message: string | null }): Reason | undefined {
  return row.reason_code === null ? undefined : { code: row.reason_code, message: row.reason_message ?? "" };
}

/** What paused it counts those of that moment. */
function withFailuresSince(reason: Reason | undefined, wave: Wave | undefined): Reason | undefined {
  const then = /^([0-9]+) machines? failed in wave ([0-9]+)/.exec(reason?.message ?? "");
  const failed = wave?.counts?.failed ?? 0;
  if (reason === undefined || then === null || Number(then[2]) !== wave?.index || failed <= Number(then[1])) return reason;
  return { ...reason, message: `${reason.message}; now ${failed} have failed` };
}

/** Of one that was not heard at its turn, after a rollout that gives it none any more: what was said of it then is not so. */
function passedOver({ id, phase }: DeploymentRow, { attempts, state, reason_code: code }: TargetRow): Reason | undefined {
  if (attempts > 0 || !isEnded(phase) || phase === "succeeded") return undefined;
  if (state === "unreachable" && code === "silent") return { code, message: `nothing was heard from the machine at its turn, and ${id} ended without it` };
  return state === "skipped" && code === "cordoned" ? { code, message: `the machine was cordoned at its turn, and ${id} ended without it` } : undefined;
}

/** Paused, or ended other than was meant. */
function needsRemedy({ phase, now, counts }: Deployment): boolean {
  if (phase === DeploymentPhase.SUCCEEDED) return (now?.text ?? "") !== "" || (counts?.failed ?? 0) > 0;
  return phase === DeploymentPhase.PAUSED || phase === DeploymentPhase.FAILED || phase === DeploymentPhase.ABORTED;
}

function versionOf({ app, release }: Pick<DeploymentRow, "app" | "release">): string {
  return release.slice(app.length + 1);
}

/** The generated enums spell `rolling_back` as `DEPLOYMENT_PHASE_ROLLING_BACK`. What a rollout waits for at a gate is a phase of its own to people. */
function deploymentPhase({ phase, hold_kind: hold }: DeploymentRow, soaks = false): DeploymentPhase {
  if (soaks) return DeploymentPhase.SOAKING;
  if (phase === "rolling" && hold === "approval") return DeploymentPhase.AWAITING_APPROVAL;
  return DeploymentPhase[phase.toUpperCase() as Uppercase<RolloutPhase>];
}

/** Its time runs, and somebody is watched. */
function isSoaking(wave: Wave | undefined): boolean {
  return wave !== undefined && wave.counts!.healthy > 0 && wave.gates.some(({ endsAt }) => endsAt > 0);
}

function targetState(state: TargetStateName): TargetState {
  return TargetState[state.toUpperCase() as Uppercase<TargetStateName>];
}

export function appPhase(phase: AgentPhase | null): AppPhase {
  return phase === null ? AppPhase.UNSPECIFIED : AppPhase[phase.toUpperCase() as Uppercase<AgentPhase>];
}

function wavePhase(row: DeploymentRow, { wave, started_at, finished_at }: WaveRow, { pending, updating, reverting, reverted }: TargetCounts): WavePhase {
  const finished = finished_at !== null;
  if (finished && reverting > 0) return WavePhase.ROLLING_BACK;
  if (finished && reverted > 0) return row.phase === "rolling_back" ? WavePhase.ROLLING_BACK : WavePhase.ROLLED_BACK;
  // Who was away, or is tried again, has the turn after its wave was done.
  if (finished) return row.phase === "rolling" && pending + updating > 0 ? WavePhase.ROLLING : WavePhase.DONE;
  if (started_at === null || wave > row.wave) return WavePhase.PENDING;
  return isEnded(row.phase) || row.phase === "rolling_back" ? WavePhase.FAILED : WavePhase.ROLLING;
}

/** 0: at once, or not known before the wave before it is finished. */
function beginsAt({ begins_at, after_ms, wave }: WaveRow, startedAt: number, before: WaveRow | undefined): number {
  const from = wave === 0 ? startedAt : (before?.finished_at ?? 0);
  return Math.max(begins_at ?? 0, after_ms > 0 && from > 0 ? from + after_ms : 0);
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
