/**
 * The part of the fleet that a plan asks about, read from the tables.
 */
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import type { Journal } from "../journal/journal.ts";
import { CONFIRMED_SEQ, CONFIRMING } from "../journal/confirmed.ts";
import { statement } from "../journal/statement.ts";
import type { PlanMachine } from "../plan/plan.ts";

interface Row {
  readonly id: MachineId;
  readonly labels: string;
  readonly silent_since: number | null;
  readonly wanted: ReleaseId | null;
  readonly cordoned: number;
  readonly healthy: number;
  readonly unhealthy: number;
  readonly last_good: ReleaseId | null;
}

const SELECT = `
  SELECT m.id, m.labels, m.silent_since, m.cordoned_at IS NOT NULL AS cordoned, a.release AS wanted, CASE WHEN ${CONFIRMED_SEQ} IS NOT NULL THEN a.release ELSE a.last_good END AS last_good,
         coalesce(ma.phase = 'healthy' AND ma.generation = a.generation, 0) AS healthy,
         coalesce(ma.phase IN ('unhealthy', 'failed'), 0) AS unhealthy
  FROM machines m
  LEFT JOIN assignments a ON a.machine = m.id AND a.app = @app ${CONFIRMING}
  LEFT JOIN machine_apps ma ON ma.machine = m.id AND ma.app = @app
  ORDER BY m.id`;

export function selectMachines(journal: Journal, app: string, selector: Selector, release: ReleaseId): readonly PlanMachine[] {
  const selected: PlanMachine[] = [];
  for (const row of statement(journal.db, SELECT).iterate({ app }) as IterableIterator<Row>) {
    const labels = JSON.parse(row.labels) as Labels;
    if (!selects(selector, labels)) continue;
    selected.push({
      id: row.id,
      labels,
      silent: row.silent_since !== null,
      cordoned: row.cordoned === 1,
      unhealthy: row.unhealthy === 1,
      runsRelease: row.wanted === release && row.healthy === 1,
      lastGood: row.last_good,
    });
  }
  return selected;
}

export function countMachines(journal: Journal): number {
  return journal.db.prepare("SELECT count(*) FROM machines").pluck().get() as number;
}
