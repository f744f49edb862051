/**
 * What a gate or an alarm asks somebody else: a webhook, or a metric. The controller asks, so nothing of a machine is filled in; the file is kept and shown, so it
 * holds no secret.
 */
import { z } from "zod";
import { explainMap, shown } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { decimal, duration, hasKnownKeys, HOUR, MINUTE, says, text, whole } from "./leaf.ts";

const RETRIES_MAX = 100;
const MEASUREMENTS_MAX = 1_000;
const QUERY_LENGTH_MAX = 4_096;
/** From one question to the next: each is kept in the journal, and so is its answer. */
export const INTERVAL_MIN_MS = 1_000;

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
    const fault = template >= 0 ? `"\${…}" is filled in on machines, and this is asked by the controller: write it out` : urlFault(found, example, beyond);
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

function queryUrlFault(found: URL): string | undefined {
  return /\/api\/v1(?:\/|$)/.test(found.pathname) ? "the address of the server is wanted, without /api/v1 and what follows, for example http://prometheus:9090" : undefined;
}

export function retries() {
  return whole("a number of retries", 0, RETRIES_MAX).prefault(3).meta({ description: "Questions in a row, after the first, that may find no answer; one more is silence." });
}

export function measurements(what: string, least: number) {
  return whole(what, least, MEASUREMENTS_MAX);
}

export function interval(what: string) {
  return duration("interval", INTERVAL_MIN_MS, HOUR).prefault("30s").meta({ description: `From one ${what} to the next: 1s to 1h.`, examples: ["1m"] });
}

const timeout = duration("timeout", 100, 5 * MINUTE).prefault("10s").meta({ description: "An answer that takes longer is none: 100ms to 5m.", examples: ["30s"] });

export const WEBHOOK = {
  url: url("https://ci.example.com/gate", () => undefined).meta({
    description: "Is told by POST what is being rolled out, and answers go or stop.",
    examples: ["https://ci.example.com/gate"],
  }),
  timeout,
};

export const METRIC = {
  url: url("http://prometheus:9090", queryUrlFault).meta({ description: "Of the server; its /api/v1/query is asked.", examples: ["http://prometheus:9090"] }),
  query: text({
    pattern: new RegExp(`^(?=[^\\u0000]*\\S)[^\\u0000]{1,${QUERY_LENGTH_MAX}}$`, "u"),
    what: "a query",
    example: "error_rate",
    rule: `PromQL is wanted, at most ${QUERY_LENGTH_MAX} characters`,
  }).meta({ description: "PromQL; of several series the worst counts.", examples: ['sum(rate(http_errors_total{app="shop"}[1m]))'] }),
  max: decimal("the greatest value", "0.01").optional().meta({ description: "A greater value is a failure.", examples: [0.01] }),
  min: decimal("the least value", "0.99").optional().meta({ description: "A smaller value is a failure.", examples: [0.99] }),
  timeout,
};

export const WEBHOOK_EXAMPLE = "{ url: https://ci.example.com/gate }";
const METRIC_EXAMPLE = "{ url: http://prometheus:9090, query: error_rate, max: 0.01 }";
const LIMITS = ["max", "min"] as const;

const explainLimits: Explain = () => "no limit: at least one of max, min is wanted, for example max: 0.01";

export const saysWebhook = says(explainMap("a webhook", WEBHOOK_EXAMPLE));

export function metric<T extends z.core.$ZodLooseShape>(shape: T) {
  return z
    .strictObject(shape, says(explainMap("a metric", METRIC_EXAMPLE)))
    .refine((found: object) => LIMITS.some((limit) => limit in found), { ...says(explainLimits), when: hasKnownKeys })
    .meta({ anyOf: LIMITS.map((limit) => ({ required: [limit] })) });
}

const KINDS = ["webhook", "prometheus"] as const;

function kindsOf(found: unknown): readonly string[] {
  return KINDS.filter((kind) => typeof found === "object" && found !== null && kind in found);
}

/** A map with exactly one of `webhook`, `prometheus`. `both`: what to do instead of writing both. */
export function oneCheck<W extends z.ZodType, P extends z.ZodType>(shape: { webhook: W; prometheus: P }, explain: Explain, both: string) {
  const explainKinds: Explain = (found) => (kindsOf(found).length === 0 ? `asks nobody: one of webhook, prometheus is wanted, for example webhook: ${WEBHOOK_EXAMPLE}` : both);
  return z
    .strictObject(
      {
        webhook: shape.webhook.optional().meta({ description: "POSTs what is being rolled out, and reads go or stop.", examples: [{ url: "https://ci.example.com/gate" }] }),
        prometheus: shape.prometheus.optional().meta({ description: "Asks a metric again and again.", examples: [{ url: "http://prometheus:9090", query: "error_rate", max: 0.01 }] }),
      },
      says(explain),
    )
    .refine((found) => kindsOf(found).length === 1, { ...says(explainKinds), when: hasKnownKeys })
    .meta({ description: "Exactly one of webhook, prometheus.", oneOf: KINDS.map((kind) => ({ required: [kind] })) });
}
