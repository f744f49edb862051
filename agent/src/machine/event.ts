/**
 * What can happen to an app, and what time and chance hand in with it.
 * Any event may come at any moment, late or twice: an event that the state does not wait for changes nothing.
 */
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Exit, Fault, Workload } from "./state.ts";

export type Event =
  | { readonly kind: "goal"; readonly goal: AppAssignment }
  /** The agent has started and looked at the world: `found` is the living workload of the recorded launch. */
  | { readonly kind: "woken"; readonly found: Workload | undefined; readonly bootId: string }
  /** A time that was asked for with `wakeAt` has come, or may have. */
  | { readonly kind: "tick" }
  /** The agent has not looked for a while: it was stopped, or the machine slept. No probe has answered in it. */
  | { readonly kind: "gap" }
  /** The controller does not have any more what was said of the app. */
  | { readonly kind: "forgotten" }
  /** The controller, from which artifacts come, was heard. `paceMs`: after so long at most it should have been; 0: it was away before; Infinity: nobody knows. */
  | { readonly kind: "heard"; readonly paceMs: number }
  /** `key` is that of the step. `ports` are those chosen by the step `ports`. */
  | { readonly kind: "step_done"; readonly key: string; readonly ports?: Readonly<Record<string, number>> }
  | { readonly kind: "step_failed"; readonly key: string; readonly fault: Fault }
  | { readonly kind: "started"; readonly workload: Workload }
  | { readonly kind: "start_failed"; readonly launchId: string; readonly fault: Fault }
  | { readonly kind: "stopped"; readonly launchId: string }
  /** `lastLine` is the last that it wrote to stderr, or empty. */
  | { readonly kind: "exited"; readonly launchId: string; readonly exit: Exit; readonly lastLine: string }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  /** The workload was stopped on purpose together with the agent; it is started again when the agent is. */
  | { readonly kind: "halted" };

export type Verdict =
  | { readonly health: "unknown" }
  | { readonly health: "healthy" }
  | { readonly health: "unhealthy"; readonly detail: string };

export interface Moment {
  /** Attended time in milliseconds: never goes back within one life of the agent, and does not pass while the agent does not look. */
  readonly now: number;
  /** From 0 to below 1. */
  readonly chance: number;
  /** Never used before; taken when this decision starts a process. */
  readonly launchId: string;
}
