/**
 * How a deployment ended, in words that say no more than is known: machines that are not heard, that are still on their way, or that nobody watches any more are named. Pure.
 *
 * When the last of them has been heard and has done what the outcome says, the words are plain again: they are made anew from the targets each time.
 */
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { targetStateOf } from "../rollout/decide.ts";
import { type AgentPhase, type EndedPhase, isStuckBack, type LeftAs, isSupersededBack, type Purpose, type TargetCounts, type TargetState } from "../rollout/state.ts";
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
  /** It is heard, and its time to answer is over. Default false. */
  readonly isOverdue?: boolean;
  /** What it has answered to what it was assigned last. Default null: its answer is awaited, or nobody knows. */
  readonly answer?: AgentPhase | null;
  /** The newer deployment that has its turn there when the machine is heard. Default null: none has. */
  readonly newer?: string | null;
}

/** A target on which a success did not hold, and about which a newer deployment has decided since. */
export interface OvertakenTarget extends Pick<OutstandingTarget, "machine" | "state" | "attempts"> {
  /** Which one; null: it has not told the machine anything yet. */
  readonly by: string | null;
}

export interface Overtaken {
  /** Some of them, in the order of the waves. */
  readonly targets: readonly OvertakenTarget[];
  /** How many there are in all. */
  readonly count: number;
  /** Of these, so many are in the archive, and are not named any more. */
  readonly archived: number;
}

export const NOBODY_OVERTAKEN: Overtaken = { targets: [], count: 0, archived: 0 };

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
  /** Some of those that are outstanding, in the order of the waves, and how many there are in all. */
  readonly outstanding: readonly OutstandingTarget[];
  readonly outstandingCount: number;
  /** By default nobody. */
  readonly overtaken?: Overtaken;
  /** Of one that was taken back: machines that had its release before it, and keep that. Default none. */
  readonly keepers?: readonly string[];
  /** Of one that something took the place of: machines that run its release still, unconfirmed. Default none. */
  readonly onTrial?: readonly string[];
}

/** `rolled back, except 1 unreachable: web-3 may still run 3.0, and goes back when it is heard` */
export function outcomeText(ended: Ended): string {
  const { phase, counts } = ended;
  const left = outstandingSentences(ended);
  const kept = counts.healthy === 0 ? [] : [keptText(ended)];
  switch (phase) {
    case "succeeded":
      return [succeededText(counts, ended), ...otherFailures(ended), ...left, ...overtakenSentences(ended.overtaken)].join("; ");
    case "rolled_back":
      return [left.length === 0 ? "rolled back" : `rolled back, except ${kindsText(ended)}: ${left.join("; ")}`, ...keepersSentence(ended)].join("; ");
    case "failed":
    case "aborted":
      return [phase, ...kept, ...left].join("; ");
    case "superseded":
      return [left.length > 0 && isSupersededBack(ended) ? "superseded before all had gone back" : phase, ...left, ...onTrialSentence(ended)].join("; ");
  }
}

/** A rollback that has failed goes on with those that it had not come to. */
function keptText({ phase, version, counts: { healthy, reverting, reverted } }: Pick<Ended, "phase" | "version" | "counts">): string {
  if (phase !== "failed" || reverting + reverted === 0) return `${counted(healthy, "machine")} kept ${version}`;
  return `${counted(healthy, "machine")} still ${healthy === 1 ? "runs" : "run"} ${version} and ${healthy === 1 ? "goes back in its" : "go back in their"} turn`;
}

/** Failures that no sentence names: they are in the archive. */
export function otherFailures({ counts, outstanding, outstandingCount, overtaken = NOBODY_OVERTAKEN }: Pick<Ended, "counts" | "outstanding" | "outstandingCount" | "overtaken">): readonly string[] {
  const named = [...outstanding, ...overtaken.targets].filter(({ state }) => state === "failed").length;
  const unread = outstandingCount - outstanding.length + overtaken.count - overtaken.archived - overtaken.targets.length;
  return counts.failed > named + unread ? [`${counts.failed - named - unread} failed`] : [];
}

/** Of one machine: `web-3 may still run 3.0, and goes back when it is heard`. */
export function outstandingText(ending: Ending, version: string, target: OutstandingTarget): string {
  return withReason(sentence(whatOf(ending, target), [target.machine], 1, version), whatOf(ending, target), target);
}

function keepersSentence({ version, keepers = [] }: Pick<Ended, "version" | "keepers">): readonly string[] {
  return keepers.length === 0 ? [] : [`${someText(keepers)} had ${version} before it, and ${keepers.length === 1 ? "keeps" : "keep"} that`];
}

function onTrialSentence({ version, onTrial = [] }: Pick<Ended, "version" | "onTrial">): readonly string[] {
  return onTrial.length === 0 ? [] : [`${someText(onTrial)} still ${onTrial.length === 1 ? "runs" : "run"} ${version}, which was never confirmed there`];
}

function someText(machines: readonly string[]): string {
  return whoText(machines.slice(0, machines.length > NAMED_MAX + 1 ? NAMED_MAX : machines.length), machines.length);
}

/** Of those that were removed, whoever left well, or before its turn, is not missed. */
function succeededText({ healthy, failed, unreachable, skipped, pending, updating }: TargetCounts, { outstanding }: Pick<Ended, "outstanding">): string {
  const removed = outstanding.filter(({ state }) => state === "removed").length;
  const all = healthy + failed + unreachable + skipped + pending + updating + removed;
  return healthy === all ? "succeeded" : `succeeded on ${healthy} of ${all}`;
}

/** What is known of a target that is outstanding. */
type What = "runs_it" | "is_back" | "may_still_run" | "goes_back" | "says_nothing_back" | "says_nothing" | "could_not_go_back" | "is_decided_by_newer" | "may_run" | "was_to_go_back" | "removed" | "removed_failed" | "removed_lost" | "was_revoked" | "was_revoked_without" | "is_under_way" | "gets_it_when_heard" | "took_it" | "was_told" | "is_cordoned" | "is_to_get_it" | "goes_back_in_turn" | "left_to_newer" | "failed";

function whatOf(ending: Ending, target: OutstandingTarget): What {
  const { purpose, attempts, reason = null, isHeard, isRevoked = false, isOverdue = false, newer = null, leftAs = null } = target;
  const { phase } = ending;
  const state = stateNow(ending, target);
  if (state === "removed") return phase !== "succeeded" ? "removed" : leftAs === "failed" ? "removed_failed" : "removed_lost";
  if (isRevoked && (state === "unreachable" || leftAs === "lost")) return attempts === 0 ? "was_revoked_without" : "was_revoked";
  if (state === "skipped" && leftAs === "lost") return phase === "succeeded" ? "took_it" : "may_run";
  if (isOverdue && (state === "reverting" || state === "updating")) return state === "reverting" ? "says_nothing_back" : "says_nothing";
  if (state === "reverted") return "is_back";
  if (isSupersededBack(ending) || phase === "rolled_back") {
    if (state === "unreachable") return newer === null ? "may_still_run" : "is_decided_by_newer";
    if (isStuckBack({ state, purpose })) return "could_not_go_back";
    if (state === "skipped") return "left_to_newer";
    return phase === "rolled_back" || state === "reverting" ? "goes_back" : "goes_back_in_turn";
  }
  if (state === "reverting") return "goes_back";
  if (state === "healthy" && phase !== "succeeded") return "runs_it";
  if (state === "failed" && phase !== "succeeded") return isStuckBack({ state, purpose }) ? "could_not_go_back" : "failed";
  if (phase === "succeeded") {
    if (state === "unreachable") return attempts === 0 ? (isHeard === true ? "is_to_get_it" : "gets_it_when_heard") : reason === "not_taken" ? "was_told" : "took_it";
    if (state === "skipped") return "is_cordoned";
    if (state === "failed") return "failed";
    return state === "pending" ? "is_to_get_it" : "is_under_way";
  }
  if (state !== "unreachable") return "is_under_way";
  // A rollback that failed goes on with those that were lost in it.
  return purpose === "revert" ? (phase === "failed" ? "may_still_run" : "was_to_go_back") : "may_run";
}

/** After an end at which nobody listens any more a target stays as it was, and its machine does not: it falls silent, or is heard again. */
export function stateNow({ phase }: Ending, { state, purpose, isHeard, answer = null }: OutstandingTarget): TargetState {
  if (isHeard === false && (state === "updating" || state === "reverting")) return "unreachable";
  const isHeardAgain = isHeard === true && state === "unreachable" && purpose !== null && (phase === "aborted" || phase === "superseded");
  if (!isHeardAgain) return state;
  const underWay = purpose === "revert" ? "reverting" : "updating";
  return answer === null ? underWay : (targetStateOf({ purpose, state: underWay }, answer) ?? underWay);
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

/** Of so many, these are named. */
function whoText(machines: readonly string[], count: number): string {
  return count > machines.length ? firstAndMore(machines, machines.length, count) : listText(machines);
}

const NAMED_MAX = 3;

/** `web-3 may still run 3.0, and goes back when it is heard`; one for all of whom the same is known. */
export function outstandingSentences({ phase, beganBack, version, outstanding, outstandingCount }: Omit<Ended, "counts">): readonly string[] {
  const groups = groupedBy(outstanding, (target) => whatOf({ phase, beganBack }, target));
  // Those that were not read are most likely like the last.
  const unread = outstandingCount - outstanding.length;
  return [...groups].map(([what, targets], index) => {
    const count = targets.length + (index === groups.size - 1 ? unread : 0);
    const text = sentence(what, targets.slice(0, count > NAMED_MAX + 1 ? NAMED_MAX : targets.length).map(({ machine }) => machine), count, version);
    return count === 1 ? withReason(text, what, targets[0]!) : text;
  });
}

/** `web-3 and web-4 failed, and d-11 has decided about them since`; one for all of whom the same is known. */
export function overtakenSentences({ targets, count, archived }: Overtaken = NOBODY_OVERTAKEN): readonly string[] {
  const groups = groupedBy(targets, ({ by, ...target }) => `${missedText(target)} ${by ?? ""}`);
  const unread = count - archived - targets.length;
  return [...groups.values()].map((group, index) => {
    const { by, ...first } = group[0]!;
    const all = group.length + (index === groups.size - 1 ? unread : 0);
    return `${whoText(group.slice(0, all > NAMED_MAX + 1 ? NAMED_MAX : group.length).map(({ machine }) => machine), all)} ${missedText(first)}, and ${by ?? "a newer deployment"} has decided about ${all === 1 ? "it" : "them"} since`;
  });
}

/** Of one machine. */
export function overtakenText(target: OvertakenTarget): string {
  return overtakenSentences({ targets: [target], count: 1, archived: 0 })[0]!;
}

/** What became of it in its deployment. */
function missedText({ state, attempts }: Pick<OvertakenTarget, "state" | "attempts">): string {
  if (state === "failed") return "failed";
  if (attempts === 0) return "did not get it";
  return state === "unreachable" ? "fell silent" : "had not finished";
}

/** `1 unreachable`, `2 unreachable and 1 under way`. */
export function kindsText({ phase, beganBack, outstanding, outstandingCount }: Pick<Ended, "phase" | "beganBack" | "outstanding" | "outstandingCount">): string {
  const kinds = groupedBy(outstanding, (target) => kindOf({ phase, beganBack }, target));
  const unread = outstandingCount - outstanding.length;
  return listText([...kinds].map(([kind, targets], index) => `${targets.length + (index === kinds.size - 1 ? unread : 0)} ${kind}`));
}

function kindOf(ending: Ending, target: OutstandingTarget): string {
  const state = stateNow(ending, target);
  if (state === "unreachable" || state === "removed") return state;
  const what = whatOf(ending, target);
  if (what === "could_not_go_back") return "failed";
  return what === "says_nothing" || what === "says_nothing_back" ? "without an answer" : "under way";
}

function groupedBy<Key, Of>(targets: readonly Of[], keyOf: (target: Of) => Key): ReadonlyMap<Key, readonly Of[]> {
  const groups = new Map<Key, Of[]>();
  for (const target of targets) {
    const key = keyOf(target);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [target]);
    else group.push(target);
  }
  return groups;
}
