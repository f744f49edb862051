/**
 * What came to a target while nobody drove its rollout, which a bug had paused, or which had ended and goes on: the events that would have been, from what its machine says and is now, and from the journal
 * where that does not show it any more.
 *
 * A machine that is as the rollout knows it yields events that change nothing.
 */
import type { DeploymentId, Generation, MachineId } from "@muster/proto/ids.ts";
import { type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import type { MachineRemoved } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { statement } from "../journal/statement.ts";
import { removalReason } from "../journal/removal.ts";
import { isCommand } from "../rollout/command.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import { type AgentPhase, isBroken, isEnded, isOvertaken, releaseTold, type RolloutPhase, type RolloutReason, type RolloutState, type Target } from "../rollout/state.ts";
import { unmatchedReason } from "../rollout/words.ts";
import type { World } from "./world.ts";

interface Said {
  readonly phase: AgentPhase;
  readonly reason: string | null;
  readonly runs: string | null;
}

/** An operator's command drives on a rollout that nobody drove: a bug stopped it, or it has ended. A retry after success does not: its machines are watched no more, and only failed targets start again. */
export function isTakenUp(state: RolloutState, event: RolloutEvent | undefined): event is RolloutEvent {
  if (event === undefined || !isCommand(event)) return false;
  return isBroken(state) || (isEnded(state.phase) && (event.kind === "rollback" || (event.kind === "retry" && state.phase !== "succeeded")));
}

/** The row with which a rollout came to this phase last. Such rows stay in the database. */
export function phaseSeq({ db }: Journal, id: DeploymentId, phase: RolloutPhase): number {
  return statement(db, "SELECT coalesce(max(seq), 0) FROM journal WHERE deployment = ? AND kind = 'phase_changed' AND data ->> 'phase' = ?").pluck().get(id, phase) as number;
}

/** What is compared for each of many targets. */
export interface Comparison {
  readonly world: World;
  readonly journal: Journal;
  /** Row of the journal from which on nobody drove the rollout. */
  readonly since: number;
  /** Of the whole fleet, read once: a question to the tables for each of thousands of targets would hold the loop. */
  readonly labels: ReadonlyMap<MachineId, Labels>;
  /** What the deployment asks for. */
  readonly matches: Selector;
}

/** Each event is to be decided before the next is asked for. */
export function* missedBy(state: RolloutState, target: Target, { world, journal, since, labels: labelsOf, matches: selector }: Comparison): Generator<RolloutEvent> {
  const { app } = state;
  const { machine, generation, purpose } = target;
  if (target.state === "removed") return;
  if (state.phase === "rolling_back" && isOvertaken(target)) {
    // It was left to a newer deployment, which has told it nothing.
    const stands = world.availabilities.assignedTo(machine, app);
    if (stands?.deployment === state.id && stands.release === state.release) yield { kind: "left_again", machine };
    return;
  }
  const { availabilities } = world;
  const assigned = availabilities.assignedTo(machine, app);
  const isOwn = assigned?.deployment === state.id;
  // A drain gave the machine something else to run than it was told here.
  const isGivenBack = isOwn && purpose !== null && assigned.release !== releaseTold(state, target);
  const answer = isOwn && !isGivenBack ? availabilities.answerOf(machine, app) : undefined;
  // The usual case: needs no query.
  if (target.state === "healthy" && answer === "healthy" && assigned?.generation === generation && availabilities.of(machine, app) === "available") return;
  // A lost machine says how it is when it is heard again.
  if (purpose !== null && target.state !== "unreachable") {
    // The machine may have been assigned anew since, or removed.
    const said = assigned?.generation === generation && answer !== undefined ? undefined : saidSince(journal, machine, app, generation, since);
    if (said !== undefined) yield { kind: "reported", machine, generation, phase: said.phase, reason: said.reason === null ? null : (JSON.parse(said.reason) as RolloutReason | null), runs: said.runs };
    if (answer !== undefined) yield { kind: "reported", machine, generation, phase: answer, reason: world.reason(machine, app), runs: null };
  }
  const labels = labelsOf.get(machine);
  // The same holds for most targets that have not started.
  const isFree = !world.isSilent(machine) && !availabilities.isDrained(machine) && !world.isCordoned(machine);
  if (target.state === "pending" && target.attempts === 0 && isFree && labels !== undefined && selects(selector, labels)) return;
  // A new machine of the same name has never been assigned anything.
  const isAnother = target.attempts > 0 && assigned === undefined;
  if (labels === undefined || isAnother) return yield removal(journal, machine, state.id);
  if (!isOwn && purpose !== null) yield { kind: "reassigned", machine };
  if (world.isSilent(machine) && !world.isExcused(machine, app)) {
    yield { kind: "fell_silent", machine, reason: world.silenceReason(app, target, "nothing is heard from the machine") };
  }
  if (world.isCordoned(machine)) yield { kind: "cordoned", machine };
  if (isGivenBack) yield { kind: "given_back", machine };
  else if (availabilities.isDrained(machine)) yield { kind: "drained", machine };
  if (availabilities.isDrained(machine)) return;
  yield selects(selector, labels) ? { kind: "matched", machine } : { kind: "unmatched", machine, reason: unmatchedReason(state.strategy) };
  if (world.isSilent(machine)) return;
  yield { kind: "heard_again", machine, answer: world.owes(machine) ? undefined : answer, wasRenewed: false };
  if (!world.isCordoned(machine)) yield { kind: "uncordoned", machine };
  if (availabilities.isOverdue(machine, app) && assigned?.deployment === state.id) {
    yield { kind: "overdue", machine, generation, reason: { code: "no_answer", message: "no answer within healthy_deadline" } };
  }
  // The machine has another disk, and has said nothing since.
  if (assigned?.generation === generation && answer === undefined) yield { kind: "began_anew", machine };
}

/** The newest answer to what it was told here. The archive is held back as long as a rollout is paused by a bug. */
function saidSince({ db }: Journal, machine: MachineId, app: string, generation: Generation, since: number): Said | undefined {
  return statement(
    db,
    `SELECT data ->> 'phase' AS phase, data -> 'reason' AS reason, data ->> 'runningVersion' AS runs FROM journal
     WHERE machine = ? AND app = ? AND seq > ? AND kind = 'report_accepted' AND data ->> 'generation' = ? ORDER BY seq DESC LIMIT 1`,
  ).get(machine, app, since, generation) as Said | undefined;
}

/** The removal of the machine: who asked for it, and whether the machine was lost with the release, as was written down then. Such rows stay in the database. */
function removal({ db }: Journal, machine: MachineId, id: DeploymentId): RolloutEvent {
  const stored = statement(db, "SELECT data FROM journal WHERE machine = ? AND kind = 'machine_removed' ORDER BY seq DESC LIMIT 1").pluck().get(machine) as string | undefined;
  const { by, reason, lostWith = [] } = (stored === undefined ? { by: "", reason: "" } : JSON.parse(stored)) as Pick<MachineRemoved, "by" | "reason" | "lostWith">;
  return { kind: "removed", machine, reason: removalReason({ by, reason }), leftWell: !lostWith.includes(id) };
}
