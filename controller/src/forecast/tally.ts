/**
 * What is counted while a deployment is simulated: who has the release, where it is bad, who is unavailable, when it stopped, and when all were back.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { isEnded, type RolloutPhase, type RolloutState } from "../rollout/state.ts";
import type { Agent } from "./agent.ts";

export class Tally {
  maxOnBadRelease = 0;
  maxUnavailable = 0;
  stoppedAt: Instant | undefined;
  endedAt: Instant | undefined;
  #running = 0;
  #onBadRelease = 0;
  #lastBackAt: Instant | undefined;

  /** When the last machine that ran the release was back; undefined: some run it, or none ever did. */
  get restoredAt(): Instant | undefined {
    return this.#running === 0 ? this.#lastBackAt : undefined;
  }

  /** A machine has begun or ceased to run the release. */
  switched({ runsRelease, fate }: Agent, now: Instant): void {
    const step = runsRelease ? 1 : -1;
    this.#running += step;
    if (fate.kind !== "well") this.#onBadRelease += step;
    this.maxOnBadRelease = Math.max(this.maxOnBadRelease, this.#onBadRelease);
    if (!runsRelease) this.#lastBackAt = now;
  }

  unavailable({ availability: { changing, down } }: RolloutState): void {
    this.maxUnavailable = Math.max(this.maxUnavailable, changing.size + down.size);
  }

  phase(before: RolloutPhase, after: RolloutPhase, now: Instant): void {
    if (before === "rolling" && after !== "succeeded") this.stoppedAt ??= now;
    if (isEnded(after)) this.endedAt ??= now;
  }
}
