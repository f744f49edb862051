/**
 * Which reports of agents become rows of the journal: those that are news, as long as the machine is within its budget. All of them are acknowledged.
 *
 *     report ─▶ known? ─▶ no news? ─▶ within the budget? ─▶ taken: journalled
 *                 │           │               └─ no ─▶ held: the newest of each app, journalled when the budget allows
 *                 └ passed    └ followed, not journalled
 *
 * What an agent says of itself when it connects is paid from the same budget, when it is not what it said before.
 *
 * Always holds: the cursor of the agent moves in the transaction of what its report changed; a held report is on disk when it is acknowledged; the first final answer to
 * what the controller assigned is never held, nor that what was healthy has failed since: no rollout waits for a budget, and none goes on over a failure that a budget hides.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import type { ReportAccepted } from "../journal/entry.ts";
import type { ReportCursors } from "../journal/report-cursors.ts";
import { statement } from "../journal/statement.ts";
import type { Moment } from "../rollout/moment.ts";
import { type AgentPhase, FINAL_ANSWERS, type RolloutReason } from "../rollout/state.ts";
import type { Loop } from "./loop.ts";
import type { Append } from "./rollouts.ts";

/** Reports that a machine may have journalled at once: fifty apps that are all changed, and fail in every way. */
const BURST = 500;
/** One more each: 2,880 a day, about 1 MB of journal. Fifty apps that are each changed ten times a day need 2,000. */
const REFILL_MS = 30_000;

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
  /** Of machines that have less than all. In memory: a controller that starts anew is generous once. */
  readonly #buckets = new Map<MachineId, Bucket>();
  /** In the transaction under way, or in one that failed: what is not stored costs nothing. */
  readonly #spent = new Map<MachineId, number>();
  #cancelWake: (() => void) | undefined;

  /** `follow`: what a report brings about once it is journalled. */
  constructor(loop: Loop, logger: Logger, follow: (report: ReportAccepted, append: Append, now: Moment) => void) {
    this.#loop = loop;
    this.#logger = logger;
    this.#follow = follow;
    this.#cursors = loop.journal.reports;
  }

  start(): void {
    if (this.#cursors.held().size > 0) this.#wake();
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
    for (const [machine, count] of this.#spent) {
      const bucket = this.#buckets.get(machine);
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
    if (!this.#spendOnReport(machine, now) && !this.#isAnswer(report, said)) {
      this.#hold(report);
      return "held";
    }
    this.#cursors.drop(machine, app);
    append(report);
    return "taken";
  }

  #hold(report: ReportAccepted): void {
    const { machine, app } = report;
    const isFirst = !this.#cursors.held().has(machine);
    const isKept = this.#cursors.hold(report);
    if (isFirst || !isKept) this.#logger.warn({ machineId: machine, app }, isKept ? "machine is over its budget of reports" : "report dropped: machine is over its budget of reports");
    this.#wake();
  }

  /** There are no more than two of these for each that the controller assigned: a third waits until the second that it follows was taken. */
  #isAnswer({ machine, app, generation, phase }: ReportAccepted, said: Said | undefined): boolean {
    if (!isFinal(phase) && phase !== "reverting") return false;
    if (said?.generation === generation && (said.phase === phase || (isFinal(said.phase) && said.phase !== "healthy"))) return false;
    const assigned = statement(this.#loop.journal.db, "SELECT generation FROM assignments WHERE machine = ? AND app = ?").get(machine, app) as { generation: number } | undefined;
    return assigned?.generation === generation;
  }

  /** Takes one from what the machine's agent may have journalled of what it says of itself. False: nothing is left. */
  spend(machine: MachineId, now: Instant): boolean {
    const bucket = this.#refilled(machine, now);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** The same for a report, which costs nothing when it can't be stored. */
  #spendOnReport(machine: MachineId, now: Instant): boolean {
    if (!this.spend(machine, now)) return false;
    this.#spent.set(machine, (this.#spent.get(machine) ?? 0) + 1);
    return true;
  }

  #refilled(machine: MachineId, now: Instant): Bucket {
    const known = this.#buckets.get(machine);
    if (known === undefined) {
      const full = { tokens: BURST, at: now };
      this.#buckets.set(machine, full);
      return full;
    }
    const gained = Math.floor(Math.max(0, now - known.at) / REFILL_MS);
    known.tokens = Math.min(BURST, known.tokens + gained);
    // A clock that was set back gives nothing, and is counted from where it stands.
    known.at = (now < known.at ? now : known.at + gained * REFILL_MS) as Instant;
    return known;
  }

  #wake(): void {
    if (this.#cancelWake !== undefined || this.#loop.isStopped) return;
    const { clock } = this.#loop;
    this.#cancelWake = clock.wakeAfter(REFILL_MS, () => {
      this.#cancelWake = undefined;
      this.#loop.byItself("held reports", () => this.#release());
      this.#forgetFull(clock.now());
      if (this.#cursors.held().size > 0) this.#wake();
    });
  }

  /** As many as each machine's budget allows. */
  #release(): void {
    const machines = [...this.#cursors.held().keys()];
    if (machines.length === 0) return;
    this.#loop.commit((append, now) => {
      this.begin();
      for (const machine of machines) {
        for (const report of this.#cursors.heldOf(machine)) {
          if (!this.#spendOnReport(machine, now.at)) break;
          this.#cursors.drop(machine, report.app);
          append(report);
          this.#follow(report, append, now);
        }
      }
    });
    this.settle();
  }

  /** So that the map holds no more than those that were busy lately. */
  #forgetFull(now: Instant): void {
    for (const machine of this.#buckets.keys()) if (this.#refilled(machine, now).tokens === BURST) this.#buckets.delete(machine);
  }
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

/** Nothing follows by itself. */
function isFinal(phase: AgentPhase): boolean {
  return phase === "removed" || FINAL_ANSWERS.includes(phase);
}
