/**
 * What must hold of every rollout after every change: checked in tests, in simulation and in production. A violation is a bug and stops the engine
 * before anything is written.
 *
 * `checkRollout` costs O(waves). `auditRollout` counts everything again, O(targets): for tests and after loading.
 */
import { emptyCounts, isEnded, TARGET_STATES, type RolloutState } from "./state.ts";

export class InvariantViolation extends Error {
  constructor(state: RolloutState, what: string) {
    super(`rollout ${state.id} (${state.phase}): ${what}`);
    this.name = "InvariantViolation";
  }
}

export function checkRollout(state: RolloutState): void {
  let total = 0;
  let moving = 0;
  state.waves.forEach((wave, index) => {
    const sum = TARGET_STATES.reduce((counted, name) => counted + wave.counts[name], 0);
    demand(state, sum === wave.targets.length, `wave ${index + 1} counts ${sum} of its ${wave.targets.length} targets`);
    demand(state, TARGET_STATES.every((name) => wave.counts[name] >= 0), `wave ${index + 1} has a negative count`);
    const touched = wave.targets.length - wave.counts.pending;
    demand(state, index <= state.wave || touched === 0, `wave ${index + 1} was touched before its turn (wave ${state.wave + 1} is under way)`);
    total += wave.targets.length;
    moving += wave.counts.updating + wave.counts.reverting;
  });
  demand(state, total === state.targets.size, `${total} planned targets, ${state.targets.size} known`);
  demand(state, moving === state.moving.size, `${moving} targets move, ${state.moving.size} are known to`);
  demand(state, state.phase !== "rolled_back" || moving === 0, "ended its rollback with targets on the move");
  demand(state, state.phase === "pending" || isEnded(state.phase) || state.waves.length > 0 || state.phase === "rolling", "moves without a plan");
}

/** A new start must never go past the window; machines that come back from silence may, since nobody chose the moment. */
export function checkWindow(state: RolloutState): void {
  demand(state, state.moving.size <= state.maxUnavailable, `${state.moving.size} targets on the move, ${state.maxUnavailable} allowed`);
}

export function auditRollout(state: RolloutState): void {
  checkRollout(state);
  state.waves.forEach((wave, index) => {
    const counts = emptyCounts();
    for (const target of wave.targets) {
      counts[target.state] += 1;
      demand(state, target.wave === index, `${target.machine} is in wave ${index + 1} and says ${target.wave + 1}`);
      demand(state, state.targets.get(target.machine) === target, `${target.machine} is known twice`);
      const moves = target.state === "updating" || target.state === "reverting";
      demand(state, moves === state.moving.has(target.machine), `${target.machine} is ${target.state} and ${moves ? "not " : ""}counted as moving`);
      demand(state, (target.state === "pending") === (target.purpose === null), `${target.machine} is ${target.state} with purpose ${target.purpose}`);
    }
    for (const name of TARGET_STATES) {
      demand(state, counts[name] === wave.counts[name], `wave ${index + 1} has ${counts[name]} ${name} and counts ${wave.counts[name]}`);
    }
  });
}

function demand(state: RolloutState, holds: boolean, what: string): void {
  if (!holds) throw new InvariantViolation(state, what);
}
