/**
 * A deployment as a picture of lines: header, a bar and counts for each wave, the gates of the one that matters now, what it waits for
 * and why it is as it is.
 * Pure: the same deployment, moment and size give the same lines, none wider than the terminal.
 */
import { type Deployment, TargetState, type Wave } from "@muster/proto/gen/muster/v1/deployments.ts";
import { counted } from "@muster/proto/text.ts";
import picocolors from "picocolors";
import type { Colors } from "../context.ts";
import { countsOf } from "../output/counts.ts";
import { hasEnded, phaseWord, wavePhaseWord, type PhaseWord } from "../output/words.ts";
import { alarmLines } from "./alarm-lines.ts";
import { bar, countsLine } from "./bar.ts";
import { gateLines } from "./gate-lines.ts";
import { padEnd, padStart, plain, truncate, width, wrap } from "./text.ts";
import { elapsedText } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

const NO_COLORS = picocolors.createColors(false);
const BAR_COLUMNS_MIN = 8;
const BAR_COLUMNS_MAX = 30;
/** Below this a cut selector says nothing. */
const MEMBERS_COLUMNS_MIN = 6;
/** An answer takes its time to come: by less nobody has set a clock. */
const SET_BACK_MS = 1000;
/** Of the view without its waves: header, waiting, reason, the cursor's line and a little air. */
const ROWS_BESIDE_WAVES = 8;

/** The whole view, without a trailing empty line. */
export function rolloutView(deployment: Deployment, options: ViewOptions): readonly string[] {
  const alarms = alarmLines(deployment, options);
  return [
    headerLine(deployment, options),
    ...waveLines(deployment, alarms.length, options),
    ...unchangedLines(deployment, options),
    ...alarms,
    ...waitingLines(deployment, options),
    ...nowLines(deployment, options),
    ...outcomeLines(deployment, options),
    ...reasonLines(deployment, options),
    ...settingLines(deployment, options),
  ];
}

/** `d-7  shop-web 1.4.2  rolling  1m2s` */
export function headerLine(deployment: Deployment, { colors, columns, now }: ViewOptions): string {
  const ending = endingText(deployment);
  const elapsed = tookText(deployment, now) ?? "";
  const title = `${deployment.app} ${deployment.version}`;
  const room = columns - width(`${deployment.id}    ${ending}  ${elapsed}`);
  const parts = [colors.bold(deployment.id), truncate(plain(title), Math.max(8, room)), phasePaint(deployment, colors)(ending), colors.dim(elapsed)];
  return parts.join("  ").trimEnd();
}

/** `rolling`; after the end no more than is known: `rolled back, except 1`, `succeeded, now 0/8 healthy`. */
export function endingText(deployment: Deployment): string {
  const { phase, now } = deployment;
  const word = phaseWord(phase);
  const count = missingCount(deployment);
  const text = word.replaceAll("_", " ");
  const isExcept = word === "succeeded" || word === "rolled_back";
  const except = count === 0 ? "" : isExcept ? `, except ${count}` : `, ${count} not done`;
  return `${text}${except}${nowShort(now)}`;
}

/** Machines on which the end does not hold, whoever decides about them by now. */
function missingCount({ outstanding, overtaken }: Pick<Deployment, "outstanding" | "overtaken">): number {
  return (outstanding?.count ?? 0) + (overtaken?.count ?? 0);
}

/** The outcome names somebody: who is missing, was let go, or has the release still, though nothing more is to come there. */
export function saysMore(deployment: Pick<Deployment, "phase" | "outcome" | "outstanding" | "overtaken">): boolean {
  return deployment.outcome !== "" && (missingCount(deployment) > 0 || deployment.outcome.length > phaseWord(deployment.phase).length);
}

/** Machines of which one can be missing: whoever left the fleet well is none. */
export function memberCount({ counts, outstanding }: Pick<Deployment, "counts" | "outstanding">): number {
  const { total, removed } = countsOf(counts);
  return total - removed + (outstanding?.removed ?? 0);
}

/** What the end does not say: in a list there is no place for more. */
function nowShort(now: Deployment["now"]): string {
  if (now === undefined) return "";
  if (now.text !== "") return `, now ${now.healthy}/${now.machines} healthy`;
  return now.lateWaitsFor === "" ? "" : ", catch-up is on hold";
}

/** Green is for what holds everywhere, and still does. */
export function phasePaint({ phase, outstanding, overtaken, now }: Deployment, colors: Colors): (text: string) => string {
  if ((now?.text ?? "") !== "") return colors.red;
  const word = phaseWord(phase);
  return (word === "succeeded" || word === "superseded") && missingCount({ outstanding, overtaken }) > 0 ? colors.yellow : paintOf(word, colors);
}

export function phaseText(phase: PhaseWord, colors: Colors): string {
  return paintOf(phase, colors)(phase.replaceAll("_", " "));
}

function paintOf(phase: PhaseWord, colors: Colors): (text: string) => string {
  switch (phase) {
    case "succeeded":
      return colors.green;
    case "failed":
    case "rolled_back":
    case "aborted":
      return colors.red;
    case "rolling_back":
      return colors.magenta;
    case "paused":
    case "awaiting_approval":
      return colors.yellow;
    case "rolling":
    case "soaking":
      return colors.cyan;
    case "pending":
    case "superseded":
    case "unspecified":
      return colors.dim;
  }
}

/** From its start, or from its submission while it has not started, to its end or now: `1m2s`. Undefined: the controller's clock was set back meanwhile, and nobody can say. */
export function tookText({ submittedAt, startedAt, endedAt }: Deployment, now: number): string | undefined {
  const elapsedMs = (endedAt === 0 ? now : endedAt) - (startedAt === 0 ? submittedAt : startedAt);
  return elapsedMs < -SET_BACK_MS ? undefined : elapsedText(Math.max(0, elapsedMs));
}

function waveLines(deployment: Deployment, alarmRows: number, options: ViewOptions): readonly string[] {
  const { colors, columns, rows } = options;
  const gates = new Map(deployment.waves.map((wave) => [wave, gateLines(wave, deployment, options)]));
  const gateRows = [...gates.values()].reduce((sum, lines) => sum + lines.length, 0);
  const room = rows === undefined ? deployment.waves.length : Math.max(1, rows - ROWS_BESIDE_WAVES - gateRows - alarmRows);
  const { before, shown, after } = fold(deployment.waves, room);
  const digits = String(deployment.waves.length).length;
  const barColumns = Math.max(BAR_COLUMNS_MIN, Math.min(BAR_COLUMNS_MAX, columns - 50));
  const lines: string[] = [];
  if (before > 0) lines.push(colors.dim(`  … ${counted(before, "wave")} before`));
  for (const wave of shown) lines.push(...waveLine(wave, deployment, digits, barColumns, options), ...(gates.get(wave) ?? []));
  if (after > 0) lines.push(colors.dim(`  … ${counted(after, "wave")} to come`));
  return lines;
}

/** A plain number says nothing that the counts do not say. */
export function membersOf({ members }: { readonly members: string }): string {
  return /^[0-9]*$/.test(members) ? "" : members;
}

/** On a terminal too narrow for both, the counts go below the bar. Who belongs to the wave is said where there is room. */
function waveLine(wave: Wave, deployment: Deployment, digits: number, barColumns: number, { colors, columns }: ViewOptions): readonly string[] {
  const targets = countsOf(wave.counts, wave.size);
  const label = `  ${waveMark(wave, deployment, colors)} wave ${padStart(String(wave.index), digits)}  `;
  const counts = countsLine(targets, colors);
  if (width(label) + barColumns + 2 + width(counts) <= columns) {
    const line = `${label}${bar(targets, barColumns, colors)}  ${counts}`;
    const spare = columns - width(line) - 2;
    const members = membersOf(wave);
    return [members === "" || spare < MEMBERS_COLUMNS_MIN ? line : `${line}  ${colors.dim(truncate(plain(members), spare))}`];
  }
  const below = wrap(countsLine(targets, NO_COLORS), columns - 6).map((part) => `      ${part}`);
  return [label + bar(targets, Math.max(0, Math.min(barColumns, columns - width(label))), colors), ...below];
}

/** A tick stands for a wave of which nobody is missing. Whoever left well is not missed. */
function waveMark({ phase, counts }: Wave, { outstanding }: Deployment, colors: Colors): string {
  const { unreachable, skipped, pending, updating, reverting, failed, removed } = countsOf(counts);
  const isRemovedMissed = outstanding?.machines.some(({ state }) => state === TargetState.REMOVED) === true;
  switch (wavePhaseWord(phase)) {
    case "done":
      return unreachable + skipped + pending + updating + reverting + failed + (isRemovedMissed ? removed : 0) > 0 ? colors.yellow("!") : colors.green("✓");
    case "failed":
      return colors.red("✗");
    case "rolling":
      return colors.cyan("▸");
    case "rolling_back":
    case "rolled_back":
      return colors.magenta("‹");
    case "pending":
    case "unspecified":
      return " ";
  }
}

/** The waves around the one that matters now: all that fit, those before it given up first. */
function fold(waves: readonly Wave[], room: number): { before: number; shown: readonly Wave[]; after: number } {
  if (waves.length <= room) return { before: 0, shown: waves, after: 0 };
  const active = waves.findIndex((wave) => wavePhaseWord(wave.phase) !== "done");
  const last = active === -1 ? waves.length - 1 : active;
  const start = Math.max(0, Math.min(last - Math.floor(room / 3), waves.length - room));
  const shown = waves.slice(start, start + room);
  return { before: start, shown, after: waves.length - start - shown.length };
}

function unchangedLines({ counts }: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  const count = countsOf(counts).unchanged;
  return count === 0 ? [] : [colors.dim(truncate(`    ${counted(count, "machine")} ran it already`, columns))];
}

function waitingLines(deployment: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  if (deployment.waitingOn === "" || hasEnded(deployment.phase)) return [];
  return labelled("waiting on: ", plain(deployment.waitingOn), columns, colors.dim);
}

/** How its machines are, where that is other than it ended with. */
function nowLines({ now }: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  if (now === undefined) return [];
  return [
    ...(now.text === "" ? [] : labelled("now: ", plain(now.text), columns, colors.red)),
    ...(now.lateWaitsFor === "" ? [] : labelled("catch-up is on hold, waiting for: ", plain(now.lateWaitsFor), columns, colors.yellow)),
  ];
}

/** Where there is more to say of the end than the header does. */
function outcomeLines(deployment: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  return saysMore(deployment) ? labelled("outcome: ", plain(deployment.outcome), columns, colors.yellow) : [];
}

function reasonLines(deployment: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  const { reason } = deployment;
  if (reason === undefined || reason.message === "") return [];
  const paint = isBad(phaseWord(deployment.phase)) ? colors.red : colors.yellow;
  return labelled("reason: ", plain(reason.message), columns, paint);
}

/** What holds beside the plan; said only where it is not what everybody expects. */
function settingLines(deployment: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  const { maxUnavailable, priority, promoted, phase } = deployment;
  if (hasEnded(phase)) return [];
  const settings = [
    maxUnavailable === 0 || phaseWord(phase) === "pending" ? "" : `at most ${maxUnavailable} unavailable at once`,
    priority === 0 ? "" : `priority ${priority}`,
    promoted ? "promoted: the gates that were left are skipped" : "",
  ].filter((setting) => setting !== "");
  return settings.length === 0 ? [] : wrap(settings.join("; "), columns - 2).map((part) => colors.dim(`  ${part}`));
}

function isBad(phase: PhaseWord): boolean {
  return phase === "failed" || phase === "rolled_back" || phase === "rolling_back" || phase === "aborted";
}

function labelled(label: string, text: string, columns: number, paint: (text: string) => string): readonly string[] {
  const indent = `  ${label}`;
  return wrap(text, columns - indent.length).map((part, index) => paint((index === 0 ? indent : padEnd("", indent.length)) + part));
}
