/**
 * How the machines of a deployment were at a time after its end: what was decided about them since, whether they were heard, drained, and what they said. Beside what `Past` has, and written into its
 * tables, so that the same code tells of then and of now.
 *
 * Never says more than is in the database: a silence whose rows are in the archive is not known.
 */
import type { Database } from "better-sqlite3";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import type { Now } from "../engine/deployments-now.ts";
import { statement } from "../journal/statement.ts";
import { isEnded } from "../rollout/state.ts";
import type { Past } from "./past.ts";
import { nowText, type Present, SAID, SAID_FROM, type Said } from "./present.ts";
import { turn } from "../journal/slices.ts";

/** Look-ups between which nobody else has a turn. */
const MACHINES_AT_ONCE = 500;

interface Beside {
  readonly assigned_by: DeploymentId | null;
  readonly presence: string | null;
  readonly presence_at: number | null;
  readonly cordon: string | null;
  readonly is_drained: number | null;
}

const NEWEST = "FROM journal WHERE machine = @machine AND at <= @at AND kind IN";
const BESIDE = `SELECT (SELECT deployment FROM journal WHERE machine = @machine AND at <= @at AND kind = 'target_assigned' AND app = @app ORDER BY seq DESC LIMIT 1) AS assigned_by,
  (SELECT kind ${NEWEST} ('machine_silent', 'machine_heard') ORDER BY seq DESC LIMIT 1) AS presence, (SELECT at ${NEWEST} ('machine_silent', 'machine_heard') ORDER BY seq DESC LIMIT 1) AS presence_at,
  (SELECT kind ${NEWEST} ('machine_cordoned', 'machine_uncordoned') ORDER BY seq DESC LIMIT 1) AS cordon,
  (SELECT data ->> 'drained' ${NEWEST} ('machine_cordoned', 'machine_uncordoned') ORDER BY seq DESC LIMIT 1) AS is_drained`;

/** Undefined: it had not ended, and its targets say how they were. `db`: of today. */
export async function presentAt(past: Past, db: Database, at: Instant): Promise<Present | undefined> {
  const { state } = past;
  if (state === undefined || !isEnded(state.phase)) return undefined;
  const join = past.db.prepare(
    "INSERT OR REPLACE INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at, silent_since, drained) VALUES (@machine, '', '{}', '', '', '', '', 0, @silentSince, @drained)",
  );
  const decideElsewhere = past.db.prepare("UPDATE assignments SET deployment = ? WHERE machine = ? AND app = ?");
  let asked = 0;
  for (const { machine, attempts, state: stands } of state.targets.values()) {
    if (attempts === 0 || stands === "removed") continue;
    const { assigned_by: by, presence, presence_at: since, cordon, is_drained: drained } = statement(db, BESIDE).get({ machine, app: state.app, at }) as Beside;
    join.run({ machine, silentSince: presence === "machine_silent" ? since : null, drained: cordon === "machine_cordoned" && drained === 1 ? 1 : 0 });
    if (by !== null && by !== state.id) decideElsewhere.run(by, machine, state.app);
    asked += 1;
    if (asked % MACHINES_AT_ONCE === 0) await turn();
  }
  return { nowOf: (id) => nowOf(past.db, id), unsound: () => undefined, remedies: () => ({ rollback: false, rollbackTo: "", retry: false }) };
}

function nowOf(db: Database, id: DeploymentId): Now {
  const now = { machines: 0, healthy: 0, bad: 0 };
  const rows = db.prepare(`SELECT ${SAID} FROM targets t ${SAID_FROM} WHERE t.deployment = ? AND t.attempts > 0 AND t.state <> 'removed' AND a.deployment = t.deployment`).iterate(id) as IterableIterator<Said>;
  for (const said of rows) {
    now.machines += 1;
    const isSettled = said.state === "healthy" || said.state === "reverted";
    const text = nowText(said);
    if (isSettled && text === undefined) now.healthy += 1;
    else if (isSettled && said.is_drained !== 1) now.bad += 1;
  }
  return now;
}
