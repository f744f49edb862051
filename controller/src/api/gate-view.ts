/**
 * A gate as operators see it.
 */
import { type Gate as GateMessage, GateState as GateStateMessage } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Gate, PrometheusGate } from "../plan/strategy.ts";
import type { GateState } from "../rollout/gates.ts";
import { durationText } from "../rollout/words.ts";

/** `changedAt`: when a target of its wave last changed, or, where not all are waited for, got worse; a soak begins anew with it. */
export function gateView({ gate, state, since, said }: GateState, changedAt: number, isForAll: boolean): GateMessage {
  const begunAt = gate.kind === "soak" && state === "reached" ? Math.max(since, changedAt) : since;
  return { kind: gate.kind, state: STATES[state], asks: asksText(gate, isForAll), said, since: begunAt };
}

/** What a gate asks for. */
function asksText(gate: Gate, isForAll: boolean): string {
  switch (gate.kind) {
    case "soak":
      return `no target ${isForAll ? "changes" : "gets worse"} for ${durationText(gate.forMs)}`;
    case "approval":
      return "somebody approves it";
    case "webhook":
      return `${hostOf(gate.url)} says go`;
    case "prometheus":
      return `${gate.query} is ${limits(gate)}, ${gate.count} times, every ${durationText(gate.intervalMs)}`;
  }
}

function limits({ min, max }: PrometheusGate): string {
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
