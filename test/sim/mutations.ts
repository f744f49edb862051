/**
 * Bugs to put into the engine or the agent, one for each invariant of the simulation at least: the simulation must find each of them. Where the engine would catch
 * the bug itself, that check of its own is taken out too, so that what is tried is the simulation's.
 */
import type { Invariant } from "./violation.ts";

export interface Edit {
  /** From the repository's root. */
  readonly file: string;
  /** Found exactly once. */
  readonly find: string;
  readonly put: string;
}

export interface Mutation {
  /** What the bug does, in words. */
  readonly name: string;
  readonly breaks: Invariant;
  readonly edits: readonly Edit[];
}

const ROLLOUT = "controller/src/rollout";
const ENGINE = "controller/src/engine";
const CHECKS = `${ROLLOUT}/invariants.ts`;

const NO_WINDOW_CHECK: Edit = { file: CHECKS, find: "demand(state, state.moving.size <= state.maxUnavailable,", put: "demand(state, true," };
const NO_LANE_CHECK: Edit = { file: CHECKS, find: "if (state.lanes.length === 0) return;", put: "if (state.lanes.length >= 0) return;" };
const NO_GATE_CHECK: Edit = { file: CHECKS, find: "demand(state, wave.finishedAt === null ||", put: "demand(state, wave.finishedAt !== undefined ||" };
const NO_FINISH_CHECK: Edit = { file: CHECKS, find: "demand(state, outstanding === 0 || isEnough,", put: "demand(state, true," };
const NO_SUM_CHECK: Edit = { file: CHECKS, find: "demand(state, sum === wave.targets.length,", put: "demand(state, true," };
const NO_PHASE_CHECK: Edit = { file: CHECKS, find: 'demand(state, state.phase === "rolling" || state.phase === "succeeded",', put: "demand(state, true," };
const NO_RIVAL_CHECK: Edit = { file: `${ENGINE}/rollouts.ts`, find: 'assert(state.phase !== "rolling" ||', put: "assert(state.id !== undefined ||" };
const NO_PLACE: Edit = { file: `${ROLLOUT}/place.ts`, find: "return hasRoom(window, state.moving.size, others);", put: "return window + others > 0;" };

export const MUTATIONS: readonly Mutation[] = [
  { name: "max_unavailable is not looked at", breaks: "window_holds", edits: [NO_WINDOW_CHECK, NO_PLACE] },
  {
    name: "machines that are unwell take no place in the window",
    breaks: "window_holds",
    edits: [{ file: `${ROLLOUT}/place.ts`, find: "return hasRoom(window, state.moving.size, others);", put: "return state.moving.size < Math.max(others < 0 ? 0 : 1, window);" }],
  },
  {
    name: "spread and max_unavailable_per are not looked at",
    breaks: "lanes_hold",
    edits: [NO_LANE_CHECK, { file: `${ROLLOUT}/place.ts`, find: "const inLane = state.movingIn.get(values[index]!) ?? 0;", put: "const inLane = Math.min(0, state.movingIn.get(values[index]!) ?? 0); if (label !== undefined) continue;" }],
  },
  {
    name: "what comes first is not looked at when it is reversed",
    breaks: "in_order",
    edits: [{ file: "controller/src/plan/order.ts", find: 'const isReversed = key.kind !== "shuffle" && key.reversed;', put: "const isReversed = false;" }],
  },
  {
    name: "budgets of groups are not looked at",
    breaks: "budgets_hold",
    edits: [{ file: `${ENGINE}/budgets.ts`, find: "if (!group.members.has(machine)) continue;\n      if (!budgetHasRoom", put: "if (group.max >= 0) continue;\n      if (!budgetHasRoom" }],
  },
  {
    name: "a wave is finished while targets are under way",
    breaks: "wave_order",
    edits: [NO_FINISH_CHECK, { file: `${ROLLOUT}/rolling.ts`, find: "if (state.moving.size > 0) return WAIT;", put: "if (state.moving.size > 1) return WAIT;" }],
  },
  {
    name: "a wave is passed on one healthy target too early",
    breaks: "wave_order",
    edits: [NO_FINISH_CHECK, { file: `${ROLLOUT}/state.ts`, find: "counts.healthy >= successThreshold", put: "counts.healthy + 1 >= successThreshold" }],
  },
  {
    name: "gates are not asked",
    breaks: "gates_hold",
    edits: [NO_GATE_CHECK, { file: `${ROLLOUT}/rolling.ts`, find: "?? gateStep(state, wave, now) ??", put: "?? (state.waves.length < 0 ? gateStep(state, wave, now) : undefined) ??" }],
  },
  {
    name: "a soak does not begin anew when a target changes",
    breaks: "gates_hold",
    edits: [{ file: `${ROLLOUT}/gates.ts`, find: "changedAt > now ? gate.since : Math.max(gate.since, changedAt)", put: "gate.since" }],
  },
  {
    name: "nobody needs to approve",
    breaks: "gates_hold",
    edits: [{ file: `${ROLLOUT}/gates.ts`, find: 'case "approval":\n      return { kind: "wait", until: undefined };', put: 'case "approval":\n      return { kind: "open", said: "" };' }],
  },
  {
    name: "start_at is not waited for",
    breaks: "begins_in_time",
    edits: [{ file: `${ENGINE}/starts.ts`, find: "if (startAt === null || now >= startAt) return undefined;", put: "if (startAt === null || now >= 0) return undefined;" }],
  },
  {
    name: "nobody needs to start what asks for it",
    breaks: "begins_in_time",
    edits: [{ file: `${ENGINE}/starts.ts`, find: "return beforeApproval(state) ??", put: "return" }],
  },
  {
    name: "a freeze starts what it should not",
    breaks: "closed_is_still",
    edits: [{ file: `${ENGINE}/calendar.ts`, find: "if (inForce !== undefined) {", put: "if (inForce !== undefined && now < 0) {" }],
  },
  {
    name: "a cordoned machine has its turn",
    breaks: "cordoned_is_left",
    edits: [{ file: `${ROLLOUT}/step.ts`, find: "if (world.isCordoned(target.machine)) {", put: "if (world.isCordoned(target.machine) && target.position < 0) {" }],
  },
  {
    name: "a removed machine that is on the move goes on holding its wave up",
    breaks: "removed_is_left",
    edits: [{ file: `${ROLLOUT}/decide.ts`, find: 'if (target === undefined || target.state === "removed") return [];', put: 'if (target === undefined || target.state === "removed" || isMoving(target)) return [];' }],
  },
  {
    name: "a rollback touches machines that were removed",
    breaks: "removed_is_left",
    edits: [{ file: `${ROLLOUT}/state.ts`, find: 'return attempts > 0 && state !== "removed";', put: 'return attempts > 0 && state !== "pending";' }],
  },
  {
    name: "deployments that have ended still count on a machine that was removed",
    breaks: "removed_is_left",
    edits: [{ file: "controller/src/journal/project.ts", find: "for (const change of removalOf(entry)) projectRollout(change, { seq, at, attended });", put: "" }],
  },
  {
    name: "a removed machine is still watched for silence",
    breaks: "removed_is_left",
    edits: [{ file: `${ENGINE}/fleet-orders.ts`, find: "world.fleet.forget(machine);", put: "" }],
  },
  {
    name: "a new machine is taken for the one that was removed under its name",
    breaks: "labels_are_given",
    edits: [{ file: "controller/src/journal/writes.ts", find: 'statement("DELETE FROM machines WHERE id = ?"),', put: "" }],
  },
  {
    name: "an agent's hello brings its own labels back",
    breaks: "labels_are_given",
    edits: [
      { file: `${ENGINE}/engine.ts`, find: "if (known === undefined) {\n      append(said);", put: "if (known === undefined || !isDeepStrictEqual(labels, said.labels)) {\n      append(said);" },
      { file: `${ENGINE}/engine.ts`, find: "|| isOther(known, said)) await", put: "|| !isDeepStrictEqual(known, said)) await" },
    ],
  },
  {
    name: "one failure more than allowed",
    breaks: "failures_stop",
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "counts.failed - acknowledgedFailures > maxFailures", put: "counts.failed - acknowledgedFailures > maxFailures + 1" }],
  },
  {
    name: "an alarm stops the rollout one answer too late",
    breaks: "alarms_stop",
    edits: [{ file: `${ROLLOUT}/alarms.ts`, find: "state.rung > state.alarm.failureLimit", put: "state.rung > state.alarm.failureLimit + 1" }],
  },
  {
    name: "machines are told before the alarms were quiet",
    breaks: "alarms_stop",
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "alarmStep(state) ?? forwardStep", put: "(state.waves.length < 0 ? alarmStep(state) : undefined) ?? forwardStep" }],
  },
  {
    name: "an aborted rollout goes on",
    breaks: "paused_is_still",
    edits: [
      NO_PHASE_CHECK,
      { file: `${ROLLOUT}/advance.ts`, find: "  switch (state.phase) {", put: '  if (state.phase === "aborted") return rollingStep(state, world, now);\n  switch (state.phase) {' },
      { file: `${ENGINE}/rollouts.ts`, find: 'return isEnded(state.phase) && !(state.phase === "succeeded" &&', put: 'return isEnded(state.phase) && !((state.phase === "succeeded" || state.phase === "aborted") &&' },
    ],
  },
  {
    name: "a paused rollout goes on",
    breaks: "paused_is_still",
    edits: [NO_PHASE_CHECK, { file: `${ROLLOUT}/advance.ts`, find: "  switch (state.phase) {", put: '  if (state.phase === "paused" && state.reason?.code === "operator") return rollingStep(state, world, now);\n  switch (state.phase) {' }],
  },
  {
    name: "two rollouts of an app at once",
    breaks: "one_of_an_app",
    edits: [NO_RIVAL_CHECK, { file: `${ENGINE}/starts.ts`, find: "if (before === undefined) return undefined;", put: 'if (before?.phase !== "pending") return undefined;' }],
  },
  {
    name: "an assignment holds another release than was decided",
    breaks: "runs_what_was_named",
    edits: [{ file: `${ENGINE}/assignments.ts`, find: '"SELECT release, secrets FROM releases WHERE id = ?"', put: '"SELECT release, secrets FROM releases WHERE id <> ? OR 1 ORDER BY created_at DESC LIMIT 1"' }],
  },
  {
    name: "an assignment has a generation that the journal does not know",
    breaks: "generation_rises",
    edits: [{ file: `${ENGINE}/assignments.ts`, find: "return { machine, generation, apps:", put: "return { machine, generation: (generation + 1) as Generation, apps:" }],
  },
  {
    name: "an assignment follows the labels of its machine without a new generation",
    breaks: "generation_says_one_thing",
    edits: [{ file: `${ENGINE}/assignments.ts`, find: "healthy_deadline_ms, a.labels", put: "healthy_deadline_ms, m.labels" }],
  },
  {
    name: "a report is acknowledged and not written",
    breaks: "acknowledged_is_stored",
    edits: [{ file: `${ENGINE}/report-intake.ts`, find: "    append(report);\n    return", put: "    if (report.reportSeq % 5 !== 0) append(report);\n    return" }],
  },
  {
    name: "a target that turns unreachable is not counted",
    breaks: "counts_add_up",
    edits: [NO_SUM_CHECK, { file: `${ROLLOUT}/derived.ts`, find: "wave.counts[to] += 1;", put: 'if (to !== "unreachable") wave.counts[to] += 1;' }],
  },
  {
    name: "memory counts attempts otherwise than the tables",
    breaks: "memory_is_tables",
    edits: [{ file: `${ROLLOUT}/change.ts`, find: "target.attempts += 1;", put: "target.attempts += 2;" }],
  },
  {
    name: "a table holds what the row does not say",
    breaks: "replay_is_tables",
    edits: [{ file: "controller/src/journal/project.ts", find: "sql.silence.run(at, entry.machine)", put: "sql.silence.run(at + Math.floor(performance.now()), entry.machine)" }],
  },
  {
    name: "a rollout that is paused does not say what it waits for",
    breaks: "waits_for_something",
    edits: [{ file: `${ROLLOUT}/words.ts`, find: 'return "an operator to resume, roll back or abort it";', put: 'return "";' }],
  },
  {
    name: "what waits for time is never looked at again",
    breaks: "ends",
    edits: [{ file: `${ROLLOUT}/advance.ts`, find: 'return step.kind === "change" ? now : step.until;', put: 'return step.kind === "change" ? now : undefined;' }],
  },
  {
    name: "a heartbeat's answer does not name the newest generation",
    breaks: "converges",
    edits: [{ file: `${ENGINE}/engine.ts`, find: "return this.#loop.assignments.generation(machine);", put: "return Math.min(1, this.#loop.assignments.generation(machine)) as Generation;" }],
  },
  {
    name: "whoever comes back is not given what it missed",
    breaks: "catches_up",
    edits: [{ file: `${ENGINE}/standing.ts`, find: "if (!this.#isUsable(machine)) return;", put: "if (!this.#isUsable(machine) || labels !== undefined) return;" }],
  },
  { name: "the window is passed, and the engine sees it", breaks: "engine_throws", edits: [NO_PLACE] },
  {
    name: "an agent does not remember what was good",
    breaks: "agent_throws",
    edits: [{ file: "agent/src/machine/progress.ts", find: "return { ...state, lastGood: current, goodArtifacts, phase", put: "return { ...state, goodArtifacts, phase" }],
  },
  {
    name: "the engine wakes itself without end",
    breaks: "spins",
    edits: [{ file: `${ENGINE}/loop.ts`, find: "const next = this.rollouts.hasUnfinished ? now :", put: "const next = this.rollouts.hasUnfinished || now > 0 ? now :" }],
  },
];
