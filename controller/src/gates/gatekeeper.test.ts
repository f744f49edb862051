import type { ServerResponse } from "node:http";
import { type Instant, parseDeploymentId } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Gatekeeper } from "./gatekeeper.ts";
import { prometheusGate, questionOf, says, serve, webhookGate, type TestServer } from "./server.fixture.ts";
import type { Question, Verdict } from "./verdict.ts";

const STOPPING: Verdict = { kind: "wait", detail: "not asked: the controller is stopping" };
let gatekeeper: Gatekeeper;
let server: TestServer;
/** Questions that a server holds, unless it answers at once. */
let held: ServerResponse[];

beforeEach(() => {
  held = [];
  gatekeeper = new Gatekeeper(() => Date.parse("2026-06-01T20:00:00Z") as Instant);
});

afterEach(async () => {
  await gatekeeper.close();
  await server.close();
});

async function holding(): Promise<(attempt: number) => Promise<Verdict>> {
  server = await serve((response) => void held.push(response));
  return (attempt) => gatekeeper.ask(questionOf(webhookGate(server.url), attempt));
}

/** Of another deployment. */
function ofOther(check: Question["check"]): Question {
  return { ...questionOf(check), deployment: parseDeploymentId("d-8")! };
}

describe("the gatekeeper", () => {
  test("asks a webhook, with the time", async () => {
    server = await serve(says('{"decision":"stop","reason":"no"}'));
    expect(await gatekeeper.ask(questionOf(webhookGate(server.url), 3))).toEqual({ kind: "stop", detail: `${server.url} said stop: no` });
    expect(JSON.parse(server.requests[0]?.body ?? "")).toMatchObject({ attempt: 3, asked_at: "2026-06-01T20:00:00.000Z" });
    expect(server.requests[0]?.headers["idempotency-key"]).toBe("d-7/2/0/3");
  });

  test("asks Prometheus and holds the value against the limits", async () => {
    let value = "0.005";
    server = await serve((response) => says(`{"status":"success","data":{"resultType":"scalar","result":[1,"${value}"]}}`)(response));
    const gate = prometheusGate(server.url);
    expect(await gatekeeper.ask(questionOf(gate))).toEqual({ kind: "go", detail: "error_rate is 0.005, within max 0.01" });
    value = "0.02";
    expect(await gatekeeper.ask(questionOf(gate))).toEqual({ kind: "stop", detail: "error_rate is 0.02, more than max 0.01" });
    value = "NaN";
    expect(await gatekeeper.ask(questionOf(gate))).toEqual({ kind: "silent", detail: "the query gave NaN, which is no number" });
  });

  test("does not reject, though a question can't even be written", async () => {
    server = await serve(says("go"));
    const question: Question = { ...questionOf(webhookGate(server.url)), version: "1\r\nx: y", counts: { healthy: 1n as unknown as number } };
    expect(await gatekeeper.ask(question)).toEqual({ kind: "silent", detail: expect.stringMatching(/^could not be asked: .*BigInt/) as string });
    expect((await gatekeeper.ask(questionOf(webhookGate(server.url)))).kind).toBe("go");
  });

  test("asks 32 of a deployment at a time and the others in their turn", async () => {
    const ask = await holding();
    const verdicts = Array.from({ length: 36 }, (_, index) => ask(index));
    await vi.waitFor(() => expect(held).toHaveLength(32), { timeout: 10_000 });
    for (const [index, expected] of [33, 34, 35, 36].entries()) {
      held[index]!.end("go");
      await vi.waitFor(() => expect(held).toHaveLength(expected), { timeout: 10_000 });
      expect(server.requests.at(-1)?.headers["idempotency-key"]).toBe(`d-7/2/0/${expected - 1}`);
    }
    for (const response of held.slice(4)) response.end("stop");
    expect((await Promise.all(verdicts)).map(({ kind }) => kind)).toEqual([...Array<string>(4).fill("go"), ...Array<string>(32).fill("stop")]);
  });

  test("lets no deployment wait for the questions of another", async () => {
    server = await serve((response, request) => (request.headers["idempotency-key"]?.toString().startsWith("d-7/") === true ? void held.push(response) : response.end("stop")));
    const hanging = Array.from({ length: 100 }, (_, index) => gatekeeper.ask(questionOf(webhookGate(server.url), index)));
    await vi.waitFor(() => expect(held).toHaveLength(32), { timeout: 10_000 });
    expect((await gatekeeper.ask(ofOther(webhookGate(server.url)))).kind).toBe("stop");
    await gatekeeper.close();
    await Promise.all(hanging);
  });

  test("when it has no place left, gives the next to the deployment that has the fewest", async () => {
    gatekeeper = new Gatekeeper(() => 0 as Instant, 4);
    const ask = await holding();
    const hanging = Array.from({ length: 8 }, (_, index) => ask(index));
    await vi.waitFor(() => expect(held).toHaveLength(4), { timeout: 10_000 });
    const other = gatekeeper.ask(ofOther(webhookGate(server.url)));
    held[0]!.end("go");
    await vi.waitFor(() => expect(held).toHaveLength(5), { timeout: 10_000 });
    held[4]!.end("stop");
    expect((await other).kind).toBe("stop");
    await gatekeeper.close();
    await Promise.all(hanging);
  });

  test("begins a question's time with its turn", async () => {
    server = await serve((response, request) => (request.headers["idempotency-key"]?.toString().endsWith("/99") === true ? response.end("go") : held.push(response)));
    const first = Array.from({ length: 32 }, (_, index) => gatekeeper.ask(questionOf(webhookGate(server.url, 1_000), index)));
    const late = gatekeeper.ask(questionOf(webhookGate(server.url, 500), 99));
    expect((await Promise.all(first)).map(({ kind }) => kind)).toEqual(Array<string>(32).fill("silent"));
    expect(await late).toEqual({ kind: "go", detail: `${server.url} said go` });
  });

  test("puts off what it has no room for, of that deployment alone", async () => {
    const ask = await holding();
    const verdicts = Array.from({ length: 32 + 128 }, (_, index) => ask(index));
    expect(await ask(2_000)).toEqual({ kind: "wait", detail: "not asked: 128 questions of this deployment are waiting already" });
    const other = gatekeeper.ask(ofOther(webhookGate(server.url)));
    await vi.waitFor(() => expect(server.requests.map(({ headers }) => headers["idempotency-key"])).toContain("d-8/2/0/1"), { timeout: 10_000 });
    await gatekeeper.close();
    expect(new Set((await Promise.all([...verdicts, other])).map(({ detail }) => detail))).toEqual(new Set([STOPPING.detail]));
  });

  test("lets go of everything when it closes, and learns nothing from that", async () => {
    const ask = await holding();
    const verdicts = Array.from({ length: 36 }, (_, index) => ask(index));
    verdicts.push(gatekeeper.ask(questionOf(prometheusGate(server.url))));
    await vi.waitFor(() => expect(held).toHaveLength(32), { timeout: 10_000 });
    await gatekeeper.close();
    expect(await Promise.all(verdicts)).toEqual(verdicts.map(() => STOPPING));
    await vi.waitFor(() => expect(server.connections.size).toBe(0), { timeout: 10_000 });
    expect(server.requests).toHaveLength(32);
    expect(await ask(37)).toEqual(STOPPING);
    await gatekeeper.close();
  });

  test("lets go of a measurement when it closes", async () => {
    await holding();
    const verdict = gatekeeper.ask(questionOf(prometheusGate(server.url)));
    await vi.waitFor(() => expect(held).toHaveLength(1), { timeout: 10_000 });
    await gatekeeper.close();
    expect(await verdict).toEqual(STOPPING);
  });
});
