/**
 * A rollout as a log: one line for each change, for output that can't be redrawn. Pure.
 */
import type { Deployment, Gate, Wave } from "@muster/proto/gen/muster/v1/deployments.ts";
import picocolors from "picocolors";
import { alarmStateWord, gateStateWord, hasEnded, phaseWord, wavePhaseWord } from "../output/words.ts";
import { alarmText } from "./alarm-lines.ts";
import { countsLine } from "./bar.ts";
import { gateText } from "./gate-lines.ts";
import { plain } from "./text.ts";
import { timeOfDay } from "./time.ts";
import { endingText, saysMore, tookText } from "./rollout-view.ts";

const NO_COLORS = picocolors.createColors(false);

/** What is new in `next`; everything when there is nothing before it. Each line begins with the time. */
export function changeLines(previous: Deployment | undefined, next: Deployment, now: number): readonly string[] {
  const phase = phaseChange(previous, next, now);
  const waves = next.waves.flatMap((wave) => waveChange(previous, next, wave));
  const gates = next.waves.flatMap((wave) => gateChanges(previous, next, wave, now));
  const others = [...waves, ...gates, ...alarmChanges(previous, next)];
  const changes = hasEnded(next.phase) ? [...others, ...phase] : [...phase, ...others];
  const waiting = waitingChange(previous, next, changes.length > 0);
  if (changes.length > 0 && waiting !== undefined) changes.push(`${changes.pop() ?? ""}  ${waiting}`);
  else if (waiting !== undefined) changes.push(waiting);
  return [...changes, ...endChange(previous, next), ...reasonChange(previous, next)].map((change) => `${timeOfDay(now)} ${change}`);
}

function phaseChange(previous: Deployment | undefined, next: Deployment, now: number): readonly string[] {
  const phase = endingText(next);
  // After the end, too: those that were on their way then have got there, or have not.
  if (previous?.phase === next.phase && (!hasEnded(next.phase) || endingText(previous) === phase)) return [];
  return [plain(`${next.id} ${next.app} ${next.version} ${phase}${endedAfter(next, now)}`)];
}

/** From its beginning, and that is said where the end undid it: the rollback alone was shorter. */
function endedAfter(deployment: Deployment, now: number): string {
  if (!hasEnded(deployment.phase)) return "";
  const time = tookText(deployment, now);
  if (time === undefined) return "";
  if (phaseWord(deployment.phase) === "succeeded") return ` after ${time}`;
  return `, ${time} after it ${deployment.startedAt === 0 ? "was submitted" : "began"}`;
}

function waveChange(previous: Deployment | undefined, next: Deployment, wave: Wave): readonly string[] {
  const text = waveText(wave, next.waves.length);
  const before = previous?.waves.find(({ index }) => index === wave.index);
  if (before === undefined && wavePhaseWord(wave.phase) === "pending") return [];
  return before !== undefined && waveText(before, next.waves.length) === text ? [] : [text];
}

function waveText(wave: Wave, waveCount: number): string {
  const counts = wave.counts === undefined ? "" : countsLine(wave.counts, NO_COLORS);
  const phase = wavePhaseWord(wave.phase);
  return `wave ${wave.index}/${waveCount}  ${counts}${phase === "rolling" || phase === "pending" ? "" : `  ${phase.replaceAll("_", " ")}`}`;
}

/** How long a soak has left is no change. */
function gateChanges(previous: Deployment | undefined, next: Deployment, wave: Wave, now: number): readonly string[] {
  const waits = !hasEnded(next.phase) && phaseWord(next.phase) !== "rolling_back";
  const before = previous?.waves.find(({ index }) => index === wave.index)?.gates ?? [];
  return wave.gates
    .filter((gate, index) => isNews(gate, before[index]) && (waits || gateStateWord(gate.state) !== "reached"))
    .map((gate) => `wave ${wave.index}/${next.waves.length}  ${gateStateWord(gate.state) === "open" ? "passed " : ""}${plain(gateText(gate, next.id, now))}`);
}

function isNews({ state }: Gate, before: Gate | undefined): boolean {
  const word = gateStateWord(state);
  return word !== "pending" && word !== "unspecified" && state !== before?.state;
}

function alarmChanges(previous: Deployment | undefined, next: Deployment): readonly string[] {
  return next.alarms.flatMap((alarm, index) => {
    const isKnown = alarmStateWord(alarm.state) === "pending" || alarm.state === previous?.alarms[index]?.state;
    return isKnown ? [] : [plain(alarmText(alarm, index))];
  });
}

/** A countdown in the words is no change worth a line of its own. */
function waitingChange(previous: Deployment | undefined, next: Deployment, hasOthers: boolean): string | undefined {
  if (next.waitingOn === "" || hasEnded(next.phase)) return undefined;
  const isSame = previous !== undefined && withoutNumbers(previous.waitingOn) === withoutNumbers(next.waitingOn);
  return isSame && !hasOthers ? undefined : `waiting on ${plain(next.waitingOn)}`;
}

function withoutNumbers(text: string): string {
  return text.replaceAll(/[0-9]+/g, "");
}

/** Of an end, what its word alone does not say. */
function endChange(previous: Deployment | undefined, next: Deployment): readonly string[] {
  const { outcome, now } = next;
  return [
    ...(!saysMore(next) || outcome === previous?.outcome ? [] : [`outcome: ${plain(outcome)}`]),
    ...(now === undefined || now.text === "" || now.text === previous?.now?.text ? [] : [`now: ${plain(now.text)}`]),
  ];
}

function reasonChange(previous: Deployment | undefined, next: Deployment): readonly string[] {
  const message = next.reason?.message ?? "";
  return message === "" || message === previous?.reason?.message ? [] : [`reason: ${plain(message)}`];
}
