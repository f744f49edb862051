/**
 * A metric: asks for the value of a query now, and holds it against the limits. Asks once; never throws.
 *
 * Of several series the worst counts. A series that is out of bounds stops whatever the others are; one without a number (NaN) leaves the
 * measurement unanswered, since nothing divided by nothing says nothing about a release. Infinity is a number.
 */
import type { PrometheusCheck } from "../plan/strategy.ts";
import { askHttp } from "./ask-http.ts";
import { oneLine, type Verdict } from "./verdict.ts";

/** One series, or a scalar without labels. */
export interface Sample {
  /** As Prometheus writes them, `{zone="a"}`; empty for none. */
  readonly labels: string;
  readonly value: number;
}

export type Measurement =
  /** At least one. */
  | { readonly kind: "values"; readonly samples: readonly Sample[] }
  | { readonly kind: "silent"; readonly detail: string }
  | { readonly kind: "cancelled" };

/** Some thousand series. A gate wants one. */
const ANSWER_BYTES_MAX = 1024 * 1024;
/** Of the query, in sentences. */
const QUERY_CHARACTERS_MAX = 80;

export async function measure(check: PrometheusCheck, signal: AbortSignal): Promise<Measurement> {
  const answer = await askHttp(
    {
      method: "GET",
      url: check.url,
      path: "/api/v1/query",
      query: { query: check.query },
      headers: { accept: "application/json" },
      timeoutMs: check.timeoutMs,
      answerBytesMax: ANSWER_BYTES_MAX,
    },
    signal,
  );
  if (answer.kind !== "answered") return answer;
  const { server, status, text } = answer;
  const json = parsed(text);
  if (isMap(json) && json["status"] === "error") return silent(`${server} answered with status ${status}: ${oneLine(String(json["error"] ?? json["errorType"] ?? "an error"))}`);
  if (status >= 300 && status < 400) return silent(`${server} answered with status ${status}, a redirect, and none is followed: name the final address in the url`);
  if (status !== 200) return silent(`${server} answered with status ${status}, and only 200 counts`);
  if (!isMap(json) || json["status"] !== "success" || !isMap(json["data"])) return silent(`${server} did not answer as Prometheus does: the url of its API is expected, without /api/v1`);
  return samplesOf(server, json["data"]);
}

function samplesOf(server: string, data: Readonly<Record<string, unknown>>): Measurement {
  const { resultType, result } = data;
  if (resultType !== "scalar" && resultType !== "vector") {
    return silent(`the query gave ${oneLine(String(resultType ?? "no type of result"))}: a scalar or an instant vector is expected`);
  }
  if (!Array.isArray(result)) return silent(`${server} did not answer as Prometheus does: its result is no list`);
  if (resultType === "vector" && result.length === 0) return silent("the query gave no series");
  const samples: Sample[] = [];
  for (const series of resultType === "scalar" ? [{ metric: {}, value: result }] : (result as readonly unknown[])) {
    const labels = isMap(series) ? labelsOf(series["metric"]) : "";
    const value = isMap(series) && Array.isArray(series["value"]) ? numberOf(series["value"][1]) : undefined;
    if (value === undefined) return silent(`the query gave a series${labels} without a value, such as a histogram: a number is expected`);
    samples.push({ labels, value });
  }
  return { kind: "values", samples };
}

/** `samples`: at least one. A value that equals a limit is within it. */
export function judge(check: PrometheusCheck, samples: readonly Sample[]): Verdict {
  const { max, min } = check;
  const numbers = samples.filter(({ value }) => !Number.isNaN(value));
  const highest = extreme(numbers, (value, other) => value > other);
  const lowest = extreme(numbers, (value, other) => value < other);
  const tell = ({ labels, value }: Sample): string => {
    const worst = samples.length === 1 ? "" : `${labels}, the worst of ${samples.length} series,`;
    return `${oneLine(check.query, QUERY_CHARACTERS_MAX)}${worst} is ${shown(value, [max, min])}`;
  };
  if (highest !== undefined && max !== null && highest.value > max) return { kind: "stop", detail: `${tell(highest)}, more than max ${shown(max)}` };
  if (lowest !== undefined && min !== null && lowest.value < min) return { kind: "stop", detail: `${tell(lowest)}, less than min ${shown(min)}` };
  const worst = max === null ? lowest : highest;
  const nans = samples.length - numbers.length;
  if (worst === undefined || nans > 0) {
    return silent(samples.length === 1 ? "the query gave NaN, which is no number" : `the query gave NaN, which is no number, for ${nans} of ${samples.length} series`);
  }
  const limits = [...(max === null ? [] : [`max ${shown(max)}`]), ...(min === null ? [] : [`min ${shown(min)}`])];
  return { kind: "go", detail: `${tell(worst)}${limits.length === 0 ? "" : `, within ${limits.join(" and ")}`}` };
}

function extreme(samples: readonly Sample[], isWorse: (value: number, other: number) => boolean): Sample | undefined {
  let worst = samples[0];
  for (const sample of samples) if (worst !== undefined && isWorse(sample.value, worst.value)) worst = sample;
  return worst;
}

/** Rounded as people write numbers, unless that makes it one of `limits`, which it is not; Infinity as Prometheus writes it. */
function shown(value: number, limits: readonly (number | null)[] = [value]): string {
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const rounded = Number(value.toPrecision(6));
  return String(limits.includes(rounded) ? value : rounded);
}

/** Prometheus writes numbers as text, since JSON knows no NaN. */
function numberOf(found: unknown): number | undefined {
  if (typeof found !== "string") return undefined;
  if (/^\+?Inf$/.test(found)) return Infinity;
  if (found === "-Inf") return -Infinity;
  if (found === "NaN") return Number.NaN;
  return /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?$/i.test(found) ? Number(found) : undefined;
}

function labelsOf(metric: unknown): string {
  if (!isMap(metric)) return "";
  const pairs = Object.entries(metric).filter(([name]) => name !== "__name__").map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? "" : ` ${oneLine(`{${pairs.join(", ")}}`, QUERY_CHARACTERS_MAX)}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isMap(found: unknown): found is Readonly<Record<string, unknown>> {
  return typeof found === "object" && found !== null && !Array.isArray(found);
}

function silent(detail: string): { readonly kind: "silent"; readonly detail: string } {
  return { kind: "silent", detail };
}
