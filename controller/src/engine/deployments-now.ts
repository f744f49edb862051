/**
 * How the machines that a deployment decided about are now, whatever became of its rollout: what views show beside the end, and what catching up waits for.
 *
 * A machine belongs to the deployment that made the newest decision about the app there. Always holds: the counts are those of `Availabilities`, kept up to date with
 * every change of it. O(1) for each change and each question.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { AgentPhase } from "../rollout/state.ts";
import type { Availability, Assigned } from "../rollout/availability.ts";

export interface Now {
  /** Machines that belong to it. */
  readonly machines: number;
  /** Of these, so many run what it decided, and it serves. */
  readonly healthy: number;
  /** So many are lost, say that it does not serve, or went back by themselves. */
  readonly bad: number;
}

const NOBODY: Now = { machines: 0, healthy: 0, bad: 0 };

/** A machine as it counts. `isExcused`: drained, which is nobody's fault. */
export interface Standing {
  readonly assigned: Assigned;
  readonly is: Availability;
  readonly answer: AgentPhase | undefined;
  readonly isExcused: boolean;
}

export class DeploymentsNow {
  readonly #counts = new Map<DeploymentId, { machines: number; healthy: number; bad: number }>();

  of(id: DeploymentId): Now {
    return this.#counts.get(id) ?? NOBODY;
  }

  count({ assigned: { deployment, release }, is, answer, isExcused }: Standing, by: 1 | -1): void {
    let counts = this.#counts.get(deployment);
    if (counts === undefined) {
      counts = { machines: 0, healthy: 0, bad: 0 };
      this.#counts.set(deployment, counts);
    }
    const wentBack = answer === "reverted" && is === "available";
    counts.machines += by;
    if ((is === "available" && !wentBack) || (is === "absent" && release === null)) counts.healthy += by;
    if (wentBack || (is === "down" && !isExcused)) counts.bad += by;
    if (counts.machines === 0) this.#counts.delete(deployment);
  }

  clear(): void {
    this.#counts.clear();
  }
}

/** Of the machines that run a release, so large a share may be bad without anybody doubting it, and one at least. */
const TOLERATED_SHARE = 0.1;

/** Whether a release does not stand where it runs. `allowed`: by the deployment's own `max_failures`. */
export function isUnsound({ machines, healthy, bad }: Now, allowed: number): boolean {
  if (machines === 0) return false;
  return bad > Math.max(1, allowed, Math.floor(machines * TOLERATED_SHARE)) || (bad > 0 && healthy === 0);
}
