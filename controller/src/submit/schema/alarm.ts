/**
 * Alarms: what is asked for as long as a rollout goes forward, and stops it when it goes off.
 */
import { z } from "zod";
import { explainList, explainMap } from "../explain.ts";
import { interval, measurements, METRIC, metric, oneCheck, retries, saysWebhook, WEBHOOK } from "./check.ts";
import { choice, says } from "./leaf.ts";

const ALARMS_MAX = 16;

function asked(question: string) {
  return {
    interval: interval(question),
    failure_limit: measurements("a number of failures", 0)
      .prefault(0)
      .meta({ description: "More failures in a row stop the rollout; fewer are put up with." }),
    retries: retries(),
    on_silence: choice("what silence means", ["stop", "go"]).prefault("stop").meta({ description: "When no answer is found: stop the rollout, or go on without it." }),
  };
}

export const WebhookAlarm = z.strictObject({ ...WEBHOOK, ...asked("question") }, saysWebhook);
export const PrometheusAlarm = metric({ ...METRIC, ...asked("measurement") });

const EXAMPLE = "{ prometheus: { url: http://prometheus:9090, query: error_rate, max: 0.01 } }";

export const Alarm = oneCheck(
  { webhook: WebhookAlarm, prometheus: PrometheusAlarm },
  explainMap("an alarm", EXAMPLE),
  "webhook and prometheus in one alarm: write an alarm for each, as any of them stops the rollout",
);

const list = says(explainList("the alarms", `[${EXAMPLE}]`, ALARMS_MAX));

export function alarms() {
  return z.array(Alarm, list).max(ALARMS_MAX, list).prefault([]);
}
