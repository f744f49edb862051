/**
 * On which machines of a deployment its outcome does not hold yet, or did not hold before a newer deployment decided there: read from the tables when somebody asks, in steps.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Steps } from "../journal/slices.ts";
import { leftWithRelease, stands } from "../journal/standing.ts";
import { statement } from "../journal/statement.ts";
import type { AgentPhase, RolloutState, TargetState } from "../rollout/state.ts";
import { type Ending, NOBODY_OVERTAKEN, openStates, type OutstandingTarget, type Overtaken, type OvertakenTarget } from "./outcome.ts";
import type { Present } from "./present.ts";
import { inWaves, type InWave, type Question, TARGET_PAGE } from "./target-pages.ts";

/** Of those on which an outcome does not hold: enough for a person to begin with. */
const OUTSTANDING_READ_MAX = 10;

/**
 * Of a target `t` of a deployment `d`: it took the release, or is still to get it. One whose labels match no more, or that a newer deployment has, is neither, and one that was drained is so when it was lost with what it had; nor is one that was removed when it had said that it runs something else, or, of a success, when it left well.
 */
const IS_OPEN = `(t.state <> 'skipped' OR d.phase = 'succeeded' OR (t.left_as = 'lost' AND (d.phase <> 'rolled_back' OR a.awaited_attended IS NOT NULL)) OR (d.phase IN ('rolled_back', 'superseded') AND d.back_seq IS NOT NULL AND t.reason_code = 'superseded' AND (NOT @isNow OR a.release IS d.release)))
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

export interface Outstanding {
  readonly targets: readonly OutstandingTarget[];
  readonly count: number;
}

const OPEN = (condition: string): string => `
  SELECT t.machine, t.position, t.state, t.purpose, t.attempts, t.reason_code AS reason, t.reason_message AS message, t.left_as AS leftAs, ${condition} AS holds FROM ${TARGET_PAGE} t ${JOINS} ORDER BY t.machine`;
const OPEN_NOW = OPEN(`(${IS_OPEN} AND ${IS_OWN})`);
const OPEN_THEN = OPEN(`(${IS_OPEN})`);

/** Empty before the end. `present`: how its machines are now, and later decisions about them, count; undefined: it is as the deployment left it. */
export function* outstandingOf(db: Database, id: DeploymentId, ending: Ending, present: Pick<Present, "isOverdue" | "isRevoked"> | undefined): Steps<Outstanding> {
  const isNow = present !== undefined;
  const select = ({ machine, state, purpose, attempts, reason, message, leftAs }: OutstandingTarget & InWave): OutstandingTarget => ({ machine, state, purpose, attempts, reason: reason ?? null, message: message ?? null, leftAs: leftAs ?? null });
  const { targets, count } = yield* firstOf(db, id, openStates(ending), { sql: isNow ? OPEN_NOW : OPEN_THEN, given: { isNow: isNow ? 1 : 0 }, select });
  return { targets: present === undefined ? targets : targets.map((target) => ({ ...target, ...heardNow(db, id, target.machine as MachineId, present) })), count };
}

/** `newer`: what a newer deployment that stands has for a machine that this one was to take back, and that was not heard since. */
const HEARD = `SELECT d.app, m.silent_since IS NOT NULL AS isSilent, CASE WHEN a.awaited_attended IS NULL AND ma.generation = a.generation THEN ma.phase END AS answer,
    (SELECT o.id FROM deployments o JOIN targets x ON x.deployment = o.id AND x.machine = m.id
     WHERE o.app = d.app AND o.start_seq > d.start_seq AND ${stands("o")} AND x.attempts = 0 AND x.state IN ('pending', 'unreachable') ORDER BY o.start_seq DESC LIMIT 1) AS newer
  FROM deployments d CROSS JOIN machines m LEFT JOIN assignments a ON a.machine = m.id AND a.app = d.app LEFT JOIN machine_apps ma ON ma.machine = m.id AND ma.app = d.app WHERE d.id = ? AND m.id = ?`;

/** Nothing of one that is not in the fleet any more. */
function heardNow(db: Database, id: DeploymentId, machine: MachineId, present: Pick<Present, "isOverdue" | "isRevoked">): Pick<OutstandingTarget, "isHeard" | "isRevoked" | "isOverdue" | "answer" | "newer"> {
  const row = statement(db, HEARD).get(id, machine) as { readonly app: AppName; readonly isSilent: 0 | 1; readonly answer: AgentPhase | null; readonly newer: string | null } | undefined;
  if (row === undefined) return {};
  const isHeard = row.isSilent === 0;
  return { isHeard, isRevoked: present.isRevoked?.(machine) === true, isOverdue: isHeard && present.isOverdue(machine, row.app), answer: row.answer, newer: row.newer };
}

/** Those that are named, and how many there are. */
function* firstOf<Row extends InWave, Found>(db: Database, id: DeploymentId, states: readonly TargetState[], question: Question<Row, Found>): Steps<{ readonly targets: readonly Found[]; readonly count: number }> {
  const targets: Found[] = [];
  let count = 0;
  yield* inWaves(db, id, states, question, (found) => {
    targets.push(...found.slice(0, OUTSTANDING_READ_MAX - targets.length));
    count += found.length;
    return false;
  });
  return { targets, count };
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
  const { targets, count } = yield* firstOf(db, id, MISSED_STATES, { sql: OVERTAKEN, given: {}, select });
  const archived = statement(db, "SELECT coalesce(sum(count), 0) FROM archived_targets WHERE deployment = @id AND state IN (SELECT value FROM json_each(@states))").pluck().get({ id, states: JSON.stringify(MISSED_STATES) }) as number;
  return count + archived === 0 ? NOBODY_OVERTAKEN : { targets, count: count + archived, archived };
}

/** The same of one whose targets are in the archive, as it was read from there. */
export function overtakenIn(db: Database, { id, targets }: Pick<RolloutState, "id" | "targets">): Overtaken {
  const missed = [...targets.values()].filter(({ state, attempts, reason }) => MISSED_STATES.includes(state) && (attempts > 0 || reason?.code !== "unmatched"));
  const by = statement(db, `SELECT ${OVERTAKEN_BY} FROM deployments d LEFT JOIN assignments a ON a.machine = @machine AND a.app = d.app WHERE d.id = @id`).pluck();
  const named = missed.slice(0, OUTSTANDING_READ_MAX).map(({ machine, state, attempts }) => ({ machine, state, attempts, by: by.get({ id, machine }) as string | null }));
  return { targets: named, count: missed.length, archived: 0 };
}

const ELSEWHERE = `SELECT t.machine, t.position, (a.deployment IS NOT d.id AND a.release IS NOT d.release) AS holds FROM ${TARGET_PAGE} t ${JOINS} ORDER BY t.machine`;

/** Something newer was decided about machines that got its release, so that they do not run it any more. Of one whose targets are in the archive: about all of them. */
export function* isRunElsewhere(db: Database, id: DeploymentId): Steps<boolean> {
  if (statement(db, "SELECT 1 FROM archived_targets WHERE deployment = ? AND state = 'healthy'").get(id) !== undefined) return true;
  let isElsewhere = false;
  yield* inWaves(db, id, ["healthy"], { sql: ELSEWHERE, given: {}, select: ({ machine }: InWave) => machine }, (found) => (isElsewhere = found.length > 0));
  return isElsewhere;
}

const KEEPERS = `SELECT u.value FROM deployments d, json_each(d.unchanged) u JOIN machines m ON m.id = u.value JOIN assignments a ON a.machine = u.value AND a.app = d.app
  WHERE d.id = ? AND a.release IS d.release AND a.decided_seq < d.back_seq`;

/** Of one that was taken back: machines that it left out, since they ran its release already, and that are to run it still. `unchanged`: so many it left out. */
export function* keepersOf(db: Database, id: DeploymentId, unchanged: number): Steps<readonly string[]> {
  const keepers = statement(db, KEEPERS).pluck().all(id) as string[];
  yield unchanged;
  return keepers;
}

const ON_TRIAL = `SELECT t.machine FROM targets t JOIN deployments d ON d.id = t.deployment JOIN waves w ON w.deployment = t.deployment AND w.wave = t.wave JOIN assignments a ON a.machine = t.machine AND a.app = d.app
  WHERE t.deployment = ? AND t.state = 'healthy' AND t.confirmed_seq IS NULL AND w.finished_seq IS NULL AND a.deployment = d.id AND a.release IS d.release ORDER BY t.position`;

/** Of one that something took the place of in the middle of a wave: machines that run its release still, which nobody has called good. `healthy`: so many of its targets are. */
export function* onTrialOf(db: Database, id: DeploymentId, healthy: number): Steps<readonly string[]> {
  const onTrial = statement(db, ON_TRIAL).pluck().all(id) as string[];
  yield healthy;
  return onTrial;
}
