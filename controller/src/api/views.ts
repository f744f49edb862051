/**
 * What operators see, read from the tables: deployments and machines as the generated messages have them.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import {
  Deployment,
  type DeploymentNow,
  DeploymentPhase,
  TargetCounts,
  type Wave,
  WavePhase,
} from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Database } from "better-sqlite3";
import { KEPT_STILL, NOBODY_OUTSTANDING, NOBODY_OVERTAKEN, NOBODY_STILL_THERE, openStates, outcomeText, outstandingText, overtakenText, removedCount, stateNow } from "../history/outcome.ts";
import { keptSinceOf, letGoOf, outstandingOf, overtakenOf } from "../history/outstanding.ts";
import { differenceText, leftOutNow, NOBODY_LEFT_OUT, type Present } from "../history/present.ts";
import { stillThereOf } from "../history/still-there.ts";
import { listText } from "../history/words.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import { QuestionCursors, type WithCursor } from "../journal/question-cursors.ts";
import { inSlices, Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import type { Hold } from "../rollout/state.ts";
import { alarmView, gateView } from "./gate-view.ts";
import type { AlarmState } from "../rollout/alarms.ts";
import type { GateState } from "../rollout/gates.ts";
import { placesTaken } from "../rollout/words.ts";
import { awaitsStart, isEnded, mayGoBack, type RolloutPhase, type RolloutState, type TargetState as TargetStateName, wentBack } from "../rollout/state.ts";
import { isTailTripped } from "../rollout/tail.ts";
import type { Strategy } from "../plan/strategy.ts";
import { reasonOf, targetState } from "./message-words.ts";
import { targetsOf, unchangedOf } from "./target-views.ts";

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
/** Likewise of those that are not heard. */
const REVOKED_ASKED_MAX = 20;

const UNDER_WAY = "SELECT machine, generation FROM targets WHERE deployment = ? AND state IN ('updating', 'reverting') ORDER BY generation LIMIT ?";
/**
 * On their way by what the machine was told last: of what a newer deployment has told something else, nothing is to come any more. Nobody listens to one that was lost when the deployment was aborted, or another
 * took its place; it may be heard again all the same, and owe its answer still.
 */
const HEARD_UNDER_WAY = `SELECT t.machine FROM assignments a JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine JOIN deployments d ON d.id = a.deployment JOIN machines m ON m.id = t.machine
  WHERE a.deployment = ? AND (t.state IN ('updating', 'reverting') OR (t.state = 'unreachable' AND t.purpose IS NOT NULL AND d.phase IN ('aborted', 'superseded'))) AND a.awaited_attended IS NOT NULL AND m.silent_since IS NULL AND m.drained = 0`;
/** Where the release can't be read, the rest is shown. */
const DEPLOYMENT = "SELECT d.*, coalesce(r.artifact, '') AS artifact FROM deployments d LEFT JOIN releases r ON r.id = d.release WHERE d.id = ?";
/** Of its targets each is counted: of 10,000 that takes a millisecond. */
const ROWS_A_DEPLOYMENT = 50;

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

  /** What it waits for; empty when it waits for nothing, or is not there. */
  waitingOn(id: DeploymentId): string {
    return this.find(id) === undefined ? "" : this.#waitingOn(this.#row(id), this.#waiting(id) ?? "");
  }

  /**
   * Without its targets; undefined when there is none. An empty id: the newest. One that is under way is shown as it is at one moment. Of one that has ended, the machines on which its outcome does not hold, and those that
   * are not well, are looked for in slices, and each counts as it is at a moment of its own.
   */
  async one(id: string): Promise<Deployment | undefined> {
    const found = this.find(id);
    if (found === undefined) return undefined;
    const deployment = await this.#view(this.#row(found), new Slice());
    return needsRemedy(deployment) ? { ...deployment, remedies: await this.#present?.remedies(found) } : deployment;
  }

  /** The same with its targets, which are read in slices before it: each of them is as it is at a moment of its own, and the rest as it is at the end. */
  async withTargets(id: string): Promise<Deployment | undefined> {
    const found = this.find(id);
    if (found === undefined) return undefined;
    const row = this.#row(found);
    const isNow = this.#present !== undefined;
    try {
      const targets = [...(await targetsOf(this.#db, row, isNow)), ...(await unchangedOf(this.#db, row, isNow))];
      return { ...(await this.one(found))!, targets };
    } catch (error) {
      return unreadable(row, error);
    }
  }

  /** Newest first, in slices; one that is submitted meanwhile is missing. */
  async list({ app, activeOnly, limit }: DeploymentFilter): Promise<Deployment[]> {
    const slice = new Slice();
    const deployments: Deployment[] = [];
    for (const id of this.#ids({ app, activeOnly, limit })) {
      deployments.push(await this.#view(this.#row(id), slice));
      await slice.took(ROWS_A_DEPLOYMENT);
    }
    return deployments;
  }

  #ids({ app, activeOnly, limit }: DeploymentFilter): readonly DeploymentId[] {
    const wanted = [...(app === "" ? [] : ["app = @app"]), ...(activeOnly ? ["ended_at IS NULL"] : [])];
    const where = wanted.length === 0 ? "" : `WHERE ${wanted.join(" AND ")}`;
    return statement(this.#db, `SELECT id FROM deployments ${where} ORDER BY number DESC LIMIT @limit`).pluck().all(app === "" ? { limit } : { app, limit }) as DeploymentId[];
  }

  /** Deployments are never removed. */
  #row(id: DeploymentId): DeploymentRow {
    return statement(this.#db, DEPLOYMENT).get(id) as DeploymentRow;
  }

  /** One that can't be read hides no other, and is shown with what can be. */
  async #view(row: DeploymentRow, slice: Slice): Promise<Deployment> {
    try {
      return await this.#whole(row, slice);
    } catch (error) {
      return unreadable(row, error);
    }
  }

  async #whole(row: DeploymentRow, slice: Slice): Promise<Deployment> {
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
      targets: [],
      ...(await this.#ending(row, counts, slice)),
      now: await this.#now(row, unchanged, slice),
      // Asked for where one is shown.
      remedies: undefined,
      underWay: isEnded(row.phase) && this.#isUnderWay(row, counts),
    };
  }

  async #ending(row: DeploymentRow, counts: TargetCounts, slice: Slice): Promise<Pick<Deployment, "outcome" | "outstanding" | "overtaken">> {
    const { id, phase } = row;
    if (!isEnded(phase)) return { outcome: "", outstanding: undefined, overtaken: undefined };
    const version = versionOf(row);
    // Where all are as it ended, which is the rule, no target is looked at.
    const ending = { phase, beganBack: row.back_seq !== null };
    const isOpen = openStates(ending).some((state) => counts[state] > 0);
    const outstanding = isOpen ? await inSlices(outstandingOf(this.#db, id, ending, this.#present), slice) : NOBODY_OUTSTANDING;
    const overtaken = isOpen && phase === "succeeded" && this.#present !== undefined ? await inSlices(overtakenOf(this.#db, id), slice) : NOBODY_OVERTAKEN;
    const stillThere = this.#present === undefined ? NOBODY_STILL_THERE : await inSlices(stillThereOf(this.#db, id, ending, counts), slice);
    const letGo = phase === "succeeded" && counts.skipped > 0 ? await inSlices(letGoOf(this.#db, id), slice) : NOBODY_OUTSTANDING;
    const keptSince = (phase === "aborted" || phase === "failed") && this.#present !== undefined && counts.healthy > 0 ? await inSlices(keptSinceOf(this.#db, id, { app: row.app, version }), slice) : KEPT_STILL;
    const outcome = outcomeText({ ...ending, version, counts, outstanding, overtaken, stillThere, letGo, keptSince });
    const left = outstanding.targets.map((target) => ({ machine: target.machine, state: targetState(stateNow(ending, target)), text: outstandingText(ending, version, target) }));
    const past = overtaken.targets.map((target) => ({ machine: target.machine, state: targetState(target.state), text: overtakenText(target) }));
    return { outcome, outstanding: outstanding.count === 0 ? undefined : { count: outstanding.count, machines: left, removed: removedCount(outstanding) }, overtaken: overtaken.count === 0 ? undefined : { count: overtaken.count, machines: past, removed: 0 } };
  }

  async #now(row: DeploymentRow, unchanged: readonly string[], slice: Slice): Promise<DeploymentNow | undefined> {
    const { id, app, release, phase } = row;
    const own = this.#present?.nowOf(id);
    if (own === undefined) return undefined;
    const leftOut = phase === "succeeded" ? await leftOutNow(this.#db, { id, app, release, unchanged }, this.#present, slice) : NOBODY_LEFT_OUT;
    const now = { machines: own.machines + leftOut.machines, healthy: own.healthy + leftOut.healthy, bad: own.bad + leftOut.bad };
    if (now.machines === 0) return undefined;
    const hasEnded = isEnded(phase);
    const unsound = phase === "succeeded" ? this.#present?.unsound(id) : undefined;
    return { ...now, text: hasEnded ? await differenceText(this.#db, id, phase, own, slice, leftOut) : "", lateWaitsFor: unsound ?? "" };
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
    return [waiting, ...(state === undefined ? [] : [this.#revokedText(state), placesTaken(state)]), this.#troubleUnderWay(row) ?? ""].filter((part) => part !== "").join("; ");
  }

  /** Whoever is waited for to be heard may never be. */
  #revokedText({ waves, targets }: RolloutState): string {
    const isRevoked = this.#present?.isRevoked;
    if (isRevoked === undefined || waves.every(({ counts }) => counts.unreachable === 0)) return "";
    const silent = targets.values().filter(({ state }) => state === "unreachable").take(REVOKED_ASKED_MAX);
    const revoked = [...silent.filter(({ machine }) => isRevoked(machine)).map(({ machine }) => machine)];
    const least = waves.reduce((sum, { counts }) => sum + counts.unreachable, 0) > REVOKED_ASKED_MAX ? "at least " : "";
    return revoked.length === 0 ? "" : `${least}${listText(revoked)} ${revoked.length === 1 ? "was" : "were"} revoked, and ${revoked.length === 1 ? "is" : "are"} never heard again`;
  }

  /** What one of the machines under way says keeps it from being healthy: of those that began first, since the others have hardly had time. */
  #troubleUnderWay(row: DeploymentRow): string | undefined {
    const db = this.#db;
    const state = this.#rollout(row.id);
    const asked = statement(db, "SELECT reason_message FROM machine_apps WHERE machine = ? AND app = ? AND generation = ? AND reason_message <> ''").pluck();
    const underWay =
      state === undefined
        ? (statement(db, UNDER_WAY).all(row.id, TROUBLED_ASKED_MAX) as { readonly machine: MachineId; readonly generation: number }[])
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
        successThresholdOf: each.success_threshold === null ? 0 : this.#newTo(row.id, wave) + each.folded_new,
      };
    });
  }

  /** Targets of a wave to which the release is new, of those that the tables still have: of all of them, a success threshold asks for so many. */
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
}

/** Throws when it is the disk that failed. */
function unreadable(row: DeploymentRow, error: unknown): Deployment {
  if (isFaultOfDisk(error)) throw error;
  const { id, app, artifact, max_unavailable: maxUnavailable } = row;
  const notes = [`not all that is kept of it can be read, through a fault of the controller itself (${error instanceof Error ? error.message : String(error)}); report the fault`];
  const times = { submittedAt: row.submitted_at, startedAt: row.started_at ?? 0, endedAt: row.ended_at ?? 0 };
  return Deployment.fromPartial({ id, app, artifact, version: versionOf(row), phase: deploymentPhase(row), reason: reasonOf(row), targetsSelector: row.selector, ...times, notes, maxUnavailable, promoted: row.promoted === 1, counts: noCounts() });
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
  readonly folded_new: number;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly changed_at: number;
}

/** What paused it counts those of that moment. */
function withFailuresSince(reason: Reason | undefined, wave: Wave | undefined): Reason | undefined {
  const then = /^([0-9]+) machines? failed in wave ([0-9]+)/.exec(reason?.message ?? "");
  const failed = wave?.counts?.failed ?? 0;
  if (reason === undefined || then === null || Number(then[2]) !== wave?.index || failed <= Number(then[1])) return reason;
  return { ...reason, message: `${reason.message}; now ${failed} have failed` };
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

function wavePhase(row: DeploymentRow, { wave, started_at, finished_at }: WaveRow, { healthy, pending, updating, reverting, reverted, removed }: TargetCounts): WavePhase {
  const finished = finished_at !== null;
  if (finished && reverting > 0) return WavePhase.ROLLING_BACK;
  if (finished && reverted > 0) return row.phase === "rolling_back" ? WavePhase.ROLLING_BACK : WavePhase.ROLLED_BACK;
  // All that were to go back are gone.
  if (finished && row.phase === "rolled_back" && removed > 0 && healthy === 0) return WavePhase.ROLLED_BACK;
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
