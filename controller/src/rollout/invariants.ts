/**
 * What must hold of every rollout after every change: checked in tests, in simulation and in production. A violation is a bug: nothing of the change is
 * written, that rollout is paused, and all others go on (engine/own-bug.ts).
 *
 * `checkRollout` costs O(waves), `checkChange` O(1). `auditRollout` counts everything again, O(targets): for tests and after loading.
 */
import type { RolloutChange } from "./change.ts";
import { hasRoom } from "./availability.ts";
import { laneKeys } from "./derived.ts";
import { emptyCounts, isCounted, isEnded, isHeldBesideMoves, isMoving, newCount, TARGET_STATES, type RolloutState, type Target, type WaveState } from "./state.ts";

export class InvariantViolation extends Error {
  constructor(state: RolloutState, what: string) {
    super(`rollout ${state.id} (${state.phase}): ${what}`);
    this.name = "InvariantViolation";
  }
}

/** After each change: what that change could have broken. */
export function checkChange(state: RolloutState, change: RolloutChange): void {
  if (change.kind === "wave_finished") {
    const wave = state.waves[change.wave]!;
    const { successThreshold, counts } = wave;
    const outstanding = counts.pending + counts.updating + counts.reverting;
    const isEnough = successThreshold !== null && newCount(wave, "healthy") >= successThreshold;
    demand(state, outstanding === 0 || isEnough, `wave ${change.wave + 1} was finished with ${outstanding} targets that had not settled, and ${counts.healthy} healthy`);
  }
  if (change.kind !== "target_assigned" && change.kind !== "target_changed") return checkRollout(state);
  const target = state.targets.get(change.machine)!;
  checkWave(state, target.wave, state.waves[target.wave]!);
  if (change.kind === "target_assigned") checkStart(state, target);
}

export function checkRollout(state: RolloutState): void {
  let total = 0;
  let moving = 0;
  state.waves.forEach((wave, index) => {
    checkWave(state, index, wave);
    total += wave.targets.length;
    moving += wave.counts.updating + wave.counts.reverting;
  });
  demand(state, total === state.targets.size, `${total} planned targets, ${state.targets.size} known`);
  demand(state, moving === state.moving.size, `${moving} targets move, ${state.moving.size} are known to`);
  demand(state, state.phase === "pending" || isEnded(state.phase) || state.waves.length > 0 || state.phase === "rolling", "moves without a plan");
  demand(state, !state.beganBack || (state.phase !== "rolling" && state.phase !== "succeeded"), "goes forward after its rollback has begun");
  demand(state, state.hold === null || state.moving.size === 0 || isHeldBesideMoves(state), `is held by ${state.hold?.kind} with targets on the move`);
}

function checkWave(state: RolloutState, index: number, wave: WaveState): void {
  let sum = 0;
  for (const name of TARGET_STATES) {
    demand(state, wave.counts[name] >= 0, `wave ${index + 1} has a negative count`);
    sum += wave.counts[name];
  }
  demand(state, sum === wave.targets.length, `wave ${index + 1} counts ${sum} of its ${wave.targets.length} targets`);
  // A target that is selected no longer may be skipped at any time.
  const touched = wave.targets.length - wave.counts.pending - wave.counts.removed - wave.counts.skipped;
  demand(state, wave.startedAt !== null || touched === 0, `wave ${index + 1} was touched before its turn (wave ${state.wave + 1} is under way)`);
  const before = state.waves[index - 1];
  demand(state, before === undefined || wave.startedAt === null || before.finishedAt !== null, `wave ${index + 1} has begun before wave ${index} was finished`);
  demand(state, wave.finishedAt === null || wave.gates.every((gate) => gate.state === "open"), `wave ${index + 1} was finished with a gate closed`);
}

/**
 * A start must never go past the window or its lanes. Asked before its machine counts as changing: a machine that does not serve already costs nothing more, and a machine that comes
 * back from silence was chosen by nobody.
 */
function checkStart(state: RolloutState, target: Target): void {
  if (target.state === "updating") demand(state, state.phase === "rolling" || state.phase === "succeeded", `${target.machine} was told of the release`);
  const { changing, down, failing, changingIn, downIn } = state.availability;
  // The machine is drained: whatever it is told, nothing runs there.
  if (target.state === "reverting" && down.has(target.machine) && !failing.has(target.machine)) return;
  if (changing.has(target.machine) || failing.has(target.machine)) {
    const beside = changing.size - (changing.has(target.machine) ? 1 : 0);
    demand(state, target.state !== "updating" || beside < state.maxUnavailable, `${beside} targets are changing, ${state.maxUnavailable} allowed`);
    return;
  }
  const others = down.size - (down.has(target.machine) ? 1 : 0);
  demand(state, hasRoom({ max: state.maxUnavailable, changing: changing.size, down: others }), `${changing.size} targets are changing and ${others} down, ${state.maxUnavailable} allowed`);
  if (state.lanes.length === 0) return;
  const { values } = laneKeys(state, target);
  for (const [index, { label, max }] of state.lanes.entries()) {
    const inLane = changingIn.get(values[index]!) ?? 0;
    if (max === null) demand(state, (changingIn.get(label) ?? 0) === inLane, `targets of two values of ${label} are changing`);
    else demand(state, hasRoom({ max, changing: inLane, down: downIn.get(values[index]!) ?? 0 }), `${inLane} targets with ${values[index]} are changing, ${max} allowed`);
  }
}

export function auditRollout(state: RolloutState): void {
  checkRollout(state);
  state.waves.forEach((wave, index) => {
    const counts = emptyCounts();
    const countsOnTrial = emptyCounts();
    let counted = 0;
    let leftFailed = 0;
    let last = -1;
    for (const target of wave.targets) {
      counts[target.state] += 1;
      if (target.onTrial) countsOnTrial[target.state] += 1;
      if (isCounted(state, target)) counted += 1;
      if (target.leftAs === "failed") leftFailed += 1;
      demand(state, target.leftAs === null || target.state === "removed" || target.state === "skipped", `${target.machine} is ${target.state} and has left as ${target.leftAs}`);
      demand(state, (target.state === "unreachable" && target.letGo === null) === wave.awaited.has(target), `${target.machine} is ${target.state} and ${wave.awaited.has(target) ? "" : "not "}awaited`);
      // Targets in the archive leave gaps.
      demand(state, target.wave === index && target.position > last, `${target.machine} is in wave ${index + 1} after position ${last} and says ${target.wave + 1}/${target.position}`);
      last = target.position;
      demand(state, state.targets.get(target.machine) === target, `${target.machine} is known twice`);
      demand(state, isMoving(target) === state.moving.has(target.machine), `${target.machine} is ${target.state} and ${isMoving(target) ? "not " : ""}counted as moving`);
      demand(state, fits(state, target), `${target.machine} is ${target.state} with purpose ${target.purpose}`);
    }
    demand(state, leftFailed === wave.leftFailed, `${leftFailed} targets of wave ${index + 1} have left as failed, and ${wave.leftFailed} are counted`);
    demand(state, counted === wave.counted, `wave ${index + 1} has ${counted} unreachable that count, and counts ${wave.counted}`);
    for (const name of TARGET_STATES) {
      demand(state, counts[name] === wave.counts[name], `wave ${index + 1} has ${counts[name]} ${name} and counts ${wave.counts[name]}`);
      demand(state, countsOnTrial[name] === wave.countsOnTrial[name], `wave ${index + 1} has ${countsOnTrial[name]} ${name} on trial and counts ${wave.countsOnTrial[name]}`);
    }
  });
}

/** A target that was not told can be neither on its way nor there. A machine whose way back failed may be about to try again. */
function fits(state: RolloutState, { state: stands, purpose }: Target): boolean {
  switch (stands) {
    case "pending":
    case "skipped":
    case "removed":
      return purpose === null;
    case "unreachable":
      return true;
    case "failed":
      return purpose !== null || state.phase === "rolling_back" || isEnded(state.phase);
    case "updating":
    case "healthy":
      return purpose === "update";
    case "reverting":
    case "reverted":
      return purpose === "revert";
  }
}

function demand(state: RolloutState, holds: boolean, what: string): void {
  if (!holds) throw new InvariantViolation(state, what);
}
