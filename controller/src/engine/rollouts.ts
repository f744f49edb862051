/**
 * The rollouts that have not ended, in memory, and the loop that drives them: decide → journal → apply → advance → …
 *
 * Everything here runs inside one journal transaction of the engine. If that fails, what is in memory is thrown away and read again from the tables.
 */
import assert from "node:assert/strict";
import type { AppName, DeploymentId, Instant } from "@muster/proto/ids.ts";
import type { Entry, JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { loadActiveRollouts } from "../journal/load.ts";
import { advance, type FleetView, nextDeadline } from "../rollout/advance.ts";
import { apply, type RolloutChange } from "../rollout/change.ts";
import { decide, type RolloutEvent } from "../rollout/decide.ts";
import { checkRollout, checkWindow } from "../rollout/invariants.ts";
import { isEnded, type RolloutState } from "../rollout/state.ts";

/** Changes in one transaction before other work gets its turn; the rest follows in the next one. Bounds how long the loop is held. */
const CHANGES_PER_TURN = 512;

/** Writes one row of the running transaction. */
export type Append = (entry: Entry) => JournalRow;

export class Rollouts {
  readonly #journal: Journal;
  readonly #fleet: FleetView;
  readonly #active = new Map<DeploymentId, RolloutState>();
  /** Have more to do than one turn allowed. */
  readonly #unfinished = new Set<RolloutState>();

  constructor(journal: Journal, fleet: FleetView) {
    this.#journal = journal;
    this.#fleet = fleet;
  }

  /** Forgets what is in memory and reads the tables. */
  reload(): void {
    this.#active.clear();
    this.#unfinished.clear();
    for (const state of loadActiveRollouts(this.#journal)) {
      this.#active.set(state.id, state);
      this.#unfinished.add(state);
    }
  }

  active(): Iterable<RolloutState> {
    return this.#active.values();
  }

  get(id: DeploymentId): RolloutState | undefined {
    return this.#active.get(id);
  }

  /** Those of an app, in the order of submission: at most one is under way, the others are pending. */
  ofApp(app: AppName): readonly RolloutState[] {
    return [...this.#active.values()].filter((state) => state.app === app);
  }

  /** A new rollout, or an ended one that is taken up again for its rollback. */
  add(state: RolloutState): void {
    this.#active.set(state.id, state);
  }

  drive(state: RolloutState, event: RolloutEvent, append: Append, now: Instant): void {
    this.#record(state, decide(state, event), append);
    this.#advance(state, append, now);
  }

  /** Goes on with what a turn left over, and with what time alone allows. */
  goOn(append: Append, now: Instant): void {
    for (const state of this.#active.values()) {
      const deadline = nextDeadline(state);
      if (this.#unfinished.has(state) || (deadline !== undefined && deadline <= now)) this.#advance(state, append, now);
    }
  }

  get hasUnfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  /** When `goOn` must be called though nothing happens. */
  nextDeadline(): Instant | undefined {
    let next: Instant | undefined;
    for (const state of this.#active.values()) {
      const deadline = nextDeadline(state);
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline;
    }
    return next;
  }

  #advance(state: RolloutState, append: Append, now: Instant): void {
    this.#unfinished.delete(state);
    let changed = 0;
    for (;;) {
      const changes = advance(state, this.#fleet, now);
      if (changes.length === 0) break;
      this.#record(state, changes, append);
      changed += changes.length;
      if (changed >= CHANGES_PER_TURN && !isEnded(state.phase)) {
        this.#unfinished.add(state);
        return;
      }
    }
    if (isEnded(state.phase)) this.#active.delete(state.id);
  }

  #record(state: RolloutState, changes: readonly RolloutChange[], append: Append): void {
    for (const change of changes) {
      const { seq, at } = append({ ...change, deployment: state.id, app: state.app });
      apply(state, change, { seq, at });
      checkRollout(state);
      if (change.kind === "target_assigned" && change.purpose === "update" && change.state === "updating") checkWindow(state);
    }
    assert(state.phase !== "rolling" || !this.#hasRival(state), `two rollouts of ${state.app} are under way`);
  }

  #hasRival(state: RolloutState): boolean {
    for (const other of this.#active.values()) {
      if (other !== state && other.app === state.app && other.phase !== "pending") return true;
    }
    return false;
  }
}
