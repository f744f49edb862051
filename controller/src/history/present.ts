/**
 * How the machines of a deployment are now: read from the tables when somebody asks, in slices.
 *
 * The engine counts (`engine/deployments-now.ts`); here the machines behind the counts are named, with what they say. Nothing is scanned for a deployment whose machines are all well.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Remedies } from "../engine/comebacks.ts";
import { NOBODY, type Now } from "../engine/deployments-now.ts";
import { inSlices, type Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { type AgentPhase, FINAL_ANSWERS, type RolloutPhase, type TargetState } from "../rollout/state.ts";
import { inWaves, type InWave, ROWS_A_TARGET, TARGET_PAGE, TARGETS_AT_ONCE } from "./target-pages.ts";
import { listText } from "./words.ts";

/** What the engine knows at this moment. */
export interface Present {
  nowOf(id: DeploymentId): Now;
  /** Why machines that come late do not get the release of a deployment that has succeeded; undefined: they do. */
  unsound(id: DeploymentId): string | undefined;
  /** The machine is heard, and its time to answer for what it was assigned of the app is over. */
  isOverdue(machine: MachineId, app: AppName): boolean;
  /** Its credentials count no more, so it is never heard again. By default nobody's are revoked. */
  isRevoked?(machine: MachineId): boolean;
  /** Which commands would mend a deployment that went wrong. */
  remedies(id: DeploymentId): Promise<Remedies>;
}

/** What the engine knows, and who is in the fleet in name only. */
export function presentOf(engine: Present, isRevoked: (machine: MachineId) => boolean): Present {
  return { nowOf: (id) => engine.nowOf(id), unsound: (id) => engine.unsound(id), isOverdue: (machine, app) => engine.isOverdue(machine, app), remedies: (id) => engine.remedies(id), isRevoked };
}

/** Machines that are named with what is wrong with them. */
const TROUBLED_NAMED_MAX = 3;

/** What is to be known of a machine to say how it is: of `targets` t, `machines` m, `assignments` a and `machine_apps` ma. */
export interface Said {
  readonly deployment: string;
  readonly state: TargetState;
  readonly attempts: number;
  /** Null: nothing of the app is assigned to the machine. */
  readonly decided_by: string | null;
  readonly is_removal: number;
  readonly is_silent: number | null;
  readonly is_drained: number | null;
  /** Healthy when it was drained, and not confirmed: what it is given back since. Empty: nothing. Null: it is as it was told. */
  readonly given_back: string | null;
  /** Its newest answer to its newest assignment. Null: none yet. */
  readonly said_phase: AgentPhase | null;
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
  // A drain is an order: it is drained when it has said that nothing runs there any more.
  if (said.is_drained === 1) return said.said_phase === "removed" ? "drained" : "draining";
  if (said.given_back !== null) return `${said.given_back === "" ? "without the app" : `back on ${said.given_back}`} since a drain`;
  const says = said.said_phase;
  const isWell = said.decided_by === null || says === "healthy" || (says === "removed" && said.is_removal === 1);
  if (isWell || said.state === "failed") return undefined;
  if (says === null) return "without an answer yet";
  const why = said.said_message === null || said.said_message === "" ? "" : `: ${said.said_message}`;
  return `${says === "reverted" ? "went back by itself" : says === "reverting" ? "goes back by itself" : says}${why}`;
}

/** Of a machine that is drained, or is to be. */
export function isDrainText(text: string | undefined): boolean {
  return text === "drained" || text === "draining";
}

/** It is heard, and has not given a final answer: it may be well yet, unless its time to answer is over. */
export function isChanging({ said_phase: says, is_silent }: Pick<Said, "said_phase" | "is_silent">): boolean {
  return is_silent === 0 && (says === null || !FINAL_ANSWERS.includes(says));
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
const HAS_LATER = `SELECT 1 FROM deployments d JOIN deployments l ON l.app = d.app AND l.selector = d.selector AND l.start_seq > d.start_seq WHERE d.id = ? LIMIT 1`;
const LEFT_OUT = `SELECT j.value AS machine, '' AS deployment, 'healthy' AS state, 1 AS attempts, '' AS decided_by, 0 AS is_removal, m.silent_since IS NOT NULL AS is_silent, m.drained AS is_drained, NULL AS given_back,
    CASE WHEN ma.generation = a.generation THEN ma.phase END AS said_phase, ma.reason_message AS said_message, a.deployment AS taken_by, a.release
  FROM json_each(@machines) j CROSS JOIN deployments d ON d.id = @id JOIN machines m ON m.id = j.value JOIN assignments a ON a.machine = j.value AND a.app = d.app JOIN deployments o ON o.id = a.deployment
    LEFT JOIN machine_apps ma ON ma.machine = j.value AND ma.app = d.app
  WHERE o.start_seq < d.start_seq ORDER BY j.key`;

/** A deployment, and the machines that it left out. */
export interface OfLeftOut {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: string;
  readonly unchanged: readonly string[];
}

/** How the machines are now that it left out. */
export async function leftOutNow(db: Database, deployment: OfLeftOut, present: Pick<Present, "isOverdue"> | undefined, slice: Slice): Promise<LeftOut> {
  const now = { machines: 0, healthy: 0, bad: 0, troubled: [] as Troubled[] };
  for await (const { machine, text, isBad } of leftOutMachines(db, deployment, present, slice)) {
    now.machines += 1;
    if (text === undefined) now.healthy += 1;
    else if (now.troubled.length < TROUBLED_NAMED_MAX) now.troubled.push({ machine, text });
    if (isBad) now.bad += 1;
  }
  return now.machines === 0 ? NOBODY_LEFT_OUT : now;
}

/** One by one. `text`: how it is now; undefined: it runs the release well. */
export async function* leftOutMachines(
  db: Database,
  { id, app, release, unchanged }: OfLeftOut,
  present: Pick<Present, "isOverdue"> | undefined,
  slice: Slice,
): AsyncGenerator<{ readonly machine: string; readonly text: string | undefined; readonly isBad: boolean }, void, undefined> {
  if (unchanged.length === 0 || statement(db, HAS_LATER).get(id) !== undefined) return;
  for (let from = 0; from < unchanged.length; from += TARGETS_AT_ONCE) {
    const machines = JSON.stringify(unchanged.slice(from, from + TARGETS_AT_ONCE));
    for (const row of statement(db, LEFT_OUT).all({ id, machines }) as (Said & { readonly machine: MachineId; readonly taken_by: string; readonly release: string | null })[]) {
      const has = row.release === release;
      const text = has ? nowText(row) : `${row.release === null ? `without ${app}` : `back on ${row.release.slice(app.length + 1)}`} since ${row.taken_by} was taken back`;
      const mayBeWell = isChanging(row) && present?.isOverdue(row.machine, app) !== true;
      yield { machine: row.machine, text, isBad: has && text !== undefined && row.is_drained === 0 && !mayBeWell };
    }
    await slice.took(TARGETS_AT_ONCE * ROWS_A_TARGET);
  }
}

const DIFFERENCE = `SELECT t.wave, t.position, t.machine, ${SAID}, a.deployment IS t.deployment AS holds FROM ${TARGET_PAGE} t ${SAID_FROM} ORDER BY t.machine`;

/** `0 of 8 healthy: web-1 is unhealthy: exited with code 1; and 7 more`. Empty while the machines are as the deployment left them. Targets are walked only while somebody is not well, and only as far as the wave of the first few of them. */
export async function differenceText(db: Database, id: DeploymentId, phase: RolloutPhase, own: Now, slice: Slice, leftOut: LeftOut = NOBODY_LEFT_OUT): Promise<string> {
  const healthy = own.healthy + leftOut.healthy;
  const machines = own.machines + leftOut.machines;
  if (healthy === machines || phase === "pending") return "";
  const troubled: Troubled[] = [...leftOut.troubled];
  if (own.healthy < own.machines && troubled.length < TROUBLED_NAMED_MAX) {
    const take = (found: readonly Troubled[]): boolean => troubled.push(...found.slice(0, TROUBLED_NAMED_MAX - troubled.length)) >= TROUBLED_NAMED_MAX;
    await inSlices(inWaves(db, id, ["healthy", "reverted"], { sql: DIFFERENCE, given: {}, select: troubledOf }, take), slice);
  }
  if (troubled.length === 0) return "";
  const left = machines - healthy - troubled.length;
  return `${healthy} of ${machines} healthy: ${troublesText(troubled)}${left > 0 ? `; and ${left} more` : ""}`;
}

function troubledOf(row: Said & InWave): Troubled | undefined {
  const text = nowText(row);
  return text === undefined ? undefined : { machine: row.machine, text };
}

/** Those of whom the same is to be said stand together. */
function troublesText(troubled: readonly { readonly machine: string; readonly text: string }[]): string {
  const byText = new Map<string, string[]>();
  for (const { machine, text } of troubled) byText.set(text, [...(byText.get(text) ?? []), machine]);
  return [...byText].map(([text, machines]) => `${listText(machines)} ${text}`).join("; ");
}
