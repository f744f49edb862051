/** Bugs of times that pass, or do not, and of what is made of silence: of gates, promotions, machines that say nothing or are lost, programs that ended; and of what a person who goes on has excused. */
import type { Mutation } from "./mutation.ts";

const ROLLOUT = "controller/src/rollout";
const ENGINE = "controller/src/engine";
const GATES = `${ROLLOUT}/gates.ts`;
const LOST = `${ROLLOUT}/lost.ts`;
const LAUNCH = "agent/src/machine/launch.ts";
const BACK_OFF = "agent/src/machine/back-off.ts";
const NOBODY_ANSWERED = 'if (isSilent(gate, { retries }) && onSilence !== "wait") {';
const TIME_TO_ANSWER = "return healthyDeadlineMs + (stopTimeoutMs === null";
const WAITED = "attendedSince(first.since, now) >= offline.forMs)";

/** `of`: what a promotion takes for its soak. */
function soakOfPromotion(of: string): Mutation["edits"] {
  return [
    { file: `${ENGINE}/starts.ts`, find: "soakMs, now);\n  if (now.at < until)", put: `${of}, now);\n  if (now.at < until)` },
    { file: `${ENGINE}/promotions.ts`, find: "if (now.attended < since + soakMs) {", put: `if (now.attended < since + ${of}) {` },
    { file: `${ENGINE}/promotions.ts`, find: "const over = since + soakMs;", put: `const over = since + ${of};` },
  ];
}

/** So long a lost machine is waited for, and then somebody looks. */
function waitsFor(of: string): Mutation["edits"] {
  return [
    { file: LOST, find: WAITED, put: `attendedSince(first.since, now) >= ${of})` },
    { file: LOST, find: "next = earlier(next, dueAt(first.since, offline.forMs, now));", put: `next = earlier(next, dueAt(first.since, ${of}, now));` },
  ];
}

export const WAITING_MUTATIONS: readonly Mutation[] = [
  { name: "on_silence: stop opens the gate", breaks: "gates_hold", seed: 5, edits: [{ file: GATES, find: 'return onSilence === "go" ?', put: 'return onSilence !== "wait" ?' }] },
  { name: "on_silence: go stops at the gate", breaks: "gates_hold", seed: 5, edits: [{ file: GATES, find: 'return onSilence === "go" ?', put: 'return onSilence === "wait" ?' }] },
  { name: "on_silence: wait does not wait", breaks: "gates_hold", seed: 66, edits: [{ file: GATES, find: NOBODY_ANSWERED, put: "if (isSilent(gate, { retries })) {" }] },
  { name: "a gate waits for an answer for ever, whatever on_silence says", breaks: "gates_hold", seed: 70, edits: [{ file: GATES, find: NOBODY_ANSWERED, put: 'if (isSilent(gate, { retries }) && onSilence !== "wait" && gate.attempts < 0) {' }] },
  { name: "a gate that nobody answers has no retries", breaks: "gates_hold", seed: 5, edits: [{ file: GATES, find: NOBODY_ANSWERED, put: 'if (isSilent(gate, { retries: Math.min(0, retries) }) && onSilence !== "wait") {' }] },
  { name: "a webhook that says stop is asked again", breaks: "gates_hold", seed: 124, edits: [{ file: GATES, find: "if (gate.failed > 0) return { kind: \"stop\", said: gate.said };", put: "if (gate.failed > 99) return { kind: \"stop\", said: gate.said };" }] },
  { name: "an alarm that nobody answers is quiet, though on_silence is stop", breaks: "alarms_stop", seed: 26, edits: [{ file: `${ROLLOUT}/alarms.ts`, find: '(isSilent(state, state.alarm) && state.alarm.onSilence === "stop"));', put: '(isSilent(state, state.alarm) && state.alarm.onSilence === "stop" && state.rung < 0));' }] },
  { name: "an alarm that nobody answers has no retries", breaks: "alarms_stop", seed: 26, edits: [{ file: `${ROLLOUT}/alarms.ts`, find: '(isSilent(state, state.alarm) && state.alarm.onSilence === "stop"));', put: '(state.unanswered > 0 && state.alarm.onSilence === "stop"));' }] },
  { name: "the soak of a promotion is ignored", breaks: "begins_in_time", seed: 37, edits: soakOfPromotion("0 * soakMs") },
  { name: "the soak of a promotion is over after half of its time", breaks: "begins_in_time", seed: 37, edits: soakOfPromotion("soakMs / 2") },
  { name: "the soak of a promotion takes three times as long", breaks: "begins_when_due", seed: 39, edits: soakOfPromotion("3 * soakMs") },
  { name: "a promotion does not ask what happened in its soak", breaks: "begins_in_time", seed: 68, edits: [{ file: `${ENGINE}/promotions.ts`, find: "const since = healthy.map((machine) => changed.get(machine) ?? ended)", put: "const since = healthy.map((machine) => (machine.length < 0 ? changed.get(machine) : undefined) ?? ended)" }] },
  { name: "healthy_deadline never passes for the controller", breaks: "answers_awaited", seed: 149, edits: [{ file: `${ENGINE}/overdue.ts`, find: "return head !== undefined && head.dueAt <= now;", put: "return head !== undefined && head.dueAt <= now - 1e12;" }] },
  { name: "the controller gives a machine up after a quarter of healthy_deadline", breaks: "answers_awaited", seed: 55, edits: [{ file: `${ENGINE}/overdue.ts`, find: TIME_TO_ANSWER, put: "return healthyDeadlineMs / 4 + 0 * (stopTimeoutMs === null" }] },
  { name: "the controller gives a machine up after four times its healthy_deadline", breaks: "answers_awaited", seed: 149, edits: [{ file: `${ENGINE}/overdue.ts`, find: TIME_TO_ANSWER, put: "return 4 * healthyDeadlineMs + (stopTimeoutMs === null" }] },
  { name: "offline: wait waits for a quarter of its time", breaks: "lost_awaited", seed: 16, edits: waitsFor("offline.forMs / 4") },
  { name: "offline: wait is over after a quarter of its time for whoever looks", breaks: "lost_awaited", seed: 16, edits: [{ file: LOST, find: WAITED, put: "attendedSince(first.since, now) >= offline.forMs / 4)" }] },
  { name: "a wave passes before the machines that it lost were waited for", breaks: "outcome_confirmed", seed: 16, edits: waitsFor("offline.forMs / 4") },
  { name: "offline: wait waits for four times as long", breaks: "lost_awaited", seed: 16, edits: waitsFor("4 * offline.forMs") },
  { name: "offline: wait without a time does not wait", breaks: "lost_awaited", seed: 4, edits: [{ file: LOST, find: `offline.forMs !== null && ${WAITED}`, put: "attendedSince(first.since, now) >= (offline.forMs ?? 0))" }] },
  { name: "offline: wait is taken for skip", breaks: "lost_awaited", seed: 4, edits: [{ file: LOST, find: 'if (offline.kind === "skip" && (first', put: "if (offline.kind !== undefined && (first" }] },
  { name: "resume excuses what failed after a person had paused", breaks: "failures_stop", seed: 163, edits: [{ file: `${ROLLOUT}/command.ts`, find: "...(isHeldForOtherReasons(state) ? [] :", put: "...(isHeldForOtherReasons(state) && state.wave < 0 ? [] :" }] },
  { name: "resume excuses what failed, and not who was lost, after a person had paused", breaks: "failures_stop", seed: 88, edits: [{ file: `${ROLLOUT}/command.ts`, find: "...(isHeldForOtherReasons(state) ? [] :", put: "...(isHeldForOtherReasons(state) ? acknowledge(state).map((each) => (each.kind === \"failures_acknowledged\" ? { ...each, unreachable: 0 } : each)) :" }] },
  { name: "resume excuses who was lost after a person had paused", breaks: "failures_stop", seed: 163, edits: [{ file: `${ROLLOUT}/command.ts`, find: "...(isHeldForOtherReasons(state) ? [] :", put: "...(isHeldForOtherReasons(state) ? [...acknowledge(state, outstanding(state)).map((each) => (each.kind === \"failures_acknowledged\" ? { ...each, failures: 0 } : each)), ...excuse(state)] :" }] },
  { name: "resume excuses what fails after it", breaks: "failures_stop", seed: 137, edits: [{ file: `${ROLLOUT}/rolling.ts`, find: "failuresOf(wave) - acknowledgedFailures > maxFailures)", put: "failuresOf(wave) - 9 * acknowledgedFailures > maxFailures)" }] },
  { name: "a program that ended is never started again", breaks: "started_again", seed: 13, edits: [{ file: BACK_OFF, find: "return Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** (crashes - 1));", put: "return 86_400_000 * 30 + crashes;" }] },
  { name: "a program that ended is started again an hour later", breaks: "started_again", seed: 13, edits: [{ file: BACK_OFF, find: "return Math.min(RESTART_MAX_MS, RESTART_FIRST_MS * 2 ** (crashes - 1));", put: "return 3_600_000 + crashes;" }] },
  { name: "the first wait before a program is started again is a minute", breaks: "started_again", seed: 13, edits: [{ file: BACK_OFF, find: "const RESTART_FIRST_MS = 500;", put: "const RESTART_FIRST_MS = 60_000;" }] },
  { name: "a program is not started again when its machine has started", breaks: "started_again", seed: 31, edits: [{ file: LAUNCH, find: "const rebooted: AppState = { ...unseen, launch: again(state, now) };", put: "const rebooted: AppState = { ...unseen, launch: again(state, now + 86_400_000 * 30) };" }] },
  { name: "a program that was gone back to is not started again", breaks: "started_again", seed: 13, edits: [{ file: LAUNCH, find: "    launch: again(state, now + restartDelayMs(crashes)),\n    health", put: '    launch: again(state, now + (state.phase.kind === "reverted" ? 86_400_000 * 30 : restartDelayMs(crashes))),\n    health' }] },
];
