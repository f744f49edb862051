/**
 * What the rows of one transaction set off once it is committed: who is told, what is asked. Collected while it runs; nothing is done here. What waits for a later transaction is no part of it.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Asker } from "../gates/verdict.ts";
import { type Entry, isRepeat, isRolloutEntry, type JournalRow, type RolloutEntry } from "../journal/entry.ts";
import { isEnded, type RolloutState } from "../rollout/state.ts";
import { askerOf } from "./questions.ts";

export class Effects {
  readonly rows: JournalRow[] = [];
  /** Their newest assignment. */
  readonly told = new Set<MachineId>();
  readonly questions: { readonly deployment: DeploymentId; readonly asker: Asker }[] = [];
  #stale: MachineId[] = [];

  /** `rollout`: as it stands before this row. */
  note(row: JournalRow, rollout: (id: DeploymentId) => RolloutState | undefined): void {
    const { entry } = row;
    if (!isRepeat(entry)) this.rows.push(row);
    if (entry.kind === "target_assigned" || entry.kind === "assignment_renewed") this.#tell(entry.machine);
    else if (entry.kind === "machine_removed") this.#remove(entry.machine);
    else if (entry.kind === "gate_asked" || entry.kind === "alarm_asked") this.questions.push({ deployment: entry.deployment, asker: askerOf(entry) });
    else if (isRolloutEntry(entry)) this.#confirm(entry, rollout(entry.deployment));
  }

  /**
   * A wave that passes confirms the release on its healthy machines; in one that has passed, a machine that becomes healthy is confirmed at once. Of a rollout that is over it is not in memory
   * whether the wave had passed: the machine is told what the tables say.
   */
  #confirm(entry: RolloutEntry, rollout: RolloutState | undefined): void {
    if (entry.kind === "wave_finished") {
      for (const { machine, state } of rollout?.waves[entry.wave]?.targets ?? []) if (state === "healthy") this.#tell(machine);
    } else if (entry.kind === "target_changed" && entry.state === "healthy" && hasPassed(rollout, entry.machine)) this.#tell(entry.machine);
  }

  #remove(machine: MachineId): void {
    this.#stale.push(machine);
    this.told.delete(machine);
  }

  /** Machines whose assignment has changed since this was asked last. */
  stale(): readonly MachineId[] {
    const stale = this.#stale;
    this.#stale = [];
    return stale;
  }

  #tell(machine: MachineId): void {
    this.told.add(machine);
    this.#stale.push(machine);
  }
}

/** A deployment has begun, ended, or goes back: which one stands for its app may be another. */
export function changesWhoStands(entry: Entry): entry is Extract<RolloutEntry, { readonly kind: "rollout_started" | "phase_changed" }> {
  return entry.kind === "rollout_started" || (entry.kind === "phase_changed" && (isEnded(entry.phase) || entry.phase === "rolling_back"));
}

function hasPassed(rollout: RolloutState | undefined, machine: MachineId): boolean {
  if (rollout === undefined) return true;
  const wave = rollout.targets.get(machine)?.wave;
  return wave !== undefined && rollout.waves[wave]?.finishedAt !== null;
}
