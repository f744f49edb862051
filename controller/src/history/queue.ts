/**
 * What a deployment waited for before it began, at any time: asked of the same code that lets it begin (engine/starts.ts), with the deployments that were there then and
 * how far they had come.
 */
import type { Database } from "better-sqlite3";
import { openDatabase } from "../journal/database.ts";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { Facts } from "../engine/facts.ts";
import { type StartFacts, waitingToStart } from "../engine/starts.ts";
import type { JournalRow } from "../journal/entry.ts";
import { createProjector } from "../journal/project.ts";
import { recreateProjections } from "../journal/schema.ts";
import { newestSubmitted } from "../journal/submissions.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { Stamp } from "../rollout/change.ts";
import { later, type Moment } from "../rollout/moment.ts";
import { isEnded, newRollout, type RolloutState } from "../rollout/state.ts";
import { Rows, type Source } from "./rows.ts";

/** A reason to wait, from a moment on. */
export interface Wait {
  /** Of the row that made it so. */
  readonly seq: number;
  readonly at: Instant;
  readonly message: string;
}

interface Own {
  readonly number: number;
  readonly app: string;
  readonly release: string;
  readonly strategy: string;
  readonly start_seq: number | null;
  readonly started_at: Instant | null;
  readonly ended_at: Instant | null;
}

/** The last row that counts, and until when it may have waited after that. */
interface End {
  readonly seq: number;
  readonly at: Instant;
}

/** Of one that waits for long in a busy queue. */
const WAITS_MAX = 1000;

export class Queue {
  readonly #id: DeploymentId;
  readonly #db: Database;
  readonly #rows: Rows;
  readonly #own: Own | undefined;

  constructor(source: Source, id: DeploymentId) {
    const { db } = source;
    this.#id = id;
    this.#db = db;
    this.#rows = new Rows(source);
    this.#own = db.prepare("SELECT * FROM deployments WHERE id = ?").get(id) as Own | undefined;
  }

  /** What it waited for at a time at which it had not begun, before a row of the journal; undefined: nothing. */
  at(at: Instant, endSeq: number): string | undefined {
    const waits = this.until(at, endSeq);
    return waits.at(-1)?.message;
  }

  /** Each change of what it waited for, until it began, or until `now` and before the row `endSeq`. Rows go by their order: the wall clock may have been wrong when they were written. */
  until(now: Instant, endSeq = Infinity): readonly Wait[] {
    const own = this.#own;
    const bounds = this.#rows.bounds(this.#id);
    if (own === undefined || bounds === undefined) return [];
    const beganSeq = own.start_seq ?? (own.ended_at === null ? Infinity : bounds.last);
    const beganAt = own.started_at ?? own.ended_at;
    const end: End = beganAt !== null && beganSeq < endSeq ? { seq: beganSeq, at: beganAt } : { seq: endSeq - 1, at: now };
    const scratch = openDatabase(":memory:");
    try {
      recreateProjections(scratch);
      return this.#waits(bounds.first, this.#neighbours(own, bounds.first, end.seq), scratch, end.at);
    } finally {
      scratch.close();
    }
  }

  #waits(firstSeq: number, rows: readonly JournalRow[], scratch: Database, end: Instant): readonly Wait[] {
    const project = createProjector(scratch);
    // Whether a release stood where it ran was not written down, nor are targets read here; what waited for that, or for a superseded rollback, is not shown to have waited.
    const facts: StartFacts = { facts: new Facts(scratch), promotions: { missing: () => undefined }, rollouts: { goingBack: () => [] }, catchUp: { undecidedBack: () => [] } };
    const states = new Map<DeploymentId, RolloutState>();
    const waits: Wait[] = [];
    let seq = 0;
    const look = (at: Moment): Instant | undefined => {
      const state = states.get(this.#id);
      if (state?.phase !== "pending") return undefined;
      const ofApp = [...states.values()].filter((other) => other.app === state.app && !isEnded(other.phase));
      const waiting = waitingToStart(state, ofApp, facts, at);
      if (waiting !== undefined && waiting.message !== waits.at(-1)?.message) waits.push({ seq, at: at.at, message: waiting.message });
      return waiting?.until;
    };
    for (const [index, row] of rows.entries()) {
      project(row);
      seq = row.seq;
      note(states, row);
      const next = rows[index + 1];
      // Rows of one instant were one decision.
      if (next?.at === row.at || waits.length >= WAITS_MAX) continue;
      const until = next?.at ?? end;
      for (let at: Instant | undefined = row.at; at !== undefined && waits.length < WAITS_MAX; ) {
        const again = look(later(row, at - row.at));
        at = again !== undefined && again > at && again <= until ? again : undefined;
      }
    }
    return waits.filter(({ seq: of }) => of >= firstSeq);
  }

  /** Rows of the deployments that it may have waited for, and its own until it began, up to `endSeq`. */
  #neighbours({ number, app, release, strategy }: Own, firstSeq: number, endSeq: number): readonly JournalRow[] {
    const after = afterOf(strategy);
    const newest = newestSubmitted(this.#db, endSeq);
    const from = this.#db.prepare("SELECT attended FROM journal WHERE seq = ?").pluck().get(firstSeq) as number;
    const ids = new Set(
      this.#db.prepare("SELECT id FROM deployments WHERE app = ? AND number <= ? AND (ended_attended IS NULL OR ended_attended >= ?)").pluck().all(app, newest, from) as DeploymentId[],
    );
    if (after !== null) {
      const wanted = "app = @app AND selector = @targets AND (@release IS NULL OR release = @release)";
      const forerunners = this.#db
        .prepare(`SELECT id FROM deployments WHERE ${wanted} AND number <= @newest AND number >= coalesce((SELECT max(number) FROM deployments WHERE ${wanted} AND number < @number), 0)`)
        .pluck()
        .all({ app: after.deploymentOf, targets: after.targets, release: after.deploymentOf === app ? release : null, newest, number }) as DeploymentId[];
      for (const id of forerunners) ids.add(id);
    }
    ids.add(this.#id);
    const rows = [...ids].flatMap((id) => (id === this.#id ? this.#rows.phasesOf(id).filter(({ entry }) => entry.kind !== "phase_changed") : [...this.#rows.phasesOf(id), ...this.#start(id)]));
    return rows.filter(({ seq }) => seq <= endSeq).sort((a, b) => a.seq - b.seq);
  }

  /** That it started matters here, not with whom. */
  #start(deployment: DeploymentId): readonly JournalRow[] {
    const row = this.#db.prepare("SELECT start_seq AS seq, started_at AS at, coalesce((SELECT attended FROM journal WHERE seq = start_seq), 0) AS attended, app FROM deployments WHERE id = ?").get(deployment) as (Stamp & { readonly app: never }) | undefined;
    if (row === undefined || row.seq === null) return [];
    const plan = { waves: [], unchanged: [], maxUnavailable: 1, lanes: [], notes: [] };
    return [{ seq: row.seq, at: row.at, attended: row.attended, entry: { kind: "rollout_started", deployment, app: row.app, plan } }];
  }
}

function note(states: Map<DeploymentId, RolloutState>, row: JournalRow): void {
  const { entry } = row;
  if (entry.kind === "deployment_submitted") {
    const { deployment: id, app, release, strategy } = entry;
    states.set(id, newRollout({ id, app, release, strategy }, row));
    return;
  }
  if (!("deployment" in entry)) return;
  const state = states.get(entry.deployment);
  if (state === undefined) return;
  if (entry.kind === "start_approved") state.startApproved = true;
  if (entry.kind === "rollout_started") state.phase = "rolling";
  if (entry.kind === "phase_changed") state.phase = entry.phase;
}

/** What it is promoted from; null also where that can't be read. */
function afterOf(strategy: string): Strategy["after"] {
  try {
    return (JSON.parse(strategy) as Strategy).after;
  } catch {
    return null;
  }
}
