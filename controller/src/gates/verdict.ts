/** What the outside world said about going on, and the words in which it is told. */
import type { AppName, DeploymentId } from "@muster/proto/ids.ts";
import type { Check } from "../plan/strategy.ts";

/** Who asks: a gate behind its wave, or an alarm of the rollout. */
export type Asker = { readonly kind: "gate"; readonly wave: number; readonly gate: number } | { readonly kind: "alarm"; readonly alarm: number };

/** One question of a gate or an alarm; the engine repeats it. */
export interface Question {
  readonly check: Check;
  /** Its indexes count from 0. */
  readonly asker: Asker;
  readonly deployment: DeploymentId;
  readonly app: AppName;
  readonly version: string;
  /** Under way, from 1. */
  readonly wave: number;
  readonly waves: number;
  /** Of this gate or alarm; rises with each question. */
  readonly attempt: number;
  /** Targets of the rollout by state. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface Verdict {
  /**
   * go      a yes
   * stop    a no
   * wait    asked, but undecided; or not asked, because the controller is stopping or has too many questions open. Ask again later: it counts as nothing
   * silent  no answer that can be understood; `onSilence` says what that means
   */
  readonly kind: "go" | "stop" | "wait" | "silent";
  /** A sentence without its full stop, of one line and bounded length; what others wrote in it has no control characters. */
  readonly detail: string;
}

/** Of what others wrote; enough to know it by. */
const QUOTED_CHARACTERS_MAX = 200;

/** What others wrote, as one line that can be shown on a terminal and kept in the journal. */
export function oneLine(text: string, charactersMax: number = QUOTED_CHARACTERS_MAX): string {
  const shown = text.slice(0, charactersMax).replace(/[\s\p{C}]+/gu, " ").trim();
  return text.length > charactersMax ? `${shown}…` : shown;
}
