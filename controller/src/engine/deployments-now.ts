/**
 * How the machines that a deployment decided about are now, whatever became of its rollout: what views show beside the end; and how those are that have a release, which is what catching up waits for.
 *
 * A machine belongs to the deployment that made the newest decision about the app there. Always holds: the counts are those of `Availabilities`, kept up to date with
 * every change of it. O(1) for each change and each question.
 */
import type { DeploymentId, ReleaseId } from "@muster/proto/ids.ts";
import type { AgentPhase } from "../rollout/state.ts";
import type { Availability, Assigned } from "../rollout/availability.ts";
import { tolerated } from "../rollout/suspicion.ts";

export interface Now {
  /** Machines that belong to it. */
  readonly machines: number;
  /** Of these, so many run what it decided, and it serves. */
  readonly healthy: number;
  /** So many are lost, say that it does not serve, or went back by themselves. */
  readonly bad: number;
}

export const NOBODY: Now = { machines: 0, healthy: 0, bad: 0 };

/**
 * A machine as it counts. `selector`: of the deployment that gave it the release, be it that another one told it last, since that was rolled back. `isOfAnother`: it is assigned another release than that deployment's, since that went back, or since a drain gave it back.
 * `isExcused`: drained, which is nobody's fault. `startsAgain`: a person has given it its turn again, and it has not had that yet: how it was before says nothing.
 */
export interface Standing {
  readonly assigned: Assigned;
  readonly selector: string;
  readonly isOfAnother: boolean;
  readonly is: Availability;
  readonly answer: AgentPhase | undefined;
  readonly isExcused: boolean;
  readonly startsAgain: boolean;
}

export type Counts = { -readonly [K in keyof Now]: Now[K] };

interface OfRelease {
  readonly all: Counts;
  readonly bySelector: Map<string, Counts>;
}

export class DeploymentsNow {
  /** Those with the deployment's release, and those with another. */
  readonly #ofDeployment = new Map<DeploymentId, Counts>();
  readonly #ofAnother = new Map<DeploymentId, Counts>();
  readonly #ofRelease = new Map<ReleaseId, OfRelease>();

  /** `hasGoneBack`: asked where some of its machines have another release, which is what it decided if it has begun to go back. */
  of(id: DeploymentId, hasGoneBack: () => boolean): Now {
    const own = this.#ofDeployment.get(id) ?? NOBODY;
    const other = this.#ofAnother.get(id);
    if (other === undefined) return own;
    return { machines: own.machines + other.machines, healthy: own.healthy + (hasGoneBack() ? other.healthy : 0), bad: own.bad + other.bad };
  }

  /**
   * Of the machines to which deployments to this selector gave a release, whichever told them last, be it by going back to it; where there is none, of all that have it. `left`: how many failed or were lost with it, by
   * selector, and have left the fleet since; they count as bad.
   */
  ofRelease(release: ReleaseId, selector: string, left: ReadonlyMap<string, number>): Now {
    const counts = this.#ofRelease.get(release);
    const own = counts?.bySelector.get(selector);
    const ownLeft = left.get(selector) ?? 0;
    if (own !== undefined || ownLeft > 0) return withLeft(own ?? NOBODY, ownLeft);
    return withLeft(counts?.all ?? NOBODY, [...left.values()].reduce((sum, n) => sum + n, 0));
  }

  count(standing: Standing, by: 1 | -1): void {
    const { deployment, release } = standing.assigned;
    countIn(standing.isOfAnother ? this.#ofAnother : this.#ofDeployment, deployment, standing, by);
    if (release === null) return;
    let counts = this.#ofRelease.get(release);
    if (counts === undefined) {
      counts = { all: { ...NOBODY }, bySelector: new Map() };
      this.#ofRelease.set(release, counts);
    }
    add(counts.all, standing, by);
    countIn(counts.bySelector, standing.selector, standing, by);
    if (counts.all.machines === 0) this.#ofRelease.delete(release);
  }

  clear(): void {
    this.#ofDeployment.clear();
    this.#ofAnother.clear();
    this.#ofRelease.clear();
  }
}

function countIn<K>(all: Map<K, Counts>, key: K, standing: Standing, by: 1 | -1): void {
  let counts = all.get(key);
  if (counts === undefined) {
    counts = { ...NOBODY };
    all.set(key, counts);
  }
  add(counts, standing, by);
  if (counts.machines === 0) all.delete(key);
}

/** One machine more, or one less. */
export function add(counts: Counts, standing: Standing, by: 1 | -1): void {
  counts.machines += by;
  if (isHealthy(standing)) counts.healthy += by;
  if (isBad(standing)) counts.bad += by;
}

export function withLeft({ machines, healthy, bad }: Now, left: number): Now {
  return { machines: machines + left, healthy, bad: bad + left };
}

/** It does what was decided. */
export function isHealthy(how: Standing): boolean {
  return (how.is === "available" && !wentBackItself(how)) || (how.is === "absent" && how.assigned.release === null);
}

/** It does not, and nobody meant that. */
export function isBad(how: Standing): boolean {
  return !how.startsAgain && (wentBackItself(how) || (how.is === "down" && !how.isExcused));
}

/** By itself. */
function wentBackItself({ answer, is }: Standing): boolean {
  return answer === "reverted" && is === "available";
}

/** Whether a release is bad where it runs. Where all who have it are drained or on their way, it is not: nobody says so. `allowed`: by the deployment's own `max_failures`. */
export function isUnsound({ machines, healthy, bad }: Now, allowed: number): boolean {
  if (machines === 0) return false;
  return bad > Math.max(allowed, tolerated(machines)) || (bad > 0 && healthy === 0);
}
