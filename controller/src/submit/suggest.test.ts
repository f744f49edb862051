import { describe, expect, it } from "vitest";
import { suggest } from "./suggest.ts";

describe("suggest", () => {
  it.each([
    ["wavs", ["waves", "targets"], "waves"],
    ["awves", ["waves", "targets"], "waves"],
    ["WAVES", ["waves"], "waves"],
    ["healthy-deadline", ["healthy_deadline", "progress_deadline"], "healthy_deadline"],
    ["healthyDeadline", ["healthy_deadline", "progress_deadline"], "healthy_deadline"],
    ["maxunavailable", ["max_failures", "max_unavailable"], "max_unavailable"],
    ["runn", ["run", "app"], "run"],
  ])("sees a slip in %s", (found, allowed, meant) => {
    expect(suggest(found, allowed)).toBe(meant);
  });

  it.each([
    ["replicas", ["app", "version", "artifact", "run"]],
    ["x", ["a", "b"]],
    ["", ["app"]],
    ["waves", []],
    ["a".repeat(65), ["a".repeat(64)]],
  ])("says nothing where nothing is near: %s", (found, allowed) => {
    expect(suggest(found, allowed)).toBeUndefined();
  });
});
