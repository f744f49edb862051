/**
 * A deployment told row by row: takes the rows in their order, keeps the rollout as it stood (rollout/change.ts), and says of each what there is to say.
 *
 * Always holds: every sentence is about what the row and the state before it say, and nothing else; so the same journal tells the same story.
 */
import type { JournalRow, RolloutEntry } from "../journal/entry.ts";
import { removalIn } from "../journal/removal.ts";
import { apply } from "../rollout/change.ts";
import type { Moment } from "../rollout/moment.ts";
import { isEnded, newRollout, type RolloutState } from "../rollout/state.ts";
import { alarmSentence, gateSentence, holdEnded } from "./narrate-gate.ts";
import { commandSentence, phaseSentence, planSentences, waveBegan, wavePassed } from "./narrate-phase.ts";
import { type Sentence, targetSentence, targetsSentences } from "./narrate-target.ts";
import { isOfRollout } from "./past.ts";
import type { Wait } from "./queue.ts";
import { strategyText } from "./strategy-text.ts";
import { colon, type Line, selectorText, spanText, whoText } from "./words.ts";

/** Less than that explains nothing that a person would ask about. */
const ABSENCE_TOLD_MS_MIN = 5_000;

export class Narrator {
  readonly #waits: readonly Wait[];
  #state: RolloutState | undefined;
  #toldWaits = 0;
  #beganAt: number | undefined;
  /** The row before. */
  #last: Moment | undefined;

  /** `waits`: why it did not begin at once. */
  constructor(waits: readonly Wait[]) {
    this.#waits = waits;
  }

  /** As it stands after the last row that was taken; undefined before its submission. */
  get state(): RolloutState | undefined {
    return this.#state;
  }

  /** A row of the deployment, or the removal of a machine; others say nothing here. */
  take(row: JournalRow): readonly Line[] {
    const { entry } = row;
    if (entry.kind === "deployment_submitted") {
      const { deployment: id, app, release, strategy, by, note } = entry;
      this.#state = newRollout({ id, app, release, strategy }, row);
      const submitted = `${whoText(by)} submitted ${id}: ${release} to ${selectorText(strategy.targets)}${colon(note)}`;
      return [this.#line(row, { text: submitted, isKey: true }), this.#line(row, { text: strategyText(strategy) })];
    }
    const state = this.#state;
    if (state === undefined) return [];
    return [...this.#absence(state, row), ...this.#toldOf(state, row)];
  }

  #toldOf(state: RolloutState, row: JournalRow): readonly Line[] {
    const { entry } = row;
    const removal = removalIn(state, row);
    if (removal.length > 0) return removal.flatMap((derived) => this.#change(state, derived));
    const waited = state.phase === "pending" ? this.#waited(row) : [];
    if (entry.kind === "command_accepted") {
      const text = commandSentence(state, entry);
      return [...waited, ...(text === undefined ? [] : [this.#line(row, { text, isKey: true })])];
    }
    if (!isOfRollout(row)) return waited;
    return [...waited, ...this.#change(state, row)];
  }

  /** Between two rows of a rollout under way time has passed in which nobody looked. */
  #absence(state: RolloutState, row: JournalRow): readonly Line[] {
    const last = this.#last;
    this.#last = row;
    if (last === undefined || state.phase === "pending" || isEnded(state.phase)) return [];
    const awayMs = row.at - last.at - (row.attended - last.attended);
    if (awayMs < ABSENCE_TOLD_MS_MIN) return [];
    return [lineOf(row, "absence", "", { text: `the controller was away or held up for ${spanText(awayMs)} since the step before: no deadline and no soak ran` })];
  }

  /** What it waits for at the end of the story, if it has not begun. */
  open(): readonly Line[] {
    if (this.#state?.phase !== "pending") return [];
    const finished = this.#waits
      .slice(this.#toldWaits, -1)
      .map((wait, index) => this.#waitedLine(wait, this.#waits[this.#toldWaits + index + 1]!))
      .filter(({ text }) => text !== "");
    const last = this.#waits.at(-1);
    return last === undefined ? finished : [...finished, lineOf(last, "waits", "", { text: `waits for ${last.message}` })];
  }

  #change(state: RolloutState, row: JournalRow & { readonly entry: RolloutEntry }): readonly Line[] {
    const hold = state.hold;
    const wave = state.wave;
    const heldMs = hold === null ? 0 : waitedMs(hold, row);
    const said = this.#sentences(state, row, heldMs).map((sentence) => this.#line(row, sentence));
    if (row.entry.kind === "rollout_started") this.#beganAt = row.at;
    apply(state, row.entry, row);
    const isOver = hold !== null && state.hold?.kind !== hold.kind;
    const isTold = row.entry.kind === "gate_opened" || row.entry.kind === "gate_stopped";
    if (!isOver || isTold || heldMs === 0) return said;
    return [lineOf(row, "hold_ended", "", { text: holdEnded(hold, wave, heldMs, row.entry) }), ...said];
  }

  #sentences(state: RolloutState, { at, entry }: JournalRow & { readonly entry: RolloutEntry }, heldMs: number): readonly Sentence[] {
    switch (entry.kind) {
      case "start_approved":
        return [{ text: entry.said, isKey: true }];
      case "rollout_started":
        return planSentences(state, entry.plan).map((text) => ({ text }));
      case "wave_started":
        return [{ text: waveBegan(state, entry.wave) }];
      case "wave_finished":
        return [{ text: wavePassed(state, entry.wave, at) }];
      case "target_changed":
        // A rollout that was in memory has a row of its own beside that of the machine's removal.
        if (entry.state === "removed" && state.targets.get(entry.machine)?.state === "removed") return [];
        return [targetSentence(state, entry, at)];
      case "targets_retried":
      case "targets_excused":
      case "targets_left":
        return targetsSentences(state, entry, at);
      case "target_assigned":
      case "target_joined":
      case "target_let_go":
        return [targetSentence(state, entry, at)];
      case "failures_acknowledged":
        return acknowledged(state, entry);
      case "held":
        return entry.hold === null || state.hold?.kind === entry.hold.kind ? [] : [{ text: `waits for ${entry.hold.message}` }];
      case "promoted":
        return [];
      case "max_unavailable_changed":
        return [{ text: `at most ${entry.maxUnavailable} may be unavailable at once from now on` }];
      case "gate_reached":
      case "gate_asked":
      case "gate_answered":
      case "gate_opened":
      case "gate_stopped": {
        const text = gateSentence(state, entry, heldMs);
        if (text === undefined) return [];
        const repeats = entry.kind === "gate_answered";
        return [{ text, isKey: entry.kind === "gate_stopped", ...(repeats ? { sum: "unanswered" as const } : {}) }];
      }
      case "alarm_asked":
        return [];
      case "alarm_answered": {
        const text = alarmSentence(entry);
        return text === undefined ? [] : [{ text, sum: "alarmed" }];
      }
      case "phase_changed": {
        const text = phaseSentence(state, entry.phase, entry.reason, at, this.#beganAt);
        return text === undefined ? [] : [{ text, isKey: true }];
      }
    }
  }

  /** Reasons to wait that had ended when this row came. */
  #waited(row: JournalRow): readonly Line[] {
    const lines: Line[] = [];
    for (let wait = this.#waits[this.#toldWaits]; wait !== undefined; wait = this.#waits[this.#toldWaits]) {
      const next = this.#waits[this.#toldWaits + 1];
      // That somebody starts it is the first thing that a deployment waits for.
      const isStarted = row.entry.kind === "start_approved" && this.#toldWaits === 0;
      const isEnd = isStarted || row.entry.kind === "rollout_started" || row.entry.kind === "phase_changed";
      const end = next !== undefined && next.at <= row.at ? next : isEnd ? row : undefined;
      if (end === undefined) break;
      lines.push(this.#waitedLine(wait, end));
      this.#toldWaits += 1;
    }
    return lines.filter(({ text }) => text !== "");
  }

  #waitedLine(wait: Wait, end: { readonly seq: number; readonly at: number }): Line {
    const ms = end.at - wait.at;
    return lineOf(end, "waited", "", { text: ms === 0 ? "" : `waited ${spanText(ms)} for ${inHindsight(wait.message)}` });
  }

  #line(row: JournalRow, sentence: Sentence): Line {
    return lineOf(row, kindOf(row), sentence.machine ?? machineOf(row), sentence);
  }
}

/** A soak runs while somebody looks, and only then. */
function waitedMs({ kind, since }: NonNullable<RolloutState["hold"]>, { at, attended }: Moment): number {
  return kind === "soak" ? attended - since.attended : at - since.at;
}

/** What it waited for, once that is over: what one could have done about it is left out. */
function inHindsight(message: string): string {
  return message.replace("its time: it begins at", "its time,").replace(/ \(muster approve d-[0-9]+\)$/, "").replace(/: muster [a-z]+ d-[0-9]+\) to end$/, ") to end");
}

/** Only when somebody resumed it: others are the engine's own bookkeeping. */
function acknowledged(state: RolloutState, { wave, failures, unreachable }: Extract<RolloutEntry, { readonly kind: "failures_acknowledged" }>): readonly Sentence[] {
  const known = state.waves[wave]!;
  const isMore = failures > known.acknowledgedFailures || unreachable > known.acknowledgedUnreachable;
  if (state.phase !== "paused" || !isMore) return [];
  const parts = [...(failures === 0 ? [] : [`${failures} failed`]), ...(unreachable === 0 ? [] : [`${unreachable} silent`])];
  const one = failures + unreachable === 1;
  return [{ text: `${parts.join(" and ")} machine${one ? "" : "s"} of wave ${wave + 1} ${one ? "counts" : "count"} no more: only new ones stop it again` }];
}

export function lineOf({ seq, at }: { readonly seq: number; readonly at: number }, kind: string, machine: string, { text, sum, isKey = false }: Sentence): Line {
  return { seq, at, kind, machine, text, sum, isKey };
}

/** What it is about, for those who look for what went wrong. */
export function kindOf({ entry }: JournalRow): string {
  if (entry.kind === "target_changed") return `target_${entry.state}`;
  if (entry.kind === "targets_retried") return "target_pending";
  if (entry.kind === "targets_excused") return "target_let_go";
  if (entry.kind === "targets_left") return "target_skipped";
  if (entry.kind === "target_assigned") return entry.purpose === "revert" ? "target_reverting" : entry.kind;
  if (entry.kind === "phase_changed") return entry.phase;
  return entry.kind === "report_accepted" ? `report_${entry.phase}` : entry.kind;
}

function machineOf({ entry }: JournalRow): string {
  if (entry.kind === "target_joined") return entry.target.machine;
  return "machine" in entry ? entry.machine : "";
}
