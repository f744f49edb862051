/**
 * A deployment as a series of pictures: one for each moment at which something changed. Of very many, those nearest to each other are joined.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { JournalRow } from "../journal/entry.ts";
import { removalIn } from "../journal/removal.ts";
import { Slice } from "../journal/slices.ts";
import { type Past, ROWS_A_STEP } from "./past.ts";
import { Rows, type Source } from "./rows.ts";

/** More than anybody looks at; each picture of 10,000 machines costs some milliseconds. */
const PICTURES_MAX = 2000;
/** Reports between the changes make about so many more. */
const REPORTS_FACTOR = 3;

export interface Picture {
  readonly at: number;
  /** What had just happened to the deployment, or was said by a machine about it. */
  readonly happened: readonly JournalRow[];
}

/** `past` stands as it was at each picture while that is looked at. */
export async function* pictures(source: Source, id: DeploymentId, past: Past, most = PICTURES_MAX): AsyncGenerator<Picture, void, undefined> {
  const rows = new Rows(source);
  const app = source.db.prepare("SELECT app FROM deployments WHERE id = ?").pluck().get(id) as string;
  const times = await rows.timesOf(id);
  const begins = times.length > most ? beginnings(times, most) : undefined;
  const showsReports = times.length * REPORTS_FACTOR <= most;
  const slice = new Slice();
  let happened: JournalRow[] = [];
  let at = 0;
  for await (const page of rows.withReports(id, app)) {
    for (const row of page) {
      const isNews = isOwn(past, row);
      const isMoment = row.entry.kind === "report_accepted" ? isNews && showsReports : isNews;
      if (isMoment && row.at !== at && (begins?.has(row.at) ?? true) && happened.some(({ entry }) => "deployment" in entry || showsReports)) {
        yield { at, happened };
        happened = [];
      }
      past.take(row);
      await slice.took(ROWS_A_STEP);
      if (row.entry.kind === "rollout_started") await past.hearTargetsBefore(row.seq);
      if (isNews) happened.push(row);
      if (isMoment) at = row.at;
    }
  }
  if (happened.length > 0) yield { at, happened };
}

/** A report counts when it answers what this deployment had told the machine. */
function isOwn({ state }: Past, row: JournalRow): boolean {
  const { entry } = row;
  // Bookkeeping, and long after its end.
  if (entry.kind === "targets_archived") return false;
  if (entry.kind === "machine_removed") return removalIn(state, row).length > 0;
  return entry.kind !== "report_accepted" || (entry.generation > 0 && state?.targets.get(entry.machine)?.generation === entry.generation);
}

/** The first time of each group, so that the gaps between groups are the longest. */
function beginnings(times: readonly number[], groups: number): ReadonlySet<number> {
  const gaps = times.slice(1).map((time, index) => ({ time, gap: time - times[index]! }));
  gaps.sort((a, b) => b.gap - a.gap || a.time - b.time);
  return new Set([times[0]!, ...gaps.slice(0, groups - 1).map(({ time }) => time)]);
}
