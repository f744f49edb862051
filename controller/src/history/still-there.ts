/**
 * Machines that have the release of a deployment after its end, though nothing more is to come to them by it: read from the tables when somebody asks, in steps.
 *
 * They are no exception from how it ended: a rollback gives each machine its last good release, and an abort leaves each as it is. But who reads that it has ended would not think of them. Goes by what is assigned now, so whatever a newer
 * deployment has decided about is named no more.
 */
import type { Database } from "better-sqlite3";
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { Steps } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { type AgentPhase, isStuckBack, isSupersededBack, type Purpose, type TargetCounts, type TargetState, wentBack } from "../rollout/state.ts";
import { type Ending, NOBODY_STILL_THERE, type StillMachine, type StillThere, type StillWhat } from "./outcome.ts";
import { Tally } from "./tally.ts";

const MACHINES_AT_ONCE = 100;
/** Each is joined to its target and to what its machine says. */
const ROWS_A_MACHINE = 5;

const ASSIGNED = `SELECT a.machine, t.wave, t.position, t.state, t.purpose, a.release IS d.release AS hasRelease, t.confirmed_seq IS NOT NULL OR w.finished_seq IS NOT NULL AS isConfirmed,
    CASE WHEN ma.generation = a.generation THEN ma.phase END AS answer, ma.generation = a.generation AND ma.running_version <> '' AND d.app || '@' || ma.running_version IS NOT d.release AS runsAnother
  FROM (SELECT * FROM assignments WHERE deployment = @id AND machine > @after ORDER BY machine LIMIT ${MACHINES_AT_ONCE}) a CROSS JOIN deployments d ON d.id = a.deployment
    LEFT JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine LEFT JOIN waves w ON w.deployment = t.deployment AND w.wave = t.wave
    LEFT JOIN machine_apps ma ON ma.machine = a.machine AND ma.app = d.app
  ORDER BY a.machine`;

interface AssignedRow {
  readonly machine: string;
  readonly wave: number;
  readonly position: number;
  readonly state: TargetState | null;
  readonly purpose: Purpose | null;
  readonly hasRelease: 0 | 1;
  readonly isConfirmed: 0 | 1;
  /** To what it was assigned last. Null: none yet. */
  readonly answer: AgentPhase | null;
  readonly runsAnother: 0 | 1 | null;
}

const LEFT_OUT = `SELECT j.value FROM json_each(@machines) j CROSS JOIN deployments d ON d.id = @id JOIN machines m ON m.id = j.value JOIN assignments a ON a.machine = j.value AND a.app = d.app
  WHERE a.release IS d.release AND a.decided_seq < d.back_seq ORDER BY j.key`;

/** Some machine has the release of the deployment from before it; where it was taken back, hardly any has it at all. */
const HAD_IT_BEFORE = "SELECT 1 FROM deployments d JOIN assignments a ON a.app = d.app AND a.release = d.release AND a.decided_seq < d.start_seq WHERE d.id = ? LIMIT 1";

/** `hasIt`: it is assigned the release, and does not say that it runs something else. */
const NOT_COME_TO = `SELECT t.machine, coalesce(a.release IS d.release AND a.decided_seq < d.start_seq AND m.id IS NOT NULL
      AND NOT (ma.generation IS a.generation AND ma.phase IN ('reverting', 'reverted', 'failed', 'unhealthy', 'removed') AND d.app || '@' || ma.running_version IS NOT d.release), 0) AS hasIt
  FROM (SELECT machine FROM targets WHERE deployment = @id AND machine > @after AND attempts = 0 ORDER BY machine LIMIT ${MACHINES_AT_ONCE}) t CROSS JOIN deployments d ON d.id = @id
    LEFT JOIN machines m ON m.id = t.machine LEFT JOIN assignments a ON a.machine = t.machine AND a.app = d.app LEFT JOIN machine_apps ma ON ma.machine = t.machine AND ma.app = d.app
  ORDER BY t.machine`;

/** `counts`: of its targets, as they are recorded. Where none of those can have the release still, which is the rule, no machine is looked at. */
export function* stillThereOf(db: Database, id: DeploymentId, ending: Ending, { healthy, failed, reverted, pending, unreachable, skipped }: Omit<TargetCounts, "updating" | "reverting" | "removed">): Steps<StillThere> {
  const tally = new Tally<StillMachine>(({ what }) => what);
  if (wentBack(ending)) {
    yield* leftOut(db, id, tally);
    if (pending + unreachable + skipped > 0 && statement(db, HAD_IT_BEFORE).get(id) !== undefined) yield* notComeTo(db, id, tally);
  }
  const isAsked = wentBack(ending) ? reverted > 0 : failed > 0 ? ending.phase !== "succeeded" : ending.phase === "superseded" && healthy > 0;
  if (isAsked) yield* assigned(db, id, ending, tally);
  const found = tally.end();
  return found.count === 0 ? NOBODY_STILL_THERE : found;
}

/** Whom it left out, since they ran its release already, and who are to run it still. */
function* leftOut(db: Database, id: DeploymentId, tally: Tally<StillMachine>): Steps<void> {
  const unchanged = JSON.parse(statement(db, "SELECT unchanged FROM deployments WHERE id = ?").pluck().get(id) as string) as string[];
  for (let from = 0; from < unchanged.length; from += MACHINES_AT_ONCE) {
    const machines = JSON.stringify(unchanged.slice(from, from + MACHINES_AT_ONCE));
    for (const machine of statement(db, LEFT_OUT).pluck().all({ id, machines }) as string[]) tally.add({ machine, what: "had_before" });
    yield MACHINES_AT_ONCE * ROWS_A_MACHINE;
  }
}

/** Targets that it never told anything, being away, cordoned, or not at their turn, and that have the release from before it. */
function* notComeTo(db: Database, id: DeploymentId, tally: Tally<StillMachine>): Steps<void> {
  for (let after = ""; ; ) {
    const rows = statement(db, NOT_COME_TO).all({ id, after }) as { readonly machine: string; readonly hasIt: 0 | 1 }[];
    for (const { machine, hasIt } of rows) if (hasIt === 1) tally.add({ machine, what: "not_come_to" });
    yield 1 + rows.length * ROWS_A_MACHINE;
    if (rows.length < MACHINES_AT_ONCE) return;
    after = rows.at(-1)!.machine;
  }
}

function* assigned(db: Database, id: DeploymentId, ending: Ending, tally: Tally<StillMachine>): Steps<void> {
  const found: (StillMachine & Pick<AssignedRow, "wave" | "position">)[] = [];
  for (let after = ""; ; ) {
    const rows = statement(db, ASSIGNED).all({ id, after }) as AssignedRow[];
    for (const row of rows) {
      const what = whatOf(ending, row);
      if (what !== undefined) found.push({ machine: row.machine, wave: row.wave, position: row.position, what });
    }
    yield 1 + rows.length * ROWS_A_MACHINE;
    if (rows.length < MACHINES_AT_ONCE) break;
    after = rows.at(-1)!.machine;
  }
  found.sort((a, b) => a.wave - b.wave || a.position - b.position);
  for (const { machine, what } of found) tally.add({ machine, what });
}

/** Undefined: that needs no word, or another sentence says it. */
function whatOf(ending: Ending, { state, purpose, hasRelease, isConfirmed, answer, runsAnother }: AssignedRow): StillWhat | undefined {
  if (wentBack(ending)) return state === "reverted" && hasRelease === 1 ? "went_back_to_it" : undefined;
  if (state === "failed" && isStuckBack({ state, purpose })) return "could_not_go_back";
  if (hasRelease === 0) return undefined;
  if (state === "healthy") return ending.phase === "superseded" && !isSupersededBack(ending) && isConfirmed === 0 ? "on_trial" : undefined;
  if (state !== "failed" || runsAnother === 1) return undefined;
  switch (answer) {
    case "healthy":
      return "on_trial";
    case "reverted":
    case "reverting":
      return undefined;
    case "failed":
    case "unhealthy":
      return "failed";
    case null:
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
    case "removing":
    case "removed":
      return "may_have_gone_back";
  }
}
