/**
 * How long the files of releases are kept. What was deployed, and why, is kept for ever; files of a release may go when it is neither among the newest of its app nor
 * young, and nothing runs it, ran it last, is told to run it, or is about to be. Among the newest count only those that were healthy on some machine: a row of releases
 * that never worked must not push out those that somebody may want to go back to.
 *
 * Always holds: what goes is journalled in the transaction that decides it, and the files are removed after its commit, by whoever listens to that; so a
 * controller that dies in between leaves files that the journal does not know, and never a release that the journal believes to have files.
 */
import type { Statement } from "better-sqlite3";
import type { Digest, Instant, ReleaseId } from "@muster/proto/ids.ts";
import type { JournalRow } from "../journal/entry.ts";
import { isEnded } from "../rollout/state.ts";
import type { Loop } from "./loop.ts";
import { NEEDED_RELEASES } from "./needed-releases.ts";
import type { Append } from "./rollouts.ts";

/** Both limits must be passed. */
export interface RetentionRule {
  /** Newest releases of each app whose files are kept, of those that were healthy somewhere. */
  readonly keep: number;
  /** Younger than this, they are kept too. */
  readonly keepForMs: number;
  /** After it the steps of deployments, and what agents said, go from the database to the archive. */
  readonly stepsForMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const RETENTION_DEFAULT: RetentionRule = { keep: 20, keepForMs: 90 * DAY_MS, stepsForMs: 30 * DAY_MS };

const SWEEP_INTERVAL_MS = HOUR_MS;
/** Files that were pushed and not deployed since: whoever pushed them may still be on the way to the deployment. */
const UNDEPLOYED_MS = DAY_MS;

interface Removable {
  readonly digest: Digest;
  /** Releases made of it. */
  readonly releases: readonly ReleaseId[];
}

export class Retention {
  readonly #loop: Loop;
  readonly #sql: ReturnType<typeof prepare>;
  #cancelWake: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(loop: Loop) {
    this.#loop = loop;
    this.#sql = prepare((sql) => loop.journal.db.prepare(sql));
  }

  /** Sweeps now, after each deployment that ends, and every hour. */
  start(): void {
    this.#unsubscribe = this.#loop.onCommit((rows) => {
      // Not inside the commit of another: a sweep is one of its own.
      if (rows.some(isEnd)) this.#sweepAfter(0);
    });
    this.#sweepAfter(0);
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#cancelWake?.();
  }

  rule(): RetentionRule {
    return (this.#sql.rule.get() as RetentionRule | undefined) ?? RETENTION_DEFAULT;
  }

  /** Returns the releases whose files go at once. */
  set({ keep, keepForMs, stepsForMs }: RetentionRule, by: string): readonly ReleaseId[] {
    return this.#loop.commit((append, now) => {
      append({ kind: "retention_set", keep, keepForMs, stepsForMs, by });
      return this.#remove(this.#removable(now.at), append);
    });
  }

  #sweepAfter(delayMs: number): void {
    this.#cancelWake?.();
    this.#cancelWake = this.#loop.clock.wakeAfter(delayMs, () => {
      this.#loop.byItself("retention", () => this.#sweep());
      if (!this.#loop.isStopped) this.#sweepAfter(SWEEP_INTERVAL_MS);
    });
  }

  #sweep(): void {
    if (this.#removable(this.#loop.clock.now()).length === 0) return;
    this.#loop.commit((append, now) => this.#remove(this.#removable(now.at), append));
  }

  #remove(removable: readonly Removable[], append: Append): readonly ReleaseId[] {
    for (const { digest } of removable) append({ kind: "artifact_removed", artifact: digest });
    return removable.flatMap(({ releases }) => releases).sort();
  }

  #removable(now: Instant): readonly Removable[] {
    const { keep, keepForMs } = this.rule();
    const youngSince = now - keepForMs;
    const aged = this.#sql.aged.all({ keep, youngSince, undeployedSince: now - UNDEPLOYED_MS }) as { digest: Digest; releases: string }[];
    // Who needs which release is asked of whole tables, and so only when there is something to remove.
    if (aged.length === 0) return [];
    const needed = new Set(this.#sql.needed.all() as string[]);
    return aged.filter(({ digest }) => !needed.has(digest)).map(({ digest, releases }) => ({ digest, releases: JSON.parse(releases) as ReleaseId[] }));
  }
}

function isEnd({ entry }: JournalRow): boolean {
  return entry.kind === "phase_changed" && isEnded(entry.phase);
}

function prepare(statement: (sql: string) => Statement) {
  return {
    rule: statement("SELECT keep, keep_for_ms AS keepForMs, steps_for_ms AS stepsForMs FROM retention"),
    // Past both limits. Files without a release, or pushed again and not deployed since, are young for a day at least.
    aged: statement(
      `WITH ranked AS (SELECT artifact, row_number() OVER (PARTITION BY app ORDER BY created_at DESC, id DESC) AS place FROM releases WHERE healthy_at IS NOT NULL)
       SELECT a.digest, (SELECT json_group_array(r.id) FROM releases r WHERE r.artifact = a.digest) AS releases
       FROM artifacts a
       WHERE a.digest NOT IN (SELECT artifact FROM ranked WHERE place <= @keep)
         AND a.digest NOT IN (SELECT artifact FROM releases WHERE created_at > @youngSince)
         AND (a.stored_at <= @undeployedSince OR EXISTS (
           SELECT 1 FROM releases r JOIN deployments d ON d.app = r.app AND d.release = r.id WHERE r.artifact = a.digest AND d.submitted_at >= a.stored_at))
         AND (a.stored_at <= @youngSince OR EXISTS (SELECT 1 FROM releases r WHERE r.artifact = a.digest))
       ORDER BY a.digest`,
    ),
    needed: statement(
      `WITH ${NEEDED_RELEASES}
       SELECT artifact FROM releases WHERE id IN (SELECT id FROM needed) UNION ALL SELECT DISTINCT running_artifact FROM machine_apps`,
    ).pluck(),
  };
}
