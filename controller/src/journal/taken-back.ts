/** Which releases were taken back, and from whom: said once, in SQL, for what nobody is given any more, and for what nobody goes back to. */
import type { DeploymentId, ReleaseId } from "@muster/proto/ids.ts";

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

/** All of `@app`. What a way back took back is given again when that is taken back itself. */
export const TAKEN_BACK = `
  SELECT id AS by, 1 AS isOwn, release, selector, back_seq AS seq FROM deployments WHERE app = @app AND back_seq IS NOT NULL
  UNION ALL SELECT id, 0, takes_back, selector, start_seq FROM deployments
    WHERE app = @app AND takes_back IS NOT NULL AND start_seq IS NOT NULL AND (back_seq IS NULL OR phase = 'aborted')`;
