/**
 * `GetDeploymentRequest.at`: a deployment as it stood then, read from the journal.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { missing } from "../grpc/answer.ts";
import { Past } from "../history/past.ts";
import { presentAt } from "../history/past-now.ts";
import { Rows } from "../history/rows.ts";
import type { Journal } from "../journal/journal.ts";
import { statement } from "../journal/statement.ts";
import { timeText } from "../rollout/words.ts";
import { DeploymentViews } from "./views.ts";

/** A deployment as it stood; NOT_FOUND when there was none. An empty id: the newest of then. */
export async function deploymentAt(journal: Journal, id: string, at: Instant, includeTargets: boolean): Promise<Deployment | undefined> {
  const known = deploymentOf(journal, id, at);
  if (known === undefined) throw missing(id === "" ? `there was no deployment at ${timeText(at)}` : `there is no deployment ${id}`);
  const past = await Past.at(journal, known.id, at);
  if (past === undefined) throw missing(`there was no ${known.id} at ${timeText(at)}: it was submitted at ${timeText(known.submitted_at)}`);
  try {
    const present = await presentAt(past, journal.db);
    // What could be done about it then is not asked.
    return { ...new DeploymentViews(past.db, () => past.waiting(), () => undefined, present).one(known.id, includeTargets)!, remedies: undefined };
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

function deploymentOf(journal: Journal, id: string, at: Instant): Known | undefined {
  const known = id === "" ? statement(journal.db, NEWEST).get(new Rows(journal).firstAfter(at)) : statement(journal.db, "SELECT id, submitted_at FROM deployments WHERE id = ?").get(id);
  return known as Known | undefined;
}
