/**
 * Why something is as it is: the state in a sentence, what it waits for, and the decisions that led there, each with its time. Pure.
 */
import type { Decision, WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import type { Colors } from "../context.ts";
import { padEnd, plain, width, wrap } from "./text.ts";
import { ago, dateAndTime, elapsedText, timeOfDay } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** Beside a narrower column words fall to pieces; then the sentence stands below its time. */
const SENTENCE_COLUMNS_MIN = 30;

export function whyView({ summary, now: waiting, decisions }: WhyResponse, options: ViewOptions): readonly string[] {
  const { colors, columns } = options;
  return [
    ...wrap(plain(summary), columns).map((line) => colors.bold(line)),
    ...(waiting.length === 0 ? [] : ["", "now:", ...waiting.flatMap((sentence) => bullet(sentence, options))]),
    ...chain(decisions, options),
  ];
}

function bullet(sentence: string, { colors, columns }: ViewOptions): readonly string[] {
  return wrap(plain(sentence), columns - 4).map((part, index) => `  ${index === 0 ? colors.yellow("▸") : " "} ${part}`);
}

function chain(decisions: readonly Decision[], options: ViewOptions): readonly string[] {
  const [first] = decisions;
  if (first === undefined) return [];
  const times = decisions.map(({ at }) => `+${elapsedText(at - first.at)}`);
  const room = Math.max(...times.map(width));
  const lines = decisions.flatMap((decision, index) => decisionLines(decision, times[index] ?? "", room, options, decisions[index - 1] ?? first));
  const heading = wrap(`how it came to this, since ${dateAndTime(first.at)} (${ago(first.at, options.now)}):`, options.columns);
  return ["", ...heading, ...lines];
}

/** `  12:03:04  +1m2s  web-3 was told …`; the date where a new day begins. */
function decisionLines(decision: Decision, time: string, room: number, { colors, columns }: ViewOptions, before: Decision): readonly string[] {
  const day = dateAndTime(decision.at).slice(0, 10);
  const newDay = day === dateAndTime(before.at).slice(0, 10) ? [] : [colors.dim(`  ${day}`)];
  const label = `  ${timeOfDay(decision.at)}  ${padEnd(time, room)}  `;
  const paint = paintOf(decision.kind, colors);
  if (columns - label.length < SENTENCE_COLUMNS_MIN) {
    return [...newDay, colors.dim(label.trimEnd()), ...wrap(plain(decision.text), columns - 4).map((part) => `    ${paint(part)}`)];
  }
  const parts = wrap(plain(decision.text), columns - label.length);
  return [...newDay, ...parts.map((part, index) => (index === 0 ? colors.dim(label) : " ".repeat(label.length)) + paint(part))];
}

/** The eye looks for what went wrong first. */
function paintOf(kind: string, colors: Colors): (text: string) => string {
  if (/fail|stopped|tripped/.test(kind)) return colors.red;
  if (/revert|rolled_back|rolling_back|unreachable|skipped/.test(kind)) return colors.magenta;
  if (/healthy|succeeded|opened/.test(kind)) return colors.green;
  return String;
}
