import { expect, test } from "vitest";
import { ago, ahead, elapsedText } from "./time.ts";

test.each([
  [0, "0s"],
  [999, "0s"],
  [59_999, "59s"],
  [90_000, "1m30s"],
  [300_000, "5m"],
  [3_600_000, "1h"],
  [7_500_000, "2h5m"],
  [90_000_000, "1d1h"],
  [-5, "0s"],
])("writes %d ms that have passed as %s", (elapsedMs, text) => {
  expect(elapsedText(elapsedMs)).toBe(text);
});

test("says how long ago something was, and never when it was not", () => {
  expect(ago(0, 5_000)).toBe("never");
  expect(ago(5_000, 5_000)).toBe("now");
  expect(ago(6_000, 5_000)).toBe("now");
  expect(ago(65_000, 5_000)).toBe("now");
  expect(ago(86_400_000 * 2 + 5_000, 5_000)).toBe("2d ahead");
  expect(ago(2_000, 5_000)).toBe("3s ago");
  expect(ago(1, 3_660_001)).toBe("1h ago");
  expect(ago(1, 86_400_000 * 4)).toBe("3d ago");
});

test("says how far ahead something is, and now when it has come", () => {
  expect(ahead(5_500, 5_000)).toBe("now");
  expect(ahead(185_000, 5_000)).toBe("in 3m");
});
