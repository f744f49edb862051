/** What machines have said, or have to say, and is not stored yet. As agents say it: not in the tables, and nothing of it goes by what a machine has said before. In memory alone. */
import type { MachineId } from "@muster/proto/ids.ts";

export class Owed {
  /** The newest report of each machine that has some which are not stored. */
  readonly #reports = new Map<MachineId, number>();
  /** How many hellos of a machine are still to be written. */
  readonly #hellos = new Map<MachineId, number>();

  /** The machine has made reports up to this one, and not all of them are stored. */
  note(machine: MachineId, newestReport: number): void {
    this.#reports.set(machine, Math.max(newestReport, this.#reports.get(machine) ?? 0));
  }

  /** The machine has made reports up to this one, and no others that are not stored; 0: all are. */
  just(machine: MachineId, newestReport: number): void {
    this.settle(machine);
    if (newestReport > 0) this.note(machine, newestReport);
  }

  /** All reports that the machine has made are stored. */
  settle(machine: MachineId): void {
    this.#reports.delete(machine);
  }

  /** A hello of the machine is still to be written: what that says is owed. Returns a function that ends it, and does nothing when it is called again. */
  awaitHello(machine: MachineId): () => void {
    this.#hellos.set(machine, (this.#hellos.get(machine) ?? 0) + 1);
    let isAwaited = true;
    return () => {
      if (!isAwaited) return;
      isAwaited = false;
      const left = this.#hellos.get(machine)! - 1;
      if (left === 0) this.#hellos.delete(machine);
      else this.#hellos.set(machine, left);
    };
  }

  /** `newestStored`: once its reports up to this one are stored. */
  has(machine: MachineId, newestStored = 0): boolean {
    return this.#hellos.has(machine) || (this.#reports.get(machine) ?? 0) > newestStored;
  }

  machines(): Iterable<MachineId> {
    return new Set([...this.#hellos.keys(), ...this.#reports.keys()]);
  }
}
