/**
 * How a deployment ended, in words that say no more than is known: machines that are not heard, that are still on their way, or that nobody watches any more are named. Pure.
 *
 * When the last of them has been heard and has done what the outcome says, the words are plain again: they are made anew from the targets each time.
 */
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { targetStateOf } from "../rollout/decide.ts";
import { wasLost } from "../rollout/evidence.ts";
import { type AgentPhase, type EndedPhase, isStuckBack, type LeftAs, isSupersededBack, type Purpose, type TargetCounts, type TargetState } from "../rollout/state.ts";
import { type Tallied, tallied, type TallyGroup } from "./tally.ts";
import { listText } from "./words.ts";

/** A target on which the outcome does not hold yet, or is not known to hold. */
export interface OutstandingTarget {
  readonly machine: string;
  readonly state: TargetState;
  readonly purpose: Purpose | null;
  /** How often it was assigned the release or its way back; 0: it was passed over. */
  readonly attempts: number;
  /** Why it is in its state, as a code; null: it says nothing, or was never asked. Default null. */
  readonly reason?: string | null;
  /** The same in words. Default null. */
  readonly message?: string | null;
  /** That it was drained, and lost before it said that it had stopped; or removed after it had failed, or was lost. Default null: it was not. */
  readonly leftAs?: LeftAs | null;
  /** Whether its machine is heard now. By default nobody knows. */
  readonly isHeard?: boolean;
  /** Its credentials count no more, so it is never heard again. Default false. */
  readonly isRevoked?: boolean;
  /** Whether its machine is cordoned now. By default nobody knows. */
  readonly isCordoned?: boolean;
  /** It is heard, and its time to answer is over. Default false. */
  readonly isOverdue?: boolean;
  /** What it has answered to what it was assigned last. Default null: its answer is awaited, or nobody knows. */
  readonly answer?: AgentPhase | null;
  /** The newer deployment that has its turn there when the machine is heard. Default null: none has. */
  readonly newer?: string | null;
  /** What it goes back to is the very release that is taken back. Default false. */
  readonly isBackOnIt?: boolean;
}

/** A target on which a success did not hold, and about which a newer deployment has decided since. */
export interface OvertakenTarget extends Pick<OutstandingTarget, "machine" | "state" | "attempts"> {
  /** Which one; null: it has not told the machine anything yet. */
  readonly by: string | null;
}

/** Those on which an outcome does not hold, by what is known of them, in the order of the waves. */
export type Outstanding = Tallied<OutstandingTarget>;

export const NOBODY_OUTSTANDING: Outstanding = { groups: [], targets: [], count: 0 };

/** By what became of them, and who has decided since. `count`: also those in the archive. */
export interface Overtaken extends Tallied<OvertakenTarget> {
  /** So many are in the archive, and are not named any more. */
  readonly archived: number;
}

export const NOBODY_OVERTAKEN: Overtaken = { groups: [], targets: [], count: 0, archived: 0 };

/**
 * What a machine has after the end, though nothing more is to come to it by the deployment. `had_before`: it had the release before one that was taken back; `not_come_to`: the same, of a target that was never told anything. `went_back_to_it`: what it went back to is that release again. `on_trial`: it runs
 * it, and nobody has called it good there. `failed`: it failed with it, and says that it did not go back; `may_have_gone_back`: it has not said what became of that.
 */
export type StillWhat = "had_before" | "not_come_to" | "went_back_to_it" | "on_trial" | "failed" | "may_have_gone_back" | "could_not_go_back";

export interface StillMachine {
  readonly machine: string;
  readonly what: StillWhat;
}

/** By what they have. */
export type StillThere = Tallied<StillMachine>;

export const NOBODY_STILL_THERE: StillThere = { groups: [], targets: [], count: 0 };

/** What a rollback leaves open: also those that it has left to a newer deployment. */
const OPEN_IN_ROLLBACK: readonly TargetState[] = ["unreachable", "reverting", "healthy", "updating", "failed", "removed", "skipped"];

/** Which states of targets an ending leaves open. */
const OPEN_STATES: Readonly<Record<EndedPhase, readonly TargetState[]>> = {
  succeeded: ["unreachable", "skipped", "pending", "updating", "failed", "removed"],
  rolled_back: OPEN_IN_ROLLBACK,
  failed: ["unreachable", "updating", "reverting", "skipped"],
  aborted: ["unreachable", "updating", "reverting", "skipped"],
  superseded: ["unreachable", "updating", "reverting", "skipped"],
};

/** `beganBack`: its rollback has begun. */
export interface Ending {
  readonly phase: EndedPhase;
  readonly beganBack: boolean;
}

export function openStates(ending: Ending): readonly TargetState[] {
  return isSupersededBack(ending) ? OPEN_IN_ROLLBACK : OPEN_STATES[ending.phase];
}

export interface Ended extends Ending {
  readonly version: string;
  /** Over all targets, as they are recorded. */
  readonly counts: TargetCounts;
  readonly outstanding: Outstanding;
  /** By default nobody. */
  readonly overtaken?: Overtaken;
  /** By default nobody. */
  readonly stillThere?: StillThere;
  /** Of a success: machines that had no turn, since their labels matched no more. They are not missed, and so not outstanding. `count`: also those in the archive. By default nobody. */
  readonly letGo?: Outstanding;
  /** By default they run it still. */
  readonly keptSince?: KeptSince;
}

/** What became of those that kept the release. */
export interface KeptSince {
  /** So many say that they run something else, or nothing. */
  readonly gone: number;
  /** So many are in the archive: newer deployments have decided about them, and nobody looks what they run. */
  readonly decided: number;
}

export const KEPT_STILL: KeptSince = { gone: 0, decided: 0 };

/** `rolled back, except 1 unreachable: web-3 may still run 3.0, and goes back when it is heard` */
export function outcomeText(ended: Ended): string {
  const { phase, counts } = ended;
  const left = outstandingSentences(ended);
  const still = stillSentences(ended.version, ended.stillThere);
  switch (phase) {
    case "succeeded":
      return [succeededText(counts, ended), ...otherFailures(ended), ...left, ...overtakenSentences(ended.overtaken)].join("; ");
    case "rolled_back":
      return [left.length === 0 ? "rolled back" : `rolled back, except ${kindsText(ended)}: ${left.join("; ")}`, ...still].join("; ");
    case "failed":
    case "aborted":
      return [phase, ...keptSentence(ended), ...backSentence(ended), ...left, ...still].join("; ");
    case "superseded":
      return [left.length > 0 && isSupersededBack(ended) ? "superseded before all had gone back" : phase, ...left, ...still].join("; ");
  }
}

/** A rollback that has failed goes on with those that it had not come to. */
function keptSentence({ phase, version, counts: { healthy, reverting, reverted }, keptSince = KEPT_STILL }: Pick<Ended, "phase" | "version" | "counts" | "keptSince">): readonly string[] {
  if (healthy === 0) return [];
  if (phase !== "failed" || reverting + reverted === 0) return [`${counted(healthy, "machine")} kept ${version}${keptSinceText(healthy, keptSince)}`];
  const still = healthy - keptSince.gone - keptSince.decided;
  return still === 0 ? [] : [`${counted(still, "machine")} still ${still === 1 ? "runs" : "run"} ${version} and ${still === 1 ? "goes back in its" : "go back in their"} turn`];
}

/** Of a rollback that failed: whoever could not go back in its time has done so since. */
function backSentence({ phase, beganBack, counts }: Pick<Ended, "phase" | "beganBack" | "counts">): readonly string[] {
  const { failed, reverting, healthy, updating, unreachable, skipped, removed, reverted } = counts;
  if (phase !== "failed" || !beganBack || reverted === 0 || failed + reverting + healthy + updating + unreachable + skipped + removed > 0) return [];
  return [reverted === 1 ? "its machine has gone back since" : `all ${reverted} machines have gone back since`];
}

function keptSinceText(healthy: number, { gone, decided }: KeptSince): string {
  const some = (count: number): string => (count === healthy ? "" : `${count} of them `);
  const them = decided === healthy ? (healthy === 1 ? "it" : "them") : `${decided} of them`;
  return [
    ...(gone === 0 ? [] : [`, and ${some(gone)}${gone === 1 ? "does" : "do"} not run it any more`]),
    ...(decided === 0 ? [] : [`, and newer deployments have decided about ${them} since`]),
  ].join("");
}

/** Failures that no sentence names: they are in the archive. */
export function otherFailures({ counts, outstanding, overtaken = NOBODY_OVERTAKEN }: Pick<Ended, "counts" | "outstanding" | "overtaken">): readonly string[] {
  const said = countOf(outstanding, "failed") + countOf(overtaken, "failed");
  return counts.failed > said ? [`${counts.failed - said} failed`] : [];
}

/** How many are recorded in this state. */
function countOf({ groups }: Tallied<Pick<OutstandingTarget, "state">>, wanted: TargetState): number {
  return groups.reduce((sum, { count, first }) => sum + (first[0]!.state === wanted ? count : 0), 0);
}

/** Those that were removed and are missed: of a success, since they had failed, or were lost. Whoever left well, or before its turn, is not. */
export function removedCount(outstanding: Outstanding): number {
  return countOf(outstanding, "removed");
}

/** By what is said of them, and as what they count. */
export function outstandingKind(ending: Ending): (target: OutstandingTarget) => string {
  return (target) => `${whatOf(ending, target)} ${kindOf(ending, target)} ${target.state}`;
}

/** Of all that are outstanding. */
export function outstandingAmong(ending: Ending, targets: Iterable<OutstandingTarget>): Outstanding {
  return tallied(targets, outstandingKind(ending));
}

/** Of one machine: `web-3 may still run 3.0, and goes back when it is heard`. */
export function outstandingText(ending: Ending, version: string, target: OutstandingTarget): string {
  return withReason(sentence(whatOf(ending, target), [target.machine], 1, version), whatOf(ending, target), target);
}

/** `web-1 had 3.0 before it, and keeps that` */
export function stillSentences(version: string, { groups }: StillThere = NOBODY_STILL_THERE): readonly string[] {
  return groups.map(({ first, count }) => stillSentence(first[0]!.what, whoText(someNamed(first, count), count), count === 1, version));
}

function stillSentence(what: StillWhat, who: string, one: boolean, version: string): string {
  switch (what) {
    case "had_before":
      return `${who} had ${version} before it, and ${one ? "keeps" : "keep"} that`;
    case "not_come_to":
      return `${who} had ${version} before it, and ${one ? "was" : "were"} told nothing by it`;
    case "went_back_to_it":
      return `${who} still ${one ? "runs" : "run"} ${version}, which is also what ${one ? "it goes" : "they go"} back to`;
    case "on_trial":
      return `${who} still ${one ? "runs" : "run"} ${version}, which was never confirmed there`;
    case "failed":
      return `${who} failed with ${version}, and did not go back`;
    case "may_have_gone_back":
      return `${who} failed with ${version}, and ${one ? "has" : "have"} not said that ${one ? "it" : "they"} went back`;
    case "could_not_go_back":
      return `${who} could not go back`;
  }
}

function succeededText({ healthy, failed, unreachable, skipped, pending, updating }: TargetCounts, { outstanding }: Pick<Ended, "outstanding">): string {
  const all = healthy + failed + unreachable + skipped + pending + updating + removedCount(outstanding);
  return healthy === all ? "succeeded" : `succeeded on ${healthy} of ${all}`;
}

/** What is known of a target that is outstanding. */
type What = "runs_it" | "keeps_it" | "is_back" | "may_still_run" | "goes_back" | "says_nothing_back" | "says_nothing" | "could_not_go_back" | "is_decided_by_newer" | "may_run" | "was_to_go_back" | "removed" | "removed_failed" | "removed_lost" | "was_revoked" | "was_revoked_without" | "is_under_way" | "gets_it_when_heard" | "took_it" | "was_told" | "is_cordoned" | "was_cordoned" | "was_let_go" | "is_to_get_it" | "goes_back_in_turn" | "left_to_newer" | "failed";

function whatOf(ending: Ending, target: OutstandingTarget): What {
  const { purpose, attempts, reason = null, isHeard, isRevoked = false, isOverdue = false, newer = null, leftAs = null, isBackOnIt = false } = target;
  const { phase } = ending;
  const state = stateNow(ending, target);
  if (state === "removed") return phase !== "succeeded" ? "removed" : leftAs === "failed" ? "removed_failed" : "removed_lost";
  const isLost = wasLost(target);
  if (isRevoked && (state === "unreachable" || isLost)) return attempts === 0 ? "was_revoked_without" : "was_revoked";
  if (state === "skipped" && isLost) return phase !== "succeeded" ? "may_run" : isHeard === true ? cordonedKind(target) : "took_it";
  if (isOverdue && (state === "reverting" || state === "updating")) return state === "reverting" ? "says_nothing_back" : "says_nothing";
  if (state === "reverted") return "is_back";
  if (isSupersededBack(ending) || phase === "rolled_back") {
    if (state === "unreachable") return newer !== null ? "is_decided_by_newer" : isBackOnIt ? "keeps_it" : "may_still_run";
    if (isStuckBack({ state, purpose })) return "could_not_go_back";
    if (state === "skipped") return "left_to_newer";
    return phase === "rolled_back" || state === "reverting" ? "goes_back" : isBackOnIt ? "keeps_it" : "goes_back_in_turn";
  }
  if (state === "reverting") return "goes_back";
  if (state === "healthy" && phase !== "succeeded") return "runs_it";
  if (state === "failed" && phase !== "succeeded") return isStuckBack({ state, purpose }) ? "could_not_go_back" : "failed";
  if (phase === "succeeded") {
    if (state === "unreachable") return attempts === 0 ? (isHeard === true ? "is_to_get_it" : "gets_it_when_heard") : reason === "not_taken" ? "was_told" : "took_it";
    if (state === "skipped") return reason === "unmatched" ? "was_let_go" : cordonedKind(target);
    if (state === "failed") return "failed";
    return state === "pending" ? "is_to_get_it" : "is_under_way";
  }
  if (state !== "unreachable") return "is_under_way";
  // A rollback that failed goes on with those that were lost in it.
  return purpose !== "revert" ? "may_run" : isBackOnIt ? "keeps_it" : phase === "failed" ? "may_still_run" : "was_to_go_back";
}

/** Who is used again has its turn then, unless something was decided against that: another deployment has it, say, or the release was taken back. */
function cordonedKind({ isCordoned }: OutstandingTarget): What {
  return isCordoned === false ? "was_cordoned" : "is_cordoned";
}

/** After an end at which nobody listens any more a target stays as it was, and its machine does not: it falls silent, or is heard again. */
export function stateNow({ phase }: Ending, { state, purpose, isHeard, answer = null }: OutstandingTarget): TargetState {
  if (isHeard === false && (state === "updating" || state === "reverting")) return "unreachable";
  const isHeardAgain = isHeard === true && state === "unreachable" && purpose !== null && (phase === "aborted" || phase === "superseded");
  if (!isHeardAgain) return state;
  const underWay = purpose === "revert" ? "reverting" : "updating";
  return answer === null ? underWay : (targetStateOf({ purpose, state: underWay, previous: null }, answer) ?? underWay);
}

/** What it failed of, where it is the only one of whom that is said. */
function withReason(text: string, what: What, { state, message = null }: OutstandingTarget): string {
  return state === "failed" && (what === "failed" || what === "could_not_go_back") && message !== null && message !== "" ? `${text}: ${message}` : text;
}

/** `who`: names, or some of them and how many more. */
function sentence(what: What, machines: readonly string[], count: number, version: string): string {
  const one = count === 1;
  const who = whoText(machines, count);
  switch (what) {
    case "runs_it":
      return `${who} ${one ? "was" : "were"} lost and ${one ? "is" : "are"} heard again, and ${one ? "runs" : "run"} ${version}`;
    case "is_back":
      return `${who} ${one ? "was" : "were"} lost and ${one ? "is" : "are"} heard again, and ${one ? "is" : "are"} back`;
    case "keeps_it":
      return `${who} may still run ${version}, which is also what ${one ? "it goes" : "they go"} back to`;
    case "may_still_run":
      return `${who} may still run ${version}, and ${one ? "goes back when it is" : "go back when they are"} heard`;
    case "was_to_go_back":
      return `${who} may still run ${version}: ${one ? "it was" : "they were"} to go back, and ${one ? "is" : "are"} not heard`;
    case "says_nothing_back":
      return `${who} ${one ? "was" : "were"} told to go back and ${one ? "gives" : "give"} no answer, so ${one ? "it" : "they"} may still run ${version}`;
    case "says_nothing":
      return `${who} ${one ? "was" : "were"} assigned ${version} and ${one ? "gives" : "give"} no answer`;
    case "could_not_go_back":
      return `${who} could not go back`;
    case "is_decided_by_newer":
      return `${who} may still run ${version}, and ${one ? "gets what a newer deployment has for it when it is" : "get what a newer deployment has for them when they are"} heard`;
    case "goes_back":
      return `${who} ${one ? "is on its" : "are on their"} way back`;
    case "may_run":
      return `${who} may run ${version}: ${one ? "it was assigned it, and is" : "they were assigned it, and are"} not heard`;
    case "removed":
      return `${who} ${one ? "was" : "were"} removed from the fleet, and may still run ${version}`;
    case "removed_failed":
      return `${who} failed, and ${one ? "was" : "were"} removed from the fleet`;
    case "removed_lost":
      return `${who} took it, ${one ? "was" : "were"} lost, and ${one ? "was" : "were"} removed from the fleet`;
    case "was_revoked":
      return `${who} ${one ? "was" : "were"} revoked, so ${one ? "it is" : "they are"} never heard again, and may still run ${version}`;
    case "was_revoked_without":
      return `${who} ${one ? "was" : "were"} revoked, and ${one ? "does" : "do"} not get it`;
    case "is_under_way":
      return `${who} ${one ? "is on its" : "are on their"} way to ${version}`;
    case "gets_it_when_heard":
      return `${who} ${one ? "is" : "are"} unreachable and ${one ? "gets it when it is" : "get it when they are"} heard`;
    case "took_it":
      return `${who} took it and ${one ? "is" : "are"} unreachable since`;
    case "was_told":
      return `${who} ${one ? "was" : "were"} told to take it, and ${one ? "is" : "are"} unreachable since`;
    case "is_cordoned":
      return `${who} ${one ? "is" : "are"} cordoned and ${one ? "gets" : "get"} it after muster uncordon ${one ? machines[0]! : "MACHINE"}`;
    case "was_cordoned":
      return `${who} ${one ? "was" : "were"} cordoned when the others got it, and ${one ? "has" : "have"} not got it since`;
    case "was_let_go":
      return letGoText(who, one);
    case "goes_back_in_turn":
      return `${who} may still run ${version}, and ${one ? "goes back in its" : "go back in their"} turn`;
    case "left_to_newer":
      return `${who} may still run ${version}: a newer deployment has ${one ? "it, and it goes" : "them, and they go"} back if that ends without telling ${one ? "it" : "them"} anything`;
    case "is_to_get_it":
      return `${who} ${one ? "is" : "are"} still to get it`;
    case "failed":
      return `${who} failed`;
  }
}

function letGoText(who: string, one: boolean): string {
  return `${who} ${one ? "was let go, since its" : "were let go, since their"} labels match no more`;
}

/** Of so many, these are named. */
function whoText(machines: readonly string[], count: number): string {
  return count > machines.length ? firstAndMore(machines, machines.length, count) : listText(machines);
}

const NAMED_MAX = 3;

/** Whom of so many a sentence names: each of a few, and else the first. */
function someNamed(first: readonly { readonly machine: string }[], count: number): readonly string[] {
  return first.slice(0, count > NAMED_MAX + 1 ? NAMED_MAX : count).map(({ machine }) => machine);
}

/** `web-3 may still run 3.0, and goes back when it is heard`; one for all of whom the same is known. */
export function outstandingSentences({ phase, beganBack, version, outstanding, letGo = NOBODY_OUTSTANDING }: Pick<Ended, "phase" | "beganBack" | "version" | "outstanding" | "letGo">): readonly string[] {
  const ending = { phase, beganBack };
  const groups = [...outstanding.groups, ...letGo.groups];
  const archived = letGo.count - letGo.groups.reduce((sum, { count }) => sum + count, 0);
  return [
    ...[...mergedBy({ groups }, (target) => whatOf(ending, target))].map(([what, { first, count }]) => {
      const text = sentence(what, someNamed(first, count), count, version);
      return count === 1 ? withReason(text, what, first[0]!) : text;
    }),
    ...(archived === 0 ? [] : [letGoText(String(archived), archived === 1)]),
  ];
}

/** A machine that had no turn, since its labels matched no more. */
export function letGoTarget(machine: string): OutstandingTarget {
  return { machine, state: "skipped", purpose: null, attempts: 0, reason: "unmatched" };
}

/** So many groups are told apart: each machine may have a newer deployment of its own. The others are counted together. */
const OVERTAKEN_TOLD_MAX = 4;

/** `web-3 and web-4 failed, and d-11 has decided about them since`; one for all of whom the same is known. */
export function overtakenSentences({ groups }: Pick<Overtaken, "groups"> = NOBODY_OVERTAKEN): readonly string[] {
  const told = groups.length > OVERTAKEN_TOLD_MAX + 1 ? OVERTAKEN_TOLD_MAX : groups.length;
  const others = groups.slice(told).reduce((sum, { count }) => sum + count, 0);
  return [
    ...groups.slice(0, told).map(({ first, count }) => {
      const { by, ...target } = first[0]!;
      return `${whoText(someNamed(first, count), count)} ${missedText(target)}, and ${by ?? "a newer deployment"} has decided about ${count === 1 ? "it" : "them"} since`;
    }),
    ...(others === 0 ? [] : [`${others} more failed or did not get it, and other newer deployments have decided about them since`]),
  ];
}

/** Of one machine. */
export function overtakenText(target: OvertakenTarget): string {
  return overtakenSentences(tallied([target], overtakenKind))[0]!;
}

/** By what is said of them. */
export function overtakenKind({ by, ...target }: OvertakenTarget): string {
  return `${missedText(target)} ${by ?? ""}`;
}

/** What became of it in its deployment. */
function missedText({ state, attempts }: Pick<OvertakenTarget, "state" | "attempts">): string {
  if (state === "failed") return "failed";
  if (attempts === 0) return "did not get it";
  return state === "unreachable" ? "fell silent" : "had not finished";
}

/** `1 unreachable`, `2 unreachable and 1 under way`. */
export function kindsText({ phase, beganBack, outstanding }: Pick<Ended, "phase" | "beganBack" | "outstanding">): string {
  const kinds = [...mergedBy(outstanding, (target) => kindOf({ phase, beganBack }, target))].map(([kind, { count }]) => `${count} ${kind}`);
  return listText(kinds, kinds.length);
}

function kindOf(ending: Ending, target: OutstandingTarget): string {
  const state = stateNow(ending, target);
  if (state === "unreachable" || state === "removed") return state;
  const what = whatOf(ending, target);
  if (what === "could_not_go_back") return "failed";
  // Drained, and lost before it had said that it stopped.
  if (what === "may_run" || what === "was_revoked") return "unreachable";
  return what === "says_nothing" || what === "says_nothing_back" ? "without an answer" : "under way";
}

/** Groups of which the same is said are one. */
function mergedBy<Key>({ groups }: Pick<Outstanding, "groups">, keyOf: (target: OutstandingTarget) => Key): ReadonlyMap<Key, TallyGroup<OutstandingTarget>> {
  const merged = new Map<Key, TallyGroup<OutstandingTarget>>();
  for (const { first, count } of groups) {
    const key = keyOf(first[0]!);
    const before = merged.get(key);
    merged.set(key, before === undefined ? { first, count } : { first: [...before.first, ...first], count: before.count + count });
  }
  return merged;
}
