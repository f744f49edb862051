/**
 * What must hold of the journal itself: that it is the whole truth of the controller, that nothing in it goes back, and that what is in memory is what is in the tables.
 * What must hold of the hosts is in oracle/.
 */
import { isDeepStrictEqual } from "node:util";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Entry, JournalRow, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { loadActiveRollouts } from "@muster/controller/src/journal/load.ts";
import { PROJECTION_TABLES } from "@muster/controller/src/journal/schema.ts";
import { auditRollout } from "@muster/controller/src/rollout/invariants.ts";
import type { RolloutState } from "@muster/controller/src/rollout/state.ts";
import { type ByKind, dispatch } from "./rows.ts";
import type { SimController } from "./controller.ts";
import { nameOf } from "./oracle/going-back.ts";
import type { Store } from "./store.ts";
import { Violation } from "./violation.ts";

/** Of one run, for each machine; reaching it means that the engine writes without end. */
const ROWS_MAX = 3_000;
/** Steps between two comparisons of everything with everything. */
const AUDIT_STEPS = 397;

/** What comes by itself, from machines, or from their silence. */
const CAME: ReadonlySet<Entry["kind"]> = new Set(["report_accepted", "machine_silent"]);
/** What rollouts do of themselves. */
const FOLLOWS: ReadonlySet<Entry["kind"]> = new Set(["wave_started", "wave_finished", "gate_opened", "phase_changed", "target_assigned"]);

export class Checks {
  readonly #store: Store;
  readonly #machinesMax: number;
  readonly #heard: (row: JournalRow) => void;
  readonly #machines = new Map<MachineId, Labels>();
  /** The newest generation of each machine, of those that were removed under the same name too. */
  readonly #generations = new Map<MachineId, number>();
  /** The same, of those that are in the fleet. */
  readonly #newest = new Map<MachineId, number>();
  /** Those that have been removed at some time; others of their name may have joined since. */
  readonly #removed = new Set<MachineId>();
  /** Of each release. */
  readonly #artifacts = new Map<string, string>();
  /** `machine/app` to the artifact of every release that was decided for it. */
  readonly #named = new Map<string, Set<string>>();
  readonly #open = new Set<DeploymentId>();
  /** `machine/generation` to its assignment. */
  readonly #said = new Map<string, string>();
  readonly #handlers: ByKind = {
    machine_joined: ({ machine, labels }) => {
      if (this.#machines.has(machine)) throw new Violation("labels_are_given", `${machine} joins, and is there already`);
      this.#machines.set(machine, labels);
    },
    machine_labelled: ({ machine, labels }) => void this.#machines.set(machine, labels),
    machine_removed: ({ machine }) => {
      this.#machines.delete(machine);
      this.#newest.delete(machine);
      this.#removed.add(machine);
    },
    release_created: ({ id, release }) => void this.#artifacts.set(id, release.artifact),
    target_assigned: ({ machine, app, release }, seq) => {
      this.#assigned(machine, seq);
      if (release === null) return;
      const name = `${machine}/${app}`;
      const named = this.#named.get(name) ?? new Set();
      this.#named.set(name, named.add(this.#artifacts.get(release)!));
    },
    assignment_renewed: ({ machine }, seq) => this.#assigned(machine, seq),
    report_accepted: ({ machine }) => {
      if (!this.#machines.has(machine)) throw new Violation("removed_is_left", `a report of ${machine}, which is not there`);
    },
    deployment_submitted: ({ deployment }) => void this.#open.add(deployment),
    phase_changed: ({ deployment, phase }) => {
      if (["succeeded", "rolled_back", "failed", "aborted", "superseded"].includes(phase)) this.#open.delete(deployment);
      else this.#open.add(deployment);
    },
  };
  #seenSeq = 0;
  /** The newest row after which everything was looked at. */
  #lookedSeq = 0;
  #steps = 0;

  /** `heard`: each row, before it is checked. */
  constructor(store: Store, machinesMax: number, heard: (row: JournalRow) => void = () => {}) {
    this.#store = store;
    this.#machinesMax = machinesMax;
    this.#heard = heard;
  }

  get open(): ReadonlySet<DeploymentId> {
    return this.#open;
  }

  generationOf(machine: MachineId): number {
    return this.#newest.get(machine) ?? 0;
  }

  hasJoined(machine: MachineId): boolean {
    return this.#machines.has(machine);
  }

  /** The rows of one commit. */
  commit(rows: readonly JournalRow[]): void {
    this.rows(rows);
    const first = rows.find(({ entry }) => FOLLOWS.has(entry.kind));
    const late = first === undefined ? undefined : rows.find(({ entry, seq }) => CAME.has(entry.kind) && seq > first.seq);
    if (late !== undefined) throw new Violation("taken_in_whole", `row ${first!.seq} (${first!.entry.kind}) comes before row ${late.seq} (${late.entry.kind}), which came with what it follows from`);
  }

  /** The rows of one commit, or those that nobody was told of because the controller died. */
  rows(rows: readonly JournalRow[]): void {
    for (const row of rows) {
      if (row.seq <= this.#seenSeq) continue;
      if (row.seq !== this.#seenSeq + 1) throw new Violation("replay_is_tables", `row ${row.seq} follows row ${this.#seenSeq}`);
      this.#seenSeq = row.seq;
      if (row.seq > ROWS_MAX * Math.max(10, this.#machinesMax)) throw new Violation("spins", `the journal has come to ${row.seq} rows`);
      dispatch(this.#handlers, row);
      this.#heard(row);
    }
  }

  step(controller: SimController): void {
    const { journal } = this.#store;
    const isNews = journal.lastSeq > this.#lookedSeq;
    this.#lookedSeq = journal.lastSeq;
    if (journal.lastSeq > this.#seenSeq) this.rows([...journal.read({ fromSeq: this.#seenSeq + 1 })]);
    this.#steps += 1;
    // Nothing of what is looked at changes but with a row.
    if (isNews && controller.isUp) for (const id of this.#open) if ((controller.waitingOn(id) ?? "") === "") throw new Violation("waits_for_something", `${id} has not ended and waits for nothing`);
    if (this.#steps % AUDIT_STEPS === 0 && (this.#machinesMax < 100 || this.#steps % (20 * AUDIT_STEPS) === 0)) this.audit(controller);
  }

  /** All of memory against all of the tables. */
  audit(controller: SimController): void {
    const { journal } = this.#store;
    const stored = journal.db.prepare("SELECT id, labels FROM machines ORDER BY id").all() as { id: MachineId; labels: string }[];
    const known = [...this.#machines].map(([id, labels]) => ({ id, labels })).sort((a, b) => (a.id < b.id ? -1 : 1));
    const held = stored.map(({ id, labels }) => ({ id, labels: JSON.parse(labels) as unknown }));
    if (!isDeepStrictEqual(held, known)) throw new Violation("labels_are_given", `the tables hold ${JSON.stringify(held)}, the journal ${JSON.stringify(known)}`);
    for (const rollout of loadActiveRollouts(journal)) {
      try {
        auditRollout(rollout);
      } catch (error) {
        throw new Violation("counts_add_up", String(error), error);
      }
      const inMemory = controller.engine?.rollout(rollout.id);
      for (const counted of [rollout, ...(inMemory === undefined ? [] : [inMemory])]) checkCounts(counted);
      if (controller.isUp && !isDeepStrictEqual(lasting(inMemory), lasting(rollout))) throw new Violation("memory_is_tables", `${rollout.id}: ${difference(lasting(inMemory), lasting(rollout))}`);
    }
    const drifted = controller.isUp ? controller.engine?.audit() : undefined;
    if (drifted !== undefined) throw new Violation("memory_is_tables", drifted);
  }

  #assigned(machine: MachineId, seq: number): void {
    const before = this.#generations.get(machine) ?? 0;
    if (before >= seq) throw new Violation("generation_rises", `${machine} is assigned ${seq} after ${before}`);
    this.#generations.set(machine, seq);
    this.#newest.set(machine, seq);
  }

  ran(machine: MachineId, app: string, artifact: string): void {
    if (this.#named.get(`${machine}/${app}`)?.has(artifact) !== true) throw new Violation("runs_what_was_named", `${machine} runs ${nameOf(artifact)}, which was never decided for it`);
  }

  /** An assignment left the controller. */
  sent(assignment: Assignment): void {
    const { machine, generation } = assignment;
    const key = `${machine}/${generation}`;
    const said = JSON.stringify(assignment);
    const before = this.#said.get(key);
    this.#said.set(key, said);
    if (before !== undefined && before !== said) throw new Violation("generation_says_one_thing", `${key} was ${before}, and is ${said}`);
  }

  took(machine: MachineId, before: number, { generation }: Assignment): void {
    if (generation <= before) throw new Violation("generation_rises", `${machine} took generation ${generation} after ${before}`);
    // A release that is confirmed gives its machine the generation of the row that confirmed it.
    const newest = this.#store.journal.lastSeq;
    if (generation > newest) throw new Violation("generation_rises", `${machine} took generation ${generation}; the journal has come to ${newest}`);
  }

  /** `reports`: what the agent had sent and lets go of now, the oldest first. */
  acknowledged(machine: MachineId, instance: string, seq: number, reports: readonly ReportAccepted[]): void {
    // Of one that was removed nothing is kept.
    if (this.#removed.has(machine)) return;
    const { journal } = this.#store;
    const stored = journal.reports.acknowledgedSeq(machine, instance);
    if (seq > stored) throw new Violation("acknowledged_is_stored", `report ${seq} of ${machine} is acknowledged; stored is ${stored}`);
    if (seq < stored) return;
    const held = journal.reports.heldOf(machine).map(({ app }) => app);
    for (const { app, reportSeq, phase, generation, starts } of new Map(reports.map((report) => [report.app, report])).values()) {
      if (held.includes(app)) continue;
      const kept = journal.db.prepare("SELECT phase, generation, starts FROM machine_apps WHERE machine = ? AND app = ?").get(machine, app);
      if (!isDeepStrictEqual(kept, { phase, generation, starts })) {
        throw new Violation("acknowledged_is_stored", `report ${reportSeq} of ${machine} about ${app} is acknowledged (${phase} at ${generation}); kept is ${JSON.stringify(kept)}`);
      }
    }
  }
}

/** The journal alone gives the same tables. */
export function checkReplay(journal: Journal, replayed: Journal): void {
  replayed.transaction(() => {
    for (const row of journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
  });
  for (const table of PROJECTION_TABLES) {
    const rows = (from: Journal) => JSON.stringify(from.db.prepare(`SELECT * FROM ${table}`).all());
    if (rows(replayed) !== rows(journal)) throw new Violation("replay_is_tables", `the table ${table} differs after a replay`);
  }
}

function checkCounts({ id, waves }: RolloutState): void {
  for (const [index, wave] of waves.entries()) {
    const byState = Map.groupBy(wave.targets, ({ state }) => state);
    for (const [state, count] of Object.entries(wave.counts)) if (count !== (byState.get(state as never)?.length ?? 0)) throw new Violation("counts_add_up", `${id} counts ${count} ${state} in wave ${index + 1}`);
  }
}

/** But for what is worked out from the rest when it is asked for. */
function lasting(state: RolloutState | undefined): unknown {
  if (state === undefined) return undefined;
  return { ...state, turns: null, turnsBack: null, laneKeys: null, availability: null, startFirst: null, backFirst: null, startFirstBehind: null };
}

function difference(held: unknown, stored: unknown): string {
  const show = (value: unknown) => JSON.stringify(value, (_, part: unknown) => (part instanceof Map || part instanceof Set ? [...part] : part)) ?? "nothing";
  const [left, right] = [show(held), show(stored)];
  let at = 0;
  while (at < left.length && left[at] === right[at]) at += 1;
  return `memory …${left.slice(Math.max(0, at - 40), at + 60)}…, tables …${right.slice(Math.max(0, at - 40), at + 60)}…`;
}
