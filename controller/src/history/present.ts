/**
 * How the machines of a deployment are now, and on which of them its outcome does not hold yet: read from the tables when somebody asks.
 *
 * The engine counts (`engine/deployments-now.ts`); here the machines behind the counts are named, with what they say. Nothing is scanned for a deployment whose machines are all well.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Remedies } from "../engine/comebacks.ts";
import { NOBODY, type Now } from "../engine/deployments-now.ts";
import { leftWithRelease, stands } from "../journal/standing.ts";
import { statement } from "../journal/statement.ts";
import type { RolloutPhase, RolloutState, TargetState } from "../rollout/state.ts";
import { type Ending, NOBODY_OVERTAKEN, openStates, type OutstandingTarget, type Overtaken, type OvertakenTarget } from "./outcome.ts";
import { listText } from "./words.ts";

/** What the engine knows at this moment. */
export interface Present {
  nowOf(id: DeploymentId): Now;
  /** Why machines that come late do not get the release of a deployment that has succeeded; undefined: they do. */
  unsound(id: DeploymentId): string | undefined;
  /** The machine is heard, and its time to answer for what it was assigned of the app is over. */
  isOverdue(machine: MachineId, app: AppName): boolean;
  /** Which commands would mend a deployment that went wrong. */
  remedies(id: DeploymentId): Remedies;
}

/** Of those on which an outcome does not hold: enough for a person to begin with. */
const OUTSTANDING_READ_MAX = 10;
/** Machines that are named with what is wrong with them. */
const TROUBLED_NAMED_MAX = 3;

/**
 * Of a target `t` of a deployment `d`: it took the release, or is still to get it. One whose labels match no more, or that a newer deployment has, is neither; nor is one that was removed when it had said that it runs something else.
 */
const IS_OPEN = `t.deployment = @id AND t.state IN (SELECT value FROM json_each(@states))
  AND (t.state <> 'skipped' OR d.phase <> 'superseded' OR (t.reason_code = 'superseded' AND (NOT @isNow OR a.release IS d.release)))
  AND (t.state <> 'removed' OR ${leftWithRelease("t", "d")})
  AND (t.attempts > 0 OR (d.phase = 'succeeded' AND t.state <> 'removed' AND coalesce(t.reason_code, '') NOT IN ('unmatched', 'superseded')))`;

/** Nothing newer was decided about the machine; who was passed over still gets it while no newer deployment stands. */
const IS_OWN = `(t.state = 'removed' OR coalesce(a.deployment = d.id, 0)
  OR (t.attempts = 0 AND coalesce(a.decided_seq < d.start_seq, 1) AND NOT EXISTS (
    SELECT 1 FROM deployments o WHERE o.app = d.app AND o.selector = d.selector AND ${stands("o")} AND o.start_seq > d.start_seq)))`;

const FROM = "FROM deployments d CROSS JOIN targets t ON t.deployment = d.id LEFT JOIN assignments a ON a.machine = t.machine AND a.app = d.app WHERE d.id = @id AND";

export interface Outstanding {
  readonly targets: readonly OutstandingTarget[];
  readonly count: number;
}

/** What a newer deployment that stands has for a machine that this one was to take back, and that was not heard since. */
const NEWER = `(SELECT o.id FROM deployments o JOIN targets x ON x.deployment = o.id AND x.machine = t.machine
  WHERE o.app = d.app AND o.start_seq > d.start_seq AND ${stands("o")} AND x.attempts = 0 AND x.state IN ('pending', 'unreachable') ORDER BY o.start_seq DESC LIMIT 1)`;

interface OutstandingRow extends OutstandingTarget {
  readonly machine: MachineId;
  readonly app: AppName;
  readonly isSilent: 0 | 1 | null;
}

/** Empty before the end. `present`: how its machines are now, and later decisions about them, count; undefined: it is as the deployment left it. */
export function outstandingOf(db: Database, id: DeploymentId, ending: Ending, present: Pick<Present, "isOverdue"> | undefined): Outstanding {
  const isNow = present !== undefined;
  const given = { id, states: JSON.stringify(openStates(ending)), isNow: isNow ? 1 : 0 };
  const where = `${FROM} ${IS_OPEN} ${isNow ? `AND ${IS_OWN}` : ""}`;
  const rows = statement(
    db,
    `SELECT t.machine, t.state, t.purpose, t.attempts, t.reason_code AS reason, t.reason_message AS message, d.app, (SELECT m.silent_since IS NOT NULL FROM machines m WHERE m.id = t.machine) AS isSilent, ${NEWER} AS newer
     ${where} ORDER BY t.wave, t.position LIMIT ${OUTSTANDING_READ_MAX}`,
  ).all(given) as OutstandingRow[];
  const targets = rows.map(({ app, isSilent, newer, ...target }): OutstandingTarget => {
    if (present === undefined || isSilent === null) return target;
    const isHeard = isSilent === 0;
    return { ...target, newer: newer ?? null, isHeard, isOverdue: isHeard && present.isOverdue(target.machine, app) };
  });
  const count = targets.length < OUTSTANDING_READ_MAX ? targets.length : (statement(db, `SELECT count(*) ${where}`).pluck().get(given) as number);
  return { targets, count };
}

/** Of a success: it did not hold there, and something newer was decided about the machine. Whose labels match no more was let go, and is not missed. */
const IS_OVERTAKEN = `d.phase = 'succeeded' AND t.state IN (SELECT value FROM json_each(@states)) AND (t.attempts > 0 OR t.reason_code IS NOT 'unmatched')
  AND NOT ((t.attempts > 0 OR t.reason_code IS NOT 'superseded') AND ${IS_OWN})`;

/** Who has decided there since; null: nobody has told the machine anything yet. */
const OVERTAKEN_BY = `CASE WHEN a.deployment <> d.id AND a.decided_seq > d.start_seq THEN a.deployment
  ELSE (SELECT o.id FROM deployments o WHERE o.app = d.app AND o.selector = d.selector AND ${stands("o")} AND o.start_seq > d.start_seq ORDER BY o.start_seq DESC LIMIT 1) END`;

/** Those of a success on which it did not hold, and that newer deployments have by now. */
export function overtakenOf(db: Database, id: DeploymentId): Overtaken {
  const given = { id, states: JSON.stringify(openStates({ phase: "succeeded", beganBack: false })) };
  const targets = statement(db, `SELECT t.machine, t.state, t.attempts, ${OVERTAKEN_BY} AS by ${FROM} ${IS_OVERTAKEN} ORDER BY t.wave, t.position LIMIT ${OUTSTANDING_READ_MAX}`).all(given) as OvertakenTarget[];
  const count = targets.length < OUTSTANDING_READ_MAX ? targets.length : (statement(db, `SELECT count(*) ${FROM} ${IS_OVERTAKEN}`).pluck().get(given) as number);
  const archived = statement(db, "SELECT coalesce(sum(count), 0) FROM archived_targets WHERE deployment = @id AND state IN (SELECT value FROM json_each(@states))").pluck().get(given) as number;
  return count + archived === 0 ? NOBODY_OVERTAKEN : { targets, count: count + archived, archived };
}

/** The same of one whose targets are in the archive, as it was read from there. */
export function overtakenIn(db: Database, { id, targets }: Pick<RolloutState, "id" | "targets">): Overtaken {
  const states = openStates({ phase: "succeeded", beganBack: false });
  const missed = [...targets.values()].filter(({ state, attempts, reason }) => states.includes(state) && (attempts > 0 || reason?.code !== "unmatched"));
  const by = statement(db, `SELECT ${OVERTAKEN_BY} FROM deployments d LEFT JOIN assignments a ON a.machine = @machine AND a.app = d.app WHERE d.id = @id`).pluck();
  const named = missed.slice(0, OUTSTANDING_READ_MAX).map(({ machine, state, attempts }) => ({ machine, state, attempts, by: by.get({ id, machine }) as string | null }));
  return { targets: named, count: missed.length, archived: 0 };
}

/** Something newer was decided about machines that got its release, so that they do not run it any more. Of one whose targets are in the archive: about all of them. */
export function isRunElsewhere(db: Database, id: DeploymentId): boolean {
  const isGone = statement(db, "SELECT 1 FROM archived_targets WHERE deployment = ? AND state = 'healthy'").get(id) !== undefined;
  return isGone || statement(db, `SELECT 1 ${FROM} t.state = 'healthy' AND a.deployment IS NOT d.id AND a.release IS NOT d.release LIMIT 1`).get({ id }) !== undefined;
}

/** What is to be known of a machine to say how it is: of `targets` t, `machines` m, `assignments` a and `machine_apps` ma. */
export interface Said {
  readonly deployment: string;
  readonly state: TargetState;
  readonly attempts: number;
  readonly decided_by: string | null;
  readonly is_removal: number;
  readonly is_silent: number | null;
  readonly is_drained: number | null;
  /** Healthy when it was drained, and not confirmed: what it is given back since. Empty: nothing. Null: it is as it was told. */
  readonly given_back: string | null;
  readonly said_phase: string | null;
  readonly said_message: string | null;
}

export const SAID = `t.deployment, t.state, t.attempts, a.deployment AS decided_by, a.release IS NULL AS is_removal, m.silent_since IS NOT NULL AS is_silent, m.drained AS is_drained,
  CASE WHEN t.state = 'healthy' AND a.release IS NOT d.release THEN coalesce(a.release, '') END AS given_back,
  CASE WHEN ma.generation = a.generation THEN ma.phase END AS said_phase, ma.reason_message AS said_message`;

export const SAID_FROM = `JOIN deployments d ON d.id = t.deployment LEFT JOIN machines m ON m.id = t.machine
  LEFT JOIN assignments a ON a.machine = t.machine AND a.app = d.app LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = d.app`;

/** Undefined: it is no target of the deployment. */
export function saidOf(db: Database, id: DeploymentId, machine: MachineId): Said | undefined {
  return statement(db, `SELECT ${SAID} FROM targets t ${SAID_FROM} WHERE t.deployment = ? AND t.machine = ?`).get(id, machine) as Said | undefined;
}

/** How a machine is now, where that is other than its target's state says; undefined: it is as it says, or under way. */
export function nowText(said: Said): string | undefined {
  if (said.attempts === 0 || said.state === "removed" || said.is_silent === null) return undefined;
  if (said.decided_by !== null && said.decided_by !== said.deployment) return `${said.decided_by} decides`;
  if (said.state !== "healthy" && said.state !== "reverted" && said.state !== "failed") return undefined;
  if (said.is_silent === 1) return "not heard";
  if (said.is_drained === 1) return "drained";
  if (said.given_back !== null) return `${said.given_back === "" ? "without the app" : `back on ${said.given_back}`} since a drain`;
  const says = said.said_phase;
  const isWell = says === null || says === "healthy" || (says === "removed" && said.is_removal === 1);
  if (isWell || said.state === "failed") return undefined;
  const why = said.said_message === null || said.said_message === "" ? "" : `: ${said.said_message}`;
  return `${says === "reverted" ? "went back by itself" : says === "reverting" ? "goes back by itself" : says}${why}`;
}

/** A machine that is other than a deployment says. */
interface Troubled {
  readonly machine: string;
  readonly text: string;
}

/** Machines that a deployment left out, since they ran its release: those about which nothing that began later has decided. */
export interface LeftOut extends Now {
  /** The first of those that do not run it well any more. */
  readonly troubled: readonly Troubled[];
}

export const NOBODY_LEFT_OUT: LeftOut = { ...NOBODY, troubled: [] };

/** Whoever a later deployment to the same machines has begun with is its matter: then nobody is looked at. */
const LEFT_OUT = `SELECT j.value AS machine, '' AS deployment, 'healthy' AS state, 1 AS attempts, NULL AS decided_by, 0 AS is_removal, m.silent_since IS NOT NULL AS is_silent, m.drained AS is_drained, NULL AS given_back,
    CASE WHEN ma.generation = a.generation THEN ma.phase END AS said_phase, ma.reason_message AS said_message, a.deployment AS taken_by, a.release
  FROM deployments d CROSS JOIN json_each(d.unchanged) j JOIN machines m ON m.id = j.value JOIN assignments a ON a.machine = j.value AND a.app = d.app JOIN deployments o ON o.id = a.deployment
    LEFT JOIN machine_apps ma ON ma.machine = j.value AND ma.app = d.app
  WHERE d.id = @id AND o.start_seq < d.start_seq
    AND NOT EXISTS (SELECT 1 FROM deployments l WHERE l.app = d.app AND l.selector = d.selector AND l.start_seq > d.start_seq)`;

interface OfRelease {
  readonly id: DeploymentId;
  readonly app: string;
  readonly release: string;
}

/** How the machines are now that it left out. */
export function leftOutNow(db: Database, { id, app, release }: OfRelease): LeftOut {
  const now = { machines: 0, healthy: 0, bad: 0, troubled: [] as Troubled[] };
  for (const { machine, text, isBad } of leftOutMachines(db, { id, app, release })) {
    now.machines += 1;
    if (text === undefined) now.healthy += 1;
    else if (now.troubled.length < TROUBLED_NAMED_MAX) now.troubled.push({ machine, text });
    if (isBad) now.bad += 1;
  }
  return now.machines === 0 ? NOBODY_LEFT_OUT : now;
}

/** One by one. `text`: how it is now; undefined: it runs the release well. */
export function* leftOutMachines(db: Database, { id, app, release }: OfRelease): Generator<{ readonly machine: string; readonly text: string | undefined; readonly isBad: boolean }> {
  for (const row of statement(db, LEFT_OUT).iterate({ id }) as IterableIterator<Said & { readonly machine: string; readonly taken_by: string; readonly release: string | null }>) {
    const has = row.release === release;
    const text = has ? nowText(row) : `${row.release === null ? `without ${app}` : `back on ${row.release.slice(app.length + 1)}`} since ${row.taken_by} was taken back`;
    yield { machine: row.machine, text, isBad: has && text !== undefined && row.is_drained === 0 };
  }
}

/** `0 of 8 healthy: web-1 is unhealthy: exited with code 1; and 7 more`. Empty while the machines are as the deployment left them. */
export function differenceText(db: Database, id: DeploymentId, phase: RolloutPhase, own: Now, leftOut: LeftOut = NOBODY_LEFT_OUT): string {
  const healthy = own.healthy + leftOut.healthy;
  const machines = own.machines + leftOut.machines;
  if (healthy === machines || phase === "pending") return "";
  const troubled: Troubled[] = [...leftOut.troubled];
  // Walks the targets only while somebody is not well, and only as far as the first few of them.
  const rows = statement(db, `SELECT t.machine, ${SAID} FROM targets t ${SAID_FROM} WHERE t.deployment = ? AND t.state IN ('healthy', 'reverted') AND a.deployment = t.deployment ORDER BY t.wave, t.position`);
  for (const row of rows.iterate(id) as IterableIterator<Said & { readonly machine: string }>) {
    if (own.healthy === own.machines || troubled.length >= TROUBLED_NAMED_MAX) break;
    const text = nowText(row);
    if (text !== undefined) troubled.push({ machine: row.machine, text });
  }
  if (troubled.length === 0) return "";
  const left = machines - healthy - troubled.length;
  return `${healthy} of ${machines} healthy: ${troublesText(troubled)}${left > 0 ? `; and ${left} more` : ""}`;
}

/** Those of whom the same is to be said stand together. */
function troublesText(troubled: readonly { readonly machine: string; readonly text: string }[]): string {
  const byText = new Map<string, string[]>();
  for (const { machine, text } of troubled) byText.set(text, [...(byText.get(text) ?? []), machine]);
  return [...byText].map(([text, machines]) => `${listText(machines)} ${text}`).join("; ");
}
