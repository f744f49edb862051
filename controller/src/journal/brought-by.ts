/**
 * Which deployment brought a release to a machine that goes back to it: how that release does is asked of all machines that have it by deployments to one selector, whichever told them last.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { selects, widestSelector } from "@muster/proto/selector.ts";
import { labelsOf } from "./labels.ts";
import { newestStanding } from "./standing.ts";
import { statement } from "./statement.ts";

/** Deployments of the release that are tried: it may have been deployed each hour, in turn with others. */
const TRIED_MAX = 100;

const TOLD = `SELECT d.id FROM (SELECT id FROM deployments WHERE app = @app AND release = @release ORDER BY number DESC LIMIT ${TRIED_MAX}) d
  CROSS JOIN targets t ON t.deployment = d.id AND t.machine = @machine AND t.attempts > 0 AND t.state <> 'removed' LIMIT 1`;

const STANDING = newestStanding("d.id, d.selector", "o.release = @release");

/** The newest that told the machine the release; else the newest that gave it to machines like it, and stands: it was left out there, or came late. Null: there is none. */
export function broughtBy(db: Database, machine: MachineId, app: AppName, release: ReleaseId | null): DeploymentId | null {
  if (release === null) return null;
  const told = statement(db, TOLD).pluck().get({ app, release, machine }) as DeploymentId | undefined;
  if (told !== undefined) return told;
  const standing = statement(db, STANDING).all({ app, release }) as { readonly id: DeploymentId; readonly selector: string }[];
  if (standing.length === 0) return null;
  const labels = labelsOf(db, machine);
  return standing.find(({ selector }) => selects(widestSelector(selector), labels))?.id ?? null;
}
