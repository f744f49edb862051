/**
 * The release of an app that was confirmed on a machine last, or, where nothing of it was ever assigned, that was found there when it joined: of an earlier membership, as the machine says with its first reports.
 *
 * What was taken back from machines like it is not found, unless it was given to them again since.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Labels, selects, widestSelector } from "@muster/proto/selector.ts";
import type { WayBack } from "../rollout/surroundings.ts";
import { askingFor, CONFIRMING, continuedBy, LAST_GOOD_FOR } from "./confirmed.ts";
import { labelsOf } from "./labels.ts";
import { statement } from "./statement.ts";
import type { Stood, StandingMemory } from "./standing-memory.ts";
import { takenBackAfter } from "./taken-back.ts";

const ASSIGNED = `SELECT ${LAST_GOOD_FOR} AS release FROM assignments a ${CONFIRMING} WHERE a.machine = @machine AND a.app = @app`;
const FOUND = `SELECT r.id AS release, m.labels FROM machine_apps s JOIN machines m ON m.id = s.machine JOIN releases r ON r.id = s.app || '@' || s.running_version AND r.artifact = s.running_artifact
  WHERE s.machine = ? AND s.app = ? AND s.phase IN ('probing', 'healthy', 'reverting', 'reverted')`;

/** When the release was given to each selector last. */
const GIVEN = "SELECT selector, max(start_seq) AS seq FROM deployments WHERE app = ? AND release = ? AND start_seq IS NOT NULL GROUP BY selector";

/** And not by a rollback, as to a machine that came late. */
const ITS_OWN = "SELECT 1 FROM assignments WHERE machine = ? AND app = ? AND as_late = 0";

/** A deployment that gives its release to a machine. */
export interface Giver {
  readonly id: DeploymentId;
  readonly release: ReleaseId;
}

/** With who stands for the machine: null where it had that release already, or goes back to what was good on it. */
export interface WayBackTo extends WayBack {
  readonly givenBy: DeploymentId | null;
}

/** `by`: it goes back from what that gives it. Default: from what it has. Null: there is none. */
export function lastGood(db: Database, machine: MachineId, app: AppName, by?: Giver): ReleaseId | null {
  const assigned = statement(db, ASSIGNED).get({ machine, app, ...askingFor(db, by?.id ?? null, by?.release ?? null) }) as { readonly release: ReleaseId | null } | undefined;
  return assigned === undefined ? foundThere(db, machine, app) : assigned.release;
}

/**
 * What the machine goes back to from what a deployment gives it. Where nothing was good on it, or what it ran when it joined, or went back to, is just what it is given: what stood for machines like it before that deployment, as late
 * machines get it. `asLate`: nothing was good on it, as is known, and it is to go back now. Default false.
 */
export function wayBack(db: Database, standingMemory: StandingMemory, machine: MachineId, app: AppName, by: Giver, asLate = false): WayBackTo {
  const release = asLate ? null : lastGood(db, machine, app, by);
  const isItself = release === by.release && statement(db, ITS_OWN).get(machine, app) === undefined;
  if (release !== null && !isItself) return { release, asLate: false, givenBy: null };
  const stood = whatStood(db, standingMemory.of(app, by.id, asLate), machine, app, by);
  if (stood === null) return { release: null, asLate: false, givenBy: null };
  return { release: stood.release, asLate: true, givenBy: stood.release === by.release ? null : stood.id };
}

function whatStood(db: Database, stood: readonly Stood[], machine: MachineId, app: AppName, { id, release }: Giver): Stood | null {
  if (stood.length === 0) return null;
  const labels = labelsOf(db, machine);
  const newest = stood.find(({ matches }) => selects(matches, labels));
  if (newest?.release === release) return newest;
  // What the deployment itself took back, as `rollback --to` does, or the same before it, is what is given again when that is taken back.
  return newest?.lateJoiners !== "deploy" || isTakenBack(db, app, newest.release, labels, [id, ...continuedBy(db, id)]) ? null : newest;
}

function foundThere(db: Database, machine: MachineId, app: AppName): ReleaseId | null {
  const found = statement(db, FOUND).get(machine, app) as { readonly release: ReleaseId; readonly labels: string } | undefined;
  return found === undefined || isTakenBack(db, app, found.release, JSON.parse(found.labels) as Labels) ? null : found.release;
}

/** And not given to machines like it again since. `besides`: by another deployment than these. */
function isTakenBack(db: Database, app: AppName, release: ReleaseId, labels: Labels, besides: readonly DeploymentId[] = []): boolean {
  const given = statement(db, GIVEN).all(app, release) as { readonly selector: string; readonly seq: number }[];
  const newest = given.reduce((seq, each) => (each.seq > seq && isFor(each, labels) ? each.seq : seq), 0);
  return takenBackAfter(db, app, release, newest).some((each) => !besides.includes(each.by) && isFor(each, labels));
}

function isFor({ selector }: { readonly selector: string }, labels: Labels): boolean {
  return selects(widestSelector(selector), labels);
}
