/**
 * Gates that ask somebody else: a webhook, or a metric. The controller asks them, so nothing of a machine is filled in; the file is kept and shown, so it holds no
 * secret.
 */
import { z } from "zod";
import { explainList, explainMap, shown } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { choice, decimal, duration, hasKnownKeys, HOUR, MINUTE, says, text, whole } from "./leaf.ts";

/** After each wave all of them are asked; more, and nobody knows what a wave waits for. */
const GATES_MAX = 16;
const RETRIES_MAX = 100;
const MEASUREMENTS_MAX = 1_000;
const QUERY_LENGTH_MAX = 4_096;

const HTTP = /^https?:\/\/[^\u0000]+$/u;

/** `beyond` says what is wrong with a URL for its use. */
function url(example: string, beyond: (url: URL) => string | undefined) {
  return text({
    pattern: HTTP,
    what: "a URL",
    example,
    rule: "a URL begins with http:// or https://",
    nearest: (found) => (URL.canParse(`https://${found}`) && !found.includes("://") ? `https://${found}` : undefined),
  }).superRefine((found, context) => {
    if (!HTTP.test(found)) return;
    const template = found.indexOf("${");
    const fault = template >= 0 ? `"\${…}" is filled in on machines, and a gate is asked by the controller: write it out` : urlFault(found, example, beyond);
    if (fault !== undefined) context.addIssue({ code: "custom", message: fault, params: template >= 0 ? { offset: template } : {} });
  });
}

function urlFault(found: string, example: string, beyond: (url: URL) => string | undefined): string | undefined {
  if (/\s/.test(found) || !URL.canParse(found)) return `${shown(found)} is not a URL, for example ${example}`;
  const parsed = new URL(found);
  if (parsed.username !== "" || parsed.password !== "") {
    return "a user name or password in the URL: the file is kept and shown, so it holds no secrets; ask through a proxy that adds them";
  }
  return beyond(parsed);
}

function onSilence() {
  return choice("what silence means", ["stop", "go", "wait"]).prefault("stop");
}

function retries() {
  return whole("a number of retries", 0, RETRIES_MAX).prefault(3).meta({ description: "Questions in a row, after the first, that may find no answer; one more is silence." });
}

const WEBHOOK_EXAMPLE = "{ url: https://ci.example.com/gate }";

export const Webhook = z.strictObject(
  {
    url: url("https://ci.example.com/gate", () => undefined).meta({
      description: "Is told by POST what is being rolled out, and answers go or stop.",
      examples: ["https://ci.example.com/gate"],
    }),
    timeout: duration("timeout", 100, 5 * MINUTE).prefault("10s").meta({ description: "An answer that takes longer is none: 100ms to 5m.", examples: ["30s"] }),
    retries: retries(),
    retry_interval: duration("retry_interval", 100, HOUR).prefault("10s").meta({ description: "From one question to the next: 100ms to 1h.", examples: ["1m"] }),
    on_silence: onSilence().meta({ description: "When no answer is found: stop the rollout, go on, or ask for as long as it takes." }),
  },
  says(explainMap("a webhook", WEBHOOK_EXAMPLE)),
);

const PROMETHEUS_EXAMPLE = "{ url: http://prometheus:9090, query: error_rate, max: 0.01 }";
const LIMITS = ["max", "min"] as const;

const explainLimits: Explain = () => "no limit: at least one of max, min is wanted, for example max: 0.01";

function queryUrlFault(found: URL): string | undefined {
  return /\/api\/v1(?:\/|$)/.test(found.pathname) ? "the address of the server is wanted, without /api/v1 and what follows, for example http://prometheus:9090" : undefined;
}

const METRIC = {
  url: url("http://prometheus:9090", queryUrlFault).meta({ description: "Of the server; its /api/v1/query is asked.", examples: ["http://prometheus:9090"] }),
  query: text({
    pattern: new RegExp(`^(?=[^\\u0000]*\\S)[^\\u0000]{1,${QUERY_LENGTH_MAX}}$`, "u"),
    what: "a query",
    example: "error_rate",
    rule: `PromQL is wanted, at most ${QUERY_LENGTH_MAX} characters`,
  }).meta({ description: "PromQL; of several series the worst counts.", examples: ['sum(rate(http_errors_total{app="shop"}[1m]))'] }),
  max: decimal("the greatest value", "0.01").optional().meta({ description: "A greater value is a failure.", examples: [0.01] }),
  min: decimal("the least value", "0.99").optional().meta({ description: "A smaller value is a failure.", examples: [0.99] }),
  interval: duration("interval", 100, HOUR).prefault("30s").meta({ description: "From one measurement to the next: 100ms to 1h.", examples: ["1m"] }),
  timeout: duration("timeout", 100, 5 * MINUTE).prefault("10s").meta({ description: "An answer that takes longer is none: 100ms to 5m.", examples: ["30s"] }),
  count: whole("a number of measurements", 1, MEASUREMENTS_MAX).prefault(5).meta({ description: "Measurements within the limits that open the gate." }),
  failure_limit: whole("a number of failures", 0, MEASUREMENTS_MAX)
    .prefault(0)
    .meta({ description: "More measurements outside of the limits stop the rollout; fewer are put up with." }),
  retries: retries(),
  on_silence: onSilence().meta({ description: "When no answer is found: stop the rollout, go on, or ask for as long as it takes." }),
};

export const Prometheus = z
  .strictObject(METRIC, says(explainMap("a metric", PROMETHEUS_EXAMPLE)))
  .refine((metric: object) => LIMITS.some((limit) => limit in metric), { ...says(explainLimits), when: hasKnownKeys })
  .meta({ anyOf: LIMITS.map((limit) => ({ required: [limit] })) });

const GATE_KINDS = ["webhook", "prometheus"] as const;

function kindsOf(gate: unknown): readonly string[] {
  return GATE_KINDS.filter((kind) => typeof gate === "object" && gate !== null && kind in gate);
}

const explainKinds: Explain = (gate) =>
  kindsOf(gate).length === 0
    ? `asks nobody: one of webhook, prometheus is wanted, for example webhook: ${WEBHOOK_EXAMPLE}`
    : "webhook and prometheus in one gate: write a gate for each, as all of them must open";

const explainGateMap = explainMap("a gate", `{ webhook: ${WEBHOOK_EXAMPLE} }`);
const explainGate: Explain = (found) => (found === "approval" || found === "approve" ? `${shown(found)} is no gate of this list: write approve: true in a wave` : explainGateMap(found));

const KINDS = {
  webhook: Webhook.optional().meta({ description: "POSTs what is being rolled out, and reads go or stop.", examples: [{ url: "https://ci.example.com/gate" }] }),
  prometheus: Prometheus.optional().meta({
    description: "Asks a metric again and again.",
    examples: [{ url: "http://prometheus:9090", query: "error_rate", max: 0.01 }],
  }),
};

export const Gate = z
  .strictObject(KINDS, says(explainGate))
  .refine((gate) => kindsOf(gate).length === 1, { ...says(explainKinds), when: hasKnownKeys })
  .meta({ description: "Exactly one of webhook, prometheus.", oneOf: GATE_KINDS.map((kind) => ({ required: [kind] })) });

const GATES_EXAMPLE = `[{ webhook: ${WEBHOOK_EXAMPLE} }]`;
const explainGateList = explainList("the gates", GATES_EXAMPLE, GATES_MAX);
const gateList = says((found) => (typeof found === "string" ? `${shown(found)} where a list is wanted: the gates, for example ${GATES_EXAMPLE}` : explainGateList(found)));

export function gates() {
  return z.array(Gate, gateList).max(GATES_MAX, gateList).prefault([]);
}
