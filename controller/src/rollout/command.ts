/**
 * What operators ask of a rollout: whether it can be carried out, and what it changes at once. Pure.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { acknowledge } from "./acknowledge.ts";
import type { RolloutChange } from "./change.ts";
import type { GateState } from "./gates.ts";
import { isSuspicious } from "./suspicion.ts";
import { awaitsStart, failedTargets, isEnded, isStuckBack, isSupersededBack, isTouched, newCount, outstanding, type RolloutReason, type RolloutState, type Target } from "./state.ts";
import { someOf } from "./words.ts";

/** `reason`: who asks, and why, in a sentence. */
export type CommandEvent =
  | { readonly kind: "pause"; readonly reason: RolloutReason }
  | { readonly kind: "resume"; readonly reason: RolloutReason }
  | { readonly kind: "abort"; readonly reason: RolloutReason }
  | { readonly kind: "rollback"; readonly reason: RolloutReason }
  /** `wave`: index of the one that is meant; null: the one that the rollout waits at. */
  | { readonly kind: "approve"; readonly reason: RolloutReason; readonly wave: number | null }
  | { readonly kind: "promote"; readonly reason: RolloutReason; readonly all: boolean }
  | { readonly kind: "retry"; readonly reason: RolloutReason }
  | { readonly kind: "set_max_unavailable"; readonly reason: RolloutReason; readonly maxUnavailable: number };

const COMMANDS: Readonly<Record<CommandEvent["kind"], true>> = { pause: true, resume: true, abort: true, rollback: true, approve: true, promote: true, retry: true, set_max_unavailable: true };

/** What an operator asks, and not what happens by itself. */
export function isCommand({ kind }: { readonly kind: string }): boolean {
  return Object.hasOwn(COMMANDS, kind);
}

export function decideCommand(state: RolloutState, event: CommandEvent): readonly RolloutChange[] {
  switch (event.kind) {
    case "pause":
      return [{ kind: "phase_changed", phase: "paused", reason: event.reason }];
    case "resume":
      // A fault of the controller stopped its rollback.
      if (state.beganBack) return [{ kind: "phase_changed", phase: "rolling_back", reason: event.reason }];
      // Without waves such a fault stopped it before it began.
      return [...(isHeldForOtherReasons(state) ? [] : [...acknowledge(state, outstanding(state)), ...excuse(state)]), ...askAgain(state), ...measureAnew(state), { kind: "phase_changed", phase: state.waves.length === 0 ? "pending" : "rolling", reason: null }];
    case "abort":
      return [{ kind: "phase_changed", phase: "aborted", reason: event.reason }];
    case "rollback":
      return isSupersededBack(state) ? backAgain(state, event.reason) : [{ kind: "phase_changed", phase: "rolling_back", reason: event.reason }];
    case "approve":
      return awaitsStart(state) ? [{ kind: "start_approved", said: event.reason.message }] : openGate(state, event.reason.message);
    case "promote":
      return event.all ? [{ kind: "promoted" }] : skipHold(state, event.reason.message);
    case "retry":
      return retry(state);
    case "set_max_unavailable":
      return [{ kind: "max_unavailable_changed", maxUnavailable: event.maxUnavailable }];
  }
}

/** Why a command can't be carried out now; undefined when it can. */
export function refusal(state: RolloutState, event: CommandEvent): string | undefined {
  const { phase } = state;
  switch (event.kind) {
    case "pause":
      return phase === "rolling" ? undefined : `it is ${inWords(phase)}; only a rolling deployment can be paused`;
    case "resume":
      return phase === "paused" ? undefined : `it is ${inWords(phase)}; only a paused deployment can be resumed`;
    case "abort":
      return isEnded(phase) ? `it has ended (${inWords(phase)})` : undefined;
    case "rollback":
      return rollbackRefusal(state);
    case "approve":
      return approveRefusal(state, event.wave);
    case "promote":
      if (phase !== "rolling") return `it is ${inWords(phase)}; only a rolling deployment has gates to skip`;
      if (event.all || gateAt(state) !== undefined || state.hold?.kind === "begin" || waitsForLost(state)) return undefined;
      if (state.hold?.kind === "reports") return `it waits for ${state.hold.message}; --all goes on without them`;
      return state.hold?.kind === "alarm" ? "it waits for its alarms to be quiet; --all goes on without them" : "it waits at no gate now; --all skips those to come";
    case "retry":
      return retryRefusal(state);
    case "set_max_unavailable":
      return phase === "pending" || (isEnded(phase) && phase !== "succeeded") ? `it is ${inWords(phase)}; that can be changed while it runs` : undefined;
  }
}

function inWords(phase: RolloutState["phase"]): string {
  return phase.replaceAll("_", " ");
}

/** The gate that the rollout waits at. */
function gateAt({ phase, waves, wave }: RolloutState): { readonly index: number; readonly gate: GateState } | undefined {
  if (phase !== "rolling") return undefined;
  const gates = waves[wave]?.gates ?? [];
  const index = gates.findIndex(({ state }) => state !== "open");
  const gate = gates[index];
  return gate === undefined || gate.state === "pending" ? undefined : { index, gate };
}

function rollbackRefusal(state: RolloutState): string | undefined {
  switch (state.phase) {
    case "pending":
      return "it has not begun; abort it instead";
    case "rolling_back":
      return "it is being rolled back already";
    case "rolled_back":
      if ([...state.targets.values()].some(isStuckBack)) return undefined;
      return `it has been rolled back already${stillToGoBack(state)}`;
    case "superseded":
      if ([...state.targets.values()].some((target) => isSupersededBack(state) && isStuckBack(target))) return undefined;
      if (state.beganBack) return `it is being taken back already: what a newer deployment has is left to that, and goes back if it ends without it; muster rollback ${state.id} --to VERSION gives all of its machines an older release at once`;
      return `a newer deployment of the app has taken its place; roll that back instead, or muster rollback ${state.id} --to VERSION gives its machines an older release`;
    case "rolling":
    case "paused":
    case "succeeded":
    case "failed":
    case "aborted":
      return hasTouchedAny(state) ? undefined : "it changed no machine that is still there, so there is nothing to take back";
  }
}

/** What is left of a rollback comes by itself. */
function stillToGoBack({ targets }: RolloutState): string {
  const named = (stands: Target["state"]): readonly MachineId[] => [...targets.values()].filter(({ state, attempts }) => state === stands && attempts > 0).map(({ machine }) => machine);
  const [lost, onTheWay] = [named("unreachable"), named("reverting")];
  return [
    ...(lost.length === 0 ? [] : [`; ${someOf(lost)} ${lost.length === 1 ? "goes back when it is" : "go back when they are"} heard`]),
    ...(onTheWay.length === 0 ? [] : [`; ${someOf(onTheWay)} ${onTheWay.length === 1 ? "is on its" : "are on their"} way back`]),
  ].join("");
}

/** The newer deployment stays in the place of this one: only targets that could not go back are told again, in their turn. */
function backAgain({ targets }: RolloutState, asked: RolloutReason): readonly RolloutChange[] {
  return [...targets.values()].filter(isStuckBack).flatMap(({ machine, reason }): readonly RolloutChange[] => [
    { kind: "target_changed", machine, state: "skipped", reason: asked, runs: null },
    { kind: "target_changed", machine, state: "failed", reason, runs: null },
  ]);
}

function hasTouchedAny({ waves }: RolloutState): boolean {
  return waves.some(({ targets }) => targets.some(isTouched));
}

function approveRefusal(state: RolloutState, wave: number | null): string | undefined {
  if (state.phase === "pending") return startRefusal(state, wave);
  const at = gateAt(state);
  if (at?.gate.gate.kind !== "approval") {
    const asks = state.waves.some(({ gates }) => gates.some(({ gate, state: stands }) => gate.kind === "approval" && stands !== "open"));
    if (state.phase !== "rolling") return `it is ${inWords(state.phase)}; only a rolling deployment waits for approval`;
    return asks ? "it has not come to the gate that asks for it yet; muster status says what it waits for" : "none of its gates asks for it";
  }
  if (wave !== null && wave !== state.wave) return `it waits for the approval of wave ${state.wave + 1}, not of wave ${wave + 1}`;
  return undefined;
}

function startRefusal(state: RolloutState, wave: number | null): string | undefined {
  if (state.startApproved) return "its start has been approved already; muster status says what it waits for";
  if (!awaitsStart(state)) return "it is pending and begins by itself; only one with start: manual waits for somebody to start it";
  return wave === null ? undefined : "it has not begun, and waits for its start to be approved, not for a wave: leave out --wave";
}

/** Why a deployment can't be retried of which all went well, then. */
export const NONE_FAILED = "none of its targets has failed";

function retryRefusal(state: RolloutState): string | undefined {
  switch (state.phase) {
    case "rolling":
    case "paused":
    case "succeeded":
    case "failed":
      if (state.beganBack) return "it was being rolled back; roll it back again for those that could not, or deploy again";
      return failedCount(state) > 0 || isToTryAgain(state) || (state.phase === "succeeded" && hasLeft(state)) ? undefined : NONE_FAILED;
    case "pending":
      return "it has not begun";
    case "rolling_back":
    case "rolled_back":
      return `it is ${inWords(state.phase)}; deploy again instead`;
    case "aborted":
    case "superseded":
      return `it is ${state.phase}; deploy again instead`;
  }
}

/** It ended before whoever had failed had another turn. */
function isToTryAgain({ phase, targets }: RolloutState): boolean {
  return phase === "failed" && [...targets.values()].some(({ state, attempts }) => state === "pending" && attempts > 0);
}

function failedCount({ waves }: RolloutState): number {
  return waves.reduce((sum, { counts }) => sum + counts.failed, 0);
}

/** An operator or a fault paused the rollout, not the release: what the release did meanwhile counts when the rollout goes on. */
export function isHeldForOtherReasons({ reason }: Pick<RolloutState, "reason">): boolean {
  return reason?.code === "operator" || reason?.code === "internal";
}

/** A gate that had stopped the rollout is asked anew. */
function askAgain({ waves, wave }: RolloutState): readonly RolloutChange[] {
  const gate = waves[wave]?.gates.findIndex(({ state }) => state === "stopped") ?? -1;
  return gate < 0 ? [] : [{ kind: "gate_reached", wave, gate }];
}

/** What a gate measured before the rollout was paused, or ended, says nothing about the time since: a soak did not run then, and nobody was asked. */
function measureAnew({ waves, wave }: RolloutState): readonly RolloutChange[] {
  const gate = waves[wave]?.gates.findIndex(({ state: stands }) => stands !== "open") ?? -1;
  const begun = waves[wave]?.gates[gate];
  return begun?.state === "reached" && (begun.gate.kind === "soak" || begun.gate.kind === "prometheus") ? [{ kind: "gate_reached", wave, gate }] : [];
}

function openGate(state: RolloutState, said: string): readonly RolloutChange[] {
  const at = gateAt(state);
  return at === undefined ? [] : [{ kind: "gate_opened", wave: state.wave, gate: at.index, said }];
}

/** Somebody knows of the machines that are unreachable, and goes on without them. */
function excuse(state: RolloutState): readonly RolloutChange[] {
  return outstanding(state).length === 0 ? [] : [{ kind: "targets_excused" }];
}

function waitsForLost(state: RolloutState): boolean {
  return state.hold?.kind === "offline" || isSuspicious(state);
}

/** Only unreachable targets could show anything at the gate: going on without them is going on without the gate. */
function leavesUnwatched(state: RolloutState): boolean {
  const kind = gateAt(state)?.gate.gate.kind;
  return kind !== undefined && kind !== "approval" && newCount(state.waves[state.wave]!, "healthy") === 0;
}

/** Skips the one thing that the rollout waits for: machines that are unreachable, the gate, or the moment at which its next wave begins. */
function skipHold(state: RolloutState, said: string): readonly RolloutChange[] {
  if (waitsForLost(state)) return [...excuse(state), ...(leavesUnwatched(state) ? openGate(state, said) : [])];
  if (state.hold?.kind !== "begin") return openGate(state, said);
  return [{ kind: "wave_started", wave: state.waves[state.wave]?.startedAt === null ? state.wave : state.wave + 1 }];
}

/** An operator who retries after the end knows of the machines that failed, or were lost, and are gone. */
function excuseLeft({ waves }: RolloutState): readonly RolloutChange[] {
  return waves.flatMap((of, wave): readonly RolloutChange[] => {
    const excused = of.targets.filter(({ leftAs }) => leftAs === "lost").map(({ machine }) => ({ kind: "target_let_go", machine, why: "excused" }) as const);
    const failures = of.leftFailed + of.goneFailed;
    return failures === 0 && of.goneLost === 0 ? excused : [...excused, { kind: "failures_acknowledged", wave, failures, unreachable: 0, areSilentLeft: true, isGoneExcused: true }];
  });
}

function hasLeft({ waves }: RolloutState): boolean {
  return waves.some(({ targets, goneFailed, goneKnown, goneLost }) => goneFailed > goneKnown || goneLost > 0 || targets.some(({ leftAs, isKnown }) => leftAs === "lost" || (leftAs === "failed" && !isKnown)));
}

function retry(state: RolloutState): readonly RolloutChange[] {
  const failed = failedTargets(state);
  const again = failed.length === 0 ? [] : [{ kind: "targets_retried" } as const];
  const known = state.phase === "succeeded" || state.phase === "failed" ? excuseLeft(state) : [];
  const goOn = state.phase === "failed" || state.phase === "paused" ? [{ kind: "phase_changed", phase: "rolling", reason: null } as const] : [];
  return [...again, ...known, ...askAgain(state), ...measureAnew(state), ...goOn];
}
