/** Everything that can go wrong by itself, one thing at a time; each ends after a while, or with the phase of safety. */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Point, SimController } from "./controller.ts";
import type { Timeline } from "./clock.ts";
import type { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";

export interface FaultyWorld {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly controller: SimController;
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /** One more machine joins, if there is room for it. */
  readonly joinOne: () => void;
  /** Under the same name, as it is or reinstalled. */
  readonly readmit: (machine: Machine) => void;
}

export class Faults {
  readonly #world: FaultyWorld;
  readonly #random: Random;

  constructor(world: FaultyWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** What went wrong, in words. */
  strike(): string {
    const random = this.#random;
    const { machines } = this.#world;
    const lastMs = random.chance(0.7) ? random.whole(100, 20_000) : random.whole(20_000, 180_000);
    if (random.chance(0.3)) return this.#strikeController(lastMs);
    const machine = random.pick([...machines.values()]);
    return `${this.#strikeMachine(machine, lastMs)} (${machine.id}, ${lastMs} ms)`;
  }

  #strikeController(lastMs: number): string {
    const random = this.#random;
    const { controller, timeline } = this.#world;
    const kind = random.weighted([[3, "controller dies"], [4, "controller dies within"], [2, "controller's disk is full"], [3, "controller is stopped"], [2, "controller's clock jumps"]] as const);
    switch (kind) {
      case "controller dies":
        controller.kill();
        break;
      case "controller dies within":
        controller.arm(random.pick<Point>(["append", "commit", "tell"]), random.whole(1, 12));
        break;
      case "controller's disk is full":
        controller.isDiskFull = true;
        timeline.after(random.chance(0.7) ? lastMs / 4 : 3 * lastMs, () => {
          controller.isDiskFull = false;
        });
        break;
      case "controller is stopped":
        controller.pause();
        timeline.after(random.chance(0.7) ? lastMs : 2 * lastMs, () => controller.resume());
        break;
      case "controller's clock jumps":
        controller.setClock(random.pick([-3_600_000, -300_000, -40_000, -1_000, 1_000, 10_000, 40_000, 300_000, 3_600_000]));
        break;
    }
    return `${kind} (${lastMs} ms)`;
  }

  #strikeMachine(machine: Machine, lastMs: number): string {
    const random = this.#random;
    const { network, timeline, machines, joinOne, readmit } = this.#world;
    const kind = random.weighted([[4, "agent dies"], [2, "machine reboots"], [1, "machine loses its power"], [1, "machine freezes"], [4, "partition"], [2, "machine's disk is full"], [1, "machine's clock jumps"], [1, "disk is replaced"], [2, "machine joins"], [6, "machine joins again"], [0.5, "machine goes for ever"]] as const);
    switch (kind) {
      case "agent dies":
        machine.agent?.die();
        break;
      case "machine reboots":
        if (!machine.isDown) machine.reboot();
        break;
      case "machine loses its power":
      case "machine freezes":
        if (machine.isGone) break;
        machine.goDown(kind === "machine freezes");
        timeline.after(lastMs, () => machine.repair());
        break;
      case "partition": {
        const toMachine = random.chance(0.7);
        network.cut(machine.id, { toMachine, toController: !toMachine || random.chance(0.7) });
        timeline.after(lastMs, () => network.mend(machine.id));
        break;
      }
      case "machine's disk is full":
        machine.isDiskFull = true;
        timeline.after(lastMs, () => {
          machine.isDiskFull = false;
          machine.lastFaultAt = timeline.now;
        });
        break;
      case "machine's clock jumps":
        // It is seen by the next life of the agent.
        machine.clockOffsetMs += random.pick([-300_000, -40_000, 40_000, 300_000]);
        machine.lastFaultAt = timeline.now;
        break;
      case "disk is replaced":
        machine.replaceDisk();
        break;
      case "machine joins":
        joinOne();
        break;
      case "machine joins again":
        for (const removed of machines.values()) if (removed.isRemoved && random.chance(0.5)) readmit(removed);
        break;
      case "machine goes for ever":
        if ([...machines.values()].filter(({ isGone }) => !isGone).length > 2) {
          machine.isGone = true;
          machine.goDown(random.chance(0.5));
        }
        break;
    }
    return kind;
  }
}
