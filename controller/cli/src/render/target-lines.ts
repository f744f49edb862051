/**
 * Targets one by one: all of them as a table, or only those that went wrong, with why.
 */
import { type Deployment, type Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import { appPhaseWord, targetStateWord, type TargetStateWord } from "../output/words.ts";
import { table } from "./table.ts";
import { plain, width, wrap } from "./text.ts";
import { ago } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** More than this is read with --targets. */
const FAILED_SHOWN_MAX = 10;

/** Where the sentences would have to be cut, they stand below their row. */
export function targetTable(deployment: Deployment, options: ViewOptions): readonly string[] {
  const whole = withSentences(deployment, options);
  return whole.every((line) => width(line) <= options.columns) ? whole : withSentencesBelow(deployment, options);
}

const TITLES = [
  { title: "MACHINE", isFixed: true },
  { title: "WAVE", align: "right" as const },
  { title: "STATE" },
  { title: "APP", isSpare: true },
  { title: "BEFORE", isSpare: true },
  { title: "TRIES", align: "right" as const, isSpare: true },
  { title: "SINCE" },
];

function withSentences({ targets }: Deployment, { colors, now }: ViewOptions): readonly string[] {
  const hasNews = targets.some((target) => target.now !== "");
  const rows = targets.map((target) => [
    ...factsOf(target, colors, now),
    ...(hasNews ? [{ text: target.now === "" ? "-" : plain(target.now), paint: target.now === "" ? colors.dim : colors.red }] : []),
    { text: reasonOf(target) },
  ]);
  return table([...TITLES, ...(hasNews ? [{ title: "NOW" }] : []), { title: "REASON" }], rows, Number.POSITIVE_INFINITY, colors.dim);
}

function withSentencesBelow({ targets }: Deployment, { colors, columns, now }: ViewOptions): readonly string[] {
  const [titles = "", ...rows] = table(TITLES, targets.map((target) => factsOf(target, colors, now)), columns, colors.dim);
  const below = (label: string, text: string, paint: (text: string) => string): readonly string[] =>
    text === "" ? [] : wrap(text, columns - 4 - label.length).map((part, index) => `    ${paint((index === 0 ? label : " ".repeat(label.length)) + part)}`);
  return [
    titles,
    ...rows.flatMap((row, index) => {
      const target = targets[index];
      if (target === undefined) return [row];
      return [row, ...below("now: ", plain(target.now), colors.red), ...below("reason: ", reasonOf(target), String)];
    }),
  ];
}

function factsOf(target: Target, colors: Colors, now: number): readonly { readonly text: string; readonly paint?: (text: string) => string }[] {
  const state = targetStateWord(target.state);
  return [
    { text: target.machine },
    { text: target.wave === 0 ? "-" : String(target.wave) },
    { text: state, paint: statePaint(state, colors) },
    { text: isHeard(target) ? (appPhaseWord(target.appPhase) ?? "-") : "-" },
    { text: target.previousVersion === "" ? "-" : plain(target.previousVersion) },
    { text: String(target.attempts) },
    { text: ago(target.since, now), paint: colors.dim },
  ];
}

/** What a machine said before it fell silent says nothing of how its app is. */
function isHeard({ state, now }: Target): boolean {
  return state !== TargetState.UNREACHABLE && now !== "not heard";
}

function reasonOf({ reason }: Target): string {
  return plain(reason?.message ?? "");
}

/** Those that failed or are silent, with their reason; needs the deployment with its targets. */
export function failedTargetLines({ targets }: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  const failed = targets.filter(hasFailed);
  const first = failed.slice(0, FAILED_SHOWN_MAX);
  const room = Math.max(0, ...first.map(({ machine }) => machine.length));
  const shown = first.flatMap((target) => {
    const why = plain(target.reason?.message ?? targetStateWord(target.state));
    return wrap(why, columns - room - 4).map((part, index) => `  ${colors.red((index === 0 ? target.machine : "").padEnd(room))}  ${part}`);
  });
  const more = failed.length - first.length;
  return more > 0 ? [...shown, colors.dim(`  … and ${more} more, see --targets`)] : shown;
}

/** A target that was taken back keeps the reason for which it failed. */
function hasFailed({ state, reason }: Target): boolean {
  const word = targetStateWord(state);
  return word === "failed" || word === "unreachable" || (word === "reverted" && isFailure(reason?.code));
}

function isFailure(code: string | undefined): boolean {
  return code !== undefined && code !== "" && code !== "operator" && code !== "unchanged" && code !== "failures_exceeded";
}

function statePaint(state: TargetStateWord, colors: Colors): (text: string) => string {
  switch (state) {
    case "healthy":
    case "unchanged":
      return colors.green;
    case "updating":
      return colors.cyan;
    case "failed":
      return colors.red;
    case "unreachable":
      return colors.yellow;
    case "reverting":
    case "reverted":
      return colors.magenta;
    case "skipped":
    case "removed":
    case "pending":
    case "unspecified":
      return colors.dim;
  }
}
