/**
 * A bug of one deployment is thrown with its name, so that it can be told from a fault of the disk and stays that deployment's own.
 *
 *     under way ──bug──▶ paused, with the reason `internal`: in the tables (rollouts.ts)
 *     ended ──bug──▶ quarantined: in memory; each controller finds it anew
 *
 * Always holds: nobody drives a deployment in quarantine but an operator; and nothing older of its app is given to the machines that it decided about, or may have.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { isFaultOfDisk } from "../journal/disk-fault.ts";

/** One rollout can't go on: what it is driven by is wrong, or its tables are. */
export class RolloutBug extends Error {
  readonly deployment: DeploymentId;

  constructor(deployment: DeploymentId, cause: unknown) {
    super(`${deployment}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "RolloutBug";
    this.deployment = deployment;
  }
}

/** What goes wrong in this is a bug of that rollout, unless it is a fault of the disk. */
export function ofRollout<T>(id: DeploymentId, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RolloutBug || isFaultOfDisk(error)) throw error;
    throw new RolloutBug(id, error);
  }
}

/** The same; the bug is left to `onBug`. */
export function ofRolloutOr<T, B>(id: DeploymentId, work: () => T, onBug: (bug: RolloutBug) => B): T | B {
  try {
    return ofRollout(id, work);
  } catch (error) {
    if (error instanceof RolloutBug) return onBug(error);
    throw error;
  }
}

/** Deployments that have ended and met a bug, for as long as this controller runs. */
export class Quarantine {
  readonly #logger: Logger;
  readonly #why = new Map<DeploymentId, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** What came first is kept. */
  put(id: DeploymentId, error: unknown): void {
    if (this.#why.has(id)) return;
    const bug = error instanceof RolloutBug ? error : new RolloutBug(id, error);
    this.#why.set(id, bug.message);
    this.#logger.error({ err: bug, deploymentId: id }, "deployment that has ended contradicts itself; machines that come late get nothing of it");
  }

  has(id: DeploymentId): boolean {
    return this.#why.has(id);
  }

  /** What machines that come late wait for, in words; undefined: it is not in quarantine. */
  why(id: DeploymentId): string | undefined {
    const why = this.#why.get(id);
    return why === undefined ? undefined : `a fault of the controller itself to be mended (${why}), or another deployment of the app; report the fault`;
  }

  /** An operator has driven it, and it went well. */
  release(id: DeploymentId): void {
    this.#why.delete(id);
  }
}
