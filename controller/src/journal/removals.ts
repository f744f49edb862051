/**
 * Machines that were removed from the fleet, in the tables of deployments that have ended (removal.ts). There may be thousands of these, on a page of the database each: the newest are
 * changed in the transaction of the removal, and so are those in which the machine had failed or was lost, which decisions about others ask for; the rest, in which it leaves nothing behind, slice by slice in later ones, which no row
 * of the journal says.
 *
 * Always holds: a deployment is changed before the next row about it, and a machine's removal is done before another one of its name joins; `loadRollout` takes in what is still owed.
 * So nobody who decides sees a difference, and the tables are those of a removal that was done at once, whenever the controller is killed.
 */
import type { Database } from "better-sqlite3";
import { type AppName, type DeploymentId, deploymentNumber, type Instant, type MachineId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import { apply } from "../rollout/change.ts";
import { evidenceOf } from "../rollout/evidence.ts";
import type { Attended, Moment } from "../rollout/moment.ts";
import type { LeftAs, RolloutPhase, RolloutState, Target } from "../rollout/state.ts";
import type { JournalRow, MachineRemoved } from "./entry.ts";
import { MAY_COME_BACK, removalIn, removalReason } from "./removal.ts";
import { statement } from "./statement.ts";

/** Deployments that are looked at in one slice: some 10 ms when the machine was in each of them, and 1 ms when it was in none. */
export const DEPLOYMENTS_AT_ONCE = 250;
/** Slices that go together, as long as they have changed no more targets than this. */
const SLICES_TOGETHER = 10;
const TARGETS_TOGETHER = 100;

interface OwedRow {
  readonly machine: MachineId;
  /** Of deployments with a smaller number. */
  readonly before: number;
  readonly seq: number;
  readonly at: Instant;
  readonly attended: Attended;
  readonly entry: string;
}

interface Touched extends Pick<Target, "state" | "purpose" | "letGo" | "leftAs" | "firstTold" | "attempts"> {
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly phase: RolloutPhase;
  readonly reasonCode: ReasonCode | null;
  readonly isOnTrial: 0 | 1;
}

export class Removals {
  readonly #sql: ReturnType<typeof prepare>;
  /** False: nothing is owed. */
  #mayOwe = true;
  /** Nothing is owed to these any more. */
  readonly #settled = new Set<DeploymentId>();

  constructor(db: Database) {
    this.#sql = prepare(db);
  }

  /** Whether `goOn` is to be called. */
  get isOwed(): boolean {
    return this.#mayOwe;
  }

  /** Projects the removal: the newest deployments at once, and what it leaves behind in older ones; the others are owed. */
  take(entry: MachineRemoved, { seq, at, attended }: Pick<JournalRow, "seq" | "at" | "attended">): void {
    const { machine, lostWith = [] } = entry;
    this.#mayOwe = true;
    this.#settled.clear();
    this.#sql.owe.run({ machine, before: Number.MAX_SAFE_INTEGER, seq, at, attended, entry: JSON.stringify(entry) });
    this.#slice(machine);
    if (this.#owedOf(machine) === undefined) return;
    const found = this.#sql.evident.all({ machine, lostWith: JSON.stringify(lostWith) }) as Touched[];
    for (const touched of found) if (evidenceIn(entry, touched) !== null) this.#remove(entry, touched, { at, attended });
  }

  /** Called before any other row about the deployment. */
  settle(id: DeploymentId): void {
    if (!this.#mayOwe || this.#settled.has(id)) return;
    const number = deploymentNumber(id);
    for (const owed of this.#sql.owedTo.all(number) as OwedRow[]) this.#change(owed, number, number + 1);
    this.#settled.add(id);
  }

  /** A transaction has failed. */
  undone(): void {
    this.#mayOwe = true;
    this.#settled.clear();
  }

  /** Called before a machine of that name joins. */
  finish(machine: MachineId): void {
    if (!this.#mayOwe) return;
    while (this.#owedOf(machine) !== undefined) this.#slice(machine);
  }

  /** Within a transaction: some of what is owed, the oldest removal first. */
  goOn(): void {
    if (!this.#mayOwe) return;
    let changed = 0;
    for (let slices = 0; slices < SLICES_TOGETHER && changed <= TARGETS_TOGETHER; slices += 1) {
      const machine = this.#sql.next.get() as MachineId | undefined;
      if (machine === undefined) {
        if (slices === 0) this.#mayOwe = false;
        return;
      }
      changed += this.#slice(machine);
    }
  }

  /** When nothing else is to be done meanwhile. */
  finishAll(): void {
    while (this.#mayOwe) this.goOn();
  }

  #owedOf(machine: MachineId): OwedRow | undefined {
    return this.#sql.owedOf.get(machine) as OwedRow | undefined;
  }

  /** Of a removal that is owed. Returns how many targets it changed. */
  #slice(machine: MachineId): number {
    const owed = this.#owedOf(machine)!;
    const from = this.#sql.from.get(owed.before, DEPLOYMENTS_AT_ONCE) as number | null;
    const changed = from === null ? 0 : this.#change(owed, from, owed.before);
    if (from === null || this.#sql.from.get(from, 1) === null) this.#sql.done.run(machine);
    else this.#sql.goOn.run({ machine, before: from });
    return changed;
  }

  /** Changes the machine's targets of deployments with these numbers, the second not among them. Returns how many. */
  #change({ entry, machine, ...moment }: OwedRow, from: number, before: number): number {
    const removed = JSON.parse(entry) as MachineRemoved;
    const found = this.#sql.touched.all({ machine, from, before, lostWith: JSON.stringify(removed.lostWith ?? []) }) as Touched[];
    for (const touched of found) this.#remove(removed, touched, moment);
    return found.length;
  }

  #remove(removed: MachineRemoved, touched: Touched, { at, attended }: Moment): void {
    const { deployment, app } = touched;
    this.#sql.remove.run({ machine: removed.machine, at, attended, ...removalReason(removed), deployment, left: evidenceIn(removed, touched), runs: removed.runs?.[app] ?? null });
  }
}

function evidenceIn({ lostWith = [] }: MachineRemoved, { deployment, phase, reasonCode, isOnTrial, ...target }: Touched): LeftAs | null {
  return evidenceOf(phase, { ...target, onTrial: isOnTrial === 1, reason: reasonCode === null ? null : { code: reasonCode, message: "" } }, !lostWith.includes(deployment));
}

/** What is owed now, for `takeOwed`. */
export function owedRemovals(db: Database): readonly OwedRow[] {
  return statement(db, `${OWED} ORDER BY seq`).all() as OwedRow[];
}

/** Takes into a rollout what was owed to its tables before its targets were read from them. */
export function takeOwed(state: RolloutState, all: readonly OwedRow[]): void {
  const number = deploymentNumber(state.id);
  for (const { before, entry: text, seq, at, attended } of all) {
    if (number >= before) continue;
    for (const { entry, ...stamp } of removalIn(state, { seq, at, attended, entry: JSON.parse(text) as MachineRemoved })) apply(state, entry, stamp);
  }
}

const OWED = "SELECT machine, before, seq, at, attended, entry FROM owed_removals";

const PHASES = MAY_COME_BACK.map((phase) => `'${phase}'`).join(", ");
/** Of a deployment `d` and its target `t`: that is to be changed. */
const IS_TOUCHED = `(d.phase IN (${PHASES}) OR (d.phase = 'superseded' AND (d.back_seq IS NOT NULL OR d.id IN (SELECT value FROM json_each(@lostWith))))) AND t.state <> 'removed'`;
const TOUCHED = "SELECT d.id AS deployment, d.app, d.phase, t.state, t.purpose, t.reason_code AS reasonCode, t.let_go AS letGo, t.left_as AS leftAs, t.first_told AS firstTold, t.attempts, t.on_trial AS isOnTrial";

function prepare(db: Database) {
  return {
    owe: db.prepare("INSERT INTO owed_removals (machine, before, seq, at, attended, entry) VALUES (@machine, @before, @seq, @at, @attended, @entry)"),
    owedOf: db.prepare(`${OWED} WHERE machine = ?`),
    owedTo: db.prepare(`${OWED} WHERE before > ?`),
    next: db.prepare("SELECT machine FROM owed_removals ORDER BY seq LIMIT 1").pluck(),
    goOn: db.prepare("UPDATE owed_removals SET before = @before WHERE machine = @machine"),
    done: db.prepare("DELETE FROM owed_removals WHERE machine = ?"),
    /** The smallest number of the newest so many before that one. */
    from: db.prepare("SELECT min(number) FROM (SELECT number FROM deployments WHERE number < ? ORDER BY number DESC LIMIT ?)").pluck(),
    touched: db.prepare(
      // CROSS JOIN keeps SQLite from beginning with all targets. One deployment that can't be read keeps no machine in the fleet.
      `${TOUCHED} FROM deployments d CROSS JOIN targets t ON t.deployment = d.id AND t.machine = @machine WHERE d.number >= @from AND d.number < @before AND ${IS_TOUCHED}`,
    ),
    /** Those in which it may leave something behind. */
    evident: db.prepare(
      `${TOUCHED} FROM targets t INDEXED BY targets_outstanding CROSS JOIN deployments d ON d.id = t.deployment WHERE t.machine = @machine AND t.state IN ('unreachable', 'skipped') AND ${IS_TOUCHED}
       UNION ${TOUCHED} FROM targets t INDEXED BY targets_failed CROSS JOIN deployments d ON d.id = t.deployment WHERE t.machine = @machine AND t.state = 'failed' AND ${IS_TOUCHED}
       UNION ${TOUCHED} FROM json_each(@lostWith) l CROSS JOIN deployments d ON d.id = l.value CROSS JOIN targets t ON t.deployment = d.id AND t.machine = @machine WHERE ${IS_TOUCHED}`,
    ),
    remove: db.prepare(
      // As `runsAsLeft` has it. What it said last counts, whatever it said before. It stays known, as `staysKnown` has it.
      `UPDATE targets SET state = 'removed', runs = coalesce(CASE WHEN attempts = 0 THEN NULL WHEN state = 'reverted' AND reason_code IS NOT 'cordoned' THEN coalesce(runs, '') ELSE @runs END, runs), purpose = NULL, since = @at, since_attended = @attended, let_go = NULL, left_as = @left,
         is_known = is_known AND CASE WHEN state = 'failed' OR left_as = 'failed' THEN 'failed' ELSE 'lost' END IS @left, reason_code = @code, reason_message = @message,
         confirmed_seq = coalesce(confirmed_seq, CASE WHEN state = 'healthy' THEN (SELECT finished_seq FROM waves w WHERE w.deployment = targets.deployment AND w.wave = targets.wave) END)
       WHERE deployment = @deployment AND machine = @machine`,
    ),
  };
}
