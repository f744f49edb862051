/**
 * What one app really did on one host, in true time: what ran, from when to when, and when it answered well. It is written by the host alone, as processes start and end;
 * how healthy a start is follows from its course, so that nothing has to happen for a probe to see something else.
 */
import type { Course } from "./releases.ts";

export interface Stretch {
  readonly artifact: string;
  readonly from: number;
  readonly to: number;
}

/** A release did badly here. */
export interface Mishap {
  readonly at: number;
  readonly artifact: string;
  readonly what: "exited" | "start_failed" | "corrupt" | "took_the_host";
}

interface Run {
  readonly artifact: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly course: Course;
}

/** Of each app on each host; older ones are of no more interest. */
const RUNS_MAX = 100;

export class Serving {
  #running: Run | undefined;
  readonly #past: Run[] = [];
  #servedUntil = -1;
  readonly mishaps: Mishap[] = [];

  began(artifact: string, course: Course, at: number): void {
    this.ended(at);
    this.#running = { artifact, course, startedAt: at, endedAt: Infinity };
  }

  ended(at: number): void {
    if (this.#running === undefined) return;
    const run = { ...this.#running, endedAt: at };
    this.#servedUntil = stretchesOf(run, at).at(-1)?.to ?? this.#servedUntil;
    this.#past.push(run);
    if (this.#past.length > RUNS_MAX) this.#past.shift();
    this.#running = undefined;
  }

  wentWrong(what: Mishap["what"], artifact: string, at: number): void {
    this.mishaps.push({ what, artifact, at });
  }

  /** What runs, answering or not. */
  get artifact(): string | undefined {
    return this.#running?.artifact;
  }

  /** When what ran last ended; -1: nothing has. */
  get endedAt(): number {
    return this.#past.at(-1)?.endedAt ?? -1;
  }

  /** The stretch in which it answers well now. */
  current(now: number): Stretch | undefined {
    const last = this.#running === undefined ? undefined : stretchesOf(this.#running, now).at(-1);
    return last?.to === now ? last : undefined;
  }

  /** All stretches that ended after `from`, oldest first. */
  since(from: number, now: number): readonly Stretch[] {
    return this.#runs().filter(({ endedAt }) => endedAt >= from).flatMap((run) => stretchesOf(run, now)).filter(({ to }) => to >= from);
  }

  /**
   * For how long at most it has answered well without a break, in what ran after `from`; -1: not at all. `hasLooked`: whether somebody was there to see a break between two
   * moments; one that nobody can have seen is none.
   */
  longestMs(artifact: string, from: number, now: number, hasLooked: (from: number, to: number) => boolean): number {
    let longestMs = -1;
    for (const run of this.#runs().filter((each) => each.artifact === artifact && each.endedAt >= from)) {
      let since = 0;
      let before: Stretch | undefined;
      for (const stretch of stretchesOf(run, now)) {
        if (before === undefined || hasLooked(before.to, stretch.from)) since = stretch.from;
        longestMs = Math.max(longestMs, stretch.to - since);
        before = stretch;
      }
    }
    return longestMs;
  }

  /** When it was first started of all that ran after `from`, or ran by then; undefined: it was not. */
  firstStartAt(artifact: string, from: number): number | undefined {
    return this.#runs().find((run) => run.artifact === artifact && run.endedAt >= from)?.startedAt;
  }

  hasServed(now: number): boolean {
    return this.#servedUntil >= 0 || this.#servedNow(now) !== undefined;
  }

  /** When it last answered well, for as long as it does not; -1: never. */
  offSince(now: number): number | undefined {
    return this.current(now) === undefined ? (this.#servedNow(now)?.to ?? this.#servedUntil) : undefined;
  }

  #runs(): readonly Run[] {
    return this.#running === undefined ? this.#past : [...this.#past, this.#running];
  }

  /** The last stretch of what runs. */
  #servedNow(now: number): Stretch | undefined {
    return this.#running === undefined ? undefined : stretchesOf(this.#running, now).at(-1);
  }

  /** The last moment up to `now` at which it did not answer well. */
  lastOffAt(now: number): number {
    const current = this.current(now);
    return current === undefined ? now : current.from - 1;
  }

  /** It did not answer well in the whole of that time. */
  wasOff(from: number, to: number): boolean {
    return !this.since(from, to).some((stretch) => stretch.from < to);
  }

  /** Since then the release did badly here: it did not start, exited, answered badly after it had answered well, or would never have answered well. */
  hasFailed(artifact: string, since: number, now: number): boolean {
    if (this.mishaps.some((mishap) => mishap.artifact === artifact && mishap.at >= since)) return true;
    return this.#runs().some((run) => run.artifact === artifact && run.endedAt >= since && isIll(run, Math.min(run.endedAt, now)));
  }

  /** Started since then, it ran until `deadlineAt` at least, and never answered well for so long at a time. */
  hasMissed(artifact: string, since: number, deadlineAt: number, minHealthyMs: number): boolean {
    const isLate = (run: Run) => run.artifact === artifact && run.startedAt >= since && run.endedAt >= deadlineAt && !stretchesOf(run, deadlineAt).some(({ from, to }) => to - from >= minHealthyMs);
    return this.#runs().some(isLate);
  }
}

function isIll({ course, startedAt }: Run, until: number): boolean {
  const begun = course.health.filter(({ fromMs }) => startedAt + fromMs <= until);
  if (begun.at(-1)?.isHealthy === true && begun.length <= 2 && !begun.slice(0, -1).some(({ isHealthy }) => isHealthy)) return false;
  return begun.some(({ isHealthy }) => isHealthy) || begun.length === course.health.length;
}

function stretchesOf({ artifact, startedAt, endedAt, course }: Run, now: number): Stretch[] {
  const until = Math.min(now, endedAt);
  const stretches: Stretch[] = [];
  for (const [index, { fromMs, isHealthy }] of course.health.entries()) {
    const from = startedAt + fromMs;
    if (!isHealthy || from > until) continue;
    stretches.push({ artifact, from, to: Math.min(until, startedAt + (course.health[index + 1]?.fromMs ?? Infinity)) });
  }
  return stretches;
}
