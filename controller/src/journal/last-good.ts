/**
 * The release of an app that was confirmed on a machine last, or, where nothing of it was ever assigned, that was found there when it joined: of an earlier membership, as the machine says with its first reports.
 *
 * What was taken back from machines like it is not found, unless it was given to them again since.
 */
import type { Database } from "better-sqlite3";
import type { AppName, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Labels, parseSelector, selects } from "@muster/proto/selector.ts";
import { CONFIRMING, LAST_GOOD_OF } from "./confirmed.ts";
import { statement } from "./statement.ts";
import { TAKEN_BACK, type TakenBackRow } from "./taken-back.ts";

const ASSIGNED = `SELECT ${LAST_GOOD_OF} AS release FROM assignments a ${CONFIRMING} WHERE a.machine = ? AND a.app = ?`;
const FOUND = `SELECT r.id AS release, m.labels FROM machine_apps s JOIN machines m ON m.id = s.machine JOIN releases r ON r.id = s.app || '@' || s.running_version AND r.artifact = s.running_artifact
  WHERE s.machine = ? AND s.app = ? AND s.phase IN ('probing', 'healthy', 'reverting', 'reverted')`;

/** Null: there is none. */
export function lastGood(db: Database, machine: MachineId, app: AppName): ReleaseId | null {
  const assigned = statement(db, ASSIGNED).get(machine, app) as { readonly release: ReleaseId | null } | undefined;
  return assigned === undefined ? foundThere(db, machine, app) : assigned.release;
}

/** What the machine goes back to from a release that it is given now. What it ran of that when it joined is no way back from it. */
export function wayBack(db: Database, machine: MachineId, app: AppName, given: ReleaseId): ReleaseId | null {
  const release = lastGood(db, machine, app);
  const wasAssigned = release === given && statement(db, "SELECT 1 FROM assignments WHERE machine = ? AND app = ?").get(machine, app) !== undefined;
  return release === given && !wasAssigned ? null : release;
}

function foundThere(db: Database, machine: MachineId, app: AppName): ReleaseId | null {
  const found = statement(db, FOUND).get(machine, app) as { readonly release: ReleaseId; readonly labels: string } | undefined;
  return found === undefined || isTakenBack(db, app, found.release, JSON.parse(found.labels) as Labels) ? null : found.release;
}

function isTakenBack(db: Database, app: AppName, release: ReleaseId, labels: Labels): boolean {
  const isLikeIt = ({ selector }: { readonly selector: string }): boolean => {
    const parsed = parseSelector(selector);
    return !parsed.ok || selects(parsed.selector, labels);
  };
  const taken = (statement(db, TAKEN_BACK).all({ app }) as TakenBackRow[]).filter((each) => each.release === release && isLikeIt(each));
  if (taken.length === 0) return false;
  const given = statement(db, "SELECT selector FROM deployments WHERE app = ? AND release = ? AND start_seq > ?").all(app, release, Math.max(...taken.map(({ seq }) => seq))) as { readonly selector: string }[];
  return !given.some(isLikeIt);
}
