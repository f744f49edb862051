/**
 * Holds and gates in sentences. Pure.
 */
import type { RolloutEntry } from "../journal/entry.ts";
import type { GateState } from "../rollout/gates.ts";
import type { Hold, RolloutState } from "../rollout/state.ts";
import { waveOf } from "../rollout/change.ts";
import { colon, spanText } from "./words.ts";

type GateEntry = Extract<RolloutEntry, { readonly kind: "gate_reached" | "gate_asked" | "gate_answered" | "gate_opened" | "gate_stopped" }>;

/** What it waited for, once that is over: moments and counts of then are left out. */
export function heldFor({ kind, message }: Hold, wave: number): string {
  switch (kind) {
    case "soak":
      return `the soak of wave ${wave + 1} to be over`;
    case "approval":
      return `somebody to approve wave ${wave + 1}`;
    case "webhook":
      return `the webhook of wave ${wave + 1} to say go`;
    case "prometheus":
      return `the metric of wave ${wave + 1} to be within its limits`;
    case "begin":
      return `its time: ${message}`;
    case "window":
    case "freeze":
    case "offline":
    case "budget":
      return message;
  }
}

/** What it waits for now. */
export function holdsFor({ kind, message }: Hold): string {
  return kind === "begin" ? `its time: ${message}` : message;
}

/** `waitedMs`: at this gate. Undefined: nothing to tell. */
export function gateSentence(state: RolloutState, entry: GateEntry, waitedMs: number): string | undefined {
  const gate = waveOf(state, entry.wave).gates[entry.gate]!;
  const name = gateName(gate, entry.wave);
  switch (entry.kind) {
    case "gate_reached":
      return undefined;
    case "gate_asked":
      return entry.attempt === 1 ? `${name} is asked whether to go on` : undefined;
    case "gate_answered":
      // A first and only `go` is told when it opens the gate.
      return entry.verdict === "go" ? undefined : `${name} ${VERDICTS[entry.verdict]}${colon(entry.said)}`;
    case "gate_opened":
      if (waitedMs > 0 && state.hold !== null) return `waited ${spanText(waitedMs)} for ${heldFor(state.hold, entry.wave)}${colon(entry.said)}`;
      return `${name} ${OPENED[gate.gate.kind]}${colon(entry.said)}`;
    case "gate_stopped":
      return `${name} said stop${colon(entry.said)}`;
  }
}

export function gateName({ gate }: Pick<GateState, "gate">, wave: number): string {
  const names = { soak: "the soak", approval: "the approval", webhook: "the webhook", prometheus: "the metric" } as const;
  return `${names[gate.kind]} of wave ${wave + 1}`;
}

const OPENED = { soak: "is over", approval: "was given", webhook: "said go", prometheus: "is within its limits" } as const;
const VERDICTS = { stop: "said stop", wait: "said not yet", silent: "did not answer" } as const;
