import { expect, test } from "vitest";
import { ago, duration, parseDuration, shortDuration } from "./time.ts";

test.each([
  [0, "0s"],
  [999, "0s"],
  [59_999, "59s"],
  [90_000, "1m30s"],
  [3_600_000, "1h00m"],
  [7_500_000, "2h05m"],
  [90_000_000, "1d1h"],
  [-5, "0s"],
])("writes %d ms as %s", (durationMs, text) => {
  expect(duration(durationMs)).toBe(text);
});

test("says how long ago something was, and never when it was not", () => {
  expect(ago(0, 5_000)).toBe("never");
  expect(ago(5_000, 5_000)).toBe("now");
  expect(ago(6_000, 5_000)).toBe("now");
  expect(ago(2_000, 5_000)).toBe("3s ago");
  expect(ago(1, 3_600_001)).toBe("1h ago");
});

test.each([
  ["0", 0],
  ["500ms", 500],
  ["1m30s", 90_000],
  ["1.5h", 5_400_000],
  ["90d", 7_776_000_000],
])("reads %s", (text, durationMs) => {
  expect(parseDuration(text)).toEqual({ ok: true, durationMs });
});

test.each(["", "10", "10 s", "s", "-1s", "1w", "1.s", "..5s", "1e3s"])("refuses %j as a duration", (text) => {
  expect(parseDuration(text)).toEqual({ ok: false });
});

test.each([
  [12_000, "12s"],
  [300_000, "5m"],
  [90_000, "1m30s"],
  [610_000, "10m10s"],
  [3_600_000, "1h"],
  [7_776_000_000, "90d"],
])("writes %d ms as people do: %s", (durationMs, text) => {
  expect(shortDuration(durationMs)).toBe(text);
});
