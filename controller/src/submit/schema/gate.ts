/**
 * Gates that ask somebody else, behind a wave: a webhook, or a metric.
 */
import { z } from "zod";
import { explainList, explainMap, shown } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { interval, INTERVAL_MIN_MS, measurements, METRIC, metric, oneCheck, retries, saysWebhook, WEBHOOK, WEBHOOK_EXAMPLE } from "./check.ts";
import { choice, duration, HOUR, says } from "./leaf.ts";

/** After each wave all of them are asked; more, and nobody knows what a wave waits for. */
const GATES_MAX = 16;

function onSilence() {
  return choice("what silence means", ["stop", "go", "wait"])
    .prefault("stop")
    .meta({ description: "When no answer is found: stop the rollout, go on, or ask for as long as it takes." });
}

export const Webhook = z.strictObject(
  {
    ...WEBHOOK,
    retries: retries(),
    retry_interval: duration("retry_interval", INTERVAL_MIN_MS, HOUR).prefault("10s").meta({ description: "From one question to the next: 1s to 1h.", examples: ["1m"] }),
    on_silence: onSilence(),
  },
  saysWebhook,
);

export const Prometheus = metric({
  ...METRIC,
  interval: interval("measurement"),
  count: measurements("a number of measurements", 1).prefault(5).meta({ description: "Measurements within the limits that open the gate." }),
  failure_limit: measurements("a number of failures", 0)
    .prefault(0)
    .meta({ description: "More measurements outside of the limits stop the rollout; fewer are put up with." }),
  retries: retries(),
  on_silence: onSilence(),
});

const explainGateMap = explainMap("a gate", `{ webhook: ${WEBHOOK_EXAMPLE} }`);
const explainGate: Explain = (found) => (found === "approval" || found === "approve" ? `${shown(found)} is no gate of this list: write approve: true in a wave` : explainGateMap(found));

export const Gate = oneCheck({ webhook: Webhook, prometheus: Prometheus }, explainGate, "webhook and prometheus in one gate: write a gate for each, as all of them must open");

const GATES_EXAMPLE = `[{ webhook: ${WEBHOOK_EXAMPLE} }]`;
const explainGateList = explainList("the gates", GATES_EXAMPLE, GATES_MAX);
const gateList = says((found) => (typeof found === "string" ? `${shown(found)} where a list is wanted: the gates, for example ${GATES_EXAMPLE}` : explainGateList(found)));

export function gates() {
  return z.array(Gate, gateList).max(GATES_MAX, gateList).prefault([]);
}
