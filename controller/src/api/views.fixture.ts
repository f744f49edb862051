/** Deployments as operators see them now. */
import type { World } from "../engine/world.fixture.ts";
import { DeploymentViews } from "./views.ts";

export function viewsOf({ journal, engine }: World): DeploymentViews {
  return new DeploymentViews(journal.db, (id) => engine.waitingOn(id), (id) => engine.rollout(id), engine);
}
