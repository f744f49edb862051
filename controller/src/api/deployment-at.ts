/**
 * Deployments of which the tables do not tell all: `GetDeploymentRequest.at`, one as it stood then, read from the journal; and the targets of one that is mostly in the archive.
 */
import type { Deployment, Target } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { missing } from "../grpc/answer.ts";
import { Past } from "../history/past.ts";
import { presentAt, unknownText } from "../history/past-now.ts";
import { Rows, type Source } from "../history/rows.ts";
import { Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { timeText } from "../rollout/words.ts";
import { type DeploymentOfTargets, targetsOf } from "./target-views.ts";
import { DeploymentViews } from "./views.ts";

/** What says how a machine is beside its target. */
const OF_A_MACHINE = [
  { table: "machines", key: "id = @machine" },
  { table: "assignments", key: "machine = @machine AND app = @app" },
  { table: "machine_apps", key: "machine = @machine AND app = @app" },
] as const;
/** Three are read, deleted and written. */
const ROWS_A_MACHINE = 6;

/** A deployment as it stood; NOT_FOUND when there was none. An empty id: the newest of then. */
export async function deploymentAt(source: Source, id: string, at: Instant, includeTargets: boolean): Promise<Deployment> {
  const known = deploymentOf(source, id, at);
  if (known === undefined) throw missing(id === "" ? `there was no deployment at ${timeText(at)}` : `there is no deployment ${id}`);
  const past = await Past.at(source, known.id, at);
  if (past === undefined) throw missing(`there was no ${known.id} at ${timeText(at)}: it was submitted at ${timeText(known.submitted_at)}`);
  try {
    const then = await presentAt(past, source, at);
    const views = new DeploymentViews(past.db, () => past.waiting(), () => undefined, then?.present);
    const deployment = (await (includeTargets ? views.withTargets(known.id) : views.one(known.id)))!;
    // What could be done about it then is not asked.
    return { ...(then === undefined ? deployment : withUnknown(deployment, then.unknown)), remedies: undefined };
  } finally {
    past.close();
  }
}

function withUnknown(deployment: Deployment, unknown: ReadonlySet<string>): Deployment {
  if (unknown.size === 0) return deployment;
  const { now, targets } = deployment;
  return {
    ...deployment,
    now: now === undefined ? undefined : { ...now, text: [now.text, unknownText(unknown.size)].filter((text) => text !== "").join("; ") },
    targets: targets.map((target) => (target.now === "" && unknown.has(target.machine) ? { ...target, now: "not known whether it was heard" } : target)),
  };
}

/** The targets of a deployment that are in the archive: what became of them there, and how their machines are by the tables of today. */
export async function archivedTargetsNow(source: Source, id: DeploymentId): Promise<readonly Target[]> {
  const past = await Past.ofSteps(source, id, Number.MAX_SAFE_INTEGER as Instant);
  if (past?.state === undefined) return [];
  try {
    const { app, targets } = past.state;
    const slice = new Slice();
    for (const machine of targets.keys()) {
      for (const { table, key } of OF_A_MACHINE) {
        const given = table === "machines" ? { machine } : { machine, app };
        const row = statement(source.db, `SELECT * FROM ${table} WHERE ${key}`).get(given) as Record<string, unknown> | undefined;
        statement(past.db, `DELETE FROM ${table} WHERE ${key}`).run(given);
        if (row !== undefined) statement(past.db, `INSERT INTO ${table} VALUES (${Object.keys(row).map((column) => `@${column}`).join(", ")})`).run(row);
      }
      await slice.took(ROWS_A_MACHINE);
    }
    return await targetsOf(past.db, statement(past.db, "SELECT * FROM deployments WHERE id = ?").get(id) as DeploymentOfTargets, true);
  } finally {
    past.close();
  }
}

interface Known {
  readonly id: DeploymentId;
  readonly submitted_at: Instant;
}

/** Its first row never leaves the database. */
const NEWEST = "SELECT id, submitted_at FROM deployments d WHERE (SELECT min(seq) FROM journal j WHERE j.deployment = d.id) < ? ORDER BY number DESC LIMIT 1";

function deploymentOf(source: Source, id: string, at: Instant): Known | undefined {
  const known = id === "" ? statement(source.db, NEWEST).get(new Rows(source).firstAfter(at)) : statement(source.db, "SELECT id, submitted_at FROM deployments WHERE id = ?").get(id);
  return known as Known | undefined;
}
