/**
 * What a deployment file may say of when: recurring windows, a time to begin at, another deployment to begin after, and how long silent machines are waited for.
 */
import { z } from "zod";
import { validateCron, validateTimeZone } from "../../gates/cron-rule.ts";
import { DURATION, parseDuration } from "@muster/proto/duration.ts";
import { explainChoice, explainDuration, explainMap, explainText } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { nearestTimeZone } from "../time-zone.ts";
import { DEADLINE_MAX, duration, HOUR, says, SECOND, selector } from "./leaf.ts";
import { appName } from "./release.ts";

/** A longer one would still be open when it opens again. */
const WINDOW_MAX = 7 * 24 * HOUR;

/** Five words: all that editors can check. */
const CRON = /^\s*(?:\S+\s+){4}\S+\s*$/u;
const explainCronType = explainText({ pattern: CRON, what: "a cron", example: '"0 2 * * 1-5"', rule: "" });
const explainCron: Explain = (found) => (typeof found === "string" ? (validateCron(found) ?? "") : explainCronType(found));

const TIME_ZONE = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/u;
const explainZoneType = explainText({ pattern: TIME_ZONE, what: "a time zone", example: "Europe/Berlin", rule: "" });
const explainZone: Explain = (found) => {
  if (typeof found !== "string") return explainZoneType(found);
  const nearest = nearestTimeZone(found);
  return `${validateTimeZone(found) ?? ""}${nearest === undefined ? "" : ` (try ${nearest})`}`;
};

export const Window = z.strictObject(
  {
    cron: z
      .string(says(explainCron))
      .regex(CRON, says(explainCron))
      .superRefine((found, context) => {
        const fault = CRON.test(found) ? validateCron(found) : undefined;
        if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
      })
      .meta({ description: "When it opens: minute, hour, day of month, month, day of week.", examples: ["0 2 * * 1-5"] }),
    duration: duration("the duration of a window", SECOND, WINDOW_MAX).meta({ description: "How long it is open: 1s to 7d.", examples: ["4h"] }),
    time_zone: z
      .string(says(explainZone))
      .regex(TIME_ZONE, says(explainZone))
      .superRefine((found, context) => {
        if (TIME_ZONE.test(found) && validateTimeZone(found) !== undefined) context.addIssue({ code: "custom", message: explainZone(found) });
      })
      .prefault("UTC")
      .meta({ description: "IANA name of the time zone that cron speaks of.", examples: ["Europe/Berlin"] }),
  },
  says(explainMap("when targets may be started", '{ cron: "0 2 * * 1-5", duration: 4h }')),
);

const explainPromotionMap = explainMap("the deployment to begin after", "{ deployment_of: shop-web, targets: env=staging, soak: 1h }");
const explainPromotion: Explain = (found) => {
  const isDuration = typeof found === "string" && DURATION.test(found);
  return `${explainPromotionMap(found)}${isDuration ? `; to let a wave wait, write after: ${found} in the wave; to begin later, start_at` : ""}`;
};

export const Promotion = z.strictObject(
  {
    deployment_of: appName.meta({ description: "App whose newest deployment must have succeeded.", examples: ["shop-web"] }),
    targets: selector().meta({ description: "The selector of that deployment, as its file has it.", examples: ["env=staging"] }),
    soak: duration("soak", 0, DEADLINE_MAX).prefault("0s").meta({ description: "How long it must have stood since it succeeded.", examples: ["1h"] }),
  },
  says(explainPromotion),
);

const WAIT = "wait:";
const OFFLINE = new RegExp(`^(?:skip|wait(?::${DURATION.source.slice(1, -1)})?)$`, "u");
const OFFLINE_RULE = { minMs: SECOND, maxMs: DEADLINE_MAX };
const explainWait = explainDuration("offline", OFFLINE_RULE);
const explainOfflineChoice = explainChoice("what to do about silent machines", ["skip", "wait", "wait:30m"]);

const explainOffline: Explain = (found) => {
  if (typeof found === "object" && found !== null && "wait" in found) return `a map where text is wanted: write wait:${String(found.wait)}, without a blank`;
  if (typeof found !== "string") return explainOfflineChoice(found);
  if (DURATION.test(found)) return `"${found}" is not one of skip, wait, wait:30m: write wait:${found}`;
  const tidy = found.replaceAll(/\s/g, "");
  if (tidy !== found && OFFLINE.test(tidy)) return `"${found}" is not one of skip, wait, wait:30m: write ${tidy}`;
  return found.startsWith(WAIT) ? explainWait(found.slice(WAIT.length)) : explainOfflineChoice(found);
};

export const Offline = z
  .string(says(explainOffline))
  .regex(OFFLINE, says(explainOffline))
  .transform((found, context) => {
    if (found === "skip") return { kind: "skip" } as const;
    if (found === "wait") return { kind: "wait", forMs: null } as const;
    const parsed = parseDuration(found.slice(WAIT.length));
    if (parsed.ok && parsed.ms >= OFFLINE_RULE.minMs && parsed.ms <= OFFLINE_RULE.maxMs) return { kind: "wait", forMs: parsed.ms } as const;
    context.issues.push({ code: "custom", message: explainOffline(found), input: found });
    return z.NEVER;
  });
