import { describe, expect, it } from "vitest";
import { nearestTimeZone } from "./time-zone.ts";

describe("nearestTimeZone", () => {
  it.each([
    ["Berlin", "Europe/Berlin"],
    ["new york", "America/New_York"],
    ["Europe/Berln", "Europe/Berlin"],
    ["America/New York", "America/New_York"],
    ["+01:00", undefined],
    ["CEST", undefined],
  ])("%s: %s", (found, meant) => {
    expect(nearestTimeZone(found)).toBe(meant);
  });
});
