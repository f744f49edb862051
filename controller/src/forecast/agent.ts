/**
 * A machine and its agent, as a forecast has them: what comes of an assignment, and when. It follows agent/src/machine where that can be foreseen, and
 * takes the worse where it can't: a release that is broken is never well, so that its agent waits for the whole healthy_deadline before it goes
 * back, though one whose process ends is found out sooner. A release that breaks before it was confirmed is taken back by its agent, too.
 */
import type { Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { AgentPhase, Purpose } from "../rollout/state.ts";
import { ANSWER_MS, type Pace, workMs } from "./pace.ts";
import type { Fate } from "./world.ts";

export interface Agent {
  readonly machine: MachineId;
  /** Its place among all targets. */
  readonly turn: number;
  readonly fate: Fate;
  /** It has something to go back to. */
  readonly hasPrevious: boolean;
  /** Of its last assignment: what was to come of an earlier one does not come any more. */
  generation: Generation;
  /** What that told it. */
  purpose: Purpose;
  /** The release was activated, and the machine is not back yet. */
  runsRelease: boolean;
  /** When it had gone back by itself; 0: it has not. */
  backAt: Instant;
  /** The release was healthy there. */
  wasHealthy: boolean;
  /** It was, and its wave has passed: the agent keeps it, whatever becomes of it. */
  isConfirmed: boolean;
  /** When the release takes the machine with it; 0: it does not. */
  diesAt: Instant;
}

export type Reported = Extract<AgentPhase, "healthy" | "unhealthy" | "reverting" | "reverted" | "failed" | "removed">;

/** What happens on a machine. */
export interface Happening {
  readonly at: Instant;
  readonly agent: Agent;
  readonly generation: Generation;
  /** `activated` is not reported, `broke` is as what comes of it, and a machine that `died` reports nothing any more; the others are. */
  readonly what: "activated" | "broke" | "died" | Reported;
}

/** What holds for all machines. */
export interface Model {
  readonly strategy: Pick<Strategy, "minHealthyTimeMs" | "healthyDeadlineMs">;
  readonly pace: Pace;
  /** From the moment at which a release breaks until it is found out; null: nothing would ever find it out. */
  readonly noticeMs: number | null;
}

/** The machine is told; what comes of it. */
export function tell(agent: Agent, purpose: Purpose, generation: Generation, now: Instant, model: Model): readonly Happening[] {
  agent.generation = generation;
  agent.purpose = purpose;
  agent.isConfirmed = false;
  return purpose === "update" ? toldToUpdate(agent, now, model) : toldToGoBack(agent, now, model);
}

/** `happened`: not of an earlier assignment. */
export function take(happened: Happening): void {
  const { agent, what, at } = happened;
  switch (what) {
    case "activated":
      agent.runsRelease = true;
      agent.backAt = 0 as Instant;
      return;
    case "reverted":
    case "failed":
      agent.runsRelease = false;
      agent.backAt = at;
      return;
    case "removed":
      agent.runsRelease = false;
      return;
    case "healthy":
      agent.wasHealthy = agent.purpose === "update";
      if (agent.purpose === "revert") agent.runsRelease = false;
      return;
    case "broke":
    case "died":
    case "unhealthy":
    case "reverting":
      return;
  }
}

/** A release that was healthy is so no more: the agent says so, and takes back what was not confirmed, if it has something to go back to. */
export function broken({ agent, generation, at }: Happening, { pace }: Model): { readonly phase: Reported; readonly next: readonly Happening[] } {
  if (agent.isConfirmed || !agent.hasPrevious) return { phase: "unhealthy", next: [] };
  return { phase: "reverting", next: [{ at: (at + workMs(pace, agent.turn)) as Instant, agent, generation, what: "reverted" }] };
}

function toldToUpdate(agent: Agent, now: Instant, model: Model): readonly Happening[] {
  const { strategy, pace, noticeMs } = model;
  const { generation, fate } = agent;
  const after = (ms: number, what: Happening["what"]): Happening => ({ at: (now + ms) as Instant, agent, generation, what });
  const work = workMs(pace, agent.turn);
  const activatedMs = Math.max(0, work - pace.probingMs);
  const healthyMs = work + strategy.minHealthyTimeMs;
  const activated = after(activatedMs, "activated");
  const works = [activated, after(healthyMs, "healthy")];
  agent.wasHealthy = false;
  agent.diesAt = (fate.kind === "takes_machine" ? now + healthyMs + fate.afterMs : 0) as Instant;
  if (fate.kind === "takes_machine") return [...works, { at: agent.diesAt, agent, generation, what: "died" }];
  if (fate.kind === "well" || noticeMs === null) return works;
  if (fate.kind === "breaks" && activatedMs + fate.afterMs > healthyMs) {
    return [...works, after(activatedMs + fate.afterMs + noticeMs, "broke")];
  }
  // Without an earlier release there is nothing to start: its agent takes the files away, and that is all.
  const deadlineMs = strategy.healthyDeadlineMs;
  const ends = agent.hasPrevious ? [after(deadlineMs, "reverting"), after(deadlineMs + work, "reverted")] : [after(deadlineMs + ANSWER_MS, "failed")];
  return activatedMs < deadlineMs ? [activated, ...ends] : ends;
}

/** Who never left what it ran, or is back by itself, only has to say that it has been well for long enough. */
function toldToGoBack(agent: Agent, now: Instant, { strategy, pace }: Model): readonly Happening[] {
  const { generation, diesAt } = agent;
  // It may be too late: what still runs does its harm until it is stopped.
  const stoppedAt = now + (agent.hasPrevious ? Math.max(0, workMs(pace, agent.turn) - pace.probingMs) : ANSWER_MS);
  if (agent.runsRelease && diesAt !== 0 && diesAt <= stoppedAt) return [{ at: diesAt, agent, generation, what: "died" }];
  if (!agent.hasPrevious) return [{ at: (now + ANSWER_MS) as Instant, agent, generation, what: "removed" }];
  const minHealthyTimeMs = strategy.minHealthyTimeMs;
  const at = agent.runsRelease
    ? now + workMs(pace, agent.turn) + minHealthyTimeMs
    : Math.max(now + ANSWER_MS, agent.backAt === 0 ? 0 : agent.backAt + minHealthyTimeMs);
  return [{ at: at as Instant, agent, generation, what: "healthy" }];
}
