/**
 * When the rollout would begin, and why not at once.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { Plan } from "../plan/plan.ts";
import { timeText } from "../rollout/words.ts";
import { beginTexts } from "./gates-text.ts";
import type { ForecastInputs } from "./inputs.ts";

/** From which its times are counted, as far as that can be known. */
export function startOf({ now, strategy, beginsAt }: Pick<ForecastInputs, "now" | "strategy" | "beginsAt">): Instant {
  return Math.max(now, strategy.startAt ?? 0, beginsAt ?? 0) as Instant;
}

/** Empty: it would begin at once. */
export function beginsWhen(inputs: ForecastInputs, plan: Plan): string {
  const { strategy, waitsFor, now } = inputs;
  const startAt = startOf(inputs);
  const [first] = plan.waves;
  if (first === undefined) return "";
  const frozen = inputs.frozen(startAt);
  const opening = strategy.window === null ? undefined : inputs.opening(strategy.window, startAt);
  const reasons = [
    ...(strategy.start === "manual" ? ["waits for somebody to start it with muster approve (start: manual)"] : []),
    ...(strategy.startAt !== null && strategy.startAt > now ? [`not before ${timeText(strategy.startAt)} (start_at)`] : []),
    ...waitsFor.map((what) => `waits for ${what}`),
    ...(frozen.open ? [] : [`waits for ${frozen.message}`]),
    ...(opening === undefined || opening.open ? [] : [`waits for ${opening.message}`]),
    ...(first.at !== null && first.at <= startAt ? [] : beginTexts({ at: first.at, afterMs: 0 }, 0)),
    ...beginTexts({ at: null, afterMs: first.afterMs }, 0),
  ];
  return reasons.join("; ");
}
