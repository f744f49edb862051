/**
 * A simulated machine: a host, and an agent that something starts again whenever it has died, as systemd would.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { Agent } from "./agent.ts";
import { Host, type HostWatcher } from "./host.ts";
import type { Surroundings } from "./life.ts";
import type { Affliction, Releases } from "./releases.ts";

/** An agent that has started sees after so long what an app answers, and a change of it after so long. */
const FIRST_LOOK_MS = 500;
const LOOK_MS = 400;

/** Somebody goes there and switches it on again, or brings its network back. */
const REPAIR_MS = { least: 40_000, most: 900_000 };

export class Machine extends Host {
  agent: Agent | undefined;
  /** Never comes back. */
  isGone = false;
  /** From the fleet, and not admitted again. */
  isRemoved = false;
  /** When an agent was there. */
  readonly #lives: { readonly from: number; to: number }[] = [];
  readonly #surroundings: Surroundings;

  constructor(id: MachineId, labels: Readonly<Record<string, string>>, surroundings: Surroundings, releases: Releases, watcher: HostWatcher) {
    super(id, labels, surroundings.timeline, releases, watcher);
    this.#surroundings = surroundings;
    this.onAffliction = (how) => this.#suffer(how);
  }

  startAgent(): void {
    if (this.agent !== undefined || this.isGone || this.isDown) return;
    const agent = new Agent(this, this.#surroundings, () => this.#agentDied(agent));
    this.agent = agent;
    this.#lives.push({ from: this.now, to: Infinity });
    this.onExit = (app, launchId) => this.agent?.apps.get(app)?.exited(launchId, 1);
    agent.start();
  }

  /** When the agent that is there, or was last, was started; -1: none was. */
  get agentSince(): number {
    return this.#lives.at(-1)?.from ?? -1;
  }

  /** An agent must have seen what an app answered between the two moments. */
  hasLooked(from: number, to: number): boolean {
    return this.#lives.some((life) => Math.max(life.from + FIRST_LOOK_MS, from + LOOK_MS) <= Math.min(life.to, to));
  }

  override reboot(): void {
    super.reboot();
    if (this.isDown) this.powerOn();
    this.agent?.die();
  }

  /** `isFrozen`: its connections stay open, and nothing comes over them. */
  goDown(isFrozen: boolean): void {
    this.powerOff();
    if (isFrozen) this.agent?.vanish();
    else this.agent?.die();
  }

  repair(): void {
    this.#surroundings.network.mend(this.id);
    if (this.isDown) this.reboot();
    this.startAgent();
  }

  #suffer(how: Affliction): void {
    const { timeline, random, network } = this.#surroundings;
    switch (how) {
      case "reboots":
        return this.reboot();
      case "dies":
      case "freezes":
        this.goDown(how === "freezes");
        break;
      case "is_cut_off":
        network.cut(this.id, { toMachine: true, toController: true });
        break;
    }
    timeline.after(random.whole(REPAIR_MS.least, REPAIR_MS.most), () => this.repair());
  }

  #agentDied(agent: Agent): void {
    if (this.agent === agent) this.agent = undefined;
    this.#lives.at(-1)!.to = this.now;
    const { timeline, random } = this.#surroundings;
    timeline.after(random.chance(0.8) ? random.whole(10, 5_000) : random.whole(5_000, 90_000), () => this.startAgent());
  }
}
