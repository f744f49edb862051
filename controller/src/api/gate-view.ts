/**
 * A gate, and an alarm, as operators see them.
 */
import { durationText } from "@muster/proto/duration.ts";
import { type Alarm as AlarmMessage, AlarmState as AlarmStateMessage, type Gate as GateMessage, GateState as GateStateMessage } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Check, Gate, PrometheusCheck } from "../plan/strategy.ts";
import type { AlarmState } from "../rollout/alarms.ts";
import { type GateState, whySkipped } from "../rollout/gates.ts";

/** What is known where the gate stands. */
export interface Around {
  /** When a target of its wave last changed, or, where not all are waited for, got worse; a soak begins anew with it. */
  readonly changedAt: number;
  /** All of the wave are waited for. */
  readonly isForAll: boolean;
  /** Machines of the wave. */
  readonly healthy: number;
  /** When the soak that the rollout waits for is over; 0: it does not wait for one, or no time counts now. */
  readonly soakEndsAt: number;
  /** What the rollout waits for. */
  readonly waitingOn: string;
}

export function gateView(gateState: GateState, { changedAt, isForAll, healthy, soakEndsAt, waitingOn }: Around): GateMessage {
  const { gate, state, since: reachedAt, said } = gateState;
  const since = reachedAt?.at ?? 0;
  const shown = { kind: gate.kind, asks: asksText(gate, isForAll), since, endsAt: 0 };
  if (gate.kind === "soak" && state === "reached") {
    const why = soakEndsAt === 0 ? firstOf(waitingOn) : healthy === 0 ? "no machine of the wave is healthy" : "";
    return { ...shown, state: STATES.reached, said: why, since: Math.max(since, changedAt), endsAt: soakEndsAt };
  }
  const skipped = whySkipped(gateState);
  return skipped === undefined ? { ...shown, state: STATES[state], said } : { ...shown, state: GateStateMessage.SKIPPED, said: skipped };
}

/** The thing itself; why, and what comes after it, stand where it is said in full. */
function firstOf(waitingOn: string): string {
  return waitingOn.split(/: | \(|; /, 1)[0] ?? "";
}

export function alarmView({ alarm, rung, unanswered, isClear, said, askedAt }: AlarmState): AlarmMessage {
  const { check, intervalMs } = alarm;
  const state = rung > 0 ? AlarmStateMessage.ACTIVE : unanswered > 0 ? AlarmStateMessage.SILENT : isClear ? AlarmStateMessage.QUIET : AlarmStateMessage.PENDING;
  return { kind: check.kind, state, asks: `${checkText(check)}, asked every ${durationText(intervalMs)}`, said, askedAt: askedAt?.at ?? 0 };
}

/** What a gate asks for. */
function asksText(gate: Gate, isForAll: boolean): string {
  switch (gate.kind) {
    case "soak":
      return `no target ${isForAll ? "changes" : "gets worse"} for ${durationText(gate.forMs)}`;
    case "approval":
      return "somebody approves it";
    case "webhook":
      return checkText(gate);
    case "prometheus":
      return `${checkText(gate)}, ${gate.count} times, every ${durationText(gate.intervalMs)}`;
  }
}

function checkText(check: Check): string {
  return check.kind === "webhook" ? `${hostOf(check.url)} says go` : `${check.query} is ${limits(check)}`;
}

function limits({ min, max }: PrometheusCheck): string {
  if (min === null) return `at most ${max}`;
  return max === null ? `at least ${min}` : `from ${min} to ${max}`;
}

/** Paths and queries of URLs may hold what is nobody else's business. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "the webhook";
}

const STATES: Readonly<Record<GateState["state"], GateStateMessage>> = {
  pending: GateStateMessage.PENDING,
  reached: GateStateMessage.REACHED,
  open: GateStateMessage.OPEN,
  stopped: GateStateMessage.STOPPED,
};
