/**
 * The machines of one deployment, as the generated messages have them: in slices, since there may be as many as the fleet has. Each is as it is at one moment between the first slice and the last.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { AppPhase, type Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Database } from "better-sqlite3";
import { leftOutMachines, nowText, SAID, SAID_FROM, type Said } from "../history/present.ts";
import { Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { type AgentPhase, isEnded, type RolloutPhase, type TargetState as TargetStateName } from "../rollout/state.ts";
import { appPhase, reasonOf, targetState } from "./message-words.ts";

/** Each is joined to four tables: some milliseconds. */
const TARGETS_AT_ONCE = 200;
const TARGETS = `
  SELECT t.*, ${SAID}, ma.phase AS app_phase, ma.running_version, ma.generation AS said_generation, ma.reason_code AS said_code
  FROM targets t ${SAID_FROM} WHERE t.deployment = ? AND t.machine > ? ORDER BY t.machine LIMIT ${TARGETS_AT_ONCE}`;

/** Of the table `deployments`. */
export interface DeploymentOfTargets {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: string;
  readonly phase: RolloutPhase;
  readonly submitted_at: number;
  readonly started_at: number | null;
  readonly unchanged: string;
}

interface TargetRow extends Said {
  readonly machine: MachineId;
  readonly wave: number;
  readonly position: number;
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

/** In the order of their waves. `isNow`: how they are beside that is said, too. */
export async function targetsOf(db: Database, deployment: DeploymentOfTargets, isNow: boolean): Promise<Target[]> {
  const slice = new Slice();
  const found: { readonly position: number; readonly target: Target }[] = [];
  for (let after = ""; ; ) {
    const rows = statement(db, TARGETS).all(deployment.id, after) as TargetRow[];
    for (const row of rows) found.push({ position: row.position, target: targetView(deployment, row, isNow) });
    if (rows.length < TARGETS_AT_ONCE) break;
    after = rows.at(-1)!.machine;
    await slice.took(2 * rows.length);
  }
  found.sort((a, b) => a.target.wave - b.target.wave || a.position - b.position);
  return found.map(({ target }) => target);
}

function targetView(deployment: DeploymentOfTargets, row: TargetRow, isNow: boolean): Target {
  const said = saysOf(row);
  return {
    machine: row.machine,
    wave: row.wave + 1,
    state: targetState(row.state),
    generation: row.generation,
    since: row.since,
    attempts: row.attempts,
    reason: passedOver(deployment, row) ?? reasonOf(row) ?? (said === null ? undefined : reasonOf({ reason_code: row.said_code, reason_message: row.said_message })),
    appPhase: appPhase(said),
    previousVersion: row.previous === null ? "" : row.previous.slice(deployment.app.length + 1),
    // A machine of its name that joined later is another one.
    runningVersion: row.state === "removed" ? "" : (row.running_version ?? ""),
    now: isNow ? (nowText(row) ?? "") : "",
  };
}

/** The newest that a machine has said of what the deployment told it, also where a drain has told it the same anew. Null: nothing. */
function saysOf(row: TargetRow): AgentPhase | null {
  if (row.generation > 0 && row.said_generation === row.generation) return row.app_phase;
  const isToldAnew = row.decided_by === row.deployment && row.given_back === null && row.attempts > 0 && row.state !== "removed";
  return isToldAnew ? row.said_phase : null;
}

/** Machines that it left out, since they ran its release. */
export async function unchangedOf(db: Database, deployment: DeploymentOfTargets, isNow: boolean): Promise<Target[]> {
  const machines = JSON.parse(deployment.unchanged) as string[];
  const version = deployment.release.slice(deployment.app.length + 1);
  const now = new Map<string, string>();
  const slice = new Slice();
  const { id, app, release } = deployment;
  if (isNow) for await (const { machine, text } of leftOutMachines(db, { id, app, release, unchanged: machines }, undefined, slice)) now.set(machine, text ?? "");
  const running = statement(db, "SELECT running_version FROM machine_apps WHERE machine = ? AND app = ?").pluck();
  const targets: Target[] = [];
  for (const machine of machines) {
    targets.push({
      machine,
      wave: 0,
      state: TargetState.UNCHANGED,
      generation: 0,
      since: deployment.started_at ?? deployment.submitted_at,
      attempts: 0,
      reason: { code: "unchanged", message: "ran it already" },
      appPhase: AppPhase.UNSPECIFIED,
      previousVersion: version,
      runningVersion: isNow ? ((running.get(machine, deployment.app) as string | undefined) ?? "") : version,
      now: now.get(machine) ?? "",
    });
    await slice.took(1);
  }
  return targets;
}

/** Of one that was not heard at its turn, after a rollout that gives it none any more: what was said of it then is not so. */
function passedOver({ id, phase }: DeploymentOfTargets, { attempts, state, reason_code: code }: TargetRow): Reason | undefined {
  if (attempts > 0 || !isEnded(phase) || phase === "succeeded") return undefined;
  if (state === "unreachable" && code === "silent") return { code, message: `nothing was heard from the machine at its turn, and ${id} ended without it` };
  return state === "skipped" && code === "cordoned" ? { code, message: `the machine was cordoned at its turn, and ${id} ended without it` } : undefined;
}
