/**
 * What a rollout says to people: why it stopped, what it waits for, who runs what.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { isInfrastructure, type ReasonCode } from "@muster/proto/reason.ts";
import { whereText } from "@muster/proto/selector.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { isSilent } from "./asking.ts";
import { isSuspicious } from "./suspicion.ts";
import { waveOf } from "./change.ts";
import { isUnmatched } from "./evidence.ts";
import type { GateState } from "./gates.ts";
import type { Moment } from "./moment.ts";
import { endsAt, failuresOf, type Hold, isToRevert, mayGoBack, type RolloutReason, type RolloutState, type Target, type WaveState, waveGoingBack } from "./state.ts";

/** What a rollout waits for now; undefined once it has ended. Never empty before. With `now` also when it waits no longer, where it would then go on by itself. */
export function waitingOn(state: RolloutState, now?: Moment): string | undefined {
  switch (state.phase) {
    case "pending":
      return "the controller to begin it: nothing else is in its way";
    case "paused":
      return `an operator to resume${mayRetry(state) ? ", retry" : ""}, roll back or abort it`;
    case "rolling":
      return holdText(state) ?? waitingInWave(state, waveOf(state, state.wave), now);
    case "rolling_back": {
      const wave = waveGoingBack(state);
      return state.hold?.message ?? [...(wave === undefined ? [] : [waitingBack(wave)]), ...goingBackText(state)].join("; ").replace(/^$/, toGoBack(state));
    }
    case "succeeded":
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return undefined;
  }
}

/** Somebody has failed, and nobody has begun to go back. */
function mayRetry({ waves, targets }: RolloutState): boolean {
  return waves.some(({ counts }) => counts.failed > 0) && [...targets.values()].every(({ purpose }) => purpose !== "revert");
}

export function nothingToDo(state: RolloutState): { readonly phase: "succeeded" | "failed"; readonly reason: RolloutReason } {
  if (state.targets.size > 0) return { phase: "failed", reason: { code: "no_targets", message: "each machine that was to be changed has been removed from the fleet" } };
  return state.unchanged.size > 0
    ? { phase: "succeeded", reason: { code: "unchanged", message: "every machine ran it already" } }
    : { phase: "failed", reason: { code: "no_targets", message: `no machine has the labels ${state.strategy.targets}` } };
}

export function nobodyMatches({ strategy: { targets } }: RolloutState): { readonly phase: "failed"; readonly reason: RolloutReason } {
  return { phase: "failed", reason: { code: "no_targets", message: `none of the machines that were to be changed has the labels ${targets} any more` } };
}

/** What is known of a target that keeps it from being healthy, in its machine's own words. Default: what the target itself keeps. */
export type Known = (target: Target) => WhatIsKnown | null;

interface WhatIsKnown {
  readonly code: string;
  readonly message: string;
}

const ownReason: Known = ({ reason }) => reason;

export function failuresReason(state: RolloutState, index: number): RolloutReason {
  const wave = waveOf(state, index);
  const failed = failuresOf(wave);
  const targets = wave.targets.filter(({ state: stands, leftAs }) => stands === "failed" || leftAs === "failed");
  const codes = targets.map(({ reason }) => reason?.code);
  const code = new Set(codes).size === 1 ? codes[0] : undefined;
  const surroundings = codes.filter((each) => each !== undefined && isInfrastructure(each)).length;
  const note = surroundings === 0 ? "" : `; ${surroundings === failed ? "all" : `${surroundings} of them`} for faults of the surroundings that lasted until healthy_deadline`;
  return {
    code: code ?? "failures_exceeded",
    message: `${counted(failed, "machine")} failed in wave ${index + 1}, ${allowed(wave.maxFailures, wave.acknowledgedFailures)}: ${failuresText(targets)}${note}`,
  };
}

/** Few are named one by one; of many, the most frequent reasons with an example each. */
function failuresText(targets: readonly Target[]): string {
  if (targets.length <= EXAMPLES_MAX) return targets.map(({ machine, reason }) => `${machine}: ${reason?.message ?? "no reason given"}`).join("; ");
  const unknown = targets.filter(({ reason }) => reason === null).length;
  return [mostFrequent(targets, ownReason), ...(unknown === 0 ? [] : [`no reason given by ${unknown}`])].filter((part) => part !== "").join("; ");
}

export function unreachableReason(state: RolloutState, index: number, known: Known = ownReason): RolloutReason {
  const wave = waveOf(state, index);
  const unreachable = wave.counted;
  const silent = [...some(wave, "unreachable", wave.counts.unreachable), ...wave.targets.filter(({ leftAs }) => leftAs === "lost")];
  const who = names(silent.slice(0, EXAMPLES_MAX), unreachable);
  return {
    code: "unreachable_exceeded",
    message: `${counted(unreachable, "machine")} of wave ${index + 1} ${unreachable === 1 ? "is" : "are"} silent, ${allowed(wave.maxUnreachable ?? 0, wave.acknowledgedUnreachable)} (max_unreachable): ${who}${knownText(silent, known)}`,
  };
}

/** `m-1 to be heard from: …` */
export function suspicionText(state: RolloutState): string {
  const { there, left, who } = lostOf(state);
  const took = `${counted(there + left, "machine")} took the release and ${there + left === 1 ? "was" : "were"} lost after it, which may be its fault`;
  if (there > 0) return `${who} to be heard from: ${took}`;
  return `somebody to go on without ${left === 1 ? "it" : "them"} (muster promote ${state.id}) or to take it back: ${took}: ${who}, drained or removed since`;
}

export function lostReason(state: RolloutState): RolloutReason {
  const { there, left, who } = lostOf(state);
  const since = left === 0 ? "" : ` (${there === 0 ? "" : `${left} of them `}drained or removed since)`;
  return {
    code: "unreachable_exceeded",
    message: `${counted(there + left, "machine")} took the release and ${there + left === 1 ? "was" : "were"} not heard again for ${durationText(state.strategy.progressDeadlineMs)} (progress_deadline): ${who}${since}`,
  };
}

/** Those that took the release and were lost: how many may still be heard, and how many have left. */
function lostOf({ lostTakers, targets }: RolloutState): { readonly there: number; readonly left: number; readonly who: string } {
  const lost = [...lostTakers];
  const left = lost.filter((machine) => targets.get(machine)!.leftAs !== null).length;
  const who = firstAndMore(lost, EXAMPLES_MAX);
  return { there: lost.length - left, left, who };
}

export function progressReason(state: RolloutState, wave: WaveState, known: Known = ownReason): RolloutReason {
  const held = wave.targets.filter(({ state: stands }) => stands !== "healthy" && stands !== "pending" && stands !== "removed");
  return {
    code: "progress_deadline",
    message: `no target became healthy for ${durationText(state.strategy.progressDeadlineMs)} (progress_deadline) in wave ${state.wave + 1}: ${holdUps(wave)}${knownText(held, known)}`,
  };
}

export function stuckBackReason(state: RolloutState, known: Known = () => null): RolloutReason {
  const cause = state.reason === null ? "" : `; it was being rolled back because ${state.reason.message}`;
  const stuck = [...new Set([...state.moving, ...state.availability.goingBack])].map((machine) => state.targets.get(machine)!);
  const who = stuck.length === 0 ? "nothing was under way" : whoRunsWhat(stuck);
  return {
    code: "progress_deadline",
    message: `the rollback made no progress for ${durationText(state.strategy.progressDeadlineMs)} (progress_deadline): ${who}${knownText(stuck, known)}${cause}`,
  };
}

export function owedText(first: readonly Target[], total: number): string {
  return `reports of ${names(first, total)} to come in`;
}

export function owedReason({ strategy }: RolloutState, { message }: Hold): RolloutReason {
  return { code: "progress_deadline", message: `waited for ${message} for ${durationText(strategy.progressDeadlineMs)} (progress_deadline)` };
}

/** Reasons that are named of many. */
const EXAMPLES_MAX = 3;

/** What the controller says of a machine by itself: it explains nothing more than the state of the target does. */
const CONTROLLERS_OWN: ReadonlySet<string> = new Set(["silent", "not_taken", "cordoned", "removed", "superseded"] satisfies ReasonCode[]);

function knownText(targets: readonly Target[], known: Known): string {
  const theirs: Known = (target) => {
    const reason = known(target);
    return reason === null || CONTROLLERS_OWN.has(reason.code) ? null : reason;
  };
  const text = mostFrequent(targets, theirs);
  return text === "" ? "" : `; what is known: ${text}`;
}

/** `disk_full on 38 (web-1: no space left on /srv), exited on 2 (web-9: exited with code 1) and 2 more reasons`; empty when nothing is known. */
function mostFrequent(targets: readonly Target[], known: Known): string {
  const byCode = new Map<string, { count: number; readonly example: string }>();
  for (const target of targets) {
    const reason = known(target);
    if (reason === null) continue;
    const group = byCode.get(reason.code) ?? { count: 0, example: `${target.machine}: ${reason.message}` };
    group.count += 1;
    byCode.set(reason.code, group);
  }
  const groups = [...byCode].sort(([, a], [, b]) => b.count - a.count);
  const shown = groups.slice(0, EXAMPLES_MAX).map(([code, { count, example }]) => `${code} on ${count} (${example})`);
  const more = groups.length - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${counted(more, "more reason")}` : ""}`;
}

/** The exact list, by what runs there. */
export function whoRunsWhat(targets: readonly Target[]): string {
  const byVersion = new Map<string, string[]>();
  for (const { machine, runs } of targets) {
    const what = runs === null ? "what has not been said" : runs === "" ? "nothing" : runs;
    byVersion.set(what, [...(byVersion.get(what) ?? []), machine]);
  }
  return [...byVersion].map(([what, who]) => `${who.join(", ")} ${who.length === 1 ? "runs" : "run"} ${what}`).join("; ");
}

/** Scans one wave; used only where a rollout stops or a person asks. */
export function some(wave: WaveState, state: Target["state"], most: number): readonly Target[] {
  const found: Target[] = [];
  if (wave.counts[state] === 0) return found;
  for (const target of wave.targets) {
    if (found.length === most) break;
    if (target.state === state) found.push(target);
  }
  return found;
}

export function names(targets: readonly Target[], total: number): string {
  return firstAndMore(targets.map(({ machine }) => machine), targets.length, total);
}

export function unmatchedReason({ targets }: Pick<RolloutState["strategy"], "targets">): RolloutReason {
  return { code: "unmatched", message: `its labels do not match ${targets} any more` };
}

export function budgetHold(selector: string): Hold {
  return { kind: "budget", message: `room in the budget of ${whereText(selector)}` };
}

/** Of machines that are changing, and not by a step of this rollout that could still go well. */
export function settlingText({ availability: { goingBack }, targets }: RolloutState, settling: readonly MachineId[]): string {
  const isDrained = (machine: MachineId): boolean => targets.get(machine)?.reason?.code === "cordoned" && targets.get(machine)!.attempts > 0;
  const back = settling.filter((machine) => goingBack.has(machine));
  const drained = settling.filter((machine) => !goingBack.has(machine) && isDrained(machine));
  const others = settling.filter((machine) => !goingBack.has(machine) && !isDrained(machine));
  const parts = [
    ...(back.length === 0 ? [] : [`${someOf(back)} to go back by ${back.length === 1 ? "itself" : "themselves"}`]),
    ...(drained.length === 0 ? [] : [`${someOf(drained)} to be drained`]),
    ...(others.length === 0 ? [] : [`${someOf(others)} to settle, which another deployment has changed`]),
  ];
  return parts.join(", and ");
}

/** `m-1, m-2 and 7 more` */
export function someOf(all: readonly MachineId[]): string {
  return firstAndMore(all, EXAMPLES_MAX);
}

/** Of a gate for which nobody is there. */
export function awayText({ id, wave }: RolloutState, away: readonly Target[]): string {
  const kept = away.filter((target) => target.state !== "removed" && !isUnmatched(target));
  const one = away.length === 1;
  const goesOn = `muster promote ${id} goes on without ${one ? "it" : "them"}`;
  const left = away.every(isUnmatched) ? `${one ? "was" : "were"} let go, since ${one ? "its" : "their"} labels match no more` : away.some(isUnmatched) ? "left it" : `${one ? "was" : "were"} removed from the fleet`;
  if (kept.length === 0) return `somebody to go on (${goesOn}): ${names(away.slice(0, EXAMPLES_MAX), away.length)} took the release and ${left}, and no other machine of wave ${wave + 1} shows how it does`;
  const what = kept.every(({ state }) => state === "skipped") ? "uncordoned" : "back";
  return `${names(kept.slice(0, EXAMPLES_MAX), kept.length)} to be ${what}: no other machine of wave ${wave + 1} shows how the release does (${goesOn})`;
}

export function cordonedOf({ waves }: RolloutState): readonly Target[] {
  return waves.flatMap(({ targets }) => targets.filter(({ state, reason }) => state === "skipped" && reason?.code === "cordoned"));
}

/** Of a rollout in which nobody has answered. */
export function cordonedText(cordoned: readonly Target[]): string {
  return `${names(cordoned.slice(0, EXAMPLES_MAX), cordoned.length)} to be uncordoned: no machine has shown how the release does`;
}

export function soakText({ wave }: Pick<RolloutState, "wave">, until: Instant | undefined): string {
  return `the soak of wave ${wave + 1} to be over${until === undefined ? "" : ` at ${timeText(until)}`}`;
}

/** What a gate waits for, whatever is answered meanwhile. */
export function gateText(state: RolloutState, { gate }: Pick<GateState, "gate">, until: Instant | undefined): string {
  const { wave } = state;
  const of = `of wave ${wave + 1}`;
  switch (gate.kind) {
    case "soak":
      return soakText(state, until);
    case "approval":
      return `somebody to approve wave ${wave + 1}`;
    case "webhook":
      return `the webhook ${of} to say go`;
    case "prometheus":
      return `the metric ${of} to be within its limits`;
  }
}

export function alarmText({ alarms }: RolloutState, index: number): string {
  const { said, isClear, attempts } = alarms[index]!;
  if (isClear) return `the answer of alarm ${index + 1}, which is overdue`;
  if (said === "" && attempts > 1) return `alarm ${index + 1} to be quiet: it is asked anew`;
  return said === "" ? `the first answer of alarm ${index + 1}` : `alarm ${index + 1} to be quiet`;
}

/** What holds it, and how far that has come: counts and the last answer are of now, and not in the hold itself, since each answer would be a new one. Undefined: nothing does. */
export function holdText(state: RolloutState): string | undefined {
  const { hold } = state;
  if (hold === null) return undefined;
  return `${hold.message}${hold.kind === "alarm" ? alarmSoFar(state, hold) : gateSoFar(state, hold)}`;
}

function gateSoFar(state: RolloutState, { message }: Hold): string {
  const found = state.waves[state.wave]?.gates.find(({ state: stands }) => stands !== "open");
  // Of a gate for which nobody is there, that is what is waited for.
  if (found === undefined || message !== gateText(state, found, undefined)) return "";
  const { gate, unanswered, passed, said } = found;
  switch (gate.kind) {
    case "soak":
    case "approval":
      return "";
    case "webhook":
      return `${unanswered > 0 ? `: ${unanswered} without an answer` : ""}${lastText(said)}`;
    case "prometheus":
      return `: ${passed} of ${gate.count} measurements${lastText(said)}`;
  }
}

function alarmSoFar(state: RolloutState, { message }: Hold): string {
  const alarm = state.alarms.find((_, index) => alarmText(state, index) === message);
  return alarm === undefined ? "" : lastText(alarm.said);
}

function lastText(said: string): string {
  return said === "" ? "" : ` (last: ${said})`;
}

export function activeAlarmReason({ alarms }: RolloutState, index: number): RolloutReason {
  const state = alarms[index]!;
  const { unanswered, rung, said } = state;
  const times = rung > 1 ? ` ${rung} times in a row` : "";
  const what = isSilent(state, state.alarm) ? `gave no answer to ${counted(unanswered, "question")} in a row` : `was active${times}`;
  return { code: "alarm_active", message: `alarm ${index + 1} ${what}: ${said}` };
}

/** UTC, to the second. */
export function timeText(at: Instant): string {
  return `${UTC.format(at)} UTC`;
}

/** Swedish is how ISO 8601 is spoken. */
const UTC = new Intl.DateTimeFormat("sv-SE", { timeZone: "UTC", dateStyle: "short", timeStyle: "medium" });

function allowed(max: number, acknowledged: number): string {
  return acknowledged === 0 ? `${max} allowed` : `${max} allowed besides ${acknowledged} acknowledged`;
}

function holdUps(wave: WaveState): string {
  const parts = (["updating", "reverting", "unreachable", "skipped"] as const)
    .filter((state) => wave.counts[state] > 0)
    .map((state) => `${wave.counts[state]} ${state} (${names(some(wave, state, 3), wave.counts[state])})`);
  return parts.length > 0 ? parts.join(", ") : "nothing was under way";
}

function firstMoving(state: RolloutState, most: number): readonly Target[] {
  const first: Target[] = [];
  for (const machine of state.moving) {
    if (first.length === most) break;
    first.push(state.targets.get(machine)!);
  }
  return first;
}

function waitingBack(wave: WaveState): string {
  const { reverting } = wave.counts;
  return `${names(some(wave, "reverting", 3), reverting)} to be back on what ${reverting === 1 ? "it" : "they"} ran before`;
}

/** Nobody is on the way back at this moment. */
function toGoBack(state: RolloutState): string {
  let left = 0;
  for (const target of state.targets.values()) if (mayGoBack(state, target)) left += 1;
  return left === 0 ? "the end of its rollback" : `${counted(left, "machine")} to go back`;
}

/** Those that were not told, since their agents do it already. */
function goingBackText({ availability: { goingBack }, targets }: RolloutState): readonly string[] {
  const own = [...goingBack].filter((machine) => isToRevert(targets.get(machine)!));
  if (own.length === 0) return [];
  return [`${firstAndMore(own, EXAMPLES_MAX)} to go back by ${own.length === 1 ? "itself" : "themselves"}`];
}

/** Those that have begun and still have targets without a turn. */
function toCome({ waves }: RolloutState): string {
  const parts = waves.flatMap(({ startedAt, counts: { pending } }, index) => (startedAt !== null && pending > 0 ? [`${pending} more of wave ${index + 1}`] : []));
  return parts.length === 0 ? "" : `; ${parts.join(" and ")} to come`;
}

/** Where others would start if no machine were down: `m-3 is down and takes 1 of 2 places`. Empty: nothing of it. */
export function placesTaken({ availability: { changing, down }, phase, maxUnavailable, moving, waves }: RolloutState): string {
  if (phase !== "rolling" || moving.size === 0) return "";
  const isAnyToCome = waves.some(({ startedAt, counts: { pending } }) => startedAt !== null && pending > 0);
  const who = [...down].sort();
  const taken = Math.min(who.length, maxUnavailable - 1);
  if (!isAnyToCome || taken === 0 || changing.size >= maxUnavailable) return "";
  return `${firstAndMore(who, EXAMPLES_MAX)} ${who.length === 1 ? "is" : "are"} down and ${who.length === 1 ? "takes" : "take"} ${taken} of ${maxUnavailable} places`;
}

function enough({ wave }: RolloutState, { successThreshold, targets }: WaveState): string {
  const all = targets.filter(({ onTrial }) => !onTrial).length;
  return successThreshold === null ? "" : `; wave ${wave + 1} passes with ${successThreshold} of ${all} healthy`;
}

const AT_DEADLINE: Readonly<Record<RolloutState["strategy"]["onFailure"], string>> = { rollback: "is taken back", pause: "pauses", abort: "fails" };

/** `is taken back` */
export function onFailureText({ strategy }: Pick<RolloutState, "strategy">): string {
  return AT_DEADLINE[strategy.onFailure];
}

/** `; it is taken back at 2026-01-31 12:00:00 UTC (progress_deadline)` */
function deadlineText(state: RolloutState, now: Moment | undefined): string {
  return now === undefined ? "" : `; else it ${onFailureText(state)} at ${timeText(endsAt(state, now))} (progress_deadline)`;
}

function waitingInWave(state: RolloutState, wave: WaveState, now: Moment | undefined): string {
  if (state.moving.size > 0) {
    const shown = names(firstMoving(state, 3), state.moving.size);
    return `${shown} to be healthy for ${durationText(state.strategy.minHealthyTimeMs)}${toCome(state)}${enough(state, wave)}`;
  }
  if (isSuspicious(state)) return `${suspicionText(state)}${deadlineText(state, now)}`;
  const [changing] = state.availability.changing;
  if (changing !== undefined) return state.availability.goingBack.has(changing) ? `${changing} to go back by itself` : `${changing} to be back on what it ran before`;
  const unanswered = unansweredText(state);
  if (unanswered !== undefined) return unanswered;
  const cordoned = cordonedOf(state);
  if (cordoned.length > 0) return cordonedText(cordoned);
  return `wave ${state.wave + 1} to go on`;
}

/** Undefined: nobody is silent. */
export function unansweredText({ waves }: RolloutState): string | undefined {
  // In a wave before the last, when nobody of that is left.
  const silent = waves.findLast(({ counts }) => counts.unreachable > 0);
  return silent === undefined ? undefined : `${names(some(silent, "unreachable", 3), silent.counts.unreachable)} to be heard from: no machine has answered yet`;
}
