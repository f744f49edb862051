/** What agents say, waiting for a transaction, and so one flush of the disk, that it shares with others that came in the same turn of the loop. In the order in which it came. */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Seen } from "./attendance.ts";
import type { Loop } from "./loop.ts";
import { MachineGone } from "./refusal.ts";
import type { ReportIntake } from "./report-intake.ts";
import type { Append } from "./rollouts.ts";

type Take = (append: Append, now: Seen) => void;

interface Saying {
  readonly take: Take;
  /** How much of a transaction it takes. */
  readonly weight: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What a transaction takes of what agents say before others have their turn: so many reports, or hellos and voices after a silence, which concern every app of a machine. */
const WEIGHT_MAX = 320;
export const HELLO_WEIGHT = 20;

export class Said {
  readonly #loop: Loop;
  readonly #intake: ReportIntake;
  #waiting: Saying[] = [];

  constructor(loop: Loop, intake: ReportIntake) {
    this.#loop = loop;
    this.#intake = intake;
  }

  /** Resolves after the commit. Rejects with the fault of the disk. */
  take(take: Take, weight: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) this.#takeSoon();
      this.#waiting.push({ take, weight, resolve, reject });
    });
  }

  /** Of a known machine. Rejects with MachineGone too: it may be removed before this is taken. */
  async takeOf(machine: MachineId, take: Take, weight: number): Promise<void> {
    let isGone = false;
    await this.take((append, now) => {
      isGone = !this.#loop.facts.hasMachine(machine);
      if (!isGone) take(append, now);
    }, weight);
    if (isGone) throw new MachineGone(machine);
  }

  #takeSoon(): void {
    this.#loop.journal.log.whenShort(() => this.#takeSome());
  }

  #takeSome(): void {
    let weight = 0;
    let count = 0;
    for (; count < this.#waiting.length && (count === 0 || weight + this.#waiting[count]!.weight <= WEIGHT_MAX); count += 1) weight += this.#waiting[count]!.weight;
    const some = this.#waiting.splice(0, count);
    if (this.#waiting.length > 0) this.#takeSoon();
    try {
      this.#loop.commit((append, now) => {
        this.#intake.begin();
        for (const { take } of some) take(append, now);
      });
      this.#intake.settle();
      for (const { resolve } of some) resolve();
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  }
}
