/**
 * Until when each machine has time to give a final answer to what it was assigned: the controller's side of `healthy_deadline`, in attended time.
 *
 * O(log n) for each assignment. An entry whose assignment was answered, or replaced, is dropped when it comes to the head.
 */
import type { AppName, Generation, MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "../plan/strategy.ts";
import { Heap } from "../rollout/heap.ts";
import type { Attended } from "../rollout/moment.ts";

/** Of a strategy. */
export type Deadlines = Pick<Strategy, "healthyDeadlineMs" | "progressDeadlineMs">;

export interface Awaited extends Deadlines {
  readonly machine: MachineId;
  readonly app: AppName;
  readonly generation: Generation;
}

interface Entry extends Awaited {
  readonly dueAt: Attended;
}

/** An agent gives going back so long at least. */
const REVERT_MS_MIN = 30_000;

export class Overdue {
  readonly #silentAfterMs: number;
  readonly #heap = new Heap<Entry>((a, b) => a.dueAt < b.dueAt);
  /** The one that counts, by `machine/app`. */
  readonly #newest = new Map<string, Entry>();

  constructor(silentAfterMs: number) {
    this.#silentAfterMs = silentAfterMs;
  }

  assigned(awaited: Awaited, now: Attended): void {
    this.#put(awaited, now + awaited.healthyDeadlineMs + this.#onTheWayMs(awaited));
  }

  /** It says that the release failed, and that it goes back. */
  goesBack(machine: MachineId, app: AppName, now: Attended): void {
    const entry = this.#newest.get(`${machine}/${app}`);
    if (entry !== undefined) this.#put(entry, now + Math.max(entry.healthyDeadlineMs, REVERT_MS_MIN) + this.#silentAfterMs);
  }

  isAwaited(machine: MachineId, app: AppName): boolean {
    return this.#newest.has(`${machine}/${app}`);
  }

  answered(machine: MachineId, app: AppName): void {
    this.#newest.delete(`${machine}/${app}`);
  }

  /** The next whose time is over; it is not said again. */
  next(now: Attended): Awaited | undefined {
    for (let head = this.#heap.peek(); head !== undefined && head.dueAt <= now; head = this.#heap.peek()) {
      this.#heap.pop();
      const key = `${head.machine}/${head.app}`;
      if (this.#newest.get(key) !== head) continue;
      this.#newest.delete(key);
      return head;
    }
    return undefined;
  }

  /** Something is waited for. */
  get isWaiting(): boolean {
    return this.#newest.size > 0;
  }

  clear(): void {
    this.#newest.clear();
  }

  /** For the assignment to come and the answer to go: as long as a machine may be silent, and so short that a machine that says nothing fails before the rollout's progress deadline has passed. */
  #onTheWayMs({ healthyDeadlineMs, progressDeadlineMs }: Deadlines): number {
    return Math.min(this.#silentAfterMs, Math.max(0, Math.floor((progressDeadlineMs - healthyDeadlineMs) / 2)));
  }

  #put({ machine, app, generation, healthyDeadlineMs, progressDeadlineMs }: Awaited, dueAt: number): void {
    const entry: Entry = { machine, app, generation, healthyDeadlineMs, progressDeadlineMs, dueAt: dueAt as Attended };
    this.#newest.set(`${machine}/${app}`, entry);
    this.#heap.push(entry);
  }
}
