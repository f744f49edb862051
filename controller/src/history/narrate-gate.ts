/**
 * Holds and gates in sentences. Pure.
 */
import type { RolloutEntry } from "../journal/entry.ts";
import { type GateState, whySkipped } from "../rollout/gates.ts";
import type { Hold, RolloutState } from "../rollout/state.ts";
import { waveOf } from "../rollout/change.ts";
import { afterText, colon, spanText } from "./words.ts";

type GateEntry = Extract<RolloutEntry, { readonly kind: "gate_reached" | "gate_asked" | "gate_answered" | "gate_opened" | "gate_stopped" }>;

/** What it waited for, once that is over: moments and counts of then, and what would have followed, are left out of what it waited for at a gate, or for machines. */
function heldFor({ kind, message }: Hold, wave: number): string {
  switch (kind) {
    case "soak":
      return `the soak of wave ${wave + 1} to be over`;
    case "approval":
      return `somebody to approve wave ${wave + 1}`;
    case "webhook":
      return `the webhook of wave ${wave + 1} to say go`;
    case "prometheus":
      return `the metric of wave ${wave + 1} to be within its limits`;
    case "reports":
    case "begin":
    case "window":
    case "freeze":
    case "budget":
    case "settling":
    case "unsound":
    case "cordon":
      return message;
    case "offline":
      return message.replace(/, until [^;)]* UTC/, "").replace(/; else it [^(]*\(max_unreachable\)/, "").replace(/; progress_deadline begins at .* UTC/, "");
    case "alarm":
      return "its alarms to be quiet";
  }
}

/** That it waits no longer, where no gate opened: what a gate asks for did not come then, and an end may come before anything else. */
export function holdEnded(hold: Hold, wave: number, waitedMs: number, entry: RolloutEntry): string {
  const isBroken = GATES.has(hold.kind) || (entry.kind === "phase_changed" && entry.phase !== "succeeded");
  return isBroken ? `stopped waiting for ${heldFor(hold, wave)} after ${spanText(waitedMs)}` : `waited ${spanText(waitedMs)} for ${heldFor(hold, wave)}`;
}

const GATES: ReadonlySet<Hold["kind"]> = new Set(["soak", "approval", "webhook", "prometheus"]);

/** `waitedMs`: at this gate. Undefined: nothing to tell. */
export function gateSentence(state: RolloutState, entry: GateEntry, waitedMs: number): string | undefined {
  const gate = waveOf(state, entry.wave).gates[entry.gate]!;
  const name = gateName(gate, entry.wave);
  switch (entry.kind) {
    case "gate_reached":
      return undefined;
    case "gate_asked":
      return undefined;
    case "gate_answered":
      return answerSentence(gate, name, entry);
    case "gate_opened": {
      const skipped = whySkipped({ ...gate, state: "open", said: entry.said });
      if (skipped !== undefined) return `went on without ${name}${afterText(waitedMs)}: ${skipped}`;
      if (waitedMs > 0 && state.hold !== null) return `waited ${spanText(waitedMs)} for ${heldFor(state.hold, entry.wave)}${colon(entry.said)}`;
      return `${name} ${OPENED[gate.gate.kind]}${colon(entry.said)}`;
    }
    case "gate_stopped":
      return `${name} said stop${afterText(waitedMs)}${colon(entry.said)}`;
  }
}

/** What opens or stops the gate is told when it does. */
function answerSentence({ gate, failed }: GateState, name: string, { verdict, said }: Extract<GateEntry, { readonly kind: "gate_answered" }>): string | undefined {
  switch (verdict) {
    case "go":
      return undefined;
    case "stop":
      return gate.kind === "prometheus" && failed < gate.failureLimit ? `${name} is outside of its limits${colon(said)}` : undefined;
    case "wait":
      return `${name} said not yet${colon(said)}`;
    case "silent":
      return `${name} did not answer${colon(said)}`;
  }
}

/** What stops the rollout is told when it does, and a quiet alarm is nothing to tell. */
export function alarmSentence({ alarm, verdict, said }: Extract<RolloutEntry, { readonly kind: "alarm_answered" }>): string | undefined {
  switch (verdict) {
    case "go":
    case "wait":
      return undefined;
    case "stop":
      return `alarm ${alarm + 1} is active${colon(said)}`;
    case "silent":
      return `alarm ${alarm + 1} did not answer${colon(said)}`;
  }
}

function gateName({ gate }: Pick<GateState, "gate">, wave: number): string {
  const names = { soak: "the soak", approval: "the approval", webhook: "the webhook", prometheus: "the metric" } as const;
  return `${names[gate.kind]} of wave ${wave + 1}`;
}

const OPENED = { soak: "is over", approval: "was given", webhook: "said go", prometheus: "is within its limits" } as const;
