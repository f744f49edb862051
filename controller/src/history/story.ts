/**
 * One machine's part in a deployment: what was decided for it, what its agent said, and of the rest only what concerned it.
 */
import { deploymentNumber, type MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { JournalRow, ReportAccepted } from "../journal/entry.ts";
import { removalIn } from "../journal/removal.ts";
import { isEnded, type RolloutReason, type RolloutState, type Target } from "../rollout/state.ts";
import { withoutRepeats } from "./condense.ts";
import { lineOf, kindOf, type Narrator } from "./narrate.ts";
import { runsText } from "./narrate-target.ts";
import { isOfRollout } from "./past.ts";
import { absenceText, type Known, placeText, UNKNOWN } from "./selection.ts";
import { because, colon, type Line, orderText, spanText, was, whoText } from "./words.ts";

/** What was known of the machine before the deployment was submitted. */
export interface Before {
  /** Its first hello; undefined: it came later. */
  readonly joined: JournalRow | undefined;
  /** When it said the labels that it had then, if these were not its first. */
  readonly relabelled: JournalRow | undefined;
  readonly known: Known;
}

export class Story {
  readonly #machine: MachineId;
  readonly #narrator: Narrator;
  readonly #lines: Line[] = [];
  /** Since another deployment has told it something: part of the story only if it goes on. */
  #since: Line[] = [];
  #known: Known;
  #labelsNow: Labels;
  #lastReport: ReportAccepted | undefined;
  #hasJoined: boolean;
  #isDrained = false;
  /** How often its app went bad after the end, and where the last of these times begins: it takes the place of those between it and the first. */
  #downs = 0;
  #lastDown: { readonly lines: Line[]; readonly from: number } | undefined;
  #isOver = false;

  constructor(machine: MachineId, narrator: Narrator, { joined, relabelled, known }: Before) {
    this.#machine = machine;
    this.#narrator = narrator;
    this.#known = known;
    this.#labelsNow = known.labels ?? {};
    this.#hasJoined = joined !== undefined;
    if (joined !== undefined) this.#say(joined, joinedText(joined));
    if (relabelled !== undefined) this.#say(relabelled, this.#relabelled(relabelled.entry.kind === "machine_labelled" ? relabelled.entry.by : undefined));
  }

  get lines(): readonly Line[] {
    return withoutRepeats(this.#lines);
  }

  /** What it told of itself last, in this deployment. */
  get lastReport(): ReportAccepted | undefined {
    return this.#lastReport;
  }

  /** Another deployment has told it something since: what follows is another story, unless this one tells it something again, or it is removed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get labels(): Labels {
    return this.#labelsNow;
  }

  /** A row of the deployment, or of the machine, in the order of the journal. */
  take(row: JournalRow): void {
    const state = this.#narrator.state;
    const { entry } = row;
    if (this.#goesOnWith(entry, state)) this.#goOn();
    if (isOfOther(row, state)) {
      this.#takeOther(row, state);
      for (const derived of removalIn(state, row)) this.take(derived);
      return;
    }
    const target = state?.targets.get(this.#machine);
    const hadTurn = target?.state === "pending";
    const isPending = state === undefined || state.phase === "pending" || target?.state === "pending" || target?.state === undefined;
    // What the sentence needs of the state before is read before the narrator goes on.
    const own = state === undefined ? undefined : this.#own(row, state, target);
    const told = this.#narrator.take(row);
    if (own !== undefined) {
      this.#told.push(...told.filter(({ kind }) => kind === "absence"));
      this.#say(row, own);
    } else if (!this.#hasToldReturn(entry)) this.#told.push(...told.filter((line, index) => this.#concerns(line, index, row, isPending)));
    if (entry.kind === "rollout_started") this.#place(row, this.#narrator.state!);
    // It is to have its turn here again.
    if (this.#isOver && !hadTurn && this.#narrator.state?.targets.get(this.#machine)?.state === "pending") this.#goOn();
  }

  /** Where what is told now belongs. */
  get #told(): Line[] {
    return this.#isOver ? this.#since : this.#lines;
  }

  #goesOnWith(entry: JournalRow["entry"], state: RolloutState | undefined): boolean {
    if (entry.kind === "machine_removed") return entry.machine === this.#machine;
    return entry.kind === "target_assigned" && entry.machine === this.#machine && entry.deployment === state?.id;
  }

  #goOn(): void {
    this.#isOver = false;
    this.#lines.push(...this.#since);
    this.#since = [];
  }

  /** The machine has just said itself that it went back, and with what was wrong. */
  #hasToldReturn(entry: JournalRow["entry"]): boolean {
    return entry.kind === "target_changed" && entry.machine === this.#machine && entry.state === "failed" && this.#told.at(-1)?.kind === "report_reverted";
  }

  #concerns(line: Line, index: number, { entry }: JournalRow, isPending: boolean): boolean {
    if (line.machine !== "") return line.machine === this.#machine;
    if (line.kind === "absence") return true;
    const wave = this.#narrator.state?.targets.get(this.#machine)?.wave;
    switch (entry.kind) {
      case "deployment_submitted":
        return index === 0;
      case "rollout_started":
        return line.kind === "waited" || line.text.startsWith("began");
      case "wave_started":
        return isPending && (line.kind === "hold_ended" || entry.wave === wave);
      case "wave_finished":
        return isPending && wave !== undefined && entry.wave < wave;
      case "held":
      case "gate_opened":
      case "target_assigned":
        return isPending && wave !== undefined;
      case "gate_asked":
      case "gate_answered":
      case "alarm_asked":
      case "alarm_answered":
        return false;
      case "start_approved":
      case "phase_changed":
      case "command_accepted":
      case "gate_stopped":
      case "promoted":
      case "max_unavailable_changed":
      case "failures_acknowledged":
        return true;
      case "machine_joined":
      case "agent_changed":
      case "machine_labelled":
      case "machine_removed":
      case "machine_silent":
      case "machine_heard":
      case "artifact_stored":
      case "release_created":
      case "release_signed":
      case "machine_cordoned":
      case "machine_uncordoned":
      case "machine_revoked":
      case "assignment_renewed":
      case "budget_set":
      case "budget_removed":
      case "freeze_added":
      case "freeze_ended":
      case "retention_set":
      case "artifact_removed":
      case "targets_archived":
      case "report_accepted":
      case "target_changed":
      case "targets_retried":
      case "targets_excused":
      case "targets_left":
      case "target_joined":
      case "target_let_go":
      case "gate_reached":
        return false;
    }
  }

  /** A sentence that says more of this machine than of others; undefined: the narrator's will do. */
  #own({ at, entry }: JournalRow, state: RolloutState, target: Target | undefined): string | undefined {
    if (entry.kind === "target_assigned" && entry.machine === this.#machine && entry.purpose === "update" && target !== undefined) {
      const begun = state.waves[target.wave]?.startedAt ?? target.since.at;
      const waitedMs = at - Math.max(begun, target.since.at);
      const taken = state.moving.size;
      const places = `${taken} of ${state.maxUnavailable} places ${was(taken)} taken`;
      const back = entry.previous === null ? `it did not run ${state.app} before` : `it goes back to ${entry.previous} if need be`;
      return `${this.#machine} was told to run ${state.release}${waitedMs > 0 ? ` after ${spanText(waitedMs)} of waiting for its turn` : ""}: ${places}; ${back}`;
    }
    if (entry.kind === "target_changed" && entry.machine === this.#machine && entry.state === "failed" && target?.purpose === "update" && target.state !== "failed") {
      const isBack = this.#lastReport?.generation === target.generation && this.#lastReport.phase === "reverted";
      const runs = entry.runs === null ? "" : runsText(state, entry.runs);
      const after = [...(isBack ? ["it went back by itself"] : []), ...(runs === "" || this.#lastReport?.phase === "unhealthy" ? [] : [runs])].map((part) => `; ${part}`).join("");
      return `${this.#machine} failed in wave ${target.wave + 1}${because(entry.reason)}${after}`;
    }
    return undefined;
  }

  #place(row: JournalRow, state: RolloutState): void {
    if (row.entry.kind !== "rollout_started") return;
    const { plan } = row.entry;
    const place = placeText(plan, state.strategy.order, this.#machine, this.#known);
    if (place !== undefined) {
      this.#say(row, place);
    } else if (plan.unchanged.includes(this.#machine)) this.#say(row, `${this.#machine} is left out: it runs ${state.release} already`);
    else if (this.#known.labels !== undefined) this.#sayAbsence(row, state);
  }

  /** `by`: who gave them to it; undefined: its agent said so. */
  #relabelled(by?: string): string {
    const labels = labelsText(this.#labelsNow);
    return by === undefined ? `${this.#machine} has other labels now: ${labels}` : `${whoText(by)} gave ${this.#machine} other labels: ${labels}`;
  }

  /** A machine of the tail gets a row of its own when it joins the deployment. */
  #sayWhyLate(row: JournalRow, state: RolloutState, target: Target | undefined): void {
    if ((target?.state ?? "removed") === "removed" && !state.unchanged.has(this.#machine)) this.#sayAbsence(row, state);
  }

  #sayAbsence(row: JournalRow, state: RolloutState): void {
    this.#say(row, absenceText(this.#machine, state.strategy, this.#known.labels, this.#labelsNow, state.phase));
  }

  /** What happened to the machine beside this deployment, and what its agent said. */
  #takeOther(row: JournalRow, state: RolloutState | undefined): void {
    const { entry } = row;
    const target = state?.targets.get(this.#machine);
    if (entry.kind === "report_accepted") {
      this.#report(row, entry, state, target);
      return;
    }
    if (!("machine" in entry) || entry.machine !== this.#machine) return;
    const isPlanned = state !== undefined && state.phase !== "pending";
    switch (entry.kind) {
      case "machine_joined": {
        const isFirst = !this.#hasJoined;
        const changed = JSON.stringify(entry.labels) !== JSON.stringify(this.#labelsNow);
        this.#hasJoined = true;
        this.#labelsNow = entry.labels;
        if (!isPlanned) this.#known = { ...this.#known, labels: entry.labels };
        if (isFirst) this.#say(row, joinedText(row));
        else if (changed) this.#say(row, this.#relabelled());
        if (isPlanned && (isFirst || changed)) this.#sayWhyLate(row, state, target);
        return;
      }
      case "machine_labelled":
        this.#labelsNow = entry.labels;
        if (!isPlanned) this.#known = { ...this.#known, labels: entry.labels };
        this.#say(row, this.#relabelled(entry.by));
        if (isPlanned) this.#sayWhyLate(row, state, target);
        return;
      case "machine_removed":
        this.#hasJoined = false;
        this.#isDrained = false;
        this.#known = UNKNOWN;
        this.#labelsNow = {};
        // What became of it in the deployment is told by a row of that, while anything can become of it.
        if (target === undefined || target.state === "removed" || isFinal(state)) this.#say(row, `${whoText(entry.by)} removed ${this.#machine} from the fleet${colon(entry.reason)}`);
        return;
      case "agent_changed":
        return;
      case "machine_silent":
      case "machine_heard": {
        const isSilent = entry.kind === "machine_silent";
        if (!isPlanned) this.#known = { ...this.#known, isSilent };
        // Where it stands changes with it, and that is told.
        const isTold = isSilent ? target?.state === "updating" || target?.state === "reverting" || (target?.state === "healthy" && !isFinal(state)) : target?.state === "unreachable";
        if (!isTold) this.#say(row, isSilent ? `nothing is heard from ${this.#machine} any more` : `${this.#machine} is heard from again`);
        return;
      }
      case "machine_cordoned":
        if (!isPlanned) this.#known = { ...this.#known, isCordoned: true };
        this.#isDrained ||= entry.drained;
        this.#say(row, `${whoText(entry.by)} ${entry.drained ? "drained" : "cordoned"} ${this.#machine}${colon(entry.reason)}`);
        return;
      case "machine_uncordoned":
        if (!isPlanned) this.#known = { ...this.#known, isCordoned: false };
        this.#isDrained = false;
        this.#say(row, `${whoText(entry.by)} uncordoned ${this.#machine}${colon(entry.reason)}`);
        return;
      case "machine_revoked":
        this.#say(row, `${whoText(entry.by)} revoked ${this.#machine}${colon(entry.reason)}`);
        return;
      case "target_assigned":
        if (entry.app !== state?.app) return;
        // An older deployment may still be at work while this one waits for its turn.
        if (state.phase === "pending") return;
        this.#say(row, `${entry.deployment} told ${this.#machine} to ${orderText(entry.app, entry.release)}`);
        this.#isOver ||= deploymentNumber(entry.deployment) > deploymentNumber(state.id) || (target !== undefined && target.attempts > 0);
        return;
      case "assignment_renewed":
        if (entry.release === undefined || entry.app !== state?.app) return;
        this.#say(row, `${this.#machine} is ${entry.release === null ? `to be without ${entry.app}` : `given back ${entry.release}`}${this.#isDrained ? " when the drain ends" : ""}${colon(this.#whyGivenBack(state, target))}`);
        return;
      case "target_changed":
      case "target_let_go":
        return;
    }
  }

  /** Why the machine does not keep the release that this deployment told it; empty: that was another's, or nothing is known. As `RENEWED` (journal/confirmed.ts) has it. */
  #whyGivenBack({ id, release, phase, beganBack }: RolloutState, target: Target | undefined): string {
    if (this.#isOver || target === undefined || target.attempts === 0) return "";
    if (beganBack && phase !== "aborted") return `${id} (${release}) ${phase === "rolling_back" ? "is being" : "was"} taken back`;
    const said = this.#lastReport?.generation === target.generation ? this.#lastReport.phase : undefined;
    if (target.state === "failed" || said === "reverting" || said === "reverted" || said === "failed") return `${release} failed there`;
    return `${release} was never confirmed there`;
  }

  #report(row: JournalRow, report: ReportAccepted, state: RolloutState | undefined, target: Target | undefined): void {
    if (report.app !== state?.app) return;
    if (state.phase === "pending") this.#known = { ...this.#known, isUnhealthy: report.phase === "unhealthy" || report.phase === "failed" };
    if (target === undefined || target.generation === 0 || report.generation !== target.generation) return;
    const last = this.#lastReport;
    this.#lastReport = report;
    if (last?.generation === report.generation && last.phase === report.phase && last.reason?.message === report.reason?.message) return;
    const text = isEnded(state.phase) && (target.state === "healthy" || target.state === "reverted") ? this.#afterEnd(report) : undefined;
    const said = text ?? reportText(report, state, target);
    if (said !== undefined) this.#say(row, said);
  }

  /** After the end no row of the deployment tells how its machines are. */
  #afterEnd({ phase, reason, app, runningVersion }: ReportAccepted): string | undefined {
    if (phase === "healthy") return this.#downs === 0 ? undefined : "its app is healthy again";
    if (phase === "reverted") return wentBackText(app, runningVersion, reason);
    if (phase !== "unhealthy" && phase !== "failed") return undefined;
    this.#downs += 1;
    if (this.#downs > 1) this.#forgetLastDown();
    return `its app ${phase === "failed" ? "has failed" : "is unhealthy"}${because(reason)}${this.#downs === 1 ? "" : ` (${this.#downs} times down by now)`}`;
  }

  #forgetLastDown(): void {
    const lines = this.#told;
    const from = this.#lastDown?.lines === lines ? this.#lastDown.from : lines.length;
    if (lines.slice(from).every(({ kind }) => kind.startsWith("report_"))) lines.length = from;
    this.#lastDown = { lines, from: lines.length };
  }

  #say(row: JournalRow, text: string): void {
    this.#told.push(lineOf(row, kindOf(row), this.#machine, { text }));
  }
}

/** Nobody can take it up again. */
function isFinal(state: RolloutState | undefined): boolean {
  return state?.phase === "rolled_back" || (state?.phase === "superseded" && !state.beganBack);
}

/** Neither of the deployment nor decided by it. */
function isOfOther(row: JournalRow, state: RolloutState | undefined): boolean {
  const { entry } = row;
  if (!("deployment" in entry)) return true;
  return state !== undefined && entry.deployment !== state.id && (isOfRollout(row) || entry.kind === "command_accepted");
}

function joinedText({ entry }: JournalRow): string {
  if (entry.kind !== "machine_joined") return "";
  const count = Object.keys(entry.labels).length;
  return `${entry.machine} joined with ${count === 0 ? "" : `the label${count === 1 ? "" : "s"} `}${labelsText(entry.labels)}`;
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "no labels" : pairs.join(", ");
}

function wentBackText(app: string, runningVersion: string, reason: RolloutReason | null): string {
  return `it went back by itself${runningVersion === "" ? "" : ` and runs ${app}@${runningVersion} now`}${because(reason)}`;
}

/** Undefined: what follows from it is told. */
function reportText({ phase, reason, runningVersion }: ReportAccepted, state: RolloutState, target: Target): string | undefined {
  const what = target.purpose === "revert" ? (target.previous ?? state.app) : state.release;
  const why = because(reason);
  switch (phase) {
    case "pulling":
      return `its agent fetches the files of ${what}${why}`;
    case "staged":
      return `its agent has all files of ${what}${why}`;
    case "activating":
      return `its agent switches to ${what}${why}`;
    case "probing":
      return `its agent has started ${what} and probes it${why}`;
    case "reverting":
      return `its agent takes it back by itself${why}`;
    case "removing":
      return `its agent stops and removes ${state.app}${why}`;
    case "healthy":
    case "removed":
      return undefined;
    case "reverted":
      // That it failed, and runs what it had, is told by a row of the deployment.
      if (target.state !== "failed") return undefined;
      return wentBackText(state.app, runningVersion, reason);
    case "unhealthy":
    case "failed":
      return target.state === "failed" ? `it is still not well${why}` : undefined;
  }
}
