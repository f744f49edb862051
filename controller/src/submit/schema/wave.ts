/**
 * What a deployment file may say of a wave: a size, or a map of who belongs to it and of what holds the waves after it.
 */
import { z } from "zod";
import { explainDuration, explainList, explainMap, explainSize, shown } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { COUNT_MAX } from "../size.ts";
import { gates } from "./gate.ts";
import { DEADLINE_MAX, duration, flag, hasKnownKeys, instant, says, selector, size, tolerance } from "./leaf.ts";

/** More waves than anybody could watch. */
const WAVES_MAX = 100;

const MEMBERS = ["size", "targets"] as const;

function membersOf(wave: unknown): readonly string[] {
  return MEMBERS.filter((key) => typeof wave === "object" && wave !== null && key in wave);
}

const explainMembers: Explain = (wave) =>
  membersOf(wave).length === 0
    ? "takes nobody: one of size, targets is wanted, for example { size: 10%, soak: 5m }"
    : "size and targets in one wave: write a wave for each";

const explainAfterDuration = explainDuration("after", { minMs: 0, maxMs: DEADLINE_MAX });
const explainAfter: Explain = (found) =>
  typeof found === "object" && found !== null && "deployment_of" in found
    ? "a map where a duration is wanted: after another deployment begins a rollout, not a wave; write it in rollout.after"
    : explainAfterDuration(found);

const shape = {
  size: size().optional().meta({ description: "So many of all targets, counted from the first wave: cumulative, rising. Percentages round up.", examples: [5, "10%"] }),
  targets: selector().optional().meta({ description: "The targets with these labels that are in no wave before it.", examples: ["canary=true"] }),
  soak: duration("soak", 0, DEADLINE_MAX).prefault("0s").meta({ description: "No target of the wave may change for so long before the next wave, and each must be heard after it.", examples: ["5m"] }),
  approve: flag("whether somebody must approve").prefault(false).meta({ description: "Whether somebody must say go before the next wave." }),
  after: duration("after", 0, DEADLINE_MAX, explainAfter)
    .prefault("0s")
    .meta({ description: "The wave begins not before so long after the one before it was finished; the first: after the rollout began.", examples: ["2h"] }),
  at: instant("when the wave begins").optional().meta({ description: "The wave begins not before: RFC 3339, with a time zone.", examples: ["2026-12-01T08:00:00Z"] }),
  max_failures: tolerance().optional().meta({ description: "In place of the rollout's, for this wave.", examples: [1, "5%"] }),
  max_unreachable: tolerance().optional().meta({ description: "In place of the rollout's, for this wave.", examples: [1, "5%"] }),
  success_threshold: size()
    .optional()
    .meta({ description: "So many healthy targets, a count or a percentage of the wave, are enough for the next wave to begin while the others go on. Not in the last wave.", examples: [8, "80%"] }),
  gates: gates().meta({ description: "Asked after this wave, beside those of the rollout.", examples: [[{ webhook: { url: "https://ci.example.com/gate" } }]] }),
};

export const WaveMap = z
  .strictObject(shape, says(explainMap("a wave", "{ size: 10%, soak: 5m }")))
  .refine((wave) => membersOf(wave).length === 1, { ...says(explainMembers), when: hasKnownKeys })
  .meta({ description: "Exactly one of size, targets.", oneOf: MEMBERS.map((key) => ({ required: [key] })) });

export const WaveSize = size();

const explainWaveList = explainList("the waves", "[1, 25%, 100%]", WAVES_MAX);
const explainWaves: Explain = (found) => {
  const isPart = typeof found === "number" || (typeof found === "string" && /^[0-9.]+%$/.test(found) && found !== "100%");
  return isPart ? `${shown(found)} where a list is wanted: write [${found}, 100%]` : explainWaveList(found);
};

export const Waves = z
  .array(z.union([WaveSize, WaveMap], says(explainSize({ min: 1, max: COUNT_MAX }))), says(explainWaves))
  .min(1, says(explainWaves))
  .max(WAVES_MAX, says(explainWaves));
