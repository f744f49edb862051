/**
 * A simulated machine: a host, and an agent that something starts again whenever it has died, as systemd would.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { Agent } from "./agent.ts";
import { Host, type MachineWatcher } from "./host.ts";
import type { Surroundings } from "./life.ts";
import type { Releases } from "./releases.ts";

export class Machine extends Host {
  agent: Agent | undefined;
  /** Never comes back. */
  isGone = false;
  /** From the fleet, and not admitted again. */
  isRemoved = false;
  readonly #surroundings: Surroundings;

  constructor(id: MachineId, labels: Readonly<Record<string, string>>, surroundings: Surroundings, releases: Releases, watcher: MachineWatcher) {
    super(id, labels, surroundings.timeline, releases, watcher);
    this.#surroundings = surroundings;
  }

  startAgent(): void {
    if (this.agent !== undefined || this.isGone) return;
    const agent = new Agent(this, this.#surroundings, () => this.#agentDied(agent));
    this.agent = agent;
    this.onExit = (app, launchId) => this.agent?.apps.get(app)?.exited(launchId, 1);
    agent.start();
  }

  override reboot(): void {
    super.reboot();
    this.agent?.die();
  }

  #agentDied(agent: Agent): void {
    if (this.agent === agent) this.agent = undefined;
    const { timeline, random } = this.#surroundings;
    timeline.after(random.chance(0.8) ? random.whole(10, 5_000) : random.whole(5_000, 90_000), () => this.startAgent());
  }
}
