/**
 * Bugs to put into the engine or the agent, one for each invariant of the simulation at least: the simulation must find each of them. Where the engine would catch
 * the bug itself, that check of its own is taken out too, so that what is tried is the simulation's.
 */
import type { Edit, Mutation } from "./mutation.ts";
import { PLAN_MUTATIONS } from "./plan-mutations.ts";
import { WAITING_MUTATIONS } from "./waiting-mutations.ts";

const ROLLOUT = "controller/src/rollout";
const ENGINE = "controller/src/engine";
const CHECKS = `${ROLLOUT}/invariants.ts`;

const NO_WINDOW_CHECK: Edit = { file: CHECKS, find: "demand(state, hasRoom({ max: state.maxUnavailable, changing: changing.size, down: others }),", put: "demand(state, true," };
const NO_FREE_CHECK: Edit = { file: CHECKS, find: 'demand(state, target.state !== "updating" || beside < state.maxUnavailable,', put: "demand(state, true," };
const NO_LANE_CHECK: Edit = { file: CHECKS, find: "if (state.lanes.length === 0) return;", put: "if (state.lanes.length >= 0) return;" };
const NO_GATE_CHECK: Edit = { file: CHECKS, find: "demand(state, wave.finishedAt === null ||", put: "demand(state, wave.finishedAt !== undefined ||" };
const NO_FINISH_CHECK: Edit = { file: CHECKS, find: "demand(state, outstanding === 0 || isEnough,", put: "demand(state, true," };
const NO_SUM_CHECK: Edit = { file: CHECKS, find: "demand(state, sum === wave.targets.length,", put: "demand(state, true," };
const NO_PHASE_CHECK: Edit = { file: CHECKS, find: 'demand(state, state.phase === "rolling" || state.phase === "succeeded",', put: "demand(state, true," };
const NO_RIVAL_CHECK: Edit = { file: `${ENGINE}/rollouts.ts`, find: 'assert(state.phase !== "rolling" ||', put: "assert(state.id !== undefined ||" };
const CONFIRMED_AT_ONCE: Edit = { file: "controller/src/journal/confirmed.ts", find: "CASE WHEN t.state = 'healthy' THEN w.finished_seq END", put: "CASE WHEN t.state = 'healthy' THEN a.generation END" };
const NO_PLACE: Edit = { file: `${ROLLOUT}/place.ts`, find: "return hasRoom({ max: window, ...others });", put: "return window > 0;" };

export const MUTATIONS: readonly Mutation[] = [
  ...PLAN_MUTATIONS,
  ...WAITING_MUTATIONS,
  { name: "max_unavailable is not looked at", breaks: "window_holds", seed: 12, edits: [NO_WINDOW_CHECK, NO_FREE_CHECK, NO_PLACE] },
  {
    name: "a rollout counts the machines that it moves itself, and no others",
    breaks: "window_holds",
    seed: 189,
    edits: [NO_WINDOW_CHECK, NO_FREE_CHECK, { file: `${ROLLOUT}/place.ts`, find: "return hasRoom({ max: window, ...others });", put: "return hasRoom({ max: window, changing: state.moving.size, down: 0 });" }],
  },
  {
    name: "spread and max_unavailable_per are not looked at",
    breaks: "lanes_hold",
    seed: 112,
    edits: [NO_LANE_CHECK, { file: `${ROLLOUT}/place.ts`, find: "const changing = changingIn.get(values[index]!) ?? 0;", put: "const changing = changingIn.get(values[index]!) ?? 0; if (label !== undefined) continue;" }],
  },
  {
    name: "what comes first is not looked at when it is reversed",
    breaks: "in_order",
    seed: 6,
    edits: [{ file: "controller/src/plan/order.ts", find: 'const isReversed = key.kind !== "shuffle" && key.reversed;', put: "const isReversed = false;" }],
  },
  {
    name: "budgets of groups are not looked at",
    breaks: "budgets_hold",
    seed: 50,
    edits: [{ file: `${ENGINE}/budgets.ts`, find: "if (group.members.has(machine) && !groupHasRoom", put: "if (group.members.has(machine) && group.max < 0 && !groupHasRoom" }],
  },
  {
    name: "a wave is finished while targets are under way",
    breaks: "wave_order",
    edits: [NO_FINISH_CHECK, { file: `${ROLLOUT}/rolling.ts`, find: "if (state.moving.size > 0) return WAIT;", put: "if (state.moving.size > 1) return WAIT;" }],
  },
  {
    name: "a wave is passed on one healthy target too early",
    breaks: "wave_order",
    seed: 6,
    edits: [NO_FINISH_CHECK, { file: `${ROLLOUT}/state.ts`, find: 'newCount(wave, "healthy") >= successThreshold', put: 'newCount(wave, "healthy") + 1 >= successThreshold' }],
  },
  {
    name: "of reports that come together each is judged before the next is taken in",
    breaks: "taken_in_whole",
    seed: 2,
    edits: [{ file: `${ENGINE}/rollouts.ts`, find: "this.#noteEvent(state, event);", put: 'this.#noteEvent(state, event); if (event.kind === "reported") this.goOnAfterEvents(append, now);' }],
  },
  {
    name: "gates are not asked",
    breaks: "wave_order",
    edits: [NO_GATE_CHECK, { file: `${ROLLOUT}/rolling.ts`, find: "return gateStep(state, wave, world, now) ?? owedStep", put: "return (now.at < 0 ? gateStep(state, wave, world, now) : undefined) ?? owedStep" }],
  },
  {
    name: "a soak does not begin anew when a target changes",
    breaks: "soak_watched",
    seed: 40,
    edits: [{ file: `${ROLLOUT}/gates.ts`, find: "return later(changedAt.attended > since.attended ? changedAt : since, gate.forMs);", put: "return later(changedAt.attended < 0 ? changedAt : since, gate.forMs);" }],
  },
  {
    name: "nobody needs to approve",
    breaks: "gates_hold",
    seed: 10,
    edits: [{ file: `${ROLLOUT}/gates.ts`, find: 'case "approval":\n      return { kind: "wait", until: undefined };', put: 'case "approval":\n      return { kind: "open", said: "" };' }],
  },
  {
    name: "start_at is not waited for",
    breaks: "begins_in_time",
    seed: 15,
    edits: [{ file: `${ENGINE}/starts.ts`, find: "if (startAt === null || now >= startAt) return undefined;", put: "if (startAt === null || now >= 0) return undefined;" }],
  },
  {
    name: "nobody needs to start what asks for it",
    breaks: "begins_in_time",
    seed: 6,
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
    seed: 7,
    edits: [{ file: `${ROLLOUT}/step.ts`, find: "if (world.isCordoned(machine)) return {", put: "if (world.isCordoned(machine) && strategy.priority < -9) return {" }],
  },
  {
    name: "the selector is not asked when a machine has its turn again",
    breaks: "unmatched_is_left",
    seed: 3,
    edits: [
      { file: `${ROLLOUT}/step.ts`, find: "if (strategy.isWayBack !== true && !world.isSelected(machine, strategy.targets)) return {", put: "if (strategy.priority < -9) return {" },
      { file: `${ROLLOUT}/decide.ts`, find: 'if (phase !== "rolling" && phase !== "paused" && phase !== "succeeded") return false;', put: "if (attempts > 0) return false;" },
    ],
  },
  {
    name: "a canary that is drained in its soak opens the gate all the same",
    breaks: "soak_watched",
    seed: 348,
    from: 201,
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "if (away !== undefined) return away;", put: "if (away !== undefined && now.at < 0) return away;" }],
  },
  {
    name: "a rollout that is retried after its end goes on with what stood then",
    breaks: "wave_order",
    seed: 19,
    edits: [{ file: `${ENGINE}/missed.ts`, find: "return isBroken(state) || (isEnded(state.phase) &&", put: "return isBroken(state) || (isEnded(state.phase) && state.waves.length < 0 &&" }],
  },
  {
    name: "a removed machine that is on the move goes on holding its wave up",
    breaks: "removed_is_left",
    seed: 14,
    edits: [{ file: `${ROLLOUT}/decide.ts`, find: 'if (target === undefined || target.state === "removed") return [];', put: 'if (target === undefined || target.state === "removed" || isMoving(target)) return [];' }],
  },
  {
    name: "deployments that have ended still count on a machine that was removed",
    breaks: "removed_is_left",
    edits: [{ file: "controller/src/journal/project.ts", find: "return removals.take(entry, { seq, at, attended });", put: "return;" }],
  },
  {
    name: "a removed machine is still watched for silence",
    breaks: "removed_is_left",
    edits: [{ file: `${ENGINE}/fleet-orders.ts`, find: "world.forgetPresence(machine);", put: "" }],
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
      { file: `${ENGINE}/engine.ts`, find: "if (known === undefined) {\n      append(said);", put: "if (known === undefined || !isDeepStrictEqual(known.labels, said.labels)) {\n      append(said);" },
      { file: `${ENGINE}/engine.ts`, find: "const isNews = known !== undefined && isOther(known, said);", put: "const isNews = known !== undefined && !isDeepStrictEqual(known, said);" },
    ],
  },
  {
    name: "one failure more than allowed",
    breaks: "failures_stop",
    seed: 3,
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "failuresOf(wave) - acknowledgedFailures > maxFailures", put: "failuresOf(wave) - acknowledgedFailures > maxFailures + 1" }],
  },
  {
    name: "an alarm stops the rollout one answer too late",
    breaks: "alarms_stop",
    seed: 171,
    edits: [{ file: `${ROLLOUT}/alarms.ts`, find: "state.rung > state.alarm.failureLimit", put: "state.rung > state.alarm.failureLimit + 1" }],
  },
  {
    name: "an alarm that was quiet before a gap is not asked anew",
    breaks: "alarms_stop",
    seed: 182,
    edits: [{ file: `${ROLLOUT}/alarms.ts`, find: "(attempts === 0 ? [] :", put: "(attempts >= 0 ? [] :" }],
  },
  {
    name: "machines are told before the alarms were quiet",
    breaks: "alarms_stop",
    seed: 7,
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "alarmStep(state, now) ?? forwardStep", put: "(state.waves.length < 0 ? alarmStep(state, now) : undefined) ?? forwardStep" }],
  },
  {
    name: "an aborted rollout goes on",
    breaks: "paused_is_still",
    seed: 7,
    edits: [
      NO_PHASE_CHECK,
      { file: `${ROLLOUT}/advance.ts`, find: "  switch (state.phase) {", put: '  if (state.phase === "aborted") return rollingStep(state, world, now);\n  switch (state.phase) {' },
      { file: `${ENGINE}/due.ts`, find: "  if (!isEnded(state.phase)) return false;", put: '  if (!isEnded(state.phase) || state.phase === "aborted") return false;' },
    ],
  },
  {
    name: "a paused rollout goes on",
    breaks: "paused_is_still",
    seed: 14,
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
    name: "a release is confirmed without a new generation",
    breaks: "generation_says_one_thing",
    edits: [CONFIRMED_AT_ONCE],
  },
  {
    name: "a report is acknowledged and not written",
    breaks: "acknowledged_is_stored",
    edits: [{ file: `${ENGINE}/report-intake.ts`, find: "    append(report);\n    return", put: "    if (report.reportSeq % 5 !== 0) append(report);\n    return" }],
  },
  {
    name: "a target that turns unreachable is not counted",
    breaks: "counts_add_up",
    edits: [NO_SUM_CHECK, { file: `${ROLLOUT}/derived.ts`, find: "counts[to] += 1;", put: 'if (to !== "unreachable") counts[to] += 1;' }],
  },
  {
    name: "memory counts attempts otherwise than the tables",
    breaks: "memory_is_tables",
    edits: [{ file: `${ROLLOUT}/change.ts`, find: "target.attempts += 1;", put: "target.attempts += 2;" }],
  },
  {
    name: "a table holds what the row does not say",
    breaks: "replay_is_tables",
    edits: [{ file: "controller/src/journal/project.ts", find: "sql.silence.run({ machine: entry.machine, at, attended })", put: "sql.silence.run({ machine: entry.machine, at: at + Math.floor(performance.now()), attended })" }],
  },
  {
    name: "a rollout that is paused does not say what it waits for",
    breaks: "waits_for_something",
    edits: [{ file: `${ROLLOUT}/words.ts`, find: 'return `an operator to resume${mayRetry(state) ? ", retry" : ""}, roll back or abort it`;', put: 'return "";' }],
  },
  {
    name: "what waits for another deployment does not begin, and can't be given up",
    breaks: "ends",
    edits: [
      { file: `${ENGINE}/starts.ts`, find: 'state.phase === "pending" && waiting(state) === undefined', put: 'state.phase === "pending" && waiting(state) === undefined && ofApp.length === 1' },
      { file: `${ROLLOUT}/command.ts`, find: 'return [{ kind: "phase_changed", phase: "aborted", reason: event.reason }];', put: 'return state.phase === "pending" ? [] : [{ kind: "phase_changed", phase: "aborted", reason: event.reason }];' },
    ],
  },
  {
    name: "a heartbeat's answer does not name the newest generation",
    breaks: "converges",
    seed: 1,
    edits: [{ file: `${ENGINE}/engine.ts`, find: "return assignments.generation(machine);", put: "return Math.min(1, assignments.generation(machine)) as Generation;" }],
  },
  {
    name: "whoever comes back is not given what it missed",
    breaks: "catches_up",
    edits: [{ file: `${ENGINE}/catch-up.ts`, find: "if (labels === undefined || this.#world.isSilent(machine)", put: "if (labels !== undefined || this.#world.isSilent(machine)" }],
  },
  {
    name: "an agent does not remember what was good",
    breaks: "agent_throws",
    edits: [{ file: "agent/src/machine/good.ts", find: "return { ...state, lastGood: current, goodArtifacts, transitions", put: "return { ...state, goodArtifacts, transitions" }],
  },
  {
    name: "an agent does not wait for min_healthy_time",
    breaks: "healthy_time_kept",
    edits: [{ file: "agent/src/machine/progress.ts", find: "const needMs = state.goal?.minHealthyTimeMs ?? 0;", put: "const needMs = 0;" }],
  },
  {
    name: "an app that flaps is healthy when its good times come to min_healthy_time together",
    breaks: "healthy_time_kept",
    seed: 106,
    edits: [
      {
        file: "agent/src/machine/launch.ts",
        find: 'health: { kind: "healthy", since: now - healthyMsOf(state, now) } };',
        put: 'health: { kind: "healthy", since: now - Math.max(healthyMsOf(state, now), state.phase.kind === "probing" ? state.phase.probing.brokenHealthyMs : 0) } };',
      },
    ],
  },
  {
    name: "min_healthy_time runs from the first probe, whatever was answered",
    breaks: "healthy_time_kept",
    edits: [
      {
        file: "agent/src/machine/launch.ts",
        find: 'health: { kind: "healthy", since: now - healthyMsOf(state, now) } };',
        put: 'health: { kind: "healthy", since: state.phase.kind === "probing" ? state.phase.probing.startedAt : now - healthyMsOf(state, now) } };',
      },
    ],
  },
  {
    name: "an agent gives a release up after half of healthy_deadline",
    breaks: "healthy_deadline_kept",
    edits: [{ file: "agent/src/machine/goal.ts", find: "deadlineAt: now + goalDeadlineMs(goal),", put: "deadlineAt: now + goalDeadlineMs(goal) / 2," }],
  },
  {
    name: "an agent gives a release up after twice its healthy_deadline",
    breaks: "healthy_deadline_kept",
    seed: 85,
    edits: [{ file: "agent/src/machine/goal.ts", find: "deadlineAt: now + goalDeadlineMs(goal),", put: "deadlineAt: now + goalDeadlineMs(goal) * 2," }],
  },
  {
    name: "no rollout ever succeeds",
    breaks: "good_succeeds",
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: 'return { phase: "succeeded", reason: null };', put: 'return { phase: "failed", reason: { code: "failures_exceeded", message: "" } };' }],
  },
  {
    name: "the progress deadline is 3 s",
    breaks: "cause_confirmed",
    edits: [{ file: `${ROLLOUT}/state.ts`, find: "return hold === null && now.attended >= progressAt + strategy.progressDeadlineMs;", put: "return hold === null && now.attended >= progressAt + Math.min(3_000, strategy.progressDeadlineMs);" }],
  },
  {
    name: "machines that fall silent after they took a release make it not suspicious",
    breaks: "killer_contained",
    seed: 14,
    edits: [{ file: `${ROLLOUT}/suspicion.ts`, find: "if (lostTakers.size === 0 || isWayBack(state)) return false;", put: "if (lostTakers.size >= 0) return false;" }],
  },
  {
    name: "a soak passes by the clock on the wall, and nobody asks who was heard after it",
    breaks: "soak_watched",
    seed: 27,
    edits: [
      { file: `${ROLLOUT}/gates.ts`, find: "now.attended >= over.attended", put: "now.at >= over.at" },
      { file: `${ROLLOUT}/rolling.ts`, find: "if (unheard === undefined) return undefined;", put: "if (unheard === undefined || over.at > 0) return undefined;" },
    ],
  },
  {
    name: "a budget counts nobody who is changing",
    breaks: "budgets_hold",
    seed: 75,
    edits: [{ file: `${ROLLOUT}/availability.ts`, find: "hasRoom({ max, changing: changing.size, down: down.size + downElsewhere })", put: "hasRoom({ max, changing: Math.min(0, changing.size), down: down.size + downElsewhere })" }],
  },
  {
    name: "what to go back to is forgotten",
    breaks: "going_back_restores",
    edits: [{ file: `${ROLLOUT}/step.ts`, find: "const { release: previous, asLate } = isFirst || isAnew ? world.wayBack(state, machine, isAnew) :", put: "const { release: previous, asLate } = isFirst || isAnew ? { release: null, asLate: false } :" }],
  },
  {
    name: "deadlines pass though nobody looks",
    breaks: "cause_confirmed",
    seed: 41,
    edits: [
      { file: `${ENGINE}/attendance.ts`, find: "const STEP_MS_MAX = 2_000;", put: "const STEP_MS_MAX = 2_000_000;" },
      { file: `${ENGINE}/attendance.ts`, find: "const wasHeldUp = Math.max(gapMs, jumpMs) > this.#silentAfterMs / 2;", put: "const wasHeldUp = gapMs > 1_000 * this.#silentAfterMs;" },
      { file: `${ENGINE}/attendance.ts`, find: "- this.#failingSince > this.#silentAfterMs / 2;", put: "- this.#failingSince > 1_000 * this.#silentAfterMs;" },
    ],
  },
  {
    name: "silence is found late",
    breaks: "silence_found",
    edits: [{ file: "controller/src/fleet/fleet.ts", find: "if (watchedMs - lastSeen.watchedMs < this.silentAfterMs", put: "if (watchedMs - lastSeen.watchedMs < 3 * this.silentAfterMs" }],
  },
  {
    name: "an older deployment gives a release back to machines from which it was taken",
    breaks: "taken_back_stays",
    seed: 247,
    from: 201,
    edits: [
      { file: `${ENGINE}/catch-up.ts`, find: "    const decided = this.#facts.decisions.told(machine, app);", put: "    if (release.length > 0) return undefined;\n    const decided = this.#facts.decisions.told(machine, app);" },
      { file: "controller/src/journal/standing.ts", find: " AND ${alias}.changed_attended IS NOT NULL", put: "" },
    ],
  },
  {
    name: "late machines get a release though it fails wherever it runs",
    breaks: "catch_up_waits",
    seed: 190,
    edits: [{ file: `${ENGINE}/world.ts`, find: "if (!isUnsound(now, roundedDown(strategy.maxFailures, now.machines))) return undefined;", put: "if (now.machines >= 0 || !isUnsound(now, roundedDown(strategy.maxFailures, now.machines))) return undefined;" }],
  },
  {
    name: "a silent machine counts before the time that it is given has passed",
    breaks: "cause_confirmed",
    edits: [{ file: `${ROLLOUT}/state.ts`, find: 'return strategy.offline.kind === "skip" || letGo !== null;', put: "return true;" }],
  },
  {
    name: "a release is the last good one as soon as it is healthy",
    breaks: "dead_goes_back",
    seed: 25,
    // The next heartbeat's answer says that there is something newer.
    edits: [{ ...CONFIRMED_AT_ONCE, put: "CASE WHEN t.state = 'healthy' THEN a.generation + 1 END" }],
  },
  {
    name: "a failure counts when going back has come to its end",
    breaks: "failures_stop",
    seed: 315,
    from: 201,
    edits: [{ file: `${ROLLOUT}/decide.ts`, find: 'return update ? "failed" : undefined;', put: "return undefined;" }],
  },
  {
    name: "a rollback does not begin with what is broken",
    breaks: "broken_first",
    seed: 48,
    edits: [{ file: `${ROLLOUT}/back.ts`, find: "for (const target of state.backFirst) {", put: "for (const target of [...state.backFirst].slice(0, 0)) {" }],
  },
  {
    name: "a rollback that a newer deployment took the place of is forgotten",
    breaks: "taken_back_is_gone",
    seed: 52,
    edits: [{ file: `${ROLLOUT}/back.ts`, find: "if (!wentBack(state)) return false;", put: 'if (!wentBack(state) || state.phase === "superseded") return false;' }],
  },
  {
    name: "whoever waits in a tail gets it though a newer deployment leaves the machine out",
    breaks: "newest_decides",
    seed: 84,
    edits: [
      { file: `${ENGINE}/catch-up.ts`, find: "begins && by.targets.size > 0 ? [...own", put: "begins && by.targets.size < 0 ? [...own" },
      { file: `${ENGINE}/catch-up.ts`, find: "targets.size > 0 && unchanged.has(machine) :", put: "targets.size < 0 && unchanged.has(machine) :" },
      { file: `${ROLLOUT}/step.ts`, find: 'state.phase === "succeeded" && target.attempts === 0', put: 'state.phase === "pending" && target.attempts === 0' },
    ],
  },
  {
    name: "a rollback ends while machines still have the release",
    breaks: "outcome_confirmed",
    edits: [
      { file: `${ROLLOUT}/back.ts`, find: 'if (next.kind === "none") return', put: 'if (next.kind === "none" || state.moving.size > 0) return' },
      { file: "controller/src/history/outstanding.ts", find: "yield* firstOf(db, id, openStates(ending),", put: "yield* firstOf(db, id, openStates(ending).slice(0, 0)," },
    ],
  },
  {
    name: "a bad release is not stopped by its canary",
    breaks: "bad_contained",
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "failuresOf(wave) - acknowledgedFailures > maxFailures)", put: "failuresOf(wave) - acknowledgedFailures > maxFailures + 2)" }],
  },
  {
    name: "whoever waited for a deployment is looked at by the next controller alone",
    breaks: "rest_stays",
    seed: 63,
    edits: [{ file: `${ENGINE}/catch-up.ts`, find: "for (const machine of this.#deferred.get(app) ?? []) this.#due.add(machine);", put: "for (const machine of this.#deferred.get(app) ?? []) if (app.length > 99) this.#due.add(machine);" }],
  },
  {
    name: "the engine wakes itself without end",
    breaks: "spins",
    edits: [{ file: `${ENGINE}/loop.ts`, find: "const next = hasMore ? now.at :", put: "const next = hasMore || now.at > 0 ? now.at :" }],
  },
  {
    name: "max_unavailable is not looked at, and the engine's own checks find it",
    breaks: "engine_throws",
    edits: [NO_PLACE],
  },
  {
    name: "a machine that falls silent is cordoned, and nobody asked for it",
    breaks: "orders_were_given",
    edits: [{ file: `${ENGINE}/declare-lost.ts`, find: 'append({ kind: "machine_silent", machine });', put: 'append({ kind: "machine_silent", machine });\n      append({ kind: "machine_cordoned", machine, by: "", reason: "", drained: false });' }],
  },
  {
    name: "a rollback in which a machine could not go back ends as rolled back",
    breaks: "outcome_confirmed",
    seed: 52,
    edits: [{ file: `${ROLLOUT}/back.ts`, find: "if (failed.length === 0) return", put: "if (failed.length >= 0) return" }],
  },
  {
    name: "a file that asks for an abort is rolled back",
    breaks: "on_failure_as_asked",
    seed: 71,
    edits: [{ file: `${ROLLOUT}/rolling.ts`, find: 'return { kind: "phase_changed", phase: "failed", reason };', put: 'return { kind: "phase_changed", phase: "rolling_back", reason };' }],
  },
  {
    name: "late machines are not left alone where the file says so",
    breaks: "late_as_asked",
    seed: 7,
    edits: [{ file: `${ENGINE}/catch-up.ts`, find: 'standing.lateJoiners === "ignore" ||', put: "" }],
  },
  {
    name: "the lowest priority begins first",
    breaks: "priority_first",
    seed: 27,
    edits: [{ file: `${ENGINE}/starts.ts`, find: "const more = other.strategy.priority - state.strategy.priority;", put: "const more = state.strategy.priority - other.strategy.priority;" }],
  },
];
