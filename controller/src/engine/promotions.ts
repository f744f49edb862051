/**
 * Whether a release stands where a promotion wants to have seen it: on the machines that a selector selects now, whichever deployment gave it to them, and by what is so there now.
 *
 * O(machines of the app) for each answer, which is kept for a moment, since it is asked for with every commit while a promotion waits.
 */
import type { AppName, ReleaseId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import { roundedDown } from "../plan/size.ts";
import type { Size } from "../plan/strategy.ts";
import type { Clock } from "./clock.ts";
import { add, type Counts, isUnsound, NOBODY, withLeft } from "./deployments-now.ts";
import type { Facts, Forerunner } from "./facts.ts";
import type { World } from "./world.ts";

/** How long an answer is kept. */
export const KEPT_MS = 1000;

interface Kept {
  readonly answer: string | undefined;
  /** On the monotonic clock. */
  readonly at: number;
}

export class Promotions {
  readonly #facts: Facts;
  readonly #world: World;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();

  constructor(facts: Facts, world: World, clock: Clock) {
    this.#facts = facts;
    this.#world = world;
    this.#clock = clock;
  }

  /** What was found is asked for anew. */
  forget(): void {
    this.#kept.clear();
  }

  /** What is missing; undefined: it stands. */
  missing(app: AppName, { id, release }: Pick<Forerunner, "id" | "release">, targets: string): string | undefined {
    const key = `${release} ${targets}`;
    const now = this.#clock.monotonicMs();
    const kept = this.#kept.get(key);
    if (kept !== undefined && now - kept.at < KEPT_MS) return kept.answer;
    const answer = this.#look(app, release, targets, this.#facts.deployment(id)?.strategy.maxFailures);
    for (const [old, { at }] of this.#kept) if (now - at >= KEPT_MS) this.#kept.delete(old);
    this.#kept.set(key, { answer, at: now });
    return answer;
  }

  #look(app: AppName, release: ReleaseId, targets: string, maxFailures: Size | undefined): string | undefined {
    const matches = checkedSelector(targets);
    const now: Counts = { ...NOBODY };
    let machines = 0;
    for (const { machine, labels } of this.#facts.machinesOf(app)) {
      const standing = this.#world.standingOf(machine, app);
      if (standing === undefined || standing.assigned.release === null || !selects(matches, labels)) continue;
      machines += 1;
      if (standing.assigned.release === release) add(now, standing, 1);
    }
    const { machines: have, healthy } = now;
    const where = targets === "" ? "all machines" : targets;
    if (have === 0) return `${release} to be what ${where} should run: none of ${machines} should by now`;
    const allowed = maxFailures === undefined ? 0 : roundedDown(maxFailures, machines);
    if (isUnsound({ machines, healthy, bad: machines - have }, allowed)) return `${release} to be what ${where} should run: ${have} of ${machines} should by now`;
    const left = this.#facts.leftWith(app, release).get(targets) ?? 0;
    if (isUnsound(withLeft(now, left), allowed)) return `${release} to be healthy on ${where}: ${healthy} of ${have} are now${left === 0 ? "" : `, and ${left} that failed or were lost with it are gone`}`;
    return undefined;
  }
}
