/**
 * What must hold, each under its name: of every row at the moment at which it was written, and of everything after every step.
 *
 * They are held against `Model`, which reads the journal by rules of its own, and against what machines really did: never against what the engine says of itself, but
 * where it is that saying that is checked.
 */
import { isDeepStrictEqual } from "node:util";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { JournalRow, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { loadActiveRollouts } from "@muster/controller/src/journal/load.ts";
import { auditRollout } from "@muster/controller/src/rollout/invariants.ts";
import type { RolloutState } from "@muster/controller/src/rollout/state.ts";
import { countOf, Model, type ModelRollout } from "./model.ts";
import { alarmed, checkAbsence, checkRow, tripped } from "./rules.ts";
import { Violation } from "./violation.ts";

/** Of one run; reaching it means that the engine writes without end. */
const ROWS_MAX = 20_000;
/** Steps between two comparisons of everything with everything. */
const AUDIT_STEPS = 97;

export class Checks {
  readonly model = new Model();
  readonly #journal: Journal;
  readonly #heard: (row: JournalRow) => void;
  /** `machine/generation` to its assignment. */
  readonly #said = new Map<string, string>();
  #seenSeq = 0;
  /** The newest row after which everything was looked at. */
  #toldSeq = 0;
  #steps = 0;

  /** `heard`: each row, before it is checked. */
  constructor(journal: Journal, heard: (row: JournalRow) => void = () => {}) {
    this.#journal = journal;
    this.#heard = heard;
  }

  /** The rows of one commit, or those that nobody was told of because the controller died. */
  rows(rows: readonly JournalRow[]): void {
    for (const row of rows) {
      if (row.seq <= this.#seenSeq) continue;
      if (row.seq !== this.#seenSeq + 1) throw new Violation("replay_is_tables", `row ${row.seq} follows row ${this.#seenSeq}`);
      this.#seenSeq = row.seq;
      if (row.seq > ROWS_MAX) throw new Violation("spins", `the journal has come to ${row.seq} rows`);
      this.#heard(row);
      checkRow(this.model, row);
      this.model.take(row);
    }
    if (rows.some(({ entry }) => entry.kind === "machine_removed")) checkAbsence(this.model);
  }

  step(engine: Engine | undefined): void {
    const isNews = this.#journal.lastSeq > this.#toldSeq;
    this.#toldSeq = this.#journal.lastSeq;
    if (this.#journal.lastSeq > this.#seenSeq) this.rows([...this.#journal.read({ fromSeq: this.#seenSeq + 1 })]);
    this.#steps += 1;
    // Nothing of what is looked at changes but with a row.
    if (isNews) for (const rollout of this.model.open) this.#rollout(rollout, engine);
    if (this.#steps % AUDIT_STEPS === 0) this.audit(engine);
  }

  /** All of memory against all of the tables. */
  audit(engine: Engine | undefined): void {
    this.#machines();
    for (const stored of loadActiveRollouts(this.#journal)) {
      try {
        auditRollout(stored);
      } catch (error) {
        throw new Violation("counts_add_up", String(error), error);
      }
      const held = engine?.rollout(stored.id);
      if (engine !== undefined && !isDeepStrictEqual(lasting(held), lasting(stored))) throw new Violation("memory_is_tables", `${stored.id}: ${difference(lasting(held), lasting(stored))}`);
    }
  }

  /** Who is there, and with which labels. */
  #machines(): void {
    const stored = this.#journal.db.prepare("SELECT id, labels FROM machines ORDER BY id").all() as { id: MachineId; labels: string }[];
    const known = [...this.model.machines].map(([id, { labels }]) => ({ id, labels })).sort((a, b) => (a.id < b.id ? -1 : 1));
    const held = stored.map(({ id, labels }) => ({ id, labels: JSON.parse(labels) as unknown }));
    if (!isDeepStrictEqual(held, known)) throw new Violation("labels_are_given", `the tables hold ${JSON.stringify(held)}, the journal ${JSON.stringify(known)}`);
  }

  ran(machine: MachineId, app: string, artifact: string): void {
    if (this.model.named.get(`${machine}/${app}`)?.has(artifact) === true) return;
    throw new Violation("runs_what_was_named", `${machine} runs ${Buffer.from(artifact.replace(/(00)+$/, ""), "hex").toString()}, which no assignment named`);
  }

  /** An assignment left the controller. */
  told(assignment: Assignment): void {
    const { machine, generation } = assignment;
    const key = `${machine}/${generation}`;
    const said = JSON.stringify(assignment);
    const before = this.#said.get(key);
    this.#said.set(key, said);
    if (before !== undefined && before !== said) throw new Violation("generation_says_one_thing", `${key} was ${before}, and is ${said}`);
  }

  took(machine: MachineId, before: number, { generation }: Assignment): void {
    if (generation <= before) throw new Violation("generation_rises", `${machine} took generation ${generation} after ${before}`);
    const newest = this.model.generations.get(machine) ?? 0;
    if (generation > newest) throw new Violation("generation_rises", `${machine} took generation ${generation}; the journal has come to ${newest}`);
  }

  /** `reports`: what the agent had sent and lets go of now, the oldest first. */
  acknowledged(machine: MachineId, instance: string, seq: number, reports: readonly ReportAccepted[]): void {
    // Of one that was removed nothing is kept.
    if (this.model.removed.has(machine)) return;
    const stored = this.#journal.reports.acknowledgedSeq(machine, instance);
    if (seq > stored) throw new Violation("acknowledged_is_stored", `report ${seq} of ${machine} is acknowledged; stored is ${stored}`);
    if (seq < stored) return;
    const held = this.#journal.reports.heldOf(machine).map(({ app }) => app);
    for (const { app, reportSeq, phase, generation, starts } of new Map(reports.map((report) => [report.app, report])).values()) {
      if (held.includes(app)) continue;
      const kept = this.#journal.db.prepare("SELECT phase, generation, starts FROM machine_apps WHERE machine = ? AND app = ?").get(machine, app);
      if (!isDeepStrictEqual(kept, { phase, generation, starts })) {
        throw new Violation("acknowledged_is_stored", `report ${reportSeq} of ${machine} about ${app} is acknowledged (${phase} at ${generation}); kept is ${JSON.stringify(kept)}`);
      }
    }
  }

  #rollout(rollout: ModelRollout, engine: Engine | undefined): void {
    const over = rollout.phase === "rolling" ? tripped(rollout) : undefined;
    if (over !== undefined) throw new Violation("failures_stop", `${rollout.id} rolls on though ${over}`);
    const alarm = rollout.phase === "rolling" ? alarmed(rollout) : undefined;
    if (alarm !== undefined) throw new Violation("alarms_stop", `${rollout.id} rolls on though ${alarm}`);
    if (engine === undefined) return;
    const held = engine.rollout(rollout.id);
    if (held === undefined || held.phase !== rollout.phase) throw new Violation("memory_is_tables", `${rollout.id} is ${rollout.phase} in the journal and ${held?.phase ?? "absent"} in memory`);
    if ((engine.waitingOn(rollout.id) ?? "") === "") throw new Violation("waits_for_something", `${rollout.id} is ${held.phase} and waits for nothing`);
    for (const [index, wave] of rollout.waves.entries()) {
      const counts = held.waves[index]!.counts;
      const failed = countOf(wave, "failed");
      if (counts.failed !== failed) throw new Violation("counts_add_up", `${rollout.id} counts ${counts.failed} failed in wave ${index + 1}; the journal says ${failed}`);
      let total = 0;
      for (const count of Object.values(counts)) total += count;
      if (total !== wave.targets.length) throw new Violation("counts_add_up", `${rollout.id} counts ${total} of the ${wave.targets.length} targets in wave ${index + 1}`);
    }
  }
}

/** But for what is worked out from the rest when it is asked for. */
function lasting(state: RolloutState | undefined): unknown {
  if (state === undefined) return undefined;
  return { ...state, turns: null, turnsBack: null, laneKeys: null };
}

function difference(held: unknown, stored: unknown): string {
  const show = (value: unknown) => JSON.stringify(value, (_, part: unknown) => (part instanceof Map || part instanceof Set ? [...part] : part)) ?? "nothing";
  const [left, right] = [show(held), show(stored)];
  let at = 0;
  while (at < left.length && left[at] === right[at]) at += 1;
  return `memory …${left.slice(Math.max(0, at - 40), at + 60)}…, tables …${right.slice(Math.max(0, at - 40), at + 60)}…`;
}
