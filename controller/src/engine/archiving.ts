/**
 * Keeps the journal bounded: what is older, in attended time, than the rule says goes to the archive, targets of deployments that ended long ago become counts, and there is always a snapshot
 * from which the tables can be rebuilt without what went.
 *
 *     wake ─▶ snapshot, if one is due ─▶ frame by frame ─▶ targets, slice by slice ─▶ sleep for an hour
 *
 * Always holds: each step holds the loop for some milliseconds and can be killed at any point; rows leave the database only when a finished snapshot covers them, and when no decision asks for them any more;
 * each frame and each slice goes by the rule of now, since a sweep ends when the rule changes, and another one begins at once.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type DeploymentId, deploymentNumber, type Instant } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import { staleNames } from "../journal/archived-names.ts";
import { nextToFold } from "../journal/archived-targets.ts";
import { statement } from "../journal/statement.ts";
import { newestSubmitted } from "../journal/submissions.ts";
import { newestOfAge } from "./attended-age.ts";
import type { Attended } from "../rollout/moment.ts";
import type { Loop } from "./loop.ts";
import { phaseSeq } from "./missed.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Others come first when a controller starts. */
const FIRST_MS = 60_000;
/** Rows after the snapshot that a rebuild has to take: two seconds of it. */
const ROWS_PER_SNAPSHOT = 200_000;

export class Archiving {
  readonly #loop: Loop;
  readonly #logger: Logger;
  /** How long steps stay in the database. */
  readonly #stepsForMs: () => number;
  #cancelWake: (() => void) | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(loop: Loop, logger: Logger, stepsForMs: () => number) {
    this.#loop = loop;
    this.#logger = logger;
    this.#stepsForMs = stepsForMs;
    loop.journal.archive.onUnreadable = ({ file, offset }, error) => logger.error({ err: error, file, offset }, "frame of the archive can't be read; the steps in it are missing");
  }

  start(): void {
    this.#sweepIn(FIRST_MS);
  }

  /** Nothing more is begun; what is under way is to be waited for before the journal is closed. */
  stop(): void {
    this.#cancelWake?.();
  }

  /** Soon: the rule has changed. */
  hurry(): void {
    if (!this.#loop.isStopped && this.#cancelWake !== undefined) this.#sweepIn(0);
  }

  /** What is being moved now. */
  get underWay(): Promise<void> | undefined {
    return this.#sweeping;
  }

  /** All that is due. Two at a time are one. Rejects with what went wrong; what was done until then stays done. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  #sweepIn(ms: number): void {
    this.#cancelWake?.();
    const { clock } = this.#loop;
    this.#cancelWake = clock.wakeAfter(ms, () => {
      this.sweep().catch((error: unknown) => this.#logger.error({ err: error }, "journal not archived"));
      if (!this.#loop.isStopped) this.#sweepIn(HOUR_MS);
    });
  }

  async #sweep(): Promise<void> {
    let stepsForMs: number;
    do {
      stepsForMs = this.#stepsForMs();
      await this.#sweepBy(stepsForMs);
    } while (!this.#loop.isStopped && !this.#isRule(stepsForMs));
  }

  async #sweepBy(stepsForMs: number): Promise<void> {
    const { journal, clock, attendance } = this.#loop;
    const { attended } = attendance.now();
    const upTo = Math.min(newestOfAge(journal, stepsForMs, attended), this.#neededFrom() - 1);
    const due = journal.archive.hasOlder(upTo);
    if (this.#needsSnapshot(due ? upTo : 0, clock.now())) await journal.snapshots.take(clock.now(), () => !this.#loop.isStopped);
    let moved = 0;
    while (due && this.#goesBy(stepsForMs)) {
      const rows = await journal.archive.moveOldest(upTo, ({ attended }, lastSeq) => this.#underWay(attended as Attended, lastSeq));
      if (rows === 0) break;
      moved += rows;
      await new Promise<void>((resolve) => void journal.log.whenShort(resolve));
    }
    if (moved > 0) this.#logger.info({ rows: moved, stepsForMs }, "steps of the journal moved to the archive");
    await this.#fold(attended - stepsForMs, stepsForMs);
  }

  async #fold(before: number, stepsForMs: number): Promise<void> {
    const { journal, rollouts } = this.#loop;
    let after = 0;
    while (this.#goesBy(stepsForMs)) {
      const entry = nextToFold(journal.db, before, after);
      if (entry === undefined) break;
      // Somebody has taken it up again: it has not ended long ago, then.
      if (rollouts.get(entry.deployment) !== undefined) after = deploymentNumber(entry.deployment);
      else this.#loop.commit((append) => append(entry));
      await nextTurn();
    }
    const stale = staleNames(journal.db, before);
    while (this.#goesBy(stepsForMs)) {
      const { value: entry, done } = stale.next();
      if (done === true) return;
      if (entry !== undefined && rollouts.get(entry.deployment) === undefined) this.#loop.commit((append) => append(entry));
      await nextTurn();
    }
  }

  /** The first row of the journal that a decision may still ask for: what came to a rollout that a fault of the controller has paused is read when somebody takes it up again. */
  #neededFrom(): number {
    const { journal } = this.#loop;
    const broken = statement(journal.db, "SELECT id FROM deployments WHERE ended_at IS NULL AND phase = 'paused' AND reason_code = 'internal'").pluck().all() as DeploymentId[];
    return Math.min(Infinity, ...broken.map((id) => phaseSeq(journal, id, "paused")));
  }

  /** In a turn of the loop that may be after its end, or after a change of the rule. */
  #goesBy(stepsForMs: number): boolean {
    return !this.#loop.isStopped && this.#isRule(stepsForMs);
  }

  #isRule(stepsForMs: number): boolean {
    return this.#stepsForMs() === stepsForMs;
  }

  #needsSnapshot(upTo: number, now: Instant): boolean {
    const { journal } = this.#loop;
    const newest = journal.snapshots.newest();
    if (upTo > (newest?.seq ?? 0)) return true;
    const rows = journal.lastSeq - (newest?.seq ?? 0);
    return rows > ROWS_PER_SNAPSHOT || (newest !== undefined && rows > 0 && now - newest.at > DAY_MS);
  }

  /** Deployments that were under way at some time between the two, by the order of rows and attended time: a wall clock may have been wrong. */
  #underWay(from: Attended, toSeq: number): readonly string[] {
    const { db } = this.#loop.journal;
    return statement(db, "SELECT id FROM deployments WHERE number <= ? AND (ended_attended IS NULL OR ended_attended >= ?)").pluck().all(newestSubmitted(db, toSeq), from) as string[];
  }
}
