/**
 * A program that looks after the hosts, and not after Muster: whichever it finds dead or cut off it drains or removes within seconds, as often as it takes until a controller answers. What it drained it uses
 * again once the host is there.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";
import type { Desk } from "./desk.ts";
import type { Network } from "./network.ts";
import type { Timeline } from "./clock.ts";

const LOOK_MS = 1_000;
/** So long a host must be there again before it is used. */
const TRUST_MS = 10_000;

/** Of the world, what such a program sees and may do. */
interface Site {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly desk: Desk;
  readonly machines: ReadonlyMap<MachineId, Machine>;
  /** Nothing goes wrong any more, and the program has ended. */
  readonly isCalm: boolean;
}

export class Replacer {
  readonly #world: Site;
  readonly #does: "drains" | "removes";
  readonly #patienceMs: number;
  readonly #deadSince = new Map<MachineId, number>();
  readonly #aliveSince = new Map<MachineId, number>();
  readonly #drained = new Set<MachineId>();

  constructor(world: Site, random: Random) {
    this.#world = world;
    this.#does = random.pick(["drains", "removes"] as const);
    this.#patienceMs = random.pick([1_000, 3_000, 9_000, 25_000]);
  }

  begin(): void {
    const { timeline } = this.#world;
    timeline.after(LOOK_MS, () => {
      if (this.#world.isCalm) return;
      for (const machine of this.#world.machines.values()) this.#look(machine);
      this.begin();
    });
  }

  #look(machine: Machine): void {
    const { timeline, network, desk } = this.#world;
    const { id } = machine;
    if (machine.isRemoved) return;
    const isDead = machine.isDown || machine.isGone || !network.reaches(id);
    const [noted, other] = isDead ? [this.#deadSince, this.#aliveSince] : [this.#aliveSince, this.#deadSince];
    other.delete(id);
    if (!noted.has(id)) noted.set(id, timeline.now);
    const forMs = timeline.now - noted.get(id)!;
    if (isDead && forMs >= this.#patienceMs && !this.#drained.has(id)) this.#replace(id);
    if (!isDead && forMs >= TRUST_MS && this.#drained.has(id) && desk.uncordon(id) !== undefined) this.#drained.delete(id);
  }

  #replace(id: MachineId): void {
    const { desk } = this.#world;
    if (this.#does === "removes") desk.remove(id);
    else if (desk.cordon(id, { drain: true, force: true }) !== undefined) this.#drained.add(id);
  }
}
