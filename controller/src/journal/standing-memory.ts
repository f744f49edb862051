/**
 * What stood for the machines of an app: before one of its deployments began, and what stands now. Asked of the tables once, for all machines of a rollout, and again when another deployment may stand.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, ReleaseId } from "@muster/proto/ids.ts";
import { type Selector, widestSelector } from "@muster/proto/selector.ts";
import { newestStanding } from "./standing.ts";
import { statement } from "./statement.ts";

/** The newest to its selector. */
export interface Stood {
  readonly id: DeploymentId;
  readonly release: ReleaseId;
  readonly matches: Selector;
  readonly startSeq: number;
  /** Null: it can't be read. */
  readonly lateJoiners: string | null;
}

const COLUMNS = "d.id, d.release, d.selector, d.start_seq AS startSeq, CASE WHEN json_valid(d.strategy) THEN d.strategy ->> '$.lateJoiners' END AS lateJoiners";
const BEFORE = newestStanding(COLUMNS, "o.start_seq < (SELECT this.start_seq FROM deployments this WHERE this.id = @id)");
const NOW = newestStanding(COLUMNS, "o.id <> @id");

export class StandingMemory {
  readonly #db: Database;
  /** By app, and by deployment and moment. */
  readonly #known = new Map<AppName, Map<string, readonly Stood[]>>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** The newest first, without the deployment itself. `isNow`: what stands by now, else what stood before it began. */
  of(app: AppName, id: DeploymentId, isNow: boolean): readonly Stood[] {
    let ofApp = this.#known.get(app);
    if (ofApp === undefined) {
      ofApp = new Map();
      this.#known.set(app, ofApp);
    }
    const key = `${id} ${isNow}`;
    let known = ofApp.get(key);
    if (known === undefined) {
      const rows = statement(this.#db, isNow ? NOW : BEFORE).all({ app, id }) as (Omit<Stood, "matches"> & { readonly selector: string })[];
      known = rows.map((row) => ({ ...row, matches: widestSelector(row.selector) }));
      ofApp.set(key, known);
    }
    return known;
  }

  /** A deployment of the app has begun, ended, or goes back. */
  forget(app: AppName): void {
    this.#known.delete(app);
  }
}
