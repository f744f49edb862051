/**
 * A gate of a wave: whether it has been reached, what was answered, and what follows from that.
 *
 *     pending ─▶ reached ─▶ open
 *                   │ ▲
 *                   ▼ │ (resumed)
 *                stopped
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Gate, PrometheusGate, WebhookGate } from "../plan/strategy.ts";
import { attendedSince, dueAt, later, type Moment } from "./moment.ts";
import { askedNextAt, type Asking, isSilent, noteAnswer, noteQuestion, type Repeatable, type Verdict } from "./asking.ts";

export interface GateState extends Asking {
  readonly gate: Gate;
  state: "pending" | "reached" | "open" | "stopped";
  /** Of the last change of `state`; null before it was reached. */
  since: Moment | null;
  /** Answers `go`, and answers `stop`. */
  passed: number;
  failed: number;
}

export type GateChange =
  | { readonly kind: "gate_reached"; readonly wave: number; readonly gate: number; /** It had been reached, and nobody had looked for a while: what was good before counts no more, and what was bad counts on. Default false. */ readonly isAnew?: boolean; /** It had been reached, and from then to now machines were waited for: that counts for nothing. */ readonly waitedSince?: Moment }
  | (Repeatable & { readonly kind: "gate_asked"; readonly wave: number; readonly gate: number; readonly attempt: number })
  | (Repeatable & {
      readonly kind: "gate_answered";
      readonly wave: number;
      readonly gate: number;
      readonly attempt: number;
      readonly verdict: Verdict;
      readonly said: string;
    })
  | { readonly kind: "gate_opened"; readonly wave: number; readonly gate: number; readonly said: string }
  | { readonly kind: "gate_stopped"; readonly wave: number; readonly gate: number; readonly said: string };

export function pendingGate(gate: Gate): GateState {
  return { gate, state: "pending", since: null, attempts: 0, isAsked: false, askedAt: null, passed: 0, failed: 0, unanswered: 0, said: "", verdict: null };
}

export function applyGate(gate: GateState, change: GateChange, at: Moment): void {
  switch (change.kind) {
    case "gate_reached": {
      const { isAnew, waitedSince } = change;
      const since = isAnew === true ? gate.since : waitedSince === undefined ? at : later(gate.since ?? at, attendedSince(waitedSince, at));
      const kept = isAnew === true ? { since, failed: gate.failed } : { since };
      Object.assign(gate, { ...pendingGate(gate.gate), attempts: gate.attempts, state: "reached", ...kept });
      return;
    }
    case "gate_asked":
      return noteQuestion(gate, change.attempt, at);
    case "gate_answered":
      noteAnswer(gate, change.verdict, change.said, at);
      if (change.verdict === "go") gate.passed += 1;
      if (change.verdict === "stop") gate.failed += 1;
      return;
    case "gate_opened":
    case "gate_stopped":
      gate.state = change.kind === "gate_opened" ? "open" : "stopped";
      gate.since = at;
      gate.isAsked = false;
      gate.said = change.said;
      return;
  }
}

/** Nothing follows from the answer that did not follow from the one before. */
export function repeatsGate(state: GateState, verdict: Verdict): boolean {
  const { gate } = state;
  if (verdict !== state.verdict || (gate.kind !== "webhook" && gate.kind !== "prometheus")) return false;
  return verdict === "wait" || (verdict === "silent" && isSilent(state, gate));
}

/** A metric is measured anew, at once. A soak counts on, as it runs while somebody looks; and what a webhook has said is said. */
export function measuredAnew({ gate, state, passed, isAsked }: GateState): boolean {
  return gate.kind === "prometheus" && state === "reached" && (passed > 0 || isAsked);
}

/** What follows for a gate that was reached. */
export type GateStep =
  | { readonly kind: "open"; readonly said: string }
  | { readonly kind: "stop"; readonly said: string }
  | { readonly kind: "ask" }
  /** `until` undefined: until somebody opens it or an answer comes. */
  | { readonly kind: "wait"; readonly until: Instant | undefined };

/** `changedAt`: when a target of the wave last changed. `patienceMs`: so much longer than it asks for, a soak may be interrupted. */
export function stepOf(gate: GateState, changedAt: Moment, patienceMs: number, now: Moment): GateStep {
  const asked = gate.gate;
  const since = gate.since ?? now;
  switch (asked.kind) {
    case "soak": {
      const over = soakOver(gate, changedAt);
      if (over === undefined || now.attended >= over.attended) return { kind: "open", said: "" };
      // Targets that change no more are given the rest of the soak, however late it is.
      if (attendedSince(since, changedAt) >= asked.forMs + patienceMs) return { kind: "stop", said: "its targets kept changing until progress_deadline" };
      return { kind: "wait", until: dueAt(over, 0, now) };
    }
    case "approval":
      return { kind: "wait", until: undefined };
    case "webhook":
      if (gate.failed > 0) return { kind: "stop", said: gate.said };
      if (gate.passed > 0) return { kind: "open", said: gate.said };
      return questionStep(gate, asked, asked.retryIntervalMs, now);
    case "prometheus":
      if (gate.failed > asked.failureLimit) return { kind: "stop", said: gate.said };
      if (gate.passed >= asked.count) return { kind: "open", said: gate.said };
      return questionStep(gate, asked, asked.intervalMs, now);
  }
}

/** Begins what is said of a gate that was opened though nothing had come true. */
const SKIPPED = "skipped: ";

export function saidOfSkipped(why: string): string {
  return `${SKIPPED}${why}`;
}

/** Why the rollout went on without what the gate asks for; undefined: it came true, or is still to come. A soak that ran to its end under somebody's eyes has nothing to say. */
export function whySkipped({ gate: { kind }, state, said }: Pick<GateState, "gate" | "state" | "said">): string | undefined {
  if (state !== "open" || said === "") return undefined;
  if (said.startsWith(SKIPPED)) return said.slice(SKIPPED.length);
  return kind === "soak" ? said : undefined;
}

/** When a soak is over, if nothing changes until then; undefined: it is no soak, or was not reached. */
export function soakOver({ gate, since }: GateState, changedAt: Moment): Moment | undefined {
  if (gate.kind !== "soak" || since === null) return undefined;
  return later(changedAt.attended > since.attended ? changedAt : since, gate.forMs);
}

function questionStep(gate: GateState, { retries, onSilence }: WebhookGate | PrometheusGate, intervalMs: number, now: Moment): GateStep {
  if (gate.isAsked) return { kind: "wait", until: undefined };
  if (isSilent(gate, { retries }) && onSilence !== "wait") {
    const said = `no answer to ${gate.unanswered} questions: ${gate.said}`;
    return onSilence === "go" ? { kind: "open", said } : { kind: "stop", said };
  }
  const due = askedNextAt(gate, intervalMs, now);
  return now.at >= due ? { kind: "ask" } : { kind: "wait", until: due };
}
