/**
 * Until when each machine has time to give a final answer to what it was assigned: the controller's side of `healthy_deadline`, in attended time.
 *
 * O(log n) for each assignment. An entry whose assignment was answered, or replaced, is dropped when it comes to the head.
 */
import type { AppName, Generation, MachineId } from "@muster/proto/ids.ts";
import { provenDeadlineMs } from "@muster/proto/proven.ts";
import type { Strategy } from "../plan/strategy.ts";
import { Heap } from "../rollout/heap.ts";
import type { Attended } from "../rollout/moment.ts";

/** Of an assignment. */
export interface Deadlines extends Pick<Strategy, "healthyDeadlineMs" | "progressDeadlineMs"> {
  /** The machine goes back, and its agent counts neither the wait for its turn nor the time to stop what runs, which may be so long. Null: the release is new, and its agent counts both. */
  readonly stopTimeoutMs: number | null;
}

export interface Awaited extends Deadlines {
  readonly machine: MachineId;
  readonly app: AppName;
  readonly generation: Generation;
}

interface Entry extends Awaited {
  readonly dueAt: Attended;
}

function keyOf({ machine, app }: Pick<Awaited, "machine" | "app">): string {
  return `${machine}/${app}`;
}

function dueFirst(): Heap<Entry> {
  return new Heap<Entry>((a, b) => a.dueAt < b.dueAt);
}

export class Overdue {
  readonly #silentAfterMs: number;
  #heap = dueFirst();
  /** The one that counts, by `machine/app`. */
  readonly #newest = new Map<string, Entry>();

  constructor(silentAfterMs: number) {
    this.#silentAfterMs = silentAfterMs;
  }

  /** `isGoingBack`: its agent says that the release failed, and that it goes back. */
  await(awaited: Awaited, since: Attended, isGoingBack: boolean): void {
    this.#put(awaited, since, isGoingBack ? provenDeadlineMs(awaited.healthyDeadlineMs) + this.#silentAfterMs : this.#answerMs(awaited));
  }

  isAwaited(machine: MachineId, app: AppName): boolean {
    return this.#newest.has(keyOf({ machine, app }));
  }

  answered(machine: MachineId, app: AppName): void {
    this.#newest.delete(keyOf({ machine, app }));
  }

  /** Takes out the next whose time is over. */
  takeNext(now: Attended): Awaited | undefined {
    if (!this.isDue(now)) return undefined;
    const due = this.#heap.pop()!;
    this.#newest.delete(keyOf(due));
    return due;
  }

  /** Somebody's time is over. */
  isDue(now: Attended): boolean {
    let head = this.#heap.peek();
    while (head !== undefined && this.#newest.get(keyOf(head)) !== head) {
      this.#heap.pop();
      head = this.#heap.peek();
    }
    return head !== undefined && head.dueAt <= now;
  }

  /** Of what is waited for. */
  dueAt(machine: MachineId, app: AppName): Attended | undefined {
    return this.#newest.get(keyOf({ machine, app }))?.dueAt;
  }

  /** Something is waited for. */
  get isWaiting(): boolean {
    return this.#newest.size > 0;
  }

  clear(): void {
    this.#heap = dueFirst();
    this.#newest.clear();
  }

  /** Whoever goes back has all of its agent's time, and the way there and back: a rollback waits for that, however short its progress deadline is. */
  #answerMs(deadlines: Deadlines): number {
    const { healthyDeadlineMs, stopTimeoutMs } = deadlines;
    return healthyDeadlineMs + (stopTimeoutMs === null ? this.#onTheWayMs(deadlines) : stopTimeoutMs + this.#silentAfterMs);
  }

  /** For the assignment to come and the answer to go: as long as a machine may be silent, and so short that a machine that says nothing fails before the rollout's progress deadline has passed. */
  #onTheWayMs({ healthyDeadlineMs, progressDeadlineMs }: Pick<Deadlines, "healthyDeadlineMs" | "progressDeadlineMs">): number {
    return Math.min(this.#silentAfterMs, Math.max(0, Math.floor((progressDeadlineMs - healthyDeadlineMs) / 2)));
  }

  #put({ machine, app, generation, healthyDeadlineMs, progressDeadlineMs, stopTimeoutMs }: Awaited, since: Attended, forMs: number): void {
    const entry: Entry = { machine, app, generation, healthyDeadlineMs, progressDeadlineMs, stopTimeoutMs, dueAt: (since + forMs) as Attended };
    this.#newest.set(keyOf(entry), entry);
    this.#heap.push(entry);
  }
}
