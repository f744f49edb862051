import { describe, expect, test } from "vitest";
import { AppPhase, Hello, Report } from "@muster/proto/gen/muster/v1/agent.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { checkHello, checkReport, refusalOf } from "./said.ts";

const hello = (changes: Partial<Hello>) => checkHello(Hello.fromPartial({ machine: "web-1", instanceId: "i-1", ...changes }));
const report = (changes: Partial<Report>) => checkReport("web-1" as MachineId, "i-1", Report.fromPartial({ seq: 1, app: "shop", phase: AppPhase.HEALTHY, ...changes }));

describe("a hello is refused", () => {
  test.each([
    ["with a machine id that is no id", { machine: "Web_1" }, 'the machine id "Web_1"'],
    ["with a path for a machine id", { machine: "../web" }, "the machine id"],
    ["with a NATS wildcard for a machine id", { machine: "*" }, "the machine id"],
    ["without an instance id", { instanceId: "" }, "instance id"],
    ["whose newest report is before the first", { newestPendingSeq: -1 }, "has the sequence -1"],
  ])("%s", (_, changes, message) => {
    const checked = hello(changes);
    expect(checked.ok ? "" : checked.message).toContain(message);
  });
});

describe("a report is refused", () => {
  test.each([
    ["about something that is no app", { app: "a/b" }, "not the name of an app"],
    ["without a phase", { phase: AppPhase.UNSPECIFIED }, "has no phase"],
    ["with a sequence that is none", { seq: 0 }, "has the sequence 0"],
    ["with a port whose name is endless", { ports: { ["x".repeat(30_000)]: 1 } }, `has a port "${"x".repeat(79)}…", whose name is not 1 to 32 of a-z`],
    ["with a port whose name no deployment file may use", { ports: { "HTTP port": 8080 } }, 'has a port "HTTP port", whose name is not'],
    ["with a port beyond the last one", { ports: { http: 65_536 } }, "has the port http=65536, which is above 65535"],
    ["with more ports than a deployment file may have", { ports: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`p${index}`, 1])) }, "more than 64 ports"],
    ["with a version that is none", { runningVersion: "1 or 2" }, 'runs the version "1 or 2"'],
    ["with an artifact that is no digest", { runningArtifact: "F".repeat(64) }, 'runs the artifact "FFFF'],
  ])("%s", (_, changes, message) => {
    const checked = report(changes);
    expect(checked.ok ? "" : checked.message).toContain(message);
  });
});

test("a report is taken with the ports that a deployment file may have, and one that is not chosen yet", () => {
  const ports = { ["h".repeat(32)]: 65_535, "0-admin_2": 0 };
  const checked = report({ ports, runningVersion: "1.0+b_2", runningArtifact: "f".repeat(64) });
  expect(checked.ok && checked.value.ports).toEqual(ports);
});

describe("nothing that an agent says is endless", () => {
  const ENDLESS = "\u0000".repeat(1_000_000);
  /** The largest is a reason with 2,000 characters that are written with six each. */
  const BYTES_MAX = 16_000;
  const isBounded = (checked: { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string }) =>
    JSON.stringify(checked.ok ? checked.value : checked.message).length <= BYTES_MAX;
  /** Each field of a message that holds text. */
  const texts = (message: object) => Object.entries(message).flatMap(([field, value]) => (typeof value === "string" ? [field] : []));

  test.each(texts(Hello.fromPartial({})))("in %s of a hello", (field) => {
    expect(isBounded(hello({ [field]: ENDLESS }))).toBe(true);
  });

  test.each(texts(Report.fromPartial({})))("in %s of a report", (field) => {
    expect(isBounded(report({ [field]: ENDLESS }))).toBe(true);
  });

  test.each(["code", "message"])("in the %s of a reason or of a refusal", (field) => {
    const said = { code: "exited", message: "", [field]: ENDLESS };
    expect([isBounded(report({ reason: said })), isBounded({ ok: true, value: refusalOf(said) })]).toEqual([true, true]);
  });
});

test("a text that is cut stays one that the database gives back as it was", () => {
  const hostname = `${"x".repeat(253)}😀 and more`;
  const checked = hello({ hostname });
  expect(checked.ok && checked.value.hostname).toBe(`${"x".repeat(253)}…`);
});

test("a report's message is cut where it would fill the journal", () => {
  const checked = report({ reason: { code: "exited", message: "x".repeat(10_000) } });
  expect(checked.ok && checked.value.reason?.message.length).toBe(2000);
});

test("every phase of the contract but the unspecified is understood", () => {
  for (const phase of Object.values(AppPhase)) expect(report({ phase }).ok).toBe(phase !== AppPhase.UNSPECIFIED);
});

test("a refusal is kept with a code that is known and a message that is not endless", () => {
  expect(refusalOf(undefined)).toBeUndefined();
  expect(refusalOf({ code: "not_fresh", message: "too old" })).toEqual({ code: "not_fresh", message: "too old" });
  expect(refusalOf({ code: "of a newer agent", message: "x".repeat(9000) })).toEqual({ code: "unreadable", message: `${"x".repeat(1999)}…` });
});
