/**
 * Which machines are not well, for whatever reason: silent, drained, or with an app that is not healthy. They take places in windows and budgets.
 */
import type { AppName, MachineId } from "@muster/proto/ids.ts";
import type { AgentPhase } from "../rollout/state.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Facts } from "./facts.ts";

export class Wellness {
  readonly #fleet: Fleet;
  readonly #drained = new Set<MachineId>();
  readonly #cordoned = new Set<MachineId>();
  /** Apps that are not well, by machine; no empty sets. */
  readonly #sick = new Map<MachineId, Set<AppName>>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  reload(facts: Facts): void {
    this.#drained.clear();
    this.#cordoned.clear();
    this.#sick.clear();
    for (const { machine, drained } of facts.cordons()) this.cordon(machine, drained);
    for (const { machine, app } of facts.sickApps()) this.#noteSick(machine, app, true);
  }

  /** The last word of an agent about an app. */
  reported(machine: MachineId, app: AppName, phase: AgentPhase): void {
    this.#noteSick(machine, app, isSick(phase));
  }

  cordon(machine: MachineId, drained: boolean): void {
    this.#cordoned.add(machine);
    if (drained) this.#drained.add(machine);
  }

  uncordon(machine: MachineId): void {
    this.#cordoned.delete(machine);
    this.#drained.delete(machine);
  }

  /** It is no part of the fleet any more. */
  forget(machine: MachineId): void {
    this.uncordon(machine);
    this.#sick.delete(machine);
  }

  isCordoned(machine: MachineId): boolean {
    return this.#cordoned.has(machine);
  }

  isDrained(machine: MachineId): boolean {
    return this.#drained.has(machine);
  }

  /** As far as this app is concerned. */
  isUnwell(machine: MachineId, app: AppName): boolean {
    return this.#isAway(machine) || this.#sick.get(machine)?.has(app) === true;
  }

  /** As far as any app is concerned. */
  isUnwellAtAll(machine: MachineId): boolean {
    return this.#isAway(machine) || this.#sick.has(machine);
  }

  #isAway(machine: MachineId): boolean {
    return this.#fleet.isSilent(machine) || this.#drained.has(machine);
  }

  #noteSick(machine: MachineId, app: AppName, sick: boolean): void {
    const apps = this.#sick.get(machine);
    if (sick) {
      if (apps === undefined) this.#sick.set(machine, new Set([app]));
      else apps.add(app);
    } else if (apps?.delete(app) === true && apps.size === 0) this.#sick.delete(machine);
  }
}

/** What the tables say with `phase IN ('unhealthy', 'failed')`. */
function isSick(phase: AgentPhase): boolean {
  return phase === "unhealthy" || phase === "failed";
}
