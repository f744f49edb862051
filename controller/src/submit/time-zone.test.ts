import { describe, expect, it } from "vitest";
import { isTimeZone, nearestTimeZone, TIME_ZONE } from "./time-zone.ts";

describe("isTimeZone", () => {
  it.each(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Calcutta", "Asia/Kolkata", "Etc/GMT+1", "CET"])("takes %s", (name) => {
    expect(isTimeZone(name)).toBe(true);
  });

  it.each(["", "Berlin", "CEST", "+01:00", "GMT+1", "Europe/", "Europe/Nowhere", "Europe Berlin"])("refuses %j", (name) => {
    expect(isTimeZone(name)).toBe(false);
  });

  it("takes every name that this Node lists", () => {
    for (const name of Intl.supportedValuesOf("timeZone")) {
      expect(name).toMatch(TIME_ZONE);
      expect(isTimeZone(name), name).toBe(true);
    }
  });
});

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
