/**
 * The way back: machines that do not serve first and at once, then the newest wave first in the same window and lanes, each machine to what it ran before. Never a matter of time, of
 * gates or of freezes. A machine that is lost is told when it is heard again, also after the end of the rollback, unless another deployment has decided about it since; one that goes back by itself is let
 * finish. When more of the machines that served could not go back than could, and more than the largest `max_failures` of their waves, no further one is taken down, and it ends as `aborted`, also when it had ended otherwise. A newer deployment that takes the place of the rollback takes over its own machines alone: the others go on, and so do those that it ends without having told.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { counted } from "@muster/proto/text.ts";
import type { RolloutChange } from "./change.ts";
import { type Attended, dueAt, type Moment } from "./moment.ts";
import { costsNothing } from "./derived.ts";
import { blockers, hasPlace } from "./place.ts";
import { endsAt, isLate, isOvertaken, isTouched, isToRevert, mayGoBack, type RolloutReason, type RolloutState, type Target, waveGoingBack, wentBack } from "./state.ts";
import { assignment, change, settlingStep, type Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { budgetHold, someOf, stuckBackReason, whoRunsWhat } from "./words.ts";

export function backStep(state: RolloutState, world: Surroundings, now: Moment): Step {
  const next = nextBack(state, world);
  if (next.kind === "start") return change(next.change);
  if (next.kind === "none") return end(state, keepers(state));
  const settling = settlingStep(state);
  if (settling !== undefined) return settling;
  const late = isLate(state, now);
  const due = late ? lastAnswerDue(state, world) : undefined;
  if (late && due === undefined) return change({ kind: "phase_changed", phase: "failed", reason: stuckBackReason(state, ({ machine }) => world.said(machine, state.app)) });
  const budget = state.moving.size === 0 ? state.turnsBack.parkedBehind : undefined;
  if (budget !== undefined && state.availability.changing.size === 0) return { kind: "hold", hold: budgetHold(budget), until: undefined };
  // Whose time is over fails when that is looked at.
  const until = due === undefined ? endsAt(state, now) : due > now.attended ? dueAt({ at: now.at, attended: due }, 0, now) : undefined;
  return { kind: "wait", until };
}

/** `progress_deadline` judges how an update goes on. A machine on its way back has the time that its release needs, however long that is, and fails by itself when it is over. Undefined: nobody is waited for. O(moving). */
function lastAnswerDue({ moving, app }: RolloutState, world: Surroundings): Attended | undefined {
  let latest: Attended | undefined;
  for (const machine of moving) {
    const due = world.answerDueAt(machine, app);
    if (due !== undefined && (latest === undefined || due > latest)) latest = due;
  }
  return latest;
}

/** After the rollback has ended: machines that were lost then are heard again. Or a newer deployment has taken its place, and does not have these. */
export function backTailStep(state: RolloutState, world: Surroundings): Step {
  for (const machine of state.moving) {
    const left = leftTo(state, machine, world);
    if (left !== undefined) return change(left);
  }
  const next = nextBack(state, world);
  // It had ended otherwise: by now the release stays where it is, as when it ends so. That is so for those too that a newer deployment has not come to, as long as it does not.
  const left = next.kind === "none" ? keepers(state) : [];
  if (left.length > 0) return end(state, [...left, ...[...state.targets.values()].filter((target) => isOvertaken(target) && isTouched(target) && serves(state, target) && world.successor(state, target.machine) === undefined)]);
  if (next.kind !== "start") return { kind: "wait", until: undefined };
  return change((next.change.kind === "target_assigned" ? leftTo(state, next.change.machine, world) : undefined) ?? next.change);
}

/** A newer decision about a machine stands, whatever it was to go back to. */
function leftTo(state: RolloutState, machine: MachineId, world: Surroundings): RolloutChange | undefined {
  const successor = world.successor(state, machine);
  if (successor === undefined) return undefined;
  return { kind: "target_changed", machine, state: "skipped", reason: { code: "superseded", message: `${successor} goes on with it` }, runs: null };
}

/** Some target is on the way back, or is to be told to go. A target that could not go back is left as it is. */
export function hasBackTail(state: Pick<RolloutState, "phase" | "beganBack" | "moving" | "waves">): boolean {
  if (!wentBack(state)) return false;
  if (state.moving.size > 0 || state.waves.some(({ counts }) => counts.healthy + counts.updating > 0)) return true;
  return state.phase !== "failed" && state.waves.some(({ counts, targets }) => counts.failed > 0 && targets.some((target) => target.state === "failed" && isToRevert(target)));
}

type Next = { readonly kind: "start"; readonly change: Extract<RolloutChange, { readonly machine: MachineId }> } | { readonly kind: "wait" | "none" };

function nextBack(state: RolloutState, world: Surroundings): Next {
  for (const target of state.backFirst) {
    if (mayGoBack(state, target) && costsNothing(state, target)) return { kind: "start", change: assignment(state, target, "revert", world) };
    state.backFirst.delete(target);
  }
  const returning = waveGoingBack(state);
  const blockerOf = blockers(state, world, "revert");
  const isOver = isGivenUp(state);
  const next = isOver ? allToGoBack(state).find((target) => !serves(state, target) && blockerOf(target) === undefined) : state.turnsBack.next(blockerOf);
  if (next === undefined) return { kind: returning !== undefined || isStillGoingBack(state) || isAnybodyLeft(state) ? "wait" : "none" };
  if (world.isSilent(next.machine)) {
    const reason = { code: "silent", message: "nothing is heard from the machine; it goes back when it is heard" } as const;
    return { kind: "start", change: { kind: "target_changed", machine: next.machine, state: "unreachable", reason, runs: null } };
  }
  // The wave that goes back is done before an older one begins.
  const isItsTurn = returning === undefined || next.wave >= state.waves.indexOf(returning);
  if (!isItsTurn || !hasPlace(state, next, state.maxUnavailable, "revert")) return { kind: "wait" };
  return { kind: "start", change: assignment(state, next, "revert", world) };
}

/** What they would go back to does not run there any more: whoever serves goes on with the release, until a person asks for the rollback again. That ends it, so that nothing begins it anew by itself. O(those that could not). */
function isGivenUp(state: RolloutState): boolean {
  const { phase, stuckBack, cameBack, waves } = state;
  if (!(phase === "rolling_back" || wentBack(state)) || stuckBack.size <= cameBack.size) return false;
  return stuckBack.size > Math.max(...[...stuckBack].map(({ wave }) => waves[wave]!.maxFailures));
}

/** Some target is still to be told, and will be: what keeps it at the end is no other of this rollback, but a budget, or a lane that is full of machines that it did not tell. O(targets). */
function isAnybodyLeft(state: RolloutState): boolean {
  const isOver = isGivenUp(state);
  return allToGoBack(state).some((target) => !isOver || !serves(state, target));
}

/** The newest wave first. */
function allToGoBack(state: RolloutState): readonly Target[] {
  return state.waves.toReversed().flatMap(({ targets }) => targets.filter((target) => mayGoBack(state, target)).toReversed());
}

/** The release serves there, as far as is known, whatever became of the target in another deployment. */
function serves({ availability: { changing, down } }: RolloutState, { machine }: Target): boolean {
  return !changing.has(machine) && !down.has(machine);
}

/** Some target goes back by itself. */
function isStillGoingBack({ availability, targets }: RolloutState): boolean {
  for (const machine of availability.goingBack) if (isToRevert(targets.get(machine)!)) return true;
  return false;
}

/** `left`: those that keep the release. They have it, whatever their targets had come to on the way. */
function end(state: RolloutState, left: readonly Target[]): Step {
  const kept = left.filter((target) => target.state !== "healthy").map(({ machine }) => ({ kind: "target_changed", machine, state: "healthy", reason: null, runs: null }) as const);
  return change(...kept, { kind: "phase_changed", ...outcome(state, left) });
}

function outcome(state: RolloutState, left: readonly Target[]): { readonly phase: "rolled_back" | "failed" | "aborted"; readonly reason: RolloutReason | null } {
  const keeping = new Set(left);
  const failed = [...state.targets.values()].filter((target) => (target.state === "failed" && !keeping.has(target)) || (left.length > 0 && state.stuckBack.has(target)));
  if (failed.length === 0) return { phase: "rolled_back", reason: state.reason };
  const message = `${counted(failed.length, "machine")} could not go back to what ${failed.length === 1 ? "it" : "they"} ran before: ${whoRunsWhat(failed)}${leftText(state, left)}${causeText(state)}`;
  return { phase: left.length > 0 ? "aborted" : "failed", reason: { code: "revert_failed", message } };
}

/** One that has failed says by its reason what it could not do, and not why it was to. */
function causeText({ phase, reason }: RolloutState): string {
  if (reason === null || phase === "failed") return "";
  return phase === "superseded" ? `; ${reason.message}` : `; it was being rolled back because ${reason.message}`;
}

/** Those that are not taken down any more. In the order of the plan. */
function keepers(state: RolloutState): readonly Target[] {
  if (!isGivenUp(state)) return [];
  return [...state.targets.values()].filter((target) => mayGoBack(state, target) && serves(state, target));
}

function leftText(state: RolloutState, left: readonly Target[]): string {
  if (left.length === 0) return "";
  const version = state.release.slice(state.app.length + 1);
  return `; ${someOf(left.map(({ machine }) => machine))} ${left.length === 1 ? "keeps" : "keep"} ${version}, since going back might take ${left.length === 1 ? "it" : "them"} down as well: muster rollback ${state.id} goes on with ${left.length === 1 ? "it" : "them"}`;
}
