/**
 * What one machine waits for now in a deployment, and what would let it go on. Pure.
 */
import { durationText } from "@muster/proto/duration.ts";
import { counted } from "@muster/proto/text.ts";
import { blockers, hasPlace } from "../rollout/place.ts";
import { isBackTail, isEnded, isHeldBesideMoves, isOvertaken, isSupersededBack, isToRevert, isTouched, type RolloutState, type Target } from "../rollout/state.ts";
import { OPEN_SURROUNDINGS } from "../rollout/surroundings.ts";
import { tailWait } from "../rollout/tail.ts";
import { holdText } from "../rollout/words.ts";
import type { ReportAccepted } from "../journal/entry.ts";
import { canAsk, type Standpoint, ways } from "./ways.ts";
import { backText, because, is, listText } from "./words.ts";

/** `said`: what its agent said last about what it was told. `isRevoked`: nothing is heard of it any more. */
export function machineNow(standpoint: Standpoint, target: Target, said: ReportAccepted | undefined, isRevoked: boolean): readonly string[] {
  const { state, isStanding, later } = standpoint;
  const { id, phase } = state;
  const { machine } = target;
  const isOpen = !isEnded(phase) || (phase === "succeeded" && isStanding);
  if (isBackTail(state) && isTouched(target) && isOvertaken(target)) {
    return later === undefined ? [`${machine} goes back ${backText(state, target.previous)} when the newer deployment ends without it (${target.reason?.message})`] : [];
  }
  if ((phase === "rolling_back" || isSupersededBack(state)) && isToRevert(target) && target.state !== "unreachable") return [`${machine} goes back ${backText(state, target.previous)} when its turn comes: newest wave first, at most ${state.maxUnavailable} at once`];
  const answered = said?.generation === target.generation ? said : undefined;
  switch (target.state) {
    case "healthy":
    case "reverted":
    case "removed":
      return [];
    case "failed":
      return canAsk(state, "retry") && later === undefined ? [`${machine} takes its turn again with: muster retry ${id}`] : [];
    case "updating":
      return [
        `it waits for the agent of ${machine} to say that ${state.release} has been healthy for ${durationText(state.strategy.minHealthyTimeMs)}${saidText(answered)}`,
        `if that has not come ${withinText(state)}, ${machine} goes back by itself`,
      ];
    case "reverting":
      return [`it waits for the agent of ${machine} to say that it is back ${backText(state, target.previous).replace(/^to (?!being)/, "on ")}${saidText(answered)}`];
    case "unreachable":
      return isOpen && !isRevoked ? [`${machine} ${target.purpose === null ? "has its turn" : target.purpose === "revert" ? "goes back" : "goes on"} when it is heard from again: is its agent running, and can it reach the controller?`] : [];
    case "skipped":
      if (!isOpen) return [];
      if (target.reason?.code === "unmatched") return [`${machine} starts when its labels match ${state.strategy.targets} again`];
      if (target.reason?.code === "superseded" && !isEnded(state.phase)) return [`${machine} does not start here: ${target.reason.message}`];
      if (target.reason?.code === "superseded") return [`${machine} has its turn here again when the newer deployment ends without it (${target.reason.message})`];
      return standpoint.isCordoned(machine) ? [`${machine} is cordoned and has its turn after: muster uncordon ${machine}`] : [];
    case "pending":
      return isOpen ? pendingNow(standpoint, target) : [];
  }
}

/** An older release has the longest of what deployments gave it, which is not kept here. */
function withinText({ release, strategy }: RolloutState): string {
  return strategy.isWayBack === true ? `in the time that ${release} has had before, or 30s` : `within ${durationText(strategy.healthyDeadlineMs)} (healthy_deadline)`;
}

function saidText(said: ReportAccepted | undefined): string {
  return said === undefined ? "; it has not answered yet" : `; it says: ${said.phase}${because(said.reason)}`;
}

function pendingNow(standpoint: Standpoint, target: Target): readonly string[] {
  const { state, waiting } = standpoint;
  const { id, phase, hold } = state;
  const wave = state.waves[target.wave]!;
  if (phase === "paused") return [`${id} is paused`, ...ways(state, waiting)];
  if (phase === "rolling_back") return [];
  const late = tailWait(state);
  if (late !== undefined) return [`it waits for ${late}`];
  if (wave.startedAt === null) {
    const open = state.waves.slice(0, target.wave).flatMap(({ finishedAt }, index) => (finishedAt === null ? [String(index + 1)] : []));
    const first = open.length === 0 ? `wave ${target.wave + 1} has not begun yet` : `${open.length === 1 ? "wave" : "waves"} ${listText(open, open.length)} must pass first`;
    return [`${first}${waiting === "" ? "" : `: it waits for ${waiting}`}`, ...ways(state, waiting)];
  }
  if (hold !== null && !isHeldBesideMoves(state)) return [`it waits for ${holdText(state)!}`, ...ways(state, waiting)];
  const ahead = othersAhead(state, target);
  return [
    ahead === 0 ? "it has the next turn" : `it has its turn after ${counted(ahead, "other")}`,
    ...full(state, target),
  ];
}

function othersAhead(state: RolloutState, target: Target): number {
  let ahead = 0;
  for (const wave of state.waves.slice(0, target.wave + 1)) {
    if (wave.startedAt === null || wave.counts.pending === 0) continue;
    for (const other of wave.targets) if (other.state === "pending" && (other.wave < target.wave || other.position < target.position)) ahead += 1;
  }
  return ahead;
}

function full(state: RolloutState, target: Target): readonly string[] {
  const { changing, down } = state.availability;
  if (!hasPlace(state, target, state.maxUnavailable, "update")) {
    const moving = [...changing];
    const away = down.size === 0 ? "" : `, and ${down.size} more ${is(down.size)} down`;
    return [`the window is full: ${listText(moving)} ${is(moving.length)} on the move${away}; ${state.maxUnavailable} may be unavailable at once (muster set ${state.id} max_unavailable N changes that)`];
  }
  const blocker = blockers(state, OPEN_SURROUNDINGS, "update")(target);
  if (blocker?.of !== "lane") return [];
  const key = blocker.keys.at(-1)!;
  return [key.includes("=") ? `as many machines of ${key} are on the move as may be at once` : `machines of another ${key} are on the move, and only one ${key} may be at a time`];
}
