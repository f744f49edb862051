/**
 * Targets one by one: all of them as a table, or only those that went wrong, with why.
 */
import type { Deployment, Target } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import { appPhaseWord, targetStateWord, type TargetStateWord } from "../output/words.ts";
import { table } from "./table.ts";
import { plain, truncate } from "./text.ts";
import { ago } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** More than this is read with --targets. */
const FAILED_SHOWN_MAX = 10;

export function targetTable({ targets }: Deployment, { colors, columns, now }: ViewOptions): readonly string[] {
  const hasNews = targets.some(({ now }) => now !== "");
  const rows = targets.map((target) => {
    const state = targetStateWord(target.state);
    return [
      { text: target.machine },
      { text: target.wave === 0 ? "-" : String(target.wave) },
      { text: state, paint: statePaint(state, colors) },
      { text: appPhaseWord(target.appPhase) ?? "-" },
      { text: target.previousVersion === "" ? "-" : plain(target.previousVersion) },
      { text: String(target.attempts) },
      { text: ago(target.since, now), paint: colors.dim },
      ...(hasNews ? [{ text: target.now === "" ? "-" : plain(target.now), paint: target.now === "" ? colors.dim : colors.red }] : []),
      { text: plain(target.reason?.message ?? "") },
    ];
  });
  const titles = [
    { title: "MACHINE", isFixed: true },
    { title: "WAVE", align: "right" as const },
    { title: "STATE" },
    { title: "APP", isSpare: true },
    { title: "BEFORE", isSpare: true },
    { title: "TRIES", align: "right" as const, isSpare: true },
    { title: "SINCE" },
    ...(hasNews ? [{ title: "NOW" }] : []),
    { title: "REASON" },
  ];
  return table(titles, rows, columns, colors.dim);
}

/** Those that failed or are silent, with their reason; needs the deployment with its targets. */
export function failedTargetLines({ targets }: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  const failed = targets.filter(hasFailed);
  const first = failed.slice(0, FAILED_SHOWN_MAX);
  const width = Math.max(0, ...first.map(({ machine }) => machine.length));
  const shown = first.map((target) => {
    const why = plain(target.reason?.message ?? targetStateWord(target.state));
    return `  ${colors.red(target.machine.padEnd(width))}  ${truncate(why, columns - width - 4)}`;
  });
  const more = failed.length - shown.length;
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
