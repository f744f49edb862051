/**
 * The rollouts in memory, and the loop that drives them: decide → journal → apply → advance → … These are the ones that have not ended, and those that have succeeded
 * while machines take their turn in their tail.
 *
 * Everything here runs inside one journal transaction of the engine. If that fails, what is in memory is thrown away and read again from the tables.
 */
import assert from "node:assert/strict";
import { type AppName, type DeploymentId, deploymentNumber, type Generation, type Instant, type MachineId } from "@muster/proto/ids.ts";
import type { Entry, JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { loadActiveRollouts, loadRollout } from "../journal/load.ts";
import { nextWake } from "../rollout/advance.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import { noteUnwell } from "../rollout/derived.ts";
import { drive, type Recorder } from "../rollout/drive.ts";
import { isEnded, isMoving, type RolloutState } from "../rollout/state.ts";
import { hasTail } from "../rollout/tail.ts";
import type { World } from "./world.ts";

/** Changes in one transaction before other work gets its turn; the rest follows in the next one. Bounds how long the loop is held. */
const CHANGES_PER_TURN = 512;

/** Writes one row of the running transaction. */
export type Append = (entry: Entry) => JournalRow;

export class Rollouts {
  readonly #journal: Journal;
  readonly #world: World;
  /** In the order of submission, but for tails and rollbacks that were taken up later. */
  readonly #known = new Map<DeploymentId, RolloutState>();
  /** When each must be looked at though nothing was heard. */
  readonly #wakes = new Map<DeploymentId, Instant>();
  /** Have more to do than one turn allowed. */
  readonly #unfinished = new Set<RolloutState>();

  constructor(journal: Journal, world: World) {
    this.#journal = journal;
    this.#world = world;
  }

  /** Forgets what is in memory and reads the tables. */
  reload(tails: readonly DeploymentId[]): void {
    for (const collection of [this.#known, this.#wakes, this.#unfinished]) collection.clear();
    const states = [...tails.map((id) => loadRollout(this.#journal, id)!), ...loadActiveRollouts(this.#journal)];
    for (const state of states) {
      this.#known.set(state.id, state);
      this.#unfinished.add(state);
    }
  }

  /** Those that have not ended. */
  active(): readonly RolloutState[] {
    return [...this.#known.values()].filter(({ phase }) => !isEnded(phase));
  }

  all(): readonly RolloutState[] {
    return [...this.#known.values()];
  }

  get(id: DeploymentId): RolloutState | undefined {
    return this.#known.get(id);
  }

  /** Those of an app that have not ended, in the order of submission: at most one is under way, the others are pending. */
  ofApp(app: AppName): readonly RolloutState[] {
    return this.active().filter((state) => state.app === app);
  }

  /** The rollout in which a machine was told this generation. */
  told(app: AppName, machine: MachineId, generation: Generation): RolloutState | undefined {
    for (const state of this.#known.values()) if (state.app === app && state.targets.get(machine)?.generation === generation) return state;
    return undefined;
  }

  isMoving(machine: MachineId): boolean {
    for (const { moving } of this.#known.values()) if (moving.has(machine)) return true;
    return false;
  }

  /** A new rollout, or an ended one that is taken up again. */
  add(state: RolloutState): void {
    this.#known.set(state.id, state);
  }

  /** From memory or, when it has ended, from the tables; then it must be driven or dropped. */
  takeUp(id: DeploymentId): RolloutState | undefined {
    return this.#known.get(id) ?? loadRollout(this.#journal, id);
  }

  /** Whether a machine is well has changed, as far as an app is concerned, or all of them. */
  noteWellness(machine: MachineId, app?: AppName): void {
    for (const state of this.#known.values()) {
      if (app === undefined || state.app === app) this.#noteUnwell(state, machine);
    }
    this.#world.budgets.changed(machine);
  }

  drive(state: RolloutState, event: RolloutEvent, append: Append, now: Instant): void {
    if (!this.#known.has(state.id)) {
      this.#known.set(state.id, state);
      this.#recount(state);
    }
    this.#go(state, event, append, now);
  }

  /** What a new rollout changes, and what an older one takes up, is for no other's tail. */
  overtakeTails(by: Pick<RolloutState, "id" | "app" | "release">, targets: ReadonlySet<MachineId> | ReadonlyMap<MachineId, unknown>, append: Append, now: Instant): void {
    const reason = { code: "superseded", message: `${by.id} (${by.release}) goes on with it` } as const;
    for (const tail of this.all()) {
      if (tail.phase !== "succeeded" || tail.app !== by.app || tail.id === by.id) continue;
      const shared = [...tail.targets.values()].filter(({ machine }) => targets.has(machine));
      // Those that wait first, so that no place which becomes free is theirs.
      for (const { machine } of [...shared.filter(({ state }) => state === "pending"), ...shared.filter(isMoving)]) this.drive(tail, { kind: "overtaken", machine, reason }, append, now);
    }
  }

  /** Goes on with what a turn left over, with what time alone allows, and with what waited for others, the most important first. */
  goOn(append: Append, now: Instant): void {
    const due = this.all().filter((state) => this.#unfinished.has(state) || (this.#wakes.get(state.id) ?? Infinity) <= now || waitsForOthers(state));
    for (const state of due.sort(byPriority)) this.#go(state, undefined, append, now);
  }

  /** After something that concerns every rollout: a freeze, a budget. */
  goOnAll(append: Append, now: Instant): void {
    for (const state of this.all().toSorted(byPriority)) this.#go(state, undefined, append, now);
  }

  /** Those that a budget keeps waiting may have room now. */
  goOnWaiting(append: Append, now: Instant): void {
    for (const state of this.all().filter(waitsForOthers).sort(byPriority)) this.#go(state, undefined, append, now);
  }

  get hasUnfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  /** When `goOn` must be called though nothing happens. */
  nextWake(): Instant | undefined {
    let next: Instant | undefined;
    for (const wake of this.#wakes.values()) if (next === undefined || wake < next) next = wake;
    return next;
  }

  #go(state: RolloutState, event: RolloutEvent | undefined, append: Append, now: Instant): void {
    const recorder: Recorder = {
      record: (change) => append({ ...change, deployment: state.id, app: state.app }),
      applied: (change) => {
        // Before anybody has a turn: who is not well takes a place in the window from the first.
        if (change.kind === "rollout_started") for (const machine of state.targets.keys()) this.#noteUnwell(state, machine);
        if (change.kind === "target_joined") this.#noteUnwell(state, change.target.machine);
        if (change.kind === "target_assigned" || change.kind === "target_changed") this.#world.budgets.changed(change.machine);
      },
    };
    const left = drive(state, event, this.#world, now, recorder, CHANGES_PER_TURN);
    assert(state.phase !== "rolling" || !this.#hasRival(state), `two rollouts of ${state.app} are under way`);
    this.#settle(state, left === "more" && !isOver(state), now);
  }

  #noteUnwell(state: RolloutState, machine: MachineId): void {
    noteUnwell(state, machine, this.#world.wellness.isUnwell(machine, state.app));
  }

  #settle(state: RolloutState, isUnfinished: boolean, now: Instant): void {
    this.#wakes.delete(state.id);
    if (isUnfinished) this.#unfinished.add(state);
    else this.#unfinished.delete(state);
    if (isOver(state)) {
      this.#known.delete(state.id);
      this.#recount(state);
      return;
    }
    const wake = isUnfinished ? undefined : nextWake(state, this.#world, now);
    if (wake !== undefined) this.#wakes.set(state.id, wake);
  }

  /** Whether its machines move is known, or is not any more. */
  #recount({ moving }: RolloutState): void {
    for (const machine of moving) this.#world.budgets.changed(machine);
  }

  #hasRival(state: RolloutState): boolean {
    return this.ofApp(state.app).some((other) => other !== state && other.phase !== "pending");
  }
}

/** Nothing more will come of it by itself. */
function isOver(state: RolloutState): boolean {
  return isEnded(state.phase) && !(state.phase === "succeeded" && hasTail(state));
}

function waitsForOthers({ turns, turnsBack }: RolloutState): boolean {
  return turns.parkedBehind !== undefined || turnsBack.parkedBehind !== undefined;
}

function byPriority(a: RolloutState, b: RolloutState): number {
  return b.strategy.priority - a.strategy.priority || deploymentNumber(a.id) - deploymentNumber(b.id);
}
