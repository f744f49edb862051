import type { ServerResponse } from "node:http";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { PrometheusGate } from "../plan/strategy.ts";
import { judge, measure, type Measurement } from "./prometheus.ts";
import { prometheusGate, says, serve, type TestServer } from "./server.fixture.ts";

const never = new AbortController().signal;
let server: TestServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** What is measured of a server that answers so; its address reads as HOST. */
async function measured(answer: (response: ServerResponse) => void, timeoutMs = 10_000): Promise<Measurement> {
  server = await serve(answer);
  const found = await measure(prometheusGate(server.url, { timeoutMs }), never);
  return found.kind === "silent" ? { kind: "silent", detail: found.detail.replace(server.url, "HOST") } : found;
}

function success(resultType: string, result: unknown): (response: ServerResponse) => void {
  return says(JSON.stringify({ status: "success", data: { resultType, result } }));
}

function series(value: unknown, metric: Record<string, string> = {}): unknown {
  return { metric, value: [1_780_000_000.123, value] };
}

describe("a measurement", () => {
  test.each([
    ["", "/api/v1/query?query=error_rate"],
    ["/", "/api/v1/query?query=error_rate"],
    ["/prom/team%20a/", "/prom/team%20a/api/v1/query?query=error_rate"],
    ["/thanos?dedup=true", "/thanos/api/v1/query?dedup=true&query=error_rate"],
  ])("is asked below the path %j", async (path, expected) => {
    server = await serve(success("scalar", [1, "0"]));
    await measure(prometheusGate(server.url + path), never);
    expect(server.requests.map((request) => [request.method, request.path])).toEqual([["GET", expected]]);
  });

  test("asks the query as it is written", async () => {
    server = await serve(success("scalar", [1, "0"]));
    const query = 'sum(rate(x{code=~"5..",path!="/a&b#c+d"}[5m])) / 2 > 1';
    await measure(prometheusGate(server.url, { query }), never);
    expect(new URL(server.requests[0]?.path ?? "", server.url).searchParams.get("query")).toBe(query);
  });

  test("tells the server its user, and nobody else", async () => {
    server = await serve(says("", 401));
    const found = await measure(prometheusGate(`${server.url.replace("//", "//ann:s%40cret@")}/t0p`), never);
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${btoa("ann:s@cret")}`);
    expect(found).toEqual({ kind: "silent", detail: `${server.url} answered with status 401, and only 200 counts` });
  });

  test.each([
    ["a scalar", "scalar", [1, "0.5"], [{ labels: "", value: 0.5 }]],
    ["one series", "vector", [series("3")], [{ labels: "", value: 3 }]],
    ["several", "vector", [series("1e-3", { __name__: "x", zone: "a" }), series("-2", { zone: 'b"', job: "j" })], [{ labels: ' {zone="a"}', value: 0.001 }, { labels: ' {zone="b\\"", job="j"}', value: -2 }]],
    ["infinities", "vector", [series("+Inf"), series("-Inf"), series("Inf")], [{ labels: "", value: Infinity }, { labels: "", value: -Infinity }, { labels: "", value: Infinity }]],
    ["no number", "scalar", [1, "NaN"], [{ labels: "", value: Number.NaN }]],
  ])("reads %s", async (_, type, result, samples) => {
    expect(await measured(success(type, result))).toEqual({ kind: "values", samples });
  });

  const stranger = "HOST did not answer as Prometheus does: the url of its API is expected, without /api/v1";
  test.each([
    ["no series", success("vector", []), "the query gave no series"],
    ["a matrix", success("matrix", []), "the query gave matrix: a scalar or an instant vector is expected"],
    ["a string", success("string", [1, "x"]), "the query gave string: a scalar or an instant vector is expected"],
    ["a histogram", success("vector", [{ metric: { zone: "a" }, histogram: [1, {}] }]), 'the query gave a series {zone="a"} without a value, such as a histogram: a number is expected'],
    ["an empty value", success("scalar", [1, ""]), "the query gave a series without a value, such as a histogram: a number is expected"],
    ["a hexadecimal value", success("scalar", [1, "0x10"]), "the query gave a series without a value, such as a histogram: a number is expected"],
    ["a result that is no list", success("vector", { a: 1 }), "HOST did not answer as Prometheus does: its result is no list"],
    ["an error", says('{"status":"error","errorType":"bad_data","error":"parse error:\\nunexpected \\"}\\""}', 400), 'HOST answered with status 400: parse error: unexpected "}"'],
    ["an error with 200", says('{"status":"error","errorType":"timeout"}'), "HOST answered with status 200: timeout"],
    ["503", says("no", 503), "HOST answered with status 503, and only 200 counts"],
    ["a redirect", (response: ServerResponse) => response.writeHead(302, { location: "/login" }).end(), "HOST answered with status 302, a redirect, and none is followed: name the final address in the url"],
    ["a page", says("<html>"), stranger],
    ["nothing", says(""), stranger],
    ["null", says("null"), stranger],
    ["a list", says("[]"), stranger],
    ["another API", says('{"status":"success"}'), stranger],
    ["more than a megabyte", says(" ".repeat(1024 * 1024 + 1)), "HOST answered with more than 1048576 bytes, which are not read"],
  ])("of %s is silent", async (_, answer, detail) => {
    expect(await measured(answer)).toEqual({ kind: "silent", detail });
  });

  test("of a server that never answers is silent when its time is over", async () => {
    expect(await measured(() => undefined, 50)).toEqual({ kind: "silent", detail: "HOST did not answer within 50 ms" });
  });

  test("can be cancelled", async () => {
    const cancel = new AbortController();
    server = await serve(() => cancel.abort());
    expect(await measure(prometheusGate(server.url), cancel.signal)).toEqual({ kind: "cancelled" });
  });
});

describe("the judgement", () => {
  const on = (values: readonly number[], limits: Partial<PrometheusGate>): string => {
    const verdict = judge(prometheusGate("http://x", { max: null, ...limits }), values.map((value, index) => ({ labels: values.length === 1 ? "" : ` {n="${index}"}`, value })));
    return `${verdict.kind}: ${verdict.detail}`;
  };

  test.each([
    [[0.003], { max: 0.01 }, "go: error_rate is 0.003, within max 0.01"],
    [[0.01], { max: 0.01 }, "go: error_rate is 0.01, within max 0.01"],
    [[0.031], { max: 0.01 }, "stop: error_rate is 0.031, more than max 0.01"],
    [[0.1 + 0.2], { max: 0.01 }, "stop: error_rate is 0.3, more than max 0.01"],
    [[0.1 + 0.2], { max: 0.3 }, "stop: error_rate is 0.30000000000000004, more than max 0.3"],
    [[5], { min: 5 }, "go: error_rate is 5, within min 5"],
    [[4], { min: 5 }, "stop: error_rate is 4, less than min 5"],
    [[0], { max: 0 }, "go: error_rate is 0, within max 0"],
    [[1], { min: 0, max: 2 }, "go: error_rate is 1, within max 2 and min 0"],
    [[Infinity], { max: 2 }, "stop: error_rate is +Inf, more than max 2"],
    [[-Infinity], { min: 2 }, "stop: error_rate is -Inf, less than min 2"],
    [[Infinity], { min: 2 }, "go: error_rate is +Inf, within min 2"],
    [[1, 3, 2], { max: 2 }, 'stop: error_rate {n="1"}, the worst of 3 series, is 3, more than max 2'],
    [[1, 3, 2], { min: 2 }, 'stop: error_rate {n="0"}, the worst of 3 series, is 1, less than min 2'],
    [[1, 3, 2], { max: 5, min: 2 }, 'stop: error_rate {n="0"}, the worst of 3 series, is 1, less than min 2'],
    [[1, 3, 2], { max: 3 }, 'go: error_rate {n="1"}, the worst of 3 series, is 3, within max 3'],
    [[Number.NaN], { max: 2 }, "silent: the query gave NaN, which is no number"],
    [[1, Number.NaN], { max: 2 }, "silent: the query gave NaN, which is no number, for 1 of 2 series"],
    [[Number.NaN, 3], { max: 2 }, 'stop: error_rate {n="1"}, the worst of 2 series, is 3, more than max 2'],
  ])("on %j with %j is %s", (values, limits, expected) => {
    expect(on(values, limits)).toBe(expected);
  });

  test("names the beginning of a long query, in one line", () => {
    const { detail } = judge(prometheusGate("http://x", { query: `sum(\n  rate(${"x".repeat(200)}[5m]))` }), [{ labels: "", value: 1 }]);
    expect(detail).toMatch(/^sum\( rate\(x{60,80}… is 1, more than max 0\.01$/);
  });

  test("goes only when every value is within both limits, and stops only when one is not", () => {
    const value = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(Infinity, -Infinity, Number.NaN));
    const limit = fc.option(fc.integer({ min: -5, max: 5 }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), limit, limit, (values, max, min) => {
        const outside = values.some((one) => (max !== null && one > max) || (min !== null && one < min));
        const expected = outside ? "stop" : values.some(Number.isNaN) ? "silent" : "go";
        expect(on(values, { max, min }).split(":")[0]).toBe(expected);
      }),
    );
  });
});
