/**
 * Attended time (ADR 24): how long the controller was up, its loop was turning and its disk took writes. And who must speak before anything is judged again after a time in which it was not.
 *
 *   attending ──gap: a start, a stop of the process, a jump of the wall clock, a disk that took no writes──▶ catching up ──each machine has, or its time is over──▶ attending
 *
 * Always holds: attended time never goes back, also over restarts; it advances by what has passed between two writes that went through, and by no more than the time between two looks
 * allows; it stands still while the controller catches up.
 */
import type { Database, Statement } from "better-sqlite3";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Attended, Moment } from "../rollout/moment.ts";
import type { Clock } from "./clock.ts";

/** How often the engine looks at the time. */
export const LOOK_MS = 500;
/** So much at most is attended between two writes while the engine looks on; more, and it was held up in between. */
const STEP_MS_MAX = 2_000;
/** A look that comes so much later than the one before: what had come by then waited to be read. */
const LATE_MS = 2 * LOOK_MS;
/** Sums of many small steps are off by less. */
const ROUNDING_MS = 1;
/** While nothing waits for time it is written down less often, to spare the disk. */
const IDLE_WRITE_MS = 10_000;
const BUSY_WRITE_MS = 1_000;
/** After a write that failed, the time is written with so much beside it: where a number has room, reports need not have any. */
const ROOM_BYTES = 64 * 1024;

/** A moment, with the clocks that silence is measured by. */
export interface Seen extends Moment {
  readonly monotonicMs: number;
  /** For how long the engine has looked on: as attended time, but whether the disk took writes or not. Silence counts in it, since a controller that is held up hears nobody. */
  readonly watchedMs: number;
}

export interface AttendanceOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** A gap of more than half of it, and machines must speak again. */
  readonly silentAfterMs: number;
  /** Over which a fleet spreads its return. */
  readonly spreadMs: () => number;
  /** It has made reports that are not stored yet. */
  readonly owes: (machine: MachineId) => boolean;
}

export class Attendance {
  readonly #clock: Clock;
  readonly #silentAfterMs: number;
  readonly #spreadMs: () => number;
  readonly #owes: (machine: MachineId) => boolean;
  readonly #keep: Statement;
  /** Counted and written. */
  #attended: number;
  /** Until when, on the monotonic clock and in watched time. */
  #countedAt: number;
  #countedWatchedMs = 0;
  #lookedAt: number;
  /** The wall clock less the monotonic one, at the last look. */
  #wallOffsetMs: number;
  #watchedMs = 0;
  #writtenAt: number;
  /** Since when nothing could be written. */
  #failingSince: number | undefined;
  /** Who has not caught up: it has not been heard since, or owes reports; and until when it is waited for, in watched time. Undefined: the controller attends. */
  #awaited: Map<MachineId, number> | undefined;
  /** On the monotonic clock: until then what came while the engine was held up is read, and nothing is judged by a part of it. */
  #readingUntil = 0;
  /** The same of a time in which it was held up for a moment: what is read until then was said by the last look that was in time, as far as anybody knows. */
  #lateUntil = 0;
  #attendedInTime: Attended;
  /** What somebody was told last, written down or not. */
  #told = 0;
  #total = 0;
  /** There was a gap, and what was asked before it still counts. */
  #isGapUntaken = false;

  constructor({ db, clock, silentAfterMs, spreadMs, owes }: AttendanceOptions) {
    this.#clock = clock;
    this.#silentAfterMs = silentAfterMs;
    this.#spreadMs = spreadMs;
    this.#owes = owes;
    this.#keep = db.prepare("INSERT INTO meta (key, value) VALUES ('attended_ms', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value");
    const kept = db.prepare("SELECT value FROM meta WHERE key = 'attended_ms'").pluck().get() as string | undefined;
    const newest = db.prepare("SELECT attended FROM journal ORDER BY seq DESC LIMIT 1").pluck().get() as number | undefined;
    this.#attended = Math.max(Number(kept ?? 0), newest ?? 0);
    const now = clock.monotonicMs();
    this.#attendedInTime = Math.floor(this.#attended) as Attended;
    [this.#countedAt, this.#lookedAt, this.#writtenAt, this.#wallOffsetMs] = [now, now, now, clock.now() - now];
  }

  /** The moment that rows of a transaction, and decisions in it, carry. */
  now(): Seen {
    const monotonicMs = this.#clock.monotonicMs();
    const watchedMs = this.#watchedMs + Math.min(Math.max(0, monotonicMs - this.#lookedAt), STEP_MS_MAX);
    this.#told = Math.floor(this.#exactlyAt(monotonicMs));
    return { at: this.#clock.now(), attended: this.#told as Attended, monotonicMs, watchedMs };
  }

  /** The moment by which whatever is read now had been said. After the engine was held up for a moment it had come before that, perhaps. */
  hearing(): Seen {
    const now = this.now();
    const isLate = now.monotonicMs < this.#lateUntil || now.monotonicMs - this.#lookedAt > LATE_MS;
    return isLate ? { ...now, attended: this.#attendedInTime } : now;
  }

  /** Nothing new starts, nothing is judged by time. */
  get isCatchingUp(): boolean {
    return this.#awaited !== undefined;
  }

  /** Of how many machines so many have caught up. */
  get progress(): { readonly heard: number; readonly total: number } {
    return { heard: this.#total - (this.#awaited?.size ?? 0), total: this.#total };
  }

  /**
   * Those that are not lost are waited for, a silence and the spread of the fleet's return long. A catch-up that is under way goes on from here; whoever was not heard in it has no more time than before, so that a controller that is held up again and again finds out who is
   * gone. Of what was heard while the disk took no writes nothing is known.
   */
  catchUp(machines: Iterable<MachineId>): void {
    // What was decided by that time was decided then.
    this.#attended = Math.max(this.#attended, this.#told);
    this.#isGapUntaken = true;
    const now = this.now();
    const until = now.watchedMs + this.#silentAfterMs + this.#spreadMs();
    const before = this.#isOut ? undefined : this.#awaited;
    this.#awaited = new Map([...machines].map((machine) => [machine, before?.get(machine) ?? until]));
    this.#total = this.#awaited.size;
    this.#countFrom(now);
  }

  /**
   * Looks at the time, before anything is decided or written. True: since the last look the engine was held up or the wall clock has jumped, or the disk has taken no writes for long, and machines must
   * catch up. The monotonic clock stands still while a host is suspended, so that a jump is all that is seen of it; and one that is set, either way, brings times of day that nobody has waited for.
   */
  look(): boolean {
    const now = this.#clock.monotonicMs();
    const wallOffsetMs = this.#clock.now() - now;
    const gapMs = now - this.#lookedAt;
    const jumpMs = Math.abs(wallOffsetMs - this.#wallOffsetMs);
    [this.#lookedAt, this.#wallOffsetMs] = [now, wallOffsetMs];
    this.#watchedMs += Math.min(Math.max(0, gapMs), STEP_MS_MAX);
    if (gapMs > LATE_MS) this.#lateUntil = now + LOOK_MS;
    else if (now >= this.#lateUntil) this.#attendedInTime = this.now().attended;
    const wasHeldUp = Math.max(gapMs, jumpMs) > this.#silentAfterMs / 2;
    if (wasHeldUp) this.#readingUntil = now + LOOK_MS;
    return wasHeldUp || this.#isOut;
  }

  /** Whether there was a time since then in which the engine did not look on. */
  wasHeldUpSince({ monotonicMs, watchedMs }: Seen): boolean {
    const now = this.now();
    return now.monotonicMs - monotonicMs - (now.watchedMs - watchedMs) > ROUNDING_MS;
  }

  /** The disk has taken no writes for so long that machines must catch up when it does again. */
  get #isOut(): boolean {
    return this.#failingSince !== undefined && this.#clock.monotonicMs() - this.#failingSince > this.#silentAfterMs / 2;
  }

  get hasHeardAll(): boolean {
    return this.#awaited?.size === 0 && this.isOver;
  }

  /** Whether everybody has been heard, or the time of those that are still waited for is over. Not before the disk takes writes: until then the gap goes on. */
  get isOver(): boolean {
    if (this.#awaited === undefined || this.#isOut || this.#clock.monotonicMs() < this.#readingUntil) return false;
    const { watchedMs } = this.now();
    for (const until of this.#awaited.values()) if (watchedMs < until) return false;
    return true;
  }

  /** Since the last gap it was not heard, or it owes reports: nobody knows how it is. */
  awaits(machine: MachineId): boolean {
    return this.#awaited?.has(machine) === true;
  }

  /** From here on time counts again. */
  attend(): void {
    this.#awaited = undefined;
    this.#countFrom(this.now());
  }

  /** A gap is over, and no transaction has taken that in. */
  get hasGapToTake(): boolean {
    return this.#isGapUntaken && this.#awaited === undefined;
  }

  /** One has, and was committed. */
  tookGap(): void {
    this.#isGapUntaken = false;
  }

  /** A machine was heard, and what it owes is known. What is read first after a gap had come before it, and says nothing of how the machine is now. */
  heard(machine: MachineId): void {
    if (this.#clock.monotonicMs() < this.#readingUntil) return;
    if (!this.#owes(machine)) this.#awaited?.delete(machine);
  }

  /** The machine is lost, or was removed: nobody waits for it. */
  givenUp(machine: MachineId): void {
    this.#awaited?.delete(machine);
  }

  /** A transaction with rows went through at this moment. */
  wrote(moment: Seen): void {
    // Whole milliseconds are told and written; what is over counts on, or a busy controller would attend nothing.
    const exactly = this.#exactlyAt(moment.monotonicMs);
    this.#attended = Math.max(this.#attended, Math.floor(exactly) === moment.attended ? exactly : moment.attended);
    if (moment.monotonicMs >= this.#countedAt) this.#countFrom(moment);
    this.#writtenAt = moment.monotonicMs;
    this.#failingSince = undefined;
  }

  #exactlyAt(monotonicMs: number): number {
    return this.#attended + (this.#awaited === undefined ? Math.min(Math.max(0, monotonicMs - this.#countedAt), STEP_MS_MAX) : 0);
  }

  #countFrom({ monotonicMs, watchedMs }: Seen): void {
    [this.#countedAt, this.#countedWatchedMs] = [monotonicMs, watchedMs];
  }

  failed(): void {
    this.#failingSince ??= this.#clock.monotonicMs();
  }

  /** The last write failed: no time counts. */
  get isUnwritten(): boolean {
    return this.#failingSince !== undefined;
  }

  /** Writes down how much was attended, when it is time to. `isBusy`: something waits for time. Throws what the database throws. */
  write(isBusy: boolean): void {
    const now = this.now();
    if (now.monotonicMs - this.#writtenAt < (isBusy ? BUSY_WRITE_MS : IDLE_WRITE_MS)) return;
    const attended = isBusy ? now.attended : this.#idle(now);
    this.#keep.run(this.#failingSince === undefined ? String(attended) : String(attended).padEnd(ROOM_BYTES));
    this.wrote({ ...now, attended });
  }

  /** While nothing waits for time, a write is due so rarely that more is attended between two: what was watched. */
  #idle({ attended, watchedMs }: Seen): Attended {
    if (this.#awaited !== undefined || this.#failingSince !== undefined) return attended;
    return Math.floor(this.#attended + Math.min(watchedMs - this.#countedWatchedMs, 2 * IDLE_WRITE_MS)) as Attended;
  }
}
