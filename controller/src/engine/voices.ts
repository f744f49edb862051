/**
 * Machines that were heard while the disk took no writes: what can't be written down is tried again soon, since their next heartbeat, or hello, may be long to come.
 */
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import type { Loop } from "./loop.ts";

const AGAIN_MS = 1_000;

export class Voices {
  readonly #loop: Loop;
  readonly #note: (machine: MachineId, generation: Generation) => void;
  readonly #unwritten = new Map<MachineId, Generation>();
  #cancel: (() => void) | undefined;

  /** `note`: tries to write down that a machine is heard. */
  constructor(loop: Loop, note: (machine: MachineId, generation: Generation) => void) {
    this.#loop = loop;
    this.#note = note;
  }

  stop(): void {
    this.#cancel?.();
  }

  keep(machine: MachineId, generation: Generation): void {
    this.#unwritten.set(machine, generation);
    if (this.#loop.isStopped) return;
    this.#cancel ??= this.#loop.clock.wakeAfter(AGAIN_MS, () => {
      this.#cancel = undefined;
      const voices = [...this.#unwritten];
      this.#unwritten.clear();
      for (const [each, its] of voices) this.#note(each, its);
    });
  }
}
