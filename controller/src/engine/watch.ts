/**
 * Looks at the time, twice a second: whether the engine was held up, how much was attended, which machines were not heard, which have not answered. What it finds is written down some at a
 * time, with turns of the loop in between.
 *
 * Always holds: nobody is declared lost, and no answer overdue, before the machines have caught up or their time for it is over.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Moment } from "../rollout/moment.ts";
import { LOOK_MS } from "./attendance.ts";
import { declareLost } from "./declare-lost.ts";
import type { Loop } from "./loop.ts";
import type { Awaited } from "./overdue.ts";
import type { Append } from "./rollouts.ts";

/** Machines that are declared lost, and answers that are declared overdue, in one transaction. */
const JUDGED_PER_TURN = 64;
/** The wall clock was set when it has moved against the monotonic one by so much. */
const CLOCK_SET_MS = 500;

export class Watch {
  readonly #loop: Loop;
  #cancel: (() => void) | undefined;
  /** The wall clock less the monotonic one, at the last look. */
  #wallOffsetMs = 0;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  start(): void {
    this.#wallOffsetMs = this.#wallOffset();
    this.#look();
  }

  stop(): void {
    this.#cancel?.();
  }

  #look(): void {
    const { clock, attendance } = this.#loop;
    if (attendance.look()) this.#loop.holdBack();
    this.#writeTime();
    let hasMore = false;
    this.#loop.byItself("silence", () => {
      hasMore = this.#judgeSilence();
    });
    if (!attendance.isCatchingUp) {
      this.#loop.byItself("overdue", () => {
        hasMore = this.#judgeAnswers() || hasMore;
      });
    }
    const offsetMs = this.#wallOffset();
    const wasSet = Math.abs(offsetMs - this.#wallOffsetMs) > CLOCK_SET_MS;
    this.#wallOffsetMs = offsetMs;
    if (wasSet) this.#loop.tick(true);
    if (!this.#loop.isStopped) this.#cancel = clock.wakeAfter(hasMore ? 0 : LOOK_MS, () => this.#look());
  }

  #wallOffset(): number {
    return this.#loop.clock.now() - this.#loop.clock.monotonicMs();
  }

  #writeTime(): void {
    const { attendance, rollouts, world } = this.#loop;
    try {
      attendance.write(rollouts.all().length > 0 || world.overdue.isWaiting);
    } catch {
      // The disk takes no writes; the next commit reports that.
      attendance.failed();
    }
  }

  /** Whether there are more. Attended time resumes after every silent machine is marked. */
  #judgeSilence(): boolean {
    const { world, attendance } = this.#loop;
    if (attendance.isCatchingUp && !attendance.isOver) return false;
    const overdue = world.fleet.overdue(attendance.now().watchedMs, JUDGED_PER_TURN);
    if (overdue.length > 0) {
      this.#loop.commit((append, now) => {
        for (const machine of overdue) declareLost(this.#loop, machine, world.fleet.silentAfterMs, append, now);
      });
    }
    if (overdue.length === JUDGED_PER_TURN) return true;
    if (attendance.isOver) this.#loop.attend();
    return false;
  }

  /** Judges machines that are heard and have given no final answer in time. Whether there are more. */
  #judgeAnswers(): boolean {
    const { world, attendance } = this.#loop;
    const { attended } = attendance.now();
    // What they have said may be waiting for the log.
    if (this.#loop.journal.log.isLong || !world.overdue.isDue(attended)) return false;
    this.#loop.commit((append, now) => {
      for (let judged = 0; judged < JUDGED_PER_TURN; judged += 1) {
        const next = world.overdue.takeNext(attended);
        if (next === undefined) return;
        this.#declareOverdue(next, append, now);
      }
    });
    return world.overdue.isDue(attended);
  }

  #declareOverdue({ machine, app, generation, healthyDeadlineMs }: Awaited, append: Append, now: Moment): void {
    const { world, rollouts } = this.#loop;
    const said = world.availabilities.answerOf(machine, app);
    if (!world.declareOverdue(machine, app, generation)) return;
    const told = rollouts.told(app, machine, generation);
    if (told === undefined) return;
    const refusal = world.fleet.refusal(machine);
    const known = refusal !== undefined ? `its agent does not follow: ${refusal.message}` : said === undefined ? "its agent is heard, and says nothing of it" : `its agent said ${said} last, and nothing since`;
    const reason = { code: "no_answer", message: `no answer within ${durationText(healthyDeadlineMs)} (healthy_deadline): ${known}` } as const;
    rollouts.drive(told.state, { kind: "overdue", machine, generation: told.generation, reason }, append, now);
  }
}
