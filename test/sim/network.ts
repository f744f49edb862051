/**
 * What is between a machine and the controller. Two kinds of way, as in the product:
 *
 * - `tell`: one message, controller to machine, like NATS: it may be lost, come twice, late, or after a later one;
 * - a `Stream`: both directions, like a gRPC session: in order and each message once, or, from some message on, none at all, which neither side learns at once.
 *
 * A partition swallows what would arrive while it lasts, in one direction or in both.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Timeline } from "./clock.ts";
import type { Random } from "./random.ts";

type Deliver = () => void | Promise<unknown>;

export interface Cut {
  readonly toMachine: boolean;
  readonly toController: boolean;
}

export interface NetworkFaults {
  /** Chance that a message is lost, comes twice, or is slow. */
  readonly loss: number;
  readonly twice: number;
  readonly slow: number;
}

export const CALM: NetworkFaults = { loss: 0, twice: 0, slow: 0 };
const DELAY_MS = { least: 1, most: 40 };
const SLOW_MS = { least: 200, most: 12_000 };

export class Stream {
  readonly machine: MachineId;
  /** From here on nothing is delivered in that direction. */
  isBroken = { toMachine: false, toController: false };
  /** When the last message of a direction arrives: the next one can't be earlier. */
  arrivesAt = { toMachine: 0, toController: 0 };

  constructor(machine: MachineId) {
    this.machine = machine;
  }
}

export class Network {
  faults: NetworkFaults = CALM;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #cuts = new Map<MachineId, Cut>();

  constructor(timeline: Timeline, random: Random) {
    this.#timeline = timeline;
    this.#random = random;
  }

  cut(machine: MachineId, cut: Cut): void {
    this.#cuts.set(machine, cut);
  }

  mend(machine: MachineId): void {
    this.#cuts.delete(machine);
  }

  mendAll(): void {
    this.#cuts.clear();
  }

  /** Whether an answer could come back now. */
  reaches(machine: MachineId): boolean {
    return !this.#cuts.has(machine);
  }

  tell(machine: MachineId, deliver: Deliver): void {
    if (this.#random.chance(this.faults.loss)) return;
    const copies = this.#random.chance(this.faults.twice) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      this.#timeline.after(this.#delayMs(), () => (this.#cuts.get(machine)?.toMachine === true ? undefined : deliver()));
    }
  }

  /** One question outside of a stream; the answer goes back by `tell`. */
  ask(machine: MachineId, deliver: Deliver): void {
    if (this.#random.chance(this.faults.loss)) return;
    this.#timeline.after(this.#delayMs(), () => (this.#cuts.get(machine)?.toController === true ? undefined : deliver()));
  }

  send(stream: Stream, direction: keyof Cut, deliver: Deliver): void {
    const at = Math.max(stream.arrivesAt[direction], this.#timeline.now + this.#delayMs());
    stream.arrivesAt[direction] = at;
    // A stream loses its connection, never one message alone; less often than messages are lost.
    const isLost = this.#random.chance(this.faults.loss / 4);
    this.#timeline.after(at - this.#timeline.now, () => {
      if (isLost || this.#cuts.get(stream.machine)?.[direction] === true) stream.isBroken[direction] = true;
      return stream.isBroken[direction] ? undefined : deliver();
    });
  }

  #delayMs(): number {
    const { least, most } = this.#random.chance(this.faults.slow) ? SLOW_MS : DELAY_MS;
    return this.#random.whole(least, most);
  }
}
