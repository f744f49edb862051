/** Which releases were taken back, and from whom: said once, in SQL, for what nobody is given any more, and for what nobody goes back to. */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, ReleaseId } from "@muster/proto/ids.ts";
import { continues, gaveWay, stands } from "./standing.ts";
import { statement } from "./statement.ts";

/** A release was taken back from the machines of a selector, beginning with this row of the journal. */
export interface TakenBackRow {
  /** By this deployment: its own rollback, or one that deployed an older release in the place of it. */
  readonly by: DeploymentId;
  /** Its own rollback. */
  readonly isOwn: 0 | 1;
  readonly release: ReleaseId;
  readonly selector: string;
  readonly seq: number;
}

/** Of a deployment `d`: what stood for its selector before it was its own release. Taken back, that stands as before. */
const REPEATS = `d.release IS (SELECT o.release FROM deployments o WHERE o.app = d.app AND o.selector = d.selector AND o.start_seq < d.start_seq AND ${stands("o")} ORDER BY o.start_seq DESC LIMIT 1)`;

/** Of a deployment `d` of an older release: a person gave it up before it had told anybody. What takes its place goes on with what it was for. */
const TOLD_NOBODY = `(d.phase = 'aborted' AND NOT EXISTS (SELECT 1 FROM targets t WHERE t.deployment = d.id AND t.attempts > 0)
  AND NOT EXISTS (SELECT 1 FROM archived_targets f WHERE f.deployment = d.id AND f.state NOT IN ('pending', 'unreachable', 'skipped', 'unmatched', 'removed')))`;

/** Of the same: what it took back was deployed again since, and is everywhere. */
const IS_GIVEN_AGAIN = `EXISTS (SELECT 1 FROM deployments n WHERE n.app = d.app AND n.selector = d.selector AND n.release = d.takes_back AND n.start_seq > d.start_seq AND n.phase = 'succeeded')`;

/** Of the same: it was asked for once more while it was under way, and that was taken back: both were. */
const IS_ENDED_BY_NEWER = `(${gaveWay("d")} AND EXISTS (SELECT 1 FROM deployments n WHERE ${continues("n", "d")} AND n.back_seq IS NOT NULL AND n.phase <> 'aborted'))`;

/** `@release` of `@app`, after this row of the journal. What a way back took back is given again when that is taken back itself. */
const TAKEN_BACK = `
  SELECT id AS by, 1 AS isOwn, release, selector, back_seq AS seq FROM deployments d WHERE app = @app AND release = @release AND back_seq > @after AND NOT ${REPEATS}
  UNION ALL SELECT id, 0, takes_back, selector, start_seq FROM deployments d
    WHERE app = @app AND takes_back = @release AND start_seq > @after AND (back_seq IS NULL OR phase = 'aborted') AND NOT ${TOLD_NOBODY} AND NOT ${IS_GIVEN_AGAIN} AND NOT ${IS_ENDED_BY_NEWER}`;

/** Who asks has a decision of that row to give the release: what was taken back before it does not matter, and years of rollbacks cost nothing. */
export function takenBackAfter(db: Database, app: AppName, release: ReleaseId, after: number): readonly TakenBackRow[] {
  return statement(db, TAKEN_BACK).all({ app, release, after }) as TakenBackRow[];
}
