/**
 * The part of the fleet that a plan asks about: who is selected, from the tables, and how it is there now, from memory. O(machines).
 */
import type { AppName, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import { CONFIRMING, LAST_GOOD_OF } from "../journal/confirmed.ts";
import type { Journal } from "../journal/journal.ts";
import { statement } from "../journal/statement.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { World } from "./world.ts";

interface Row {
  readonly id: MachineId;
  readonly labels: string;
  readonly cordoned: number;
}

const MACHINES = "SELECT id, labels, cordoned_at IS NOT NULL AS cordoned FROM machines ORDER BY id";

const LAST_GOODS = `
  SELECT a.machine, ${LAST_GOOD_OF} AS release
  FROM assignments a ${CONFIRMING} WHERE a.app = ?`;

export function selectMachines(journal: Journal, { availabilities, fleet }: World, app: AppName, selector: Selector, release: ReleaseId): readonly PlanMachine[] {
  const selected: PlanMachine[] = [];
  let confirmed: ReadonlyMap<MachineId, ReleaseId | null> | undefined;
  for (const { id, labels: text, cordoned } of statement(journal.db, MACHINES).iterate() as IterableIterator<Row>) {
    const labels = JSON.parse(text) as Labels;
    if (!selects(selector, labels)) continue;
    const answer = availabilities.answerOf(id, app);
    const silent = fleet.isSilent(id);
    const runsIt = answer === "healthy" && !silent && availabilities.assignedTo(id, app)?.release === release;
    if (runsIt) confirmed ??= lastGoods(journal, app);
    const isConfirmed = confirmed?.get(id) === release;
    selected.push({
      id,
      labels,
      silent,
      cordoned: cordoned === 1,
      unhealthy: answer === "unhealthy" || answer === "failed",
      runsRelease: runsIt && isConfirmed,
      runsUnconfirmed: runsIt && !isConfirmed,
    });
  }
  return selected;
}

/** The release of an app that was confirmed last, of each machine that has the app. */
export function lastGoods(journal: Journal, app: AppName): ReadonlyMap<MachineId, ReleaseId | null> {
  return new Map(statement(journal.db, LAST_GOODS).raw().all(app) as [MachineId, ReleaseId | null][]);
}

export function countMachines(journal: Journal): number {
  return journal.db.prepare("SELECT count(*) FROM machines").pluck().get() as number;
}
