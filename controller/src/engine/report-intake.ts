/**
 * Which reports of agents become rows of the journal: those that are news, as long as the app is within its budget on that machine. All of them are acknowledged.
 *
 *     report ─▶ known? ─▶ no news? ─▶ within the budget? ─▶ taken: journalled
 *                 │           │               └─ no ─▶ held: the newest of each app, journalled when the budget allows
 *                 └ passed    └ followed, not journalled
 *
 * Each app that is assigned to a machine has a budget of its own there, so that what one makes a noise about hides nothing that another says. All others share one; what an agent says of itself when it connects, and
 * is not what it said before, has one, too.
 *
 * Always holds: the cursor of the agent moves in the transaction of what its report changed; a held report is on disk when it is acknowledged; the first final answer to
 * what the controller assigned is never held, nor that what was healthy is not so any more: no rollout waits for a budget, and none goes on over what a budget hides. That it is healthy again may be.
 */
import type { AppName, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import type { ReportAccepted } from "../journal/entry.ts";
import type { ReportCursors } from "../journal/report-cursors.ts";
import { statement } from "../journal/statement.ts";
import type { Moment } from "../rollout/moment.ts";
import { type AgentPhase, FINAL_ANSWERS, type RolloutReason } from "../rollout/state.ts";
import type { Loop } from "./loop.ts";
import type { Append } from "./rollouts.ts";

/** Reports that an app may have journalled at once on a machine: sixty changes in a row, with all that can go wrong. */
const BURST = 500;
/** One more each: 720 a day, about 250 kB of journal. An app that is changed ten times a day needs 80. */
const REFILL_MS = 120_000;
/** Between two looks at what waits. */
const LOOK_MS = 30_000;
/** Reports that wait and are looked at in one transaction, and the rest of the last machine's, 255 at most: some milliseconds of the loop. */
const LOOKED_AT_MAX = 100;
/** Budgets looked at for each new one: more than one, so that those that are full again become fewer. */
const FULL_LOOKED_AT = 2;
/** Budgets that are no app's: of what is not assigned, and of what the agent says of itself. */
const OTHERS = "?";
const OWN = "!";

/** `known`: acknowledged before. `held`: the newest of its app waits for the budget. */
export type Taken = "known" | "held" | "taken";

interface Bucket {
  tokens: number;
  at: Instant;
}

interface Said {
  readonly generation: number;
  readonly phase: AgentPhase;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly running_version: string;
  readonly running_artifact: string;
  readonly starts: number;
  readonly pid: number;
  readonly ports: string;
}

export class ReportIntake {
  readonly #loop: Loop;
  readonly #logger: Logger;
  readonly #follow: (report: ReportAccepted, append: Append, now: Moment) => void;
  readonly #cursors: ReportCursors;
  /** Of those that have less than all, and a few that have all again. In memory: a controller that starts anew is generous once. */
  readonly #buckets = new Map<string, Bucket>();
  /** Which of them is looked at next, whether it is full again. */
  #nextKey = this.#buckets.keys();
  /** In the transaction under way, or in one that failed: what is not stored costs nothing. */
  readonly #spent = new Map<string, number>();
  /** Said not to be healthy any more over the budget, with the generation of which that was said: that they are again is no first answer. */
  readonly #faded = new Map<string, number>();
  #cancelWake: (() => void) | undefined;

  /** `follow`: what a report brings about once it is journalled. */
  constructor(loop: Loop, logger: Logger, follow: (report: ReportAccepted, append: Append, now: Moment) => void) {
    this.#loop = loop;
    this.#logger = logger;
    this.#follow = follow;
    this.#cursors = loop.journal.reports;
  }

  start(): void {
    if (this.#cursors.nextHolder("") !== undefined) this.#wake();
  }

  stop(): void {
    this.#cancelWake?.();
  }

  /** The newest report of an agent instance that need not be sent again; 0: none. */
  acknowledgedSeq(machine: MachineId, instance: string): number {
    return this.#cursors.acknowledgedSeq(machine, instance);
  }

  /** A transaction begins that takes reports, or is tried again. */
  begin(): void {
    for (const [key, count] of this.#spent) {
      const bucket = this.#buckets.get(key);
      if (bucket !== undefined) bucket.tokens += count;
    }
    this.#spent.clear();
  }

  /** It went through. */
  settle(): void {
    this.#spent.clear();
  }

  take(report: ReportAccepted, append: Append, now: Instant): Taken {
    const { machine, app } = report;
    if (report.reportSeq <= this.#cursors.acknowledgedSeq(machine, report.instance)) return "known";
    this.#cursors.advance(report);
    const said = statement(this.#loop.journal.db, "SELECT * FROM machine_apps WHERE machine = ? AND app = ?").get(machine, app) as Said | undefined;
    if (said !== undefined && saysTheSame(said, report)) {
      // What waited was older, and is not so any more.
      this.#cursors.drop(machine, app);
      return "taken";
    }
    if (!this.#spendOnReport(machine, app, now) && !this.#isAnswer(report, said)) {
      this.#hold(report);
      return "held";
    }
    this.#cursors.drop(machine, app);
    append(report);
    return "taken";
  }

  #hold(report: ReportAccepted): void {
    const { machine, app } = report;
    const isFirst = this.#cursors.heldCount(machine) === 0;
    const isKept = this.#cursors.hold(report);
    if (isFirst || !isKept) this.#logger.warn({ machineId: machine, app }, isKept ? "app is over its budget of reports on the machine" : "report dropped: app is over its budget of reports on the machine");
    this.#wake();
  }

  /** There are no more than three of these for each that the controller assigned, or after each `healthy` that was paid for. */
  #isAnswer({ machine, app, generation, phase }: ReportAccepted, said: Said | undefined): boolean {
    const key = keyOf(machine, app);
    if (said?.generation === generation && said.phase === "healthy" && phase !== "healthy") {
      this.#faded.set(key, generation);
      return true;
    }
    if (!isFinal(phase) && phase !== "reverting") return false;
    if (said?.generation === generation && (said.phase === phase || isFinal(said.phase))) return false;
    if (phase === "healthy" && this.#faded.get(key) === generation) return false;
    const assigned = statement(this.#loop.journal.db, "SELECT generation FROM assignments WHERE machine = ? AND app = ?").get(machine, app) as { generation: number } | undefined;
    return assigned?.generation === generation;
  }

  /** Takes one from what the machine's agent may have journalled of what it says of itself. False: nothing is left. */
  spend(machine: MachineId, now: Instant): boolean {
    return this.#take(keyOf(machine, OWN), now);
  }

  /** Costs nothing when the report can't be stored. */
  #spendOnReport(machine: MachineId, app: AppName, now: Instant): boolean {
    const key = keyOf(machine, this.#loop.world.availabilities.assignedTo(machine, app) === undefined ? OTHERS : app);
    if (!this.#take(key, now)) return false;
    this.#spent.set(key, (this.#spent.get(key) ?? 0) + 1);
    return true;
  }

  #take(key: string, now: Instant): boolean {
    const bucket = this.#refilled(key, now);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #refilled(key: string, now: Instant): Bucket {
    const known = this.#buckets.get(key);
    if (known === undefined) {
      this.#forgetFull(now);
      const full = { tokens: BURST, at: now };
      this.#buckets.set(key, full);
      return full;
    }
    refill(known, now);
    return known;
  }

  /** O(1), for each new budget: so the map does not grow for ever. */
  #forgetFull(now: Instant): void {
    for (let looked = 0; looked < FULL_LOOKED_AT; looked += 1) {
      const { value: key, done } = this.#nextKey.next();
      if (done === true) {
        this.#nextKey = this.#buckets.keys();
        return;
      }
      const bucket = this.#buckets.get(key)!;
      refill(bucket, now);
      if (bucket.tokens < BURST) continue;
      this.#buckets.delete(key);
      this.#faded.delete(key);
    }
  }

  /** `after`: the machine behind which the look goes on; "": a new one begins. */
  #wake(ms = LOOK_MS, after: MachineId | "" = ""): void {
    if (this.#cancelWake !== undefined || this.#loop.isStopped) return;
    this.#cancelWake = this.#loop.clock.wakeAfter(ms, () => {
      this.#cancelWake = undefined;
      let rest: MachineId | undefined;
      this.#loop.byItself("held reports", () => {
        rest = this.#release(after);
      });
      if (rest !== undefined) this.#wake(0, rest);
      else if (this.#cursors.nextHolder("") !== undefined) this.#wake();
    });
  }

  /** Of some machines, as many as the budgets allow, of each those that wait for longest first. Returns the machine behind which others are to be looked at; undefined: there are none. */
  #release(after: MachineId | ""): MachineId | undefined {
    const rest = this.#loop.commit((append, now) => {
      this.begin();
      let lookedAt = 0;
      let last: MachineId | undefined;
      for (let machine = this.#cursors.nextHolder(after); machine !== undefined; machine = this.#cursors.nextHolder(machine)) {
        if (lookedAt >= LOOKED_AT_MAX) return last;
        const held = this.#cursors.heldOf(machine);
        for (const report of held) {
          if (!this.#spendOnReport(machine, report.app, now.at)) continue;
          this.#cursors.drop(machine, report.app);
          append(report);
          this.#follow(report, append, now);
        }
        lookedAt += held.length;
        last = machine;
      }
      return undefined;
    });
    this.settle();
    return rest;
  }
}

/** A clock that was set back gives nothing, and is counted from where it stands. */
function refill(bucket: Bucket, now: Instant): void {
  const gained = Math.floor(Math.max(0, now - bucket.at) / REFILL_MS);
  bucket.tokens = Math.min(BURST, bucket.tokens + gained);
  bucket.at = (now < bucket.at ? now : bucket.at + gained * REFILL_MS) as Instant;
}

function saysTheSame(said: Said, report: ReportAccepted): boolean {
  return (
    said.generation === report.generation &&
    said.phase === report.phase &&
    isSameReason(said, report.reason) &&
    said.running_version === report.runningVersion &&
    said.running_artifact === report.runningArtifact &&
    said.starts === report.starts &&
    said.pid === report.pid &&
    said.ports === JSON.stringify(report.ports)
  );
}

function isSameReason({ reason_code: code, reason_message: message }: Said, reason: RolloutReason | null): boolean {
  return reason === null ? code === null : code === reason.code && message === reason.message;
}

function keyOf(machine: MachineId, of: string): string {
  return `${machine}/${of}`;
}

/** Nothing follows by itself. */
function isFinal(phase: AgentPhase): boolean {
  return phase === "removed" || FINAL_ANSWERS.includes(phase);
}
