/**
 * What happens when the wanted release failed.
 *
 * A passing fault, such as a full disk, fails nothing after which nothing would run: that is told as failed, and is tried again for as long as it takes.
 *
 * Always holds afterwards: what runs is the last good release or a confirmed one, or is on the way to the last good one, or nothing runs. The reason that people see is
 * that of the release that failed, whatever going back brings; only when going back fails too does `revert_failed` name both.
 *
 * A confirmed release that the agent has switched to is never left for another one: the last good release may be the very one that the controller takes back. It is started again and again instead.
 */
import { provenDeadlineMs } from "@muster/proto/proven.ts";
import { restartDelayMs } from "./back-off.ts";
import { type AppState, type Fault, type Launch, type Reason, enter, isOnConfirmed, isProcess, sameRelease } from "./state.ts";
import { unwell, withNote } from "./words.ts";

export function fail(state: AppState, reason: Reason, now: number): AppState {
  const after: AppState = { ...state, retry: undefined, late: undefined };
  if (isOnConfirmed(state)) {
    const failed = enter(after, { kind: "failed", reason: plain(reason), cause: undefined }, now);
    return state.settled ? failed : startedAgain(failed, now);
  }
  if (state.settled && state.current === undefined && state.lastGood === undefined) return enter(after, { kind: "failed", reason: plain(reason), cause: undefined }, now);
  if (state.settled && sameRelease(state.current, state.lastGood)) {
    // While probing, the last good release is the wanted one itself: nothing is better than to keep it going.
    if (state.phase.kind === "probing") return enter(after, { kind: "failed", reason: plain(reason), cause: undefined }, now);
    return stay(after, withNote(reason, `still on ${state.current?.version}`), now);
  }
  const deadlineAt = now + provenDeadlineMs(state.goal?.healthyDeadlineMs ?? 0);
  return enter({ ...after, settled: false, health: { kind: "unknown" } }, { kind: "reverting", move: "stop", cause: plain(reason), deadlineAt }, now);
}

/** Its time is over, and a passing fault is all that is known against it: with nothing to go back to, giving it up would leave the machine with nothing. */
export function failInTime(state: AppState, fault: Fault, now: number): AppState {
  if (state.lastGood !== undefined || isOnConfirmed(state)) return fail(state, fault, now);
  return { ...state, late: withNote(plain(fault), "nothing else can run here, so it is tried again until it can") };
}

/** The same of going back: it is never given up for a passing fault. */
export function failRevertInTime(state: AppState, cause: Reason, fault: Fault, now: number): AppState {
  if (state.phase.kind === "reverting" && state.phase.move === "start") return failRevert(state, cause, fault.message, now);
  return { ...state, late: withNote(revertFailed(state, cause, fault.message), "it is tried again until it can be done") };
}

/** What ran before goes on. It may be down itself. */
function stay(state: AppState, reason: Reason, now: number): AppState {
  const down = downNow(state);
  if (down === undefined) return enter(state, { kind: "reverted", reason }, now);
  return enter(state, { kind: "unhealthy", reason: unwell(state.current?.version ?? "", down, reason), revertedFor: reason }, now);
}

function downNow({ launch, health }: AppState): Reason | undefined {
  if (launch.kind === "waiting") return { code: "exited", message: "its process has ended, and is started again" };
  return health.kind === "unhealthy" ? { code: "turned_unhealthy", message: health.detail } : undefined;
}

/** Going back failed too. A process that could be switched to is started again and again all the same. */
export function failRevert(state: AppState, cause: Reason, why: string, now: number): AppState {
  const after = enter({ ...state, retry: undefined }, { kind: "failed", reason: revertFailed(state, cause, why), cause }, now);
  if (state.phase.kind !== "reverting" || state.phase.move !== "start") return after;
  return startedAgain(after, now);
}

/** Nothing ran for a while, and the release that was gone back to is started at last: as one that is started again and again, with what was told of it. */
export function backAtLast(state: AppState, late: Reason, cause: Reason, now: number): AppState {
  const launch: Launch = state.current !== undefined && isProcess(state.current) ? { kind: "waiting", until: now } : state.launch;
  return enter({ ...state, settled: true, launch }, { kind: "failed", reason: late, cause }, now);
}

function revertFailed({ lastGood }: AppState, cause: Reason, why: string): Reason {
  return { code: "revert_failed", message: `${cause.message}; going back to ${lastGood?.version ?? "nothing"} failed: ${why}` };
}

/** The exchange is over, and the process of `current` could not be started. A start that is under way is let finish. */
function startedAgain(state: AppState, now: number): AppState {
  const crashes = state.crashes + 1;
  if (state.launch.kind === "starting") return { ...state, settled: true, crashes };
  return { ...state, settled: true, crashes, launch: { kind: "waiting", until: now + restartDelayMs(crashes) } };
}

/** A fault without the word on whether it is worth another try. */
function plain({ code, message }: Reason | Fault): Reason {
  return { code, message };
}
