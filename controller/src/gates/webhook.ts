/**
 * A webhook: POSTs what is being rolled out, and reads `go`, `stop` or `wait`, as plain text or as
 * `{"decision": "go", "reason": "…"}`. Asks once; never throws. Whatever else comes back is silence, and its detail says what it was.
 */
import type { Instant } from "@muster/proto/ids.ts";
import type { WebhookCheck } from "../plan/strategy.ts";
import { askHttp } from "./ask-http.ts";
import { type Asker, oneLine, type Question, type Verdict } from "./verdict.ts";

/** A decision and its reason are a few lines. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Of an answer that is not understood. */
const EXCERPT_CHARACTERS_MAX = 60;

const NOT_ASKED: Verdict = { kind: "wait", detail: "the question was cancelled" };

export type WebhookQuestion = Omit<Question, "check"> & { readonly askedAt: Instant };

export async function askWebhook(check: WebhookCheck, question: WebhookQuestion, signal: AbortSignal): Promise<Verdict> {
  const { asker, deployment, app, version, wave, waves, attempt, counts, askedAt } = question;
  const body = { asks: asker.kind, deployment, app, version, wave, waves, attempt, counts, asked_at: new Date(askedAt).toISOString() };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/plain",
    // The same attempt asked again, by a controller that died over it, is the same question.
    "idempotency-key": `${deployment}/${placeOf(asker)}/${attempt}`,
  };
  const answer = await askHttp(
    { method: "POST", url: check.url, headers, body: JSON.stringify(body), timeoutMs: check.timeoutMs, answerBytesMax: ANSWER_BYTES_MAX },
    signal,
  );
  switch (answer.kind) {
    case "silent":
      return answer;
    case "cancelled":
      return NOT_ASKED;
    case "answered":
      return verdictOf(answer.server, answer.status, answer.text);
  }
}

function placeOf(asker: Asker): string {
  return asker.kind === "gate" ? `${asker.wave + 1}/${asker.gate}` : `alarm/${asker.alarm}`;
}

function verdictOf(server: string, status: number, text: string): Verdict {
  if (status >= 300 && status < 400) {
    return { kind: "silent", detail: `${server} answered with status ${status}, a redirect, and none is followed: name the final address in the url` };
  }
  if (status < 200 || status >= 300) return { kind: "silent", detail: `${server} answered with status ${status}, and only 200 to 299 count` };
  const said = understood(text);
  if (said === undefined) {
    const found = text.trim() === "" ? "nothing" : `"${oneLine(text.trim(), EXCERPT_CHARACTERS_MAX)}"`;
    return { kind: "silent", detail: `${server} answered ${found}: go, stop or wait is expected, or {"decision": "go", "reason": "…"}` };
  }
  return { kind: said.kind, detail: `${server} said ${said.kind}${said.reason === "" ? "" : `: ${said.reason}`}` };
}

function understood(text: string): { readonly kind: "go" | "stop" | "wait"; readonly reason: string } | undefined {
  const plain = decision(text);
  if (plain !== undefined) return { kind: plain, reason: "" };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null || !("decision" in json)) return undefined;
  const kind = decision(json.decision);
  return kind && { kind, reason: "reason" in json && typeof json.reason === "string" ? oneLine(json.reason) : "" };
}

function decision(found: unknown): "go" | "stop" | "wait" | undefined {
  const word = typeof found === "string" ? found.trim().toLowerCase() : undefined;
  return word === "go" || word === "stop" || word === "wait" ? word : undefined;
}
