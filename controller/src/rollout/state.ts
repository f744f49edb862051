/**
 * The state of one rollout, in memory. It is built from the journal's tables and changed by `apply` alone, so that what is in memory,
 * what is in the tables and what the journal says are one thing.
 *
 *   phases:   pending ─▶ rolling ─▶ succeeded
 *                          │  ▲ ╲
 *                          ▼  │  ╲──▶ rolling_back ─▶ rolled_back | failed | aborted
 *                         paused ───────▶ ▲            (a rollback may begin in any ended phase but rolled_back and superseded)
 *             any that has not ended ─▶ aborted | superseded | failed
 *             superseded in its rollback: goes on back with the machines that the newer one does not have, or does not tell anything; aborted when too many of them can't
 *
 *   targets:  pending ⇄ unreachable (was silent at its turn) | skipped (was cordoned)
 *                │ ▲╲_ retried _
 *                ▼              ╲
 *             updating ⇄ unreachable          ─▶ reverting ⇄ unreachable
 *                │  ▲ ╲___________________          │
 *                ▼  ▼                     ╲         ▼
 *              healthy ⇄ failed ───────────▶    reverted | failed
 *             updating, healthy in a wave that has not passed ─▶ skipped (was drained), pending, retried ─▶ skipped (is selected no longer): pending again when that ends
 *             any ─▶ removed (from the fleet): nobody waits for it or touches it; pending again, as a new machine, when one joins under its name
 *
 * A rollout that has succeeded and changed somebody stands for its selector until a newer one for it does (ADR 25): machines that were passed over or joined later still take their turn in it (its tail).
 */
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { ReasonCode } from "@muster/proto/reason.ts";
import type { LaneLabel } from "../plan/plan.ts";
import type { Strategy } from "../plan/strategy.ts";
import { type AlarmState, quietAlarm } from "./alarms.ts";
import type { GateState } from "./gates.ts";
import { type Attended, dueAt, type Moment } from "./moment.ts";
import { Turns } from "./turns.ts";

export const ACTIVE_PHASES = ["pending", "rolling", "paused", "rolling_back"] as const;
export const ENDED_PHASES = ["succeeded", "rolled_back", "failed", "aborted", "superseded"] as const;
export type ActivePhase = (typeof ACTIVE_PHASES)[number];
export type EndedPhase = (typeof ENDED_PHASES)[number];
export type RolloutPhase = ActivePhase | EndedPhase;

export const TARGET_STATES = ["pending", "updating", "healthy", "failed", "unreachable", "skipped", "reverting", "reverted", "removed"] as const;
export type TargetState = (typeof TARGET_STATES)[number];

/** Where an app stands on a machine, as its agent says it (`muster.v1.AppPhase`). */
export const AGENT_PHASES = [
  "pulling",
  "staged",
  "activating",
  "probing",
  "healthy",
  "unhealthy",
  "reverting",
  "reverted",
  "failed",
  "removing",
  "removed",
] as const;
export type AgentPhase = (typeof AGENT_PHASES)[number];

/** After these nothing follows by itself. So it is with `removed`, where removal was asked for. */
export const FINAL_ANSWERS: readonly AgentPhase[] = ["healthy", "unhealthy", "reverted", "failed"];

export interface RolloutReason {
  readonly code: ReasonCode;
  readonly message: string;
}

/** What a target was told last: to take the release, or to go back to what it had. */
export type Purpose = "update" | "revert";

/** `tolerated`: so few may be missing. `waited`: the target was waited for as long as was asked. `excused`: a person knows of it. */
export type LetGo = "tolerated" | "waited" | "excused";

/** What stays known of a target that took the release and is out of the rollout: it had failed, or it was not heard any more, or not well soon after the end, when a person or a program took it out. `excused`: it was lost, and a person knows, so that it counts nowhere. */
export type LeftAs = "failed" | "lost" | "excused";

export interface Target {
  readonly machine: MachineId;
  /** Index into `waves`. */
  readonly wave: number;
  /** Where it stands among those of its wave, in rising order; targets in the archive leave gaps. */
  readonly position: number;
  /** Its values of the lane labels, joined with `/`. */
  readonly lane: string;
  /** It ran the release, unconfirmed, when the rollout began, beside others to which it is new: it shows nothing of what taking it does. */
  readonly onTrial: boolean;
  /** What it goes back to: the machine's last good release when it was assigned the update. Null before that, and when there was none. */
  previous: ReleaseId | null;
  /** That is what stands for machines like it: nothing was good there. */
  isPreviousAsLate: boolean;
  /** It served when it was told to go back, since that was asked for last, and this came of it (taken-down.ts). Null: it did not serve, or was not told. */
  takenDown: "going" | "stuck" | "back" | null;
  state: TargetState;
  /** Null while it has not been told, or is to be told again. */
  purpose: Purpose | null;
  /** Of its last assignment; 0 before it has one. */
  generation: Generation;
  since: Moment;
  /** Unreachable, and waited for no longer: since so few are tolerated, or since it was waited for as long as was asked, or a person said so. Null: it is waited for. */
  letGo: LetGo | null;
  /** Removed or skipped, after it took the release. Null: in all other states. */
  leftAs: LeftAs | null;
  /** A person goes on knowing of its failure, or of its silence: that counts no more, until it is another one. */
  isKnown: boolean;
  /** How often it was told. 0: this rollout has never touched it. */
  attempts: number;
  /** With which assignment it was told the release first, of those that still count: a target that starts again after it failed, or after it was assigned something else, takes the release anew. 0: it was not. */
  firstTold: Generation;
  /** Since then it was healthy with the release. */
  wasHealthy: boolean;
  reason: RolloutReason | null;
  /** The version that its agent said it runs; empty: nothing. Null: it has not said. */
  runs: string | null;
}

export type TargetCounts = Record<TargetState, number>;

export interface WaveState {
  /** As the file says it: `25%`, `canary=true`. */
  readonly members: string;
  /** In the order in which they take their turn. */
  readonly targets: Target[];
  readonly counts: TargetCounts;
  /** Of these, the targets that are on trial. */
  readonly countsOnTrial: TargetCounts;
  readonly gates: readonly GateState[];
  readonly at: Instant | null;
  readonly afterMs: number;
  readonly maxFailures: number;
  readonly maxUnreachable: number | null;
  /** So many healthy targets are enough for the next wave to begin while the others go on; null: all settle first. */
  readonly successThreshold: number | null;
  /** Of its failures, and of those counted as silent, so many are known. */
  acknowledgedFailures: number;
  acknowledgedUnreachable: number;
  startedAt: Instant | null;
  /** When its gates had opened. */
  finishedAt: Moment | null;
  /** Of the last change of one of its targets; with a success threshold, of the last for the worse. */
  changedAt: Moment;
  /** Its unreachable targets that are still waited for, the first to become so first. */
  readonly awaited: Set<Target>;
  /** How many unreachable targets count in `maxUnreachable`: those for which nobody waits any longer, but for those that a person knows of. */
  counted: number;
  /** Of its targets, so many are among the rollout's `lostTakers`. */
  lost: number;
  /** Of these, so many are on trial. */
  lostOnTrial: number;
  /** So many had failed and have left since. */
  leftFailed: number;
  /** Besides: failures, and machines lost with the release, whose targets are folded, or belong to a new machine of the name. */
  goneFailed: number;
  goneLost: number;
  /** Of these failures, so many are known. */
  goneKnown: number;
}

/** What keeps a rollout from going on while none of its targets is on the move, or while those go on that a wave with a success threshold need not wait for. Its progress deadline stands still, but for reports that do not come in: these have as long from when they are waited for. */
export const HOLD_KINDS = ["soak", "prometheus", "webhook", "approval", "reports", "begin", "window", "freeze", "offline", "budget", "settling", "alarm", "unsound", "cordon"] as const;

/** Those that stand behind a wave: with a success threshold they are waited for beside targets on the move. */
export const HOLDS_BEHIND_WAVES: readonly Hold["kind"][] = ["soak", "prometheus", "webhook", "approval", "reports", "begin"];

export interface Hold {
  readonly kind: (typeof HOLD_KINDS)[number];
  /** What would let it go on, in words. */
  readonly message: string;
  /** The time in it, where that is foreseen from attended time and so moves a little. Default null. */
  readonly until?: Instant | null;
}

/** What a target is counted under while it moves; worked out once for each lane. */
export interface LaneKeys {
  /** `label=value` for each lane label, in their order. */
  readonly values: readonly string[];
  /** These, and each label as a whole. */
  readonly counted: readonly string[];
  /** `label!=value`: under which it waits for other values. */
  readonly others: readonly string[];
}

/** Targets whose machine does not serve the app; removed ones are in none of the sets. */
export interface TargetAvailability {
  readonly changing: Set<MachineId>;
  readonly down: Set<MachineId>;
  /** Of those that are down, the ones that say so themselves. */
  readonly failing: Set<MachineId>;
  /** Of the changing ones, those that say that they go back by themselves. */
  readonly goingBack: Set<MachineId>;
  /** How many of each are in each lane, by `label=value` and by label. */
  readonly changingIn: Map<string, number>;
  readonly downIn: Map<string, number>;
  /** The same of the machines that are left out, and of these those that are to run another release by now: those that are in none of these sets serve with the rollout's. */
  readonly leftOut: Readonly<Record<"changing" | "down" | "absent" | "other", Set<MachineId>>>;
}

export interface RolloutState {
  readonly id: DeploymentId;
  readonly app: AppName;
  readonly release: ReleaseId;
  readonly strategy: Strategy;
  phase: RolloutPhase;
  reason: RolloutReason | null;
  waves: WaveState[];
  readonly targets: Map<MachineId, Target>;
  /** They ran the release when the plan was made, and are left out. */
  unchanged: ReadonlySet<MachineId>;
  alarms: readonly AlarmState[];
  maxUnavailable: number;
  lanes: readonly LaneLabel[];
  /** The wave under way; while rolling back, the wave being taken back. */
  wave: number;
  /** Somebody has started it, where it does not begin by itself. */
  startApproved: boolean;
  /** Its rollback has begun; that stays so when it ends, and when a newer deployment takes its place in the middle of it. */
  beganBack: boolean;
  /** Somebody has skipped all gates that were left. */
  promoted: boolean;
  hold: (Hold & { readonly since: Moment }) | null;
  /** Targets that are updating or reverting. */
  readonly moving: Set<MachineId>;
  /** By `takenDown`: those that could not go back, and those that could. */
  readonly stuckBack: Set<Target>;
  readonly cameBack: Set<Target>;
  /** Whether the app serves on the targets' machines, as `Availabilities` has it for whatever reason; those that are in none of these sets serve. What is said about machines is journalled elsewhere. */
  readonly availability: TargetAvailability;
  /** Targets that were assigned the release, or ran it from the first, became unreachable, whether they have left since or not, and were not excused: they may have been lost because of it. */
  readonly lostTakers: Set<MachineId>;
  /** Of these, whoever had not said before that it has the assignment: what it never had can't have silenced it. */
  readonly wordless: Set<MachineId>;
  /** By the targets' `lane`. */
  readonly laneKeys: Map<string, LaneKeys>;
  /** Start, a target newly healthy or reverted, a resume, the end of a hold, the begin of a rollback: `progress_deadline` counts from here. */
  progressAt: Attended;
  /** Pending targets of waves that have begun, and targets to be taken back, that may start before all others, since they do not serve. */
  readonly startFirst: Set<Target>;
  readonly backFirst: Set<Target>;
  /** Of `startFirst`, those whose lane was full of others, by what fills it. */
  readonly startFirstBehind: Map<string, Set<Target>>;
  /** Whose turn it is to be told of the release, and, while rolling back, to be taken back. */
  turns: Turns<Target>;
  turnsBack: Turns<Target>;
}

/** Scans all; asked where a person acts. */
export function failedTargets({ targets }: Pick<RolloutState, "targets">): readonly Target[] {
  return [...targets.values()].filter(({ state }) => state === "failed");
}

/** Targets that are waited for now, and targets that are lost: `promote` goes on without them. Waves that have not begun have none. */
export function outstanding({ waves, lostTakers, targets }: Pick<RolloutState, "waves" | "lostTakers" | "targets">): readonly Target[] {
  const all = new Set<Target>(waves.flatMap(({ awaited }) => [...awaited]));
  for (const machine of lostTakers) all.add(targets.get(machine)!);
  return [...all];
}

export function isEnded(phase: RolloutPhase): phase is EndedPhase {
  return (ENDED_PHASES as readonly string[]).includes(phase);
}

/** Pending, and not to begin before somebody says so. */
export function awaitsStart({ phase, strategy, startApproved }: Pick<RolloutState, "phase" | "strategy" | "startApproved">): boolean {
  return phase === "pending" && strategy.start === "manual" && !startApproved;
}

/** The rollout deploys an older release, and goes on where an update would wait. Machines that come after its end are in no hurry. */
export function isWayBack({ strategy, phase }: Pick<RolloutState, "strategy" | "phase">): boolean {
  return strategy.isWayBack === true && phase === "rolling";
}

/** A fault of the controller stopped the rollout: nothing drives it before an operator says what is to become of it. */
export function isBroken({ phase, reason }: Pick<RolloutState, "phase" | "reason">): boolean {
  return phase === "paused" && reason?.code === "internal";
}

/** The rollout has begun, and has not ended. One that a fault of the controller stopped before it began is in nobody's way. */
export function isUnderWay(state: Pick<RolloutState, "phase" | "reason" | "waves">): boolean {
  return state.phase !== "pending" && !isEnded(state.phase) && !(isBroken(state) && state.waves.length === 0);
}

export function isMoving(target: Pick<Target, "state">): boolean {
  return target.state === "updating" || target.state === "reverting";
}

/** The target was told something, and is still there. */
export function isTouched({ attempts, state }: Pick<Target, "attempts" | "state">): boolean {
  return attempts > 0 && state !== "removed";
}

/** In these phases a pending target is still to be told the release. */
export function goesForward(phase: RolloutPhase): boolean {
  return phase === "rolling" || phase === "paused" || phase === "succeeded";
}

/** It was told, and has its turn again. */
export function startsAgain({ phase }: Pick<RolloutState, "phase">, { state, attempts }: Pick<Target, "state" | "attempts">): boolean {
  return goesForward(phase) && state === "pending" && attempts > 0;
}

/** What the target was told to run last; null: nothing. */
export function releaseTold({ release }: Pick<RolloutState, "release">, { purpose, previous }: Pick<Target, "purpose" | "previous">): ReleaseId | null {
  return purpose === "update" ? release : previous;
}

/** The target was told of the release, and has not been told to go back. */
export function isToRevert(target: Pick<Target, "attempts" | "state" | "purpose">): boolean {
  return isTouched(target) && target.purpose !== "revert";
}

/** The target took the release, and shows nothing of it now: it was drained, is to take it again, or is lost and a person goes on without it. */
export function isAway({ state, purpose, attempts, leftAs, letGo, reason }: Target): boolean {
  if (attempts === 0 || leftAs === "failed" || leftAs === "lost") return false;
  if (state === "unreachable") return purpose === null || letGo === "excused";
  return purpose === null && state === "skipped" && reason?.code === "cordoned";
}

/** Of a wave's targets in this state, those to which the release is new: what a wave shows of it, they show. */
export function newCount({ counts, countsOnTrial }: Pick<WaveState, "counts" | "countsOnTrial">, name: TargetState): number {
  return counts[name] - countsOnTrial[name];
}

/** Enough of the wave are healthy, or were when it was finished. */
export function hasEnough(wave: WaveState): boolean {
  const { successThreshold, finishedAt } = wave;
  return successThreshold !== null && (finishedAt !== null || newCount(wave, "healthy") >= successThreshold);
}

/** The rollout's hold may stand while targets are on the move. */
export function isHeldBesideMoves({ hold, waves, wave }: RolloutState): boolean {
  return hold !== null && HOLDS_BEHIND_WAVES.includes(hold.kind) && (waves[wave]?.successThreshold ?? null) !== null;
}

/** In a wave that need not wait for all, a target that begins or becomes healthy is no change. A target that leaves the fleet, is drained or is passed over says nothing of the release. */
export function isChangeOf({ successThreshold }: Pick<WaveState, "successThreshold">, to: TargetState): boolean {
  if (to === "removed" || to === "skipped" || to === "reverting") return false;
  return successThreshold === null || (to !== "pending" && to !== "updating" && to !== "healthy");
}

/** Every target of the rollout was removed. */
export function isDeserted({ waves }: Pick<RolloutState, "waves">): boolean {
  return waves.every(({ counts, targets }) => counts.removed === targets.length);
}

/** `progress_deadline` has passed. It stands still while something outside holds the rollout. */
export function isLate({ hold, progressAt, strategy }: RolloutState, now: Moment): boolean {
  return hold === null && now.attended >= progressAt + strategy.progressDeadlineMs;
}

/** When `progress_deadline` passes, as far as can be foreseen. */
export function endsAt({ progressAt, strategy }: RolloutState, now: Moment): Instant {
  return dueAt({ at: now.at, attended: progressAt }, strategy.progressDeadlineMs, now);
}

/** Failures of a wave, whether those that failed are still there or not. */
export function failuresOf({ counts, leftFailed, goneFailed }: WaveState): number {
  return counts.failed + leftFailed + goneFailed;
}

/** Whether an unreachable target, or one that has left as such, counts in the `max_unreachable` of its wave. */
export function isCounted({ strategy }: { readonly strategy: { readonly offline: Pick<Strategy["offline"], "kind"> } }, { state, letGo, leftAs }: Pick<Target, "state" | "letGo" | "leftAs">): boolean {
  if (leftAs === "lost") return true;
  if (state !== "unreachable" || letGo === "excused") return false;
  return strategy.offline.kind === "skip" || letGo !== null;
}

/** The newest wave with a target on its way back. */
export function waveGoingBack({ waves }: Pick<RolloutState, "waves">): WaveState | undefined {
  return waves.findLast((wave) => wave.counts.reverting > 0);
}

export function emptyCounts(): TargetCounts {
  return { pending: 0, updating: 0, healthy: 0, failed: 0, unreachable: 0, skipped: 0, reverting: 0, reverted: 0, removed: 0 };
}

export function newRollout(from: Pick<RolloutState, "id" | "app" | "release" | "strategy">, { attended }: Moment): RolloutState {
  const state: RolloutState = {
    ...from,
    phase: "pending",
    reason: null,
    waves: [],
    targets: new Map(),
    unchanged: new Set(),
    alarms: from.strategy.alarms.map(quietAlarm),
    maxUnavailable: 1,
    lanes: [],
    wave: 0,
    startApproved: false,
    beganBack: false,
    promoted: false,
    hold: null,
    moving: new Set(),
    stuckBack: new Set(),
    cameBack: new Set(),
    availability: { changing: new Set(), down: new Set(), failing: new Set(), goingBack: new Set(), changingIn: new Map(), downIn: new Map(), leftOut: { changing: new Set(), down: new Set(), absent: new Set(), other: new Set() } },
    lostTakers: new Set(),
    wordless: new Set(),
    laneKeys: new Map(),
    progressAt: attended,
    startFirst: new Set(),
    backFirst: new Set(),
    startFirstBehind: new Map(),
    turns: forwardTurns(),
    turnsBack: new Turns<Target>(() => false, isEarlier),
  };
  state.turnsBack = backwardTurns(state);
  return state;
}

export function forwardTurns(): Turns<Target> {
  return new Turns<Target>((target) => target.state === "pending", isEarlier);
}

/** Newest wave first, and in it the last that was told. */
export function backwardTurns(state: Pick<RolloutState, "availability">): Turns<Target> {
  return new Turns<Target>((target) => mayGoBack(state, target), (a, b) => isEarlier(b, a));
}

/** The target is to be taken back and can be told so: it is no other deployment's by now, and does not go back by itself, which it is let finish. */
export function mayGoBack({ availability }: Pick<RolloutState, "availability">, target: Target): boolean {
  if (isOvertaken(target)) return false;
  return isToRevert(target) && target.state !== "unreachable" && !availability.goingBack.has(target.machine);
}

/** The target was told to go back, and could not. */
export function isStuckBack({ state, purpose }: Pick<Target, "state" | "purpose">): boolean {
  return state === "failed" && purpose === "revert";
}

/** The target was left to a newer deployment. */
export function isOvertaken({ state, reason }: Pick<Target, "state" | "reason">): boolean {
  return state === "skipped" && reason?.code === "superseded";
}

/** A newer deployment took the rollout's place during its rollback: targets that the newer one does not decide about still go back. */
export function isSupersededBack({ phase, beganBack }: Pick<RolloutState, "phase" | "beganBack">): boolean {
  return phase === "superseded" && beganBack;
}

/** A rollback that is over, or whose place a newer deployment took: whoever is still to go back is left to a newer deployment that has it too. One that has failed is given up on. */
export function isBackTail({ phase, beganBack }: Pick<RolloutState, "phase" | "beganBack">): boolean {
  return beganBack && (phase === "rolled_back" || phase === "superseded");
}

/** A rollout that has ended in or after its rollback: what is still to go back goes back when it can. One that a person ended leaves its machines as they are. In SQL: journal/standing.ts. */
export function wentBack({ phase, beganBack }: Pick<RolloutState, "phase" | "beganBack">): boolean {
  return beganBack && (phase === "rolled_back" || phase === "failed" || phase === "superseded");
}

function isEarlier(a: Target, b: Target): boolean {
  return a.wave !== b.wave ? a.wave < b.wave : a.position < b.position;
}
