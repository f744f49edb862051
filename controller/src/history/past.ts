/**
 * One deployment as it stood at some time: its rows of the journal, taken one by one into empty tables and into a rollout in memory, by the same code that wrote the
 * tables of today.
 *
 * Never writes anything but its own tables, which are in memory and gone when it is closed.
 */
import type { Database } from "better-sqlite3";
import { openDatabase } from "../journal/database.ts";
import type { AppName, DeploymentId, Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { JournalRow, ReportAccepted, RolloutEntry } from "../journal/entry.ts";
import { createProjector, type Projector } from "../journal/project.ts";
import { removalIn } from "../journal/removal.ts";
import { recreateProjections } from "../journal/schema.ts";
import { Availabilities } from "../rollout/availability.ts";
import { apply } from "../rollout/change.ts";
import { noteAvailability } from "../rollout/derived.ts";
import { newRollout, type RolloutState } from "../rollout/state.ts";
import { waitingOn } from "../rollout/words.ts";
import { Slice, SLICE_ROWS, turn } from "../journal/slices.ts";
import { Queue } from "./queue.ts";
import { Rows, type Source } from "./rows.ts";

/** It is written into the tables, and changes the rollout. */
export const ROWS_A_STEP = 4;

export class Past {
  /** The tables, with this one deployment. */
  readonly db: Database;
  readonly #source: Source;
  readonly #rows: Rows;
  readonly #project: Projector;
  /** As far as reports say; who was lost is in the states of the targets. */
  readonly #availabilities = new Availabilities();
  #state: RolloutState | undefined;
  #at = 0 as Instant;
  #endSeq = Number.MAX_SAFE_INTEGER;

  constructor(source: Source) {
    this.#source = source;
    this.#rows = new Rows(source);
    this.db = openDatabase(":memory:");
    recreateProjections(this.db);
    this.#project = createProjector(this.db);
  }

  /** The deployment as it stood at a time, and what its machines had said by then; undefined when it had not been submitted. To be closed. Rows go by their order: that of a clock which was wrong for a while says nothing of those around it. */
  static async at(source: Source, id: DeploymentId, at: Instant): Promise<Past | undefined> {
    const past = await Past.ofSteps(source, id, at);
    if (past === undefined) return undefined;
    try {
      await past.#hearTargets(past.#endSeq);
      past.#at = at;
      return past;
    } catch (error) {
      past.close();
      throw error;
    }
  }

  /** The same by its own steps alone. */
  static async ofSteps(source: Source, id: DeploymentId, at: Instant): Promise<Past | undefined> {
    const past = new Past(source);
    const slice = new Slice();
    try {
      past.#endSeq = past.#rows.firstAfter(at);
      for await (const rows of past.#rows.ofDeployment(id)) {
        for (const row of rows) {
          if (row.seq >= past.#endSeq) break;
          // A plan of a large fleet has a turn of its own.
          if (row.entry.kind === "rollout_started") await turn();
          past.take(row);
          await slice.took(row.entry.kind === "rollout_started" ? SLICE_ROWS : ROWS_A_STEP);
        }
        if (rows.at(-1)!.seq >= past.#endSeq) break;
      }
      if (past.#state === undefined) {
        past.close();
        return undefined;
      }
      return past;
    } catch (error) {
      past.close();
      throw error;
    }
  }

  /** The sequence of the first row after the time that it is of; of one that takes row by row, beyond all. */
  get endSeq(): number {
    return this.#endSeq;
  }

  /** Undefined before its submission. */
  get state(): RolloutState | undefined {
    return this.#state;
  }

  /** The next row of the deployment, a report about its app, or the removal of a machine. */
  take(row: JournalRow): void {
    for (const derived of removalIn(this.#state, row)) this.take(derived);
    const { entry } = row;
    this.#at = row.at;
    if (entry.kind === "deployment_submitted") {
      const { deployment: id, app, release, strategy } = entry;
      this.#createRelease(release, row);
      this.#project(row);
      this.#state = newRollout({ id, app, release, strategy }, row);
    } else if (entry.kind === "report_accepted") {
      if (this.#state?.targets.has(entry.machine) === true) this.#takeReport(row, entry);
    } else if (this.#state !== undefined && isOfRollout(row)) {
      this.#project(row);
      apply(this.#state, row.entry, row);
      if (row.entry.kind !== "target_assigned") return;
      const { machine, release } = row.entry;
      this.#availabilities.assigned(machine, this.#state.app, { generation: row.seq as Generation, deployment: this.#state.id, release });
      this.#note(machine);
    }
  }

  /** After `rollout_started`: what the targets had last said before. */
  async hearTargetsBefore(seq: number): Promise<void> {
    await this.#hearTargets(seq);
  }

  /** What it waited for; undefined when it had ended. */
  waiting(): string | undefined {
    const state = this.#state;
    if (state?.phase !== "pending") return state === undefined ? undefined : waitingOn(state);
    return new Queue(this.#source, state.id).at(this.#at, Math.min(this.#endSeq, this.#rows.firstAfter(this.#at))) ?? waitingOn(state);
  }

  close(): void {
    this.db.close();
  }

  async #hearTargets(beforeSeq: number): Promise<void> {
    const state = this.#state;
    if (state === undefined) return;
    for await (const report of this.#rows.newestReports(state.targets.keys(), state.app, beforeSeq)) this.#hear(report);
  }

  #hear(row: JournalRow): void {
    const { entry } = row;
    if (entry.kind !== "report_accepted" || this.#state === undefined) return;
    const { machine, app } = entry;
    const generation = entry.generation as Generation;
    // What it was assigned before is not looked for: its last answer says whether it served.
    if (this.#state.targets.get(machine)?.attempts === 0) this.#availabilities.assigned(machine, app, { generation, deployment: this.#state.id, release: null });
    this.#takeReport(row, entry);
  }

  #takeReport(row: JournalRow, { machine, app, generation, phase }: ReportAccepted): void {
    this.#project(row);
    this.#availabilities.reported(machine, app, generation as Generation, phase);
    this.#note(machine);
  }

  #note(machine: MachineId): void {
    const state = this.#state!;
    noteAvailability(state, machine, this.#availabilities.noted(machine, state.app));
  }

  /** Releases never change: today's row is the one of then. */
  #createRelease(id: string, { seq, at, attended }: JournalRow): void {
    const row = this.#source.db.prepare("SELECT id, app, release, secrets FROM releases WHERE id = ?").get(id) as { id: never; app: AppName; release: string; secrets: string };
    this.#project({ seq, at, attended, entry: { kind: "release_created", id: row.id, app: row.app, release: JSON.parse(row.release) as Release, secrets: JSON.parse(row.secrets) as Record<string, number> } });
  }
}

/** Of all rows of a deployment, those that change its rollout. */
export function isOfRollout(row: JournalRow): row is JournalRow & { readonly entry: RolloutEntry } {
  const { kind } = row.entry;
  return "deployment" in row.entry && kind !== "deployment_submitted" && kind !== "command_accepted" && kind !== "targets_archived";
}
