/**
 * On which machines of a deployment its outcome does not hold yet, or did not hold before a newer deployment decided there: read from the tables when somebody asks, in steps.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Steps } from "../journal/slices.ts";
import { leftWithRelease, stands } from "../journal/standing.ts";
import { statement } from "../journal/statement.ts";
import { wasLost } from "../rollout/evidence.ts";
import type { RolloutState, TargetState } from "../rollout/state.ts";
import { type Ending, type KeptSince, letGoTarget, NOBODY_OVERTAKEN, openStates, type Outstanding, outstandingKind, type OutstandingTarget, type Overtaken, overtakenKind, type OvertakenTarget } from "./outcome.ts";
import type { Present } from "./present.ts";
import { Tally, type Tallied } from "./tally.ts";
import { inWaves, type InWave, type Question, ROWS_A_TARGET, TARGET_PAGE } from "./target-pages.ts";

/**
 * Of a target `t` of a deployment `d`: it took the release, or is still to get it. One whose labels match no more, or that a newer deployment has, is neither, and one that was drained is so when it was lost with what it had; nor is one that was removed when it had said that it runs something else, or, of a success, when it left well.
 */
const IS_OPEN = `(t.state <> 'skipped' OR d.phase = 'succeeded' OR (t.left_as IN ('lost', 'excused') AND (d.phase <> 'rolled_back' OR a.awaited_attended IS NOT NULL)) OR (d.phase IN ('rolled_back', 'superseded') AND d.back_seq IS NOT NULL AND t.reason_code = 'superseded' AND (NOT @isNow OR a.release IS d.release)))
  AND (t.state <> 'removed' OR CASE WHEN d.phase = 'succeeded' THEN t.left_as IS NOT NULL ELSE ${leftWithRelease("t", "d")} END)
  AND (t.attempts > 0 OR (d.phase = 'succeeded' AND t.state <> 'removed' AND coalesce(t.reason_code, '') NOT IN ('unmatched', 'superseded')))`;

/** The deployment takes its release back, and the machine was told nothing since that began, whoever it has the release from. */
const RUNS_IT_STILL = "coalesce(a.release IS d.release AND a.decided_seq < d.back_seq, 0)";

/** Nothing newer was decided about the machine; who was passed over still gets it while no newer deployment stands. */
const IS_OWN = `(t.state = 'removed' OR coalesce(a.deployment = d.id, 0) OR (t.attempts > 0 AND ${RUNS_IT_STILL})
  OR (t.attempts = 0 AND coalesce(a.decided_seq < d.start_seq, 1) AND NOT EXISTS (
    SELECT 1 FROM deployments o WHERE o.app = d.app AND o.selector = d.selector AND ${stands("o")} AND o.start_seq > d.start_seq)))`;

/** Deployment and assignment of a target. */
const JOINS = "CROSS JOIN deployments d ON d.id = t.deployment LEFT JOIN assignments a ON a.machine = t.machine AND a.app = d.app";

/** `newer`: of `@newer`, the newest first, the one that has its first turn on the machine when that is heard. */
const OPEN = (condition: string): string => `
  SELECT t.machine, t.position, t.state, t.purpose, t.attempts, t.reason_code AS reason, t.reason_message AS message, t.left_as AS leftAs, d.app, (t.previous IS d.release AND t.previous_as_late = 0) AS isBackOnIt,
    m.silent_since IS NULL AS isHeard, m.cordoned_at IS NOT NULL AS isCordoned, m.id IS NOT NULL AS isThere, CASE WHEN a.awaited_attended IS NULL AND ma.generation = a.generation THEN ma.phase END AS answer,
    CASE WHEN t.state = 'unreachable' THEN (SELECT n.value FROM json_each(@newer) n JOIN targets x ON x.deployment = n.value AND x.machine = t.machine WHERE x.attempts = 0 AND x.state IN ('pending', 'unreachable') ORDER BY n.key LIMIT 1) END AS newer,
    ${condition} AS holds
  FROM ${TARGET_PAGE} t ${JOINS} LEFT JOIN machines m ON m.id = t.machine LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = d.app ORDER BY t.machine`;
const OPEN_NOW = OPEN(`(${IS_OPEN} AND ${IS_OWN})`);
const OPEN_THEN = OPEN(`(${IS_OPEN})`);

interface OpenRow extends InWave, Required<Pick<OutstandingTarget, "state" | "purpose" | "attempts" | "reason" | "message" | "leftAs" | "answer" | "newer">> {
  readonly app: AppName;
  readonly isBackOnIt: 0 | 1;
  readonly isHeard: 0 | 1;
  readonly isCordoned: 0 | 1;
  /** Nothing is known of one that is not in the fleet any more. */
  readonly isThere: 0 | 1;
}

/** Nobody before the end. `present`: how its machines are now, and later decisions about them, count; undefined: it is as the deployment left it. */
export function* outstandingOf(db: Database, id: DeploymentId, ending: Ending, present: Pick<Present, "isOverdue" | "isRevoked"> | undefined): Steps<Outstanding> {
  const isNow = present !== undefined;
  const newer = isNow && ending.beganBack ? yield* newerWithTurns(db, id) : [];
  const select = ({ machine, state, purpose, attempts, reason, message, leftAs, isBackOnIt, ...row }: OpenRow): OutstandingTarget => {
    const target = { machine, state, purpose, attempts, reason, message, leftAs, isBackOnIt: isBackOnIt === 1 };
    return present === undefined || row.isThere === 0 ? target : { ...target, ...heardNow(target, row, present) };
  };
  const question: Question<OpenRow, OutstandingTarget> = { sql: isNow ? OPEN_NOW : OPEN_THEN, given: { isNow: isNow ? 1 : 0, newer: JSON.stringify(newer) }, select };
  return yield* firstOf(db, id, openStates(ending), question, outstandingKind(ending));
}

/** Whether it was revoked is looked up, and so asked only of those that are not heard. */
function heardNow(target: OutstandingTarget, { app, answer, newer, ...row }: Pick<OpenRow, "app" | "isHeard" | "isCordoned" | "answer" | "newer">, present: Pick<Present, "isOverdue" | "isRevoked">): Pick<OutstandingTarget, "isHeard" | "isRevoked" | "isCordoned" | "isOverdue" | "answer" | "newer"> {
  const isHeard = row.isHeard === 1;
  const machine = target.machine as MachineId;
  const isLost = target.state === "unreachable" || wasLost(target) || !isHeard;
  return { isHeard, isRevoked: isLost && present.isRevoked?.(machine) === true, isCordoned: row.isCordoned === 1, isOverdue: isHeard && present.isOverdue(machine, app), answer, newer };
}

const HAS_SOME = (...states: readonly TargetState[]): string => `SELECT 1 FROM waves w JOIN targets t ON t.deployment = w.deployment AND t.wave = w.wave AND t.state IN ('${states.join("', '")}') WHERE w.deployment = ? LIMIT 1`;
const HAS_UNREACHABLE = HAS_SOME("unreachable");
const HAS_TO_COME = HAS_SOME("pending", "unreachable");
const DEPLOYMENTS_AT_ONCE = 100;
const NEWER_PAGE = `SELECT o.number, o.id, o.selector, o.start_seq AS startSeq, (o.start_seq > d.start_seq AND ${stands("o")}) AS holds
  FROM deployments d CROSS JOIN (SELECT * FROM deployments WHERE app = @app AND number > @after ORDER BY number LIMIT ${DEPLOYMENTS_AT_ONCE}) o WHERE d.id = @id ORDER BY o.number`;

/** The deployments that stand for their selectors, began after this one, and may have something for a machine of it that is heard again. The newest first. */
function* newerWithTurns(db: Database, id: DeploymentId): Steps<readonly string[]> {
  if (statement(db, HAS_UNREACHABLE).get(id) === undefined) return [];
  const app = statement(db, "SELECT app FROM deployments WHERE id = ?").pluck().get(id);
  const newest = new Map<string, { readonly id: string; readonly startSeq: number }>();
  for (let after = 0; ; ) {
    const rows = statement(db, NEWER_PAGE).all({ app, after, id }) as { readonly number: number; readonly id: string; readonly selector: string; readonly startSeq: number; readonly holds: number | null }[];
    for (const row of rows) if (row.holds === 1 && row.startSeq > (newest.get(row.selector)?.startSeq ?? 0)) newest.set(row.selector, row);
    yield 1 + rows.length;
    if (rows.length < DEPLOYMENTS_AT_ONCE) break;
    after = rows.at(-1)!.number;
  }
  const found: string[] = [];
  for (const { id: each } of [...newest.values()].sort((a, b) => b.startSeq - a.startSeq)) {
    if (statement(db, HAS_TO_COME).get(each) !== undefined) found.push(each);
    yield 1;
  }
  return found;
}

/** The first of each kind, and how many there are of it, in the order of the waves. */
function* firstOf<Row extends InWave, Found>(db: Database, id: DeploymentId, states: readonly TargetState[], question: Question<Row, Found>, kindOf: (found: Found) => string): Steps<Tallied<Found>> {
  const tally = new Tally(kindOf);
  yield* inWaves(db, id, states, question, (found) => {
    for (const each of found) tally.add(each);
    return false;
  });
  return tally.end();
}

/** Of a success: it did not hold there, and something newer was decided about the machine. Whose labels match no more was let go, and is not missed. */
const IS_OVERTAKEN = `(d.phase = 'succeeded' AND (t.attempts > 0 OR t.reason_code IS NOT 'unmatched')
  AND NOT ((t.attempts > 0 OR t.reason_code IS NOT 'superseded') AND ${IS_OWN}))`;

/** Nobody decides about one that is no part of the fleet any more. */
const MISSED_STATES: readonly TargetState[] = openStates({ phase: "succeeded", beganBack: false }).filter((state) => state !== "removed");

/** Who has decided there since; null: nobody has told the machine anything yet. */
const OVERTAKEN_BY = `CASE WHEN a.deployment <> d.id AND a.decided_seq > d.start_seq THEN a.deployment
  ELSE (SELECT o.id FROM deployments o WHERE o.app = d.app AND o.selector = d.selector AND ${stands("o")} AND o.start_seq > d.start_seq ORDER BY o.start_seq DESC LIMIT 1) END`;

const OVERTAKEN = `SELECT t.machine, t.position, t.state, t.attempts, ${IS_OVERTAKEN} AS holds, CASE WHEN ${IS_OVERTAKEN} THEN ${OVERTAKEN_BY} END AS by FROM ${TARGET_PAGE} t ${JOINS} ORDER BY t.machine`;

/** Those of a success on which it did not hold, and that newer deployments have by now. */
export function* overtakenOf(db: Database, id: DeploymentId): Steps<Overtaken> {
  const select = ({ machine, state, attempts, by }: OvertakenTarget & InWave): OvertakenTarget => ({ machine, state, attempts, by });
  const missed = yield* firstOf(db, id, MISSED_STATES, { sql: OVERTAKEN, given: {}, select }, overtakenKind);
  const archived = statement(db, "SELECT coalesce(sum(count), 0) FROM archived_targets WHERE deployment = @id AND state IN (SELECT value FROM json_each(@states))").pluck().get({ id, states: JSON.stringify(MISSED_STATES) }) as number;
  return missed.count + archived === 0 ? NOBODY_OVERTAKEN : { ...missed, count: missed.count + archived, archived };
}

/** The same of one whose targets are in the archive, as it was read from there. */
export function* overtakenIn(db: Database, { id, targets }: Pick<RolloutState, "id" | "targets">): Steps<Overtaken> {
  const by = statement(db, `SELECT ${OVERTAKEN_BY} FROM deployments d LEFT JOIN assignments a ON a.machine = @machine AND a.app = d.app WHERE d.id = @id`).pluck();
  const tally = new Tally(overtakenKind);
  for (const { machine, state, attempts, reason } of targets.values()) {
    if (!MISSED_STATES.includes(state) || (attempts === 0 && reason?.code === "unmatched")) continue;
    tally.add({ machine, state, attempts, by: by.get({ id, machine }) as string | null });
    yield ROWS_A_TARGET;
  }
  return { ...tally.end(), archived: 0 };
}

const ELSEWHERE = `SELECT t.machine, t.position, (a.deployment IS NOT d.id AND a.release IS NOT d.release) AS holds FROM ${TARGET_PAGE} t ${JOINS} ORDER BY t.machine`;

/** Something newer was decided about machines that got its release, so that they do not run it any more. Of one whose targets are in the archive: about all of them. */
export function* isRunElsewhere(db: Database, id: DeploymentId): Steps<boolean> {
  if (statement(db, "SELECT 1 FROM archived_targets WHERE deployment = ? AND state = 'healthy'").get(id) !== undefined) return true;
  let isElsewhere = false;
  yield* inWaves(db, id, ["healthy"], { sql: ELSEWHERE, given: {}, select: ({ machine }: InWave) => machine }, (found) => (isElsewhere = found.length > 0));
  return isElsewhere;
}

const LET_GO = `SELECT t.machine, t.position, t.attempts = 0 AND t.reason_code IS 'unmatched' AS holds FROM ${TARGET_PAGE} t ORDER BY t.machine`;

/** Of a success: those that had no turn, since their labels matched no more. One that had taken the release before is outstanding. */
export function* letGoOf(db: Database, id: DeploymentId): Steps<Outstanding> {
  const select = ({ machine }: InWave): OutstandingTarget => letGoTarget(machine);
  const found = yield* firstOf(db, id, ["skipped"], { sql: LET_GO, given: {}, select }, outstandingKind({ phase: "succeeded", beganBack: false }));
  return { ...found, count: found.count + archivedAs(db, id, "unmatched") };
}

/** `isDecided`: a newer deployment has told the machine something, whatever that was. In the archive are such alone. */
const KEPT_SINCE = `SELECT t.machine, t.position, a.deployment <> d.id AS isDecided, (a.deployment <> d.id OR ma.running_version <> @version) AS holds
  FROM ${TARGET_PAGE} t ${JOINS} LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = @app ORDER BY t.machine`;

/** Of those that a deployment ended with as healthy. */
export function* keptSinceOf(db: Database, id: DeploymentId, { app, version }: { readonly app: string; readonly version: string }): Steps<KeptSince> {
  let [gone, decided] = [0, archivedAs(db, id, "healthy")];
  const select = ({ isDecided }: InWave & { readonly isDecided: number | null }): boolean => isDecided === 1;
  yield* inWaves(db, id, ["healthy"], { sql: KEPT_SINCE, given: { app, version }, select }, (found) => {
    const told = found.filter((isDecided) => isDecided).length;
    decided += told;
    gone += found.length - told;
    return false;
  });
  return { gone, decided };
}

function archivedAs(db: Database, id: DeploymentId, state: "unmatched" | "healthy"): number {
  return statement(db, "SELECT coalesce(sum(count), 0) FROM archived_targets WHERE deployment = ? AND state = ?").pluck().get(id, state) as number;
}
