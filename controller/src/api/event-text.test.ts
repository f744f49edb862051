/** Events as sentences: what is counted has its number. */
import { expect, test } from "vitest";
import type { Entry } from "../journal/entry.ts";
import { eventText } from "./event-text.ts";

const text = (entry: object): string => eventText(entry as Entry);
const plan = (...sizes: readonly number[]) => ({ waves: sizes.map((size) => ({ targets: Array.from({ length: size }, () => ({})) })), maxUnavailable: 2 });

test("a plan says how many machines and waves it has", () => {
  expect(text({ kind: "rollout_started", deployment: "d-1", plan: plan(3) })).toBe("started: 3 machines in 1 wave, at most 2 at once");
  expect(text({ kind: "rollout_started", deployment: "d-1", plan: plan(1) })).toBe("started: 1 machine in 1 wave, at most 2 at once");
  expect(text({ kind: "rollout_started", deployment: "d-1", plan: plan(1, 3) })).toBe("started: 4 machines in 2 waves, at most 2 at once");
});

test("so do files and what is acknowledged", () => {
  expect(text({ kind: "artifact_stored", artifact: "a".repeat(64), fileCount: 1, sizeBytes: 1 })).toBe("artifact aaaaaaaaaaaa stored: 1 file, 1 byte");
  expect(text({ kind: "artifact_stored", artifact: "a".repeat(64), fileCount: 2, sizeBytes: 20 })).toBe("artifact aaaaaaaaaaaa stored: 2 files, 20 bytes");
  const acknowledged = { kind: "failures_acknowledged", deployment: "d-1", wave: 1 };
  expect(text({ ...acknowledged, failures: 1, unreachable: 0 })).toBe("1 failure of wave 2 acknowledged");
  expect(text({ ...acknowledged, failures: 2, unreachable: 1 })).toBe("2 failures and 1 silent machine of wave 2 acknowledged");
  expect(text({ ...acknowledged, failures: 0, unreachable: 2 })).toBe("2 silent machines of wave 2 acknowledged");
  expect(text({ ...acknowledged, failures: 0, unreachable: 0 })).toBe("0 failures of wave 2 acknowledged");
  const retention = { kind: "retention_set", keepForMs: 86_400_000, stepsForMs: 86_400_000, by: "" };
  expect(text({ ...retention, keep: 1 })).toContain("the newest release of each app");
  expect(text({ ...retention, keep: 2 })).toContain("the newest 2 releases of each app");
});
