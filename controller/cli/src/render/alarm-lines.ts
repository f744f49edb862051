/**
 * The alarms of a rollout that goes forward: what each said last. Pure.
 */
import type { Alarm, Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { alarmStateWord, hasEnded, phaseWord } from "../output/words.ts";
import { plain, wrap } from "./text.ts";
import type { ViewOptions } from "./view-options.ts";

export function alarmLines({ alarms, phase, promoted }: Deployment, { colors, columns }: ViewOptions): readonly string[] {
  if (hasEnded(phase) || phaseWord(phase) === "rolling_back" || promoted) return [];
  return alarms.flatMap((alarm, index) => {
    const word = alarmStateWord(alarm.state);
    const paint = word === "active" || word === "silent" ? colors.yellow : colors.dim;
    const lines = wrap(plain(alarmText(alarm, index)), columns - 4);
    return lines.map((line, place) => paint(`${place === 0 ? "  " : "    "}${line}`));
  });
}

/** `alarm 1 quiet: error_rate is 0.002, within max 0.01`; before the first answer what it asks */
export function alarmText({ state, asks, said }: Alarm, index: number): string {
  const word = alarmStateWord(state);
  return `alarm ${index + 1} ${word === "pending" || word === "unspecified" ? `asks whether ${asks}` : `${word}: ${said}`}`;
}
