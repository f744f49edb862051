/**
 * What the rows of one transaction set off once it is committed: who is told, what is asked, which apps are to be looked at again. Collected while it runs; nothing is done here.
 */
import type { AppName, DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Asker } from "../gates/verdict.ts";
import type { JournalRow } from "../journal/entry.ts";
import { isEnded, type RolloutState } from "../rollout/state.ts";
import { askerOf } from "./questions.ts";

export class Effects {
  readonly rows: JournalRow[] = [];
  /** Their newest assignment. */
  readonly told = new Set<MachineId>();
  readonly questions: { readonly deployment: DeploymentId; readonly asker: Asker }[] = [];
  /** Apps of which a deployment has begun, ended, or goes back. */
  #changedApps = new Set<AppName>();
  #stale: MachineId[] = [];

  /** `rollout`: as it stands before this row. */
  note(row: JournalRow, rollout: (id: DeploymentId) => RolloutState | undefined): void {
    this.rows.push(row);
    const { entry } = row;
    switch (entry.kind) {
      case "target_assigned":
      case "assignment_renewed":
        this.#tell(entry.machine);
        return;
      case "target_changed":
        // Its wave has passed already: this confirms the release there.
        if (entry.state === "healthy" && hasPassed(rollout(entry.deployment), entry.machine)) this.#tell(entry.machine);
        return;
      case "machine_removed":
        this.#stale.push(entry.machine);
        this.told.delete(entry.machine);
        return;
      case "wave_finished":
        for (const { machine, state } of rollout(entry.deployment)?.waves[entry.wave]?.targets ?? []) if (state === "healthy") this.#tell(machine);
        return;
      case "gate_asked":
      case "alarm_asked":
        this.questions.push({ deployment: entry.deployment, asker: askerOf(entry) });
        return;
      case "rollout_started":
        this.#changedApps.add(entry.app);
        return;
      case "phase_changed":
        if (isEnded(entry.phase) || entry.phase === "rolling_back") this.#changedApps.add(entry.app);
        return;
      default:
        return;
    }
  }

  /** Machines whose assignment has changed since this was asked last. */
  stale(): readonly MachineId[] {
    const stale = this.#stale;
    this.#stale = [];
    return stale;
  }

  takeChangedApps(): readonly AppName[] {
    const apps = [...this.#changedApps];
    this.#changedApps.clear();
    return apps;
  }

  #tell(machine: MachineId): void {
    this.told.add(machine);
    this.#stale.push(machine);
  }
}

function hasPassed(rollout: RolloutState | undefined, machine: MachineId): boolean {
  const wave = rollout?.targets.get(machine)?.wave;
  return wave !== undefined && rollout?.waves[wave]?.finishedAt !== null;
}
