/**
 * Bugs to put into the engine or the agent, one for each invariant of the simulation at least: the simulation must find each of them. Where the engine would catch
 * the bug itself, that check of its own is taken out too, so that what is tried is the simulation's.
 */
import type { Invariant } from "./invariants.ts";

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

const ADVANCE = "controller/src/rollout/advance.ts";
const CHANGE = "controller/src/rollout/change.ts";
const CHECKS = "controller/src/rollout/invariants.ts";
const ENGINE = "controller/src/engine/engine.ts";
const ROLLOUTS = "controller/src/engine/rollouts.ts";
const ASSIGNMENTS = "controller/src/engine/assignments.ts";

const NO_WINDOW_CHECK: Edit = { file: CHECKS, find: "demand(state, state.moving.size <= state.maxUnavailable,", put: "demand(state, true," };
const NO_CHECKS: Edit = { file: CHECKS, find: "export function checkRollout(state: RolloutState): void {", put: "export function checkRollout(state: RolloutState): void {\n  if (state.id !== undefined) return;" };

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "max_unavailable is not looked at",
    breaks: "window",
    edits: [NO_WINDOW_CHECK, { file: ADVANCE, find: "state.moving.size >= updateWindow(state)", put: "false" }],
  },
  {
    name: "the next wave does not wait for those under way",
    breaks: "wave_order",
    edits: [{ file: ADVANCE, find: "return counts.pending === 0 && moving.size === 0;", put: "return counts.pending === 0 && moving.size >= 0;" }],
  },
  {
    name: "one failure more than allowed",
    breaks: "failures_stop",
    edits: [{ file: ADVANCE, find: "wave.counts.failed - wave.acknowledgedFailures > wave.maxFailures", put: "wave.counts.failed - wave.acknowledgedFailures > wave.maxFailures + 1" }],
  },
  {
    name: "an aborted rollout goes on",
    breaks: "ended_is_still",
    edits: [{ file: ADVANCE, find: '  switch (state.phase) {\n    case "rolling":\n      return advanceRolling', put: '  if (state.phase === "aborted") return advanceRolling(state, fleet, now);\n  switch (state.phase) {\n    case "rolling":\n      return advanceRolling' }],
  },
  {
    name: "a paused rollout goes on",
    breaks: "paused_is_still",
    edits: [{ file: ADVANCE, find: '  switch (state.phase) {\n    case "rolling":\n      return advanceRolling', put: '  if (state.phase === "paused") return advanceRolling(state, fleet, now);\n  switch (state.phase) {\n    case "rolling":\n      return advanceRolling' }],
  },
  {
    name: "two rollouts of an app at once",
    breaks: "one_of_an_app",
    edits: [
      { file: ENGINE, find: 'if (next === undefined || ofApp.some((state) => state.phase !== "pending")) return;', put: 'if (next?.phase !== "pending") return;' },
      { file: ENGINE, find: "const next = ofApp[0];", put: 'const next = ofApp.find(({ phase }) => phase === "pending");' },
      { file: ROLLOUTS, find: 'assert(state.phase !== "rolling" ||', put: "assert(state.id !== undefined ||" },
    ],
  },
  {
    name: "an assignment holds another release than was decided",
    breaks: "runs_what_was_named",
    edits: [{ file: ASSIGNMENTS, find: '"SELECT release FROM releases WHERE id = ?"', put: '"SELECT release FROM releases WHERE id <> ? OR 1 ORDER BY created_at DESC LIMIT 1"' }],
  },
  {
    name: "an assignment has a generation that the journal does not know",
    breaks: "generation_rises",
    edits: [{ file: ASSIGNMENTS, find: "return { machine, generation, apps:", put: "return { machine, generation: (generation + 1) as Generation, apps:" }],
  },
  {
    name: "a report is acknowledged and not written",
    breaks: "acknowledged_is_stored",
    edits: [{ file: ENGINE, find: "    append(report);\n", put: "    if (report.reportSeq % 5 !== 0) append(report);\n" }],
  },
  {
    name: "a target that turns unreachable is not counted",
    breaks: "counts_add_up",
    edits: [NO_CHECKS, { file: CHANGE, find: "wave.counts[to] += 1;", put: 'if (to !== "unreachable") wave.counts[to] += 1;' }],
  },
  {
    name: "memory counts attempts otherwise than the tables",
    breaks: "memory_is_tables",
    edits: [{ file: CHANGE, find: "target.attempts += 1;", put: "target.attempts += 2;" }],
  },
  {
    name: "a table holds what the row does not say",
    breaks: "replay_is_tables",
    edits: [{ file: "controller/src/journal/project.ts", find: "sql.silence.run(at, entry.machine)", put: "sql.silence.run(at + Math.floor(performance.now()), entry.machine)" }],
  },
  {
    name: "a rollout under way does not say what it waits for",
    breaks: "waits_for_something",
    edits: [{ file: ADVANCE, find: 'return "its turn";', put: 'return "";' }],
  },
  {
    name: "what waits for its turn never gets it",
    breaks: "ends",
    edits: [{ file: ENGINE, find: "        this.#startPending(append, now);\n", put: "        if (rows.length < 0) this.#startPending(append, now);\n" }],
  },
  {
    name: "a heartbeat's answer does not name the newest generation",
    breaks: "converges",
    edits: [{ file: ENGINE, find: "return this.#assignments.generation(machine);", put: "return Math.min(1, this.#assignments.generation(machine)) as Generation;" }],
  },
  {
    name: "the window is passed, and the engine sees it",
    breaks: "engine_throws",
    edits: [{ file: ADVANCE, find: "state.moving.size >= updateWindow(state)", put: "false" }],
  },
  {
    name: "an agent does not remember what was good",
    breaks: "agent_throws",
    edits: [{ file: "agent/src/machine/progress.ts", find: "return enter({ ...state, lastGood: state.current, goodArtifacts }", put: "return enter({ ...state, goodArtifacts }" }],
  },
  {
    name: "the engine wakes itself without end",
    breaks: "spins",
    edits: [{ file: ENGINE, find: "this.#rollouts.hasUnfinished ? this.#clock.now() :", put: "this.#rollouts.hasUnfinished || this.#said.length === 0 ? this.#clock.now() :" }],
  },
];
