/**
 * What follows from a rollout's state: the next step, as far as it can be taken now. Pure; each call is O(1) but for the one at which a rollback
 * begins, which takes the targets under way. The engine applies what it returns and calls it again until it returns nothing.
 *
 * Always holds: a target of wave n+1 is assigned only after wave n has passed its gate; at most maxUnavailable targets are on the move, those under way
 * when a rollback begins included; `waitingOn` has an answer whenever there is nothing to do and the rollout has not ended.
 */
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import type { RolloutChange } from "./change.ts";
import { waveOf } from "./change.ts";
import type { RolloutReason, RolloutState, Target, WaveState } from "./state.ts";

/** What a rollout may ask about machines. */
export interface FleetView {
  /** Nothing heard for longer than the controller waits. */
  isSilent(machine: MachineId): boolean;
}

export function advance(state: RolloutState, fleet: FleetView, now: Instant): readonly RolloutChange[] {
  switch (state.phase) {
    case "rolling":
      return advanceRolling(state, fleet, now);
    case "rolling_back":
      return advanceBack(state, fleet, now);
    case "pending":
    case "paused":
    case "succeeded":
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return [];
  }
}

/** When `advance` must be called again though nothing was heard; undefined: never. */
export function nextDeadline(state: RolloutState): Instant | undefined {
  if (state.phase !== "rolling" && state.phase !== "rolling_back") return undefined;
  return (state.progressAt + state.strategy.progressDeadlineMs) as Instant;
}

function advanceRolling(state: RolloutState, fleet: FleetView, now: Instant): readonly RolloutChange[] {
  if (state.waves.length === 0) return [{ kind: "phase_changed", ...nothingToDo(state) }];
  const tripped = state.waves.findIndex(overBudget);
  if (tripped >= 0) return onFailure(state, failuresReason(state, tripped));

  const wave = waveOf(state, state.wave);
  const last = state.wave === state.waves.length - 1;
  if (isSettled(state, wave) && (hasEvidence(state) || !last)) {
    return [
      { kind: "wave_finished", wave: state.wave },
      last ? { kind: "phase_changed", ...outcome(state) } : { kind: "wave_started", wave: state.wave + 1 },
    ];
  }
  if (now >= nextDeadline(state)!) return onFailure(state, progressReason(state, wave));
  const next = wave.targets[wave.nextPending];
  if (next === undefined || state.moving.size >= updateWindow(state)) return [];
  return [assignment(state, next, "update", fleet)];
}

function advanceBack(state: RolloutState, fleet: FleetView, now: Instant): readonly RolloutChange[] {
  const interrupted = updatingTargets(state);
  if (interrupted.length > 0) return interrupted.map((target) => assignment(state, target, "revert", fleet));

  const wave = waveToRevert(state);
  if (wave === undefined) return [{ kind: "phase_changed", ...backOutcome(state) }];
  if (now >= nextDeadline(state)!) return [{ kind: "phase_changed", phase: "failed", reason: stuckBackReason(state, wave) }];
  const next = wave.targets[wave.nextRevert];
  if (next === undefined || state.moving.size >= state.maxUnavailable) return [];
  return [assignment(state, next, "revert", fleet)];
}

function assignment(state: RolloutState, target: Target, purpose: "update" | "revert", fleet: FleetView): RolloutChange {
  const silent = fleet.isSilent(target.machine);
  const failure = purpose === "revert" && target.state === "failed" ? target.reason : null;
  return {
    kind: "target_assigned",
    machine: target.machine,
    purpose,
    release: purpose === "update" ? state.release : target.previous,
    state: silent ? "unreachable" : purpose === "update" ? "updating" : "reverting",
    reason: silent ? { code: "silent", message: "nothing is heard from the machine; it takes its assignment when it is back" } : failure,
  };
}

/** A machine of an earlier wave that came back from silence counts too: its answer is waited for. */
function isSettled({ moving }: RolloutState, { counts }: WaveState): boolean {
  return counts.pending === 0 && moving.size === 0;
}

/**
 * A wave in which every machine is silent holds nobody up, but has shown nothing either: until some machine has answered, those of later waves take
 * their turn one at a time.
 */
function updateWindow(state: RolloutState): number {
  return state.wave === 0 || hasEvidence(state) ? state.maxUnavailable : 1;
}

/** Some machine has said how the release does there. */
function hasEvidence({ waves, wave }: RolloutState): boolean {
  return waves.some(({ counts }, index) => index <= wave && counts.healthy + counts.failed > 0);
}

function overBudget(wave: WaveState): boolean {
  return wave.counts.failed - wave.acknowledgedFailures > wave.maxFailures;
}

function onFailure(state: RolloutState, reason: RolloutReason): readonly RolloutChange[] {
  switch (state.strategy.onFailure) {
    case "rollback":
      return [{ kind: "phase_changed", phase: "rolling_back", reason }];
    case "pause":
      return [{ kind: "phase_changed", phase: "paused", reason }];
    case "abort":
      return [{ kind: "phase_changed", phase: "failed", reason }];
  }
}

/** Bounded by maxUnavailable: `moving` holds these and those that go back. */
function updatingTargets(state: RolloutState): readonly Target[] {
  const updating: Target[] = [];
  for (const machine of state.moving) {
    const target = state.targets.get(machine);
    if (target?.purpose === "update") updating.push(target);
  }
  return updating;
}

/** The newest wave in which a target still has its turn to come or is on its way back. */
function waveToRevert(state: RolloutState): WaveState | undefined {
  return state.waves.findLast((wave) => wave.nextRevert >= 0 || wave.counts.reverting > 0);
}

function backOutcome(state: RolloutState): { readonly phase: "rolled_back" | "failed"; readonly reason: RolloutReason | null } {
  const failed = state.waves.reduce((sum, wave) => sum + wave.counts.failed, 0);
  if (failed === 0) return { phase: "rolled_back", reason: state.reason };
  const cause = state.reason === null ? "" : ` after: ${state.reason.message}`;
  return {
    phase: "failed",
    reason: { code: "revert_failed", message: `${machines(failed)} could not go back to what ${failed === 1 ? "it" : "they"} ran before${cause}` },
  };
}

/** Failures that were allowed or acknowledged do not keep a rollout from succeeding, unless they are all there is. */
function outcome(state: RolloutState): { readonly phase: "succeeded" | "failed"; readonly reason: RolloutReason | null } {
  const sum = (name: "healthy" | "failed") => state.waves.reduce((counted, { counts }) => counted + counts[name], 0);
  if (sum("healthy") > 0 || sum("failed") === 0) return { phase: "succeeded", reason: null };
  return { phase: "failed", reason: { code: "failures_exceeded", message: `it failed on each of ${machines(sum("failed"))} that took it` } };
}

function nothingToDo(state: RolloutState): { readonly phase: "succeeded" | "failed"; readonly reason: RolloutReason } {
  return state.unchanged.length > 0
    ? { phase: "succeeded", reason: { code: "unchanged", message: "every machine runs it already" } }
    : { phase: "failed", reason: { code: "no_targets", message: `no machine has the labels ${state.strategy.targets}` } };
}

function failuresReason(state: RolloutState, index: number): RolloutReason {
  const wave = waveOf(state, index);
  const examples = failedTargets(wave, 3).map(({ machine, reason }) => `${machine}: ${reason?.message ?? "no reason given"}`);
  const more = wave.counts.failed > examples.length ? `; and ${wave.counts.failed - examples.length} more` : "";
  const codes = new Set(failedTargets(wave, wave.counts.failed).map((target) => target.reason?.code));
  const code = codes.size === 1 ? [...codes][0] : undefined;
  return {
    code: code ?? "failures_exceeded",
    message: `${machines(wave.counts.failed)} failed in wave ${index + 1}, ${wave.maxFailures} allowed: ${examples.join("; ")}${more}`,
  };
}

function progressReason(state: RolloutState, wave: WaveState): RolloutReason {
  return {
    code: "progress_deadline",
    message: `no target became healthy for ${seconds(state.strategy.progressDeadlineMs)} (progress_deadline) in wave ${state.wave + 1}: ${holdUps(wave)}`,
  };
}

function stuckBackReason(state: RolloutState, wave: WaveState): RolloutReason {
  const cause = state.reason === null ? "" : `; it was being rolled back because ${state.reason.message}`;
  return {
    code: "progress_deadline",
    message: `the rollback made no progress for ${seconds(state.strategy.progressDeadlineMs)} (progress_deadline): ${holdUps(wave)}${cause}`,
  };
}

function failedTargets(wave: WaveState, most: number): readonly Target[] {
  return take(wave, "failed", most);
}

/** Scans one wave; used only where a rollout stops or a person asks. */
function take(wave: WaveState, state: Target["state"], most: number): readonly Target[] {
  const found: Target[] = [];
  if (wave.counts[state] === 0) return found;
  for (const target of wave.targets) {
    if (found.length === most) break;
    if (target.state === state) found.push(target);
  }
  return found;
}

function holdUps(wave: WaveState): string {
  const parts = (["updating", "reverting", "unreachable"] as const)
    .filter((state) => wave.counts[state] > 0)
    .map((state) => `${wave.counts[state]} ${state} (${names(take(wave, state, 3), wave.counts[state])})`);
  return parts.length > 0 ? parts.join(", ") : "nothing was under way";
}

function names(targets: readonly Target[], total: number): string {
  const shown = targets.map((target) => target.machine).join(", ");
  return total > targets.length ? `${shown} and ${total - targets.length} more` : shown;
}

function machines(n: number): string {
  return `${n} machine${n === 1 ? "" : "s"}`;
}

function seconds(ms: number): string {
  const total = Math.round(ms / 1000);
  const minutes = Math.floor(total / 60);
  if (minutes === 0) return ms < 1000 ? `${ms}ms` : `${total}s`;
  return total % 60 === 0 ? `${minutes}m` : `${minutes}m${total % 60}s`;
}

/** What a rollout waits for now, in words; undefined once it has ended. */
export function waitingOn(state: RolloutState): string | undefined {
  switch (state.phase) {
    case "pending":
      return "its turn";
    case "paused":
      return "an operator to resume, roll back or abort it";
    case "rolling":
      return waitingInWave(state, waveOf(state, state.wave));
    case "rolling_back": {
      const wave = waveToRevert(state);
      return wave === undefined ? "the end of its rollback" : waitingBack(wave);
    }
    case "succeeded":
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return undefined;
  }
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
  const shown = names(take(wave, "reverting", 3), reverting);
  return `${shown === "" ? "its machines" : shown} to be back on what ${reverting === 1 ? "it" : "they"} ran before`;
}

function waitingInWave(state: RolloutState, wave: WaveState): string {
  const { counts } = wave;
  if (state.moving.size > 0) {
    const shown = names(firstMoving(state, 3), state.moving.size);
    const rest = counts.pending > 0 ? `; ${counts.pending} more of wave ${state.wave + 1} to come` : "";
    return `${shown} to be healthy for ${seconds(state.strategy.minHealthyTimeMs)}${rest}`;
  }
  if (counts.unreachable > 0) {
    return `${names(take(wave, "unreachable", 3), counts.unreachable)} to be heard from: no machine has answered yet`;
  }
  return `wave ${state.wave + 1} to go on`;
}
