/**
 * The part of the fleet that a plan asks about: who is selected, from the tables, and how it is there now, from memory. O(machines).
 */
import type { AppName, DeploymentId, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import { type Asking, askingFor, CONFIRMING, LAST_GOOD_FOR } from "../journal/confirmed.ts";
import type { Journal } from "../journal/journal.ts";
import { statement } from "../journal/statement.ts";
import type { PlanMachine } from "../plan/plan.ts";
import type { World } from "./world.ts";

interface Row {
  readonly id: MachineId;
  readonly labels: string;
  readonly cordoned: number;
}

/** What a plan knows of each, and what it goes back to, take some milliseconds. */
const MACHINES_AT_ONCE = 200;
const MACHINES = `SELECT id, labels, cordoned_at IS NOT NULL AS cordoned FROM machines WHERE id > ? ORDER BY id LIMIT ${MACHINES_AT_ONCE}`;

const LAST_GOODS = `
  SELECT a.machine, ${LAST_GOOD_FOR} AS release
  FROM machines m CROSS JOIN assignments a ON a.machine = m.id AND a.app = @app ${CONFIRMING} WHERE m.id >= @from AND m.id <= @to`;

/** Of deployment `by`. */
export function selectMachines(journal: Journal, world: World, app: AppName, selector: Selector, release: ReleaseId, by: DeploymentId): readonly PlanMachine[] {
  return [...machinePages(journal, world, app, selector, release, by)].flat();
}

/** The same, some at a time; those may be none. No statement is open between two pages, so that others may have a turn. */
export function* machinePages(journal: Journal, { availabilities, fleet }: World, app: AppName, selector: Selector, release: ReleaseId, by: DeploymentId | null = null): Generator<readonly PlanMachine[], void, undefined> {
  // Machines of a fleet share few sets of labels.
  const known = new Map<string, Labels | undefined>();
  for (let after = ""; ; ) {
    const rows = statement(journal.db, MACHINES).all(after) as Row[];
    const selected: PlanMachine[] = [];
    let confirmed: ReadonlyMap<MachineId, ReleaseId | null> | undefined;
    for (const { id, labels: text, cordoned } of rows) {
      if (!known.has(text)) known.set(text, selectedLabels(selector, text));
      const labels = known.get(text);
      if (labels === undefined) continue;
      const answer = availabilities.answerOf(id, app);
      const silent = fleet.isSilent(id);
      const runsIt = answer === "healthy" && !silent && availabilities.assignedTo(id, app)?.release === release;
      if (runsIt) confirmed ??= lastGoods(journal, app, { by, given: release }, rows[0]!.id, rows.at(-1)!.id);
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
    yield selected;
    if (rows.length < MACHINES_AT_ONCE) return;
    after = rows.at(-1)!.id;
  }
}

/** Undefined: it is not selected by them. */
function selectedLabels(selector: Selector, text: string): Labels | undefined {
  const labels = JSON.parse(text) as Labels;
  return selects(selector, labels) ? labels : undefined;
}

/** The release of an app that was confirmed last, of each machine from one name to another that has the app. `by`: what is to begin; null: nothing that is known yet. `given`: the release of that. */
export function lastGoods(journal: Journal, app: AppName, { by, given }: Omit<Asking, "continued">, from: MachineId, to: MachineId): ReadonlyMap<MachineId, ReleaseId | null> {
  return new Map(statement(journal.db, LAST_GOODS).raw().all({ app, from, to, ...askingFor(journal.db, by, given) }) as [MachineId, ReleaseId | null][]);
}

export function countMachines(journal: Journal): number {
  return journal.db.prepare("SELECT count(*) FROM machines").pluck().get() as number;
}
