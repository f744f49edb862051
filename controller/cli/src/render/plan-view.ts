/**
 * A forecast: what a deployment would do, in which order, how long it would take, and how far a bad release would come. Pure.
 */
import type { PlannedMachine, PlannedWave, PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import { counted } from "@muster/proto/text.ts";
import type { Colors } from "../context.ts";
import { phaseWord } from "../output/words.ts";
import { membersOf, phaseText } from "./rollout-view.ts";
import { table } from "./table.ts";
import { padStart, plain, truncate, wrap } from "./text.ts";
import { elapsedText } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

export interface PlanViewOptions extends ViewOptions {
  /** Every machine, however many there are. */
  readonly all: boolean;
}

/** Of one wave, without `all`: three lines or so in 80 columns. */
const MACHINES_SHOWN_MAX = 24;
const INDENT = "    ";

export function planView(plan: PlanResponse, options: PlanViewOptions): readonly string[] {
  const { colors, columns } = options;
  const machineCount = countMachines(plan);
  const title = colors.bold(truncate(plain(`${plan.app} ${plan.version}`), columns));
  if (machineCount === 0) {
    const nothing = plan.unchanged.length === 0 ? "it selects no machine" : runAlready(plan.unchanged.length);
    return [`${title}  →  nothing to change`, ...wrap(nothing, columns - 2).map((line) => `  ${line}`), ...warningLines(plan, options)];
  }
  return [
    `${title}  →  ${counted(machineCount, "machine")} in ${counted(plan.waves.length, "wave")}${plan.expectedMs === undefined ? "; would not succeed" : `, about ${elapsedText(plan.expectedMs)}`}`,
    ...factLines(plan, options),
    ...warningLines(plan, options),
    ...plan.waves.flatMap((wave) => ["", ...waveLines(wave, plan.waves.length, options)]),
    ...unchangedLines(plan, options),
    ...blastLines(plan, options),
  ];
}

/** `1 machine runs it already`, `2 machines run it already` */
function runAlready(count: number): string {
  return `${counted(count, "machine")} ${count === 1 ? "runs" : "run"} it already`;
}

export function countMachines({ waves }: PlanResponse): number {
  return waves.reduce((sum, { machines }) => sum + machines.length, 0);
}

function factLines({ beginsWhen, maxUnavailable, alarms, expectedFrom, notes }: PlanResponse, { colors, columns }: PlanViewOptions): readonly string[] {
  const facts = [
    beginsWhen === "" ? "" : `does not begin at once: ${plain(beginsWhen)}`,
    maxUnavailable === 0 ? "" : `at most ${maxUnavailable} unavailable at once`,
    ...alarms.map((alarm, index) => `alarm ${index + 1}, all the while: ${plain(alarm)}`),
    ...notes.map((note) => plain(note)),
    expectedFrom === "" ? "" : `time from ${plain(expectedFrom)}`,
  ].filter((fact) => fact !== "");
  return facts.flatMap((fact) => wrap(fact, columns - 2).map((line) => colors.dim(`  ${line}`)));
}

/** Before the waves, so that a long plan does not push them out of sight. */
function warningLines({ warnings }: PlanResponse, { colors, columns }: PlanViewOptions): readonly string[] {
  if (warnings.length === 0) return [];
  const lines = warnings.flatMap((warning) =>
    wrap(plain(warning), columns - 11).map((part, index) => colors.yellow(`${index === 0 ? "  warning: " : "           "}${part}`)),
  );
  return ["", ...lines];
}

function waveLines(wave: PlannedWave, waveCount: number, options: PlanViewOptions): readonly string[] {
  const { colors, columns } = options;
  const { index, machines, gates, maxFailures } = wave;
  const label = `  wave ${padStart(String(index), String(waveCount).length)}`;
  const members = plain(membersOf(wave));
  const facts = [
    members,
    counted(machines.length, "machine"),
    timesText(wave),
    maxFailures === 0 ? "" : `up to ${maxFailures} may fail`,
  ].filter((fact) => fact !== "");
  const heading = `${colors.bold(label)}  ${truncate(facts.join(", "), columns - label.length - 2)}`;
  return [heading, ...machineLines(machines, options), ...gateLines(gates, options)];
}

function timesText({ expectedStartMs: start, expectedEndMs: end }: PlannedWave): string {
  if (start === undefined) return "would not begin";
  return end === undefined ? `from ${clock(start)}, would not pass` : `${clock(start)} to ${clock(end)}`;
}

/** From the start of the rollout. */
function clock(durationMs: number): string {
  return `+${elapsedText(durationMs)}`;
}

function machineLines(machines: readonly PlannedMachine[], { columns, all }: PlanViewOptions): readonly string[] {
  // Nobody is helped by `and 1 more` where the one would have fitted.
  const limit = all || machines.length <= MACHINES_SHOWN_MAX + 1 ? machines.length : MACHINES_SHOWN_MAX;
  const more = machines.length - limit;
  const names = machines.slice(0, limit).map(machineText);
  const lines = listed(more > 0 ? [...names, `and ${more} more`] : names, columns - INDENT.length);
  return lines.map((line) => `${INDENT}${line}`);
}

function machineText({ id, note }: PlannedMachine): string {
  return note === "" ? id : `${id} (${plain(note)})`;
}

/** Separated by commas, and broken between names alone. */
function listed(names: readonly string[], columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const [index, name] of names.entries()) {
    const word = index < names.length - 1 ? `${name},` : name;
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && longer.length > columns) lines.push(line);
    line = line !== "" && longer.length > columns ? word : longer;
  }
  return line === "" ? lines : [...lines, line];
}

/** `until all are healthy`, `and somebody approves`: the words stand below each other. */
function gateLines(gates: readonly string[], { colors, columns }: PlanViewOptions): readonly string[] {
  return gates.flatMap((gate, gateIndex) => {
    const word = gateIndex === 0 ? "until" : "  and";
    return wrap(plain(gate), columns - INDENT.length - word.length - 1).map(
      (part, index) => `${INDENT}${index === 0 ? colors.cyan(word) : " ".repeat(word.length)} ${part}`,
    );
  });
}

function unchangedLines({ unchanged }: PlanResponse, { colors, columns, all }: PlanViewOptions): readonly string[] {
  if (unchanged.length === 0) return [];
  const lines = machineLines(unchanged.map((id) => ({ id, previousVersion: "", note: "" })), { colors, columns, all, now: 0 });
  return ["", colors.dim(`  ${runAlready(unchanged.length)}`), ...lines.map((line) => colors.dim(line))];
}

/** A release that is good and goes on is what people want of a zone that is cut off. */
function unstopped(world: string, phase: string, colors: Colors): { readonly text: string; readonly paint: (text: string) => string } {
  return world.startsWith("cut off") && phase === "succeeded" ? { text: "goes on", paint: colors.dim } : { text: "never", paint: colors.red };
}

/** Where no machine ever ran it, none has to come back. */
function restored(afterMs: number | undefined, maxMachines: number, colors: Colors): { readonly text: string; readonly paint?: (text: string) => string } {
  if (afterMs !== undefined) return { text: elapsedText(afterMs) };
  return maxMachines === 0 ? { text: "-", paint: colors.dim } : { text: "never", paint: colors.red };
}

function blastLines({ blastRadius: blasts, expectedFrom }: PlanResponse, { colors, columns }: PlanViewOptions): readonly string[] {
  if (blasts.length === 0) return [];
  const rows = blasts.map(({ world, maxMachines, stoppedAfterMs, restoredAfterMs, phase }) => {
    const word = phaseWord(phase);
    return [
      { text: plain(world) },
      { text: String(maxMachines) },
      stoppedAfterMs === undefined ? unstopped(world, word, colors) : { text: elapsedText(stoppedAfterMs) },
      restored(restoredAfterMs, maxMachines, colors),
      { text: word.replaceAll("_", " "), paint: () => phaseText(word, colors) },
    ];
  });
  const titles = [
    { title: "IF IT IS" },
    { title: "MACHINES", align: "right" as const },
    { title: "STOPPED AFTER", align: "right" as const },
    { title: "BACK AFTER", align: "right" as const },
    { title: "ENDS", isFixed: true, isSpare: true },
  ];
  const heading = `how far a bad release would come${expectedFrom.includes("(a guess") ? ", with times that are guessed" : ""}:`;
  return ["", colors.bold(heading), ...table(titles, rows, columns - 2, colors.dim).map((line) => `  ${line}`)];
}
