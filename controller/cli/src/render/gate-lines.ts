/**
 * The gates of a wave in words: which one holds the rollout, what would open it, and which are still to come. Pure.
 */
import { durationText, parseDuration } from "@muster/proto/duration.ts";
import type { Deployment, Gate, Wave } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import { gateStateWord, hasEnded, phaseWord, wavePhaseWord } from "../output/words.ts";
import { plain, truncate, wrap } from "./text.ts";
import { ahead, elapsedText, moment } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

const INDENT = "      ";

/** For a wave whose gates matter now: each that was reached on lines of its own, those to come together on one. */
export function gateLines(wave: Wave, deployment: Deployment, options: ViewOptions): readonly string[] {
  // On the way back nobody waits for a gate.
  const isOver = hasEnded(deployment.phase) || phaseWord(deployment.phase) === "rolling_back";
  const shown = wave.gates.filter(({ state }) => isShown(wave, state, isOver));
  const pending = isOver ? [] : wave.gates.filter(({ state }) => gateStateWord(state) === "pending");
  const lines = [...(isOver ? [] : enoughLine(wave, options)), ...shown.flatMap((gate) => gateLine(gate, deployment.id, options))];
  if (pending.length === 0 || !isCurrent(wave)) return [...beginLine(wave, deployment, options), ...lines];
  const toCome = `${INDENT}then: ${pending.map((gate) => plain(gateName(gate))).join(", ")}`;
  return [...lines, options.colors.dim(truncate(toCome, options.columns))];
}

/** Of a rollout that has ended, or goes back, only the gate that stopped it is of interest. */
function isShown(wave: Wave, state: Gate["state"], isOver: boolean): boolean {
  const word = gateStateWord(state);
  if (word === "stopped") return true;
  return !isOver && isCurrent(wave) && (word === "reached" || word === "open" || word === "skipped");
}

/** The rollout is in this wave, or waits behind it. */
function isCurrent({ phase, gates }: Wave): boolean {
  return wavePhaseWord(phase) === "rolling" || gates.some(({ state }) => gateStateWord(state) === "reached");
}

/** Why a wave may be passed, or was, while others of it are under way. */
function enoughLine({ phase, successThreshold, successThresholdOf, size }: Wave, { colors, columns }: ViewOptions): readonly string[] {
  if (successThreshold === undefined || wavePhaseWord(phase) !== "rolling") return [];
  // A controller that does not say of how many counts all of them.
  const of = successThresholdOf === 0 ? size : successThresholdOf;
  const others = size - of;
  const beside = others === 0 ? "" : `; ${others} that ran it already, unconfirmed, ${others === 1 ? "does" : "do"} not count`;
  return [colors.dim(truncate(`${INDENT}${successThreshold} of ${of} healthy are enough${beside}`, columns))];
}

function gateLine(gate: Gate, deploymentId: string, { colors, columns, now }: ViewOptions): readonly string[] {
  const { mark, paint } = look(gate, colors);
  const parts = wrap(plain(gateText(gate, deploymentId, now)), columns - INDENT.length - 2);
  return parts.map((part, index) => `${INDENT}${index === 0 ? paint(mark) : " "} ${gateStateWord(gate.state) === "open" ? colors.dim(part) : paint(part)}`);
}

function look({ kind, state }: Gate, colors: Colors): { readonly mark: string; readonly paint: (text: string) => string } {
  switch (gateStateWord(state)) {
    case "open":
      return { mark: "✓", paint: colors.green };
    case "stopped":
      return { mark: "✗", paint: colors.red };
    case "skipped":
      return { mark: "!", paint: colors.yellow };
    case "reached":
      return { mark: "▸", paint: kind === "approval" ? colors.yellow : colors.cyan };
    case "pending":
    case "unspecified":
      return { mark: "·", paint: colors.dim };
  }
}

/** `soaking, 3m left of 5m`; `soak 5m waits for web-1 to be heard from`; `waits for approval: muster approve d-3`; `waits until ci.example.com says go: no answer yet` */
export function gateText(gate: Gate, deploymentId: string, now: number): string {
  const { kind, asks, state } = gate;
  const said = gate.said === "" ? "" : `: ${gate.said}`;
  switch (gateStateWord(state)) {
    case "reached":
      if (kind === "approval") return `waits for approval: muster approve ${deploymentId}`;
      if (kind === "soak") return soaking(gate, said, now);
      return `waits until ${asks}${said}`;
    case "stopped":
      return `${kind} stopped it${said === "" ? `, as it asks that ${asks}` : said}`;
    case "skipped":
      return `went on without ${gateName(gate)}${said}`;
    case "open":
    case "pending":
    case "unspecified":
      return `${gateName(gate)}${said}`;
  }
}

/** `soak 5m`, `approval`, `webhook` */
function gateName(gate: Gate): string {
  const soakMs = gate.kind === "soak" ? soakOf(gate) : undefined;
  return soakMs === undefined ? gate.kind : `soak ${durationText(soakMs)}`;
}

/** When it is over only the controller knows, by its own clock: its time stands still while somebody is waited for, and while the controller is away. Where the clocks differ, no more is left than it lasts. */
function soaking(gate: Gate, said: string, now: number): string {
  const { endsAt, asks } = gate;
  if (endsAt === 0) return gate.said === "" ? `soaking: ${asks}` : `${gateName(gate)} waits for ${gate.said}`;
  const wholeMs = soakOf(gate);
  const leftMs = Math.min(Math.max(0, endsAt - now), wholeMs ?? Infinity);
  return `soaking, ${elapsedText(Math.ceil(leftMs / 1000) * 1000)} left${wholeMs === undefined ? "" : ` of ${durationText(wholeMs)}`}${said}`;
}

/** It says how long in words: `no target changes for 5m`. */
function soakOf({ asks }: Gate): number | undefined {
  const [text = ""] = /[0-9][0-9.hmsd]*[hmsd]$/.exec(asks) ?? [];
  const parsed = parseDuration(text);
  return parsed.ok ? parsed.ms : undefined;
}

/** A wave that is to begin at a time of its own. */
function beginLine({ beginsAt, phase }: Wave, deployment: Deployment, { colors, columns, now }: ViewOptions): readonly string[] {
  if (beginsAt <= now || wavePhaseWord(phase) !== "pending" || hasEnded(deployment.phase)) return [];
  return [colors.dim(truncate(`${INDENT}begins at ${moment(beginsAt, now)}, ${ahead(beginsAt, now)}`, columns))];
}
