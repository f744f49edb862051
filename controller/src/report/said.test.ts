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
  ])("%s", (_, changes, message) => {
    const checked = report(changes);
    expect(checked.ok ? "" : checked.message).toContain(message);
  });
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
