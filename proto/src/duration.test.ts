import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DURATION, durationText, parseDuration, rounded } from "./duration.ts";

describe("parseDuration", () => {
  it.each([
    ["0", 0], ["0s", 0], ["500ms", 500], ["1.5s", 1_500], ["1m30s", 90_000], ["1h30m", 5_400_000], [".5s", 500], ["1.s", 1_000],
    ["1d", 86_400_000], ["1d12h", 129_600_000], ["1000us", 1], ["1000µs", 1], ["1000μs", 1], ["1000000ns", 1], ["0.1h", 360_000], ["1s1s", 2_000], ["0.0000000s", 0],
    ["500us500us", 1], ["0.001s", 1], ["9007199254740991ms", Number.MAX_SAFE_INTEGER],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, ms });
  });

  it.each([
    ["10", "10 has no unit: try 10s"],
    ["1.5", "1.5 has no unit: try 1.5s"],
    ["-5s", '"-5s" is negative: a duration begins at 0s'],
    ["10 s", '"10 s" is not a duration: try 10s'],
    ["10S", '"10S" is not a duration: try 10s'],
    ["1D", '"1D" is not a duration: try 1d'],
    ["2 days", '"2 days" is not a duration: try 2d'],
    ["1w", '"1w" is not a duration, for example 10s or 1m30s; "w" is not a unit: ns us ms s m h d are'],
    ["10sec", '"10sec" is not a duration, for example 10s or 1m30s; "sec" is not a unit: ns us ms s m h d are'],
    ["1m30", '"1m30" is not a duration, for example 10s or 1m30s'],
    ["", '"" is not a duration, for example 10s or 1m30s'],
    ["+5s", '"+5s" is not a duration, for example 10s or 1m30s'],
    [".s", '".s" is not a duration, for example 10s or 1m30s'],
    ["1500us", '"1500us" is not a whole number of milliseconds'],
    ["0.0001s", '"0.0001s" is not a whole number of milliseconds'],
    ["9007199254740992ms", '"9007199254740992ms" is too long'],
    ["999999999999999h", '"999999999999999h" is too long'],
  ])("refuses %j", (text, message) => {
    expect(parseDuration(text)).toEqual({ ok: false, message });
  });
});

describe("durationText", () => {
  it.each([
    [0, "0s"], [1, "1ms"], [999, "999ms"], [1_000, "1s"], [1_500, "1.5s"], [1_005, "1.005s"], [60_000, "1m"], [60_001, "1m0.001s"], [90_000, "1m30s"],
    [3_600_000, "1h"], [3_601_000, "1h1s"], [86_399_999, "23h59m59.999s"], [86_400_000, "1d"], [90_000_000, "1d1h"], [90_061_500, "1d1h1m1.5s"],
    [7_776_000_000, "90d"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it("gives back what parseDuration reads, for every number of milliseconds", () => {
    const wholeMs = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 10_000_000 }), fc.nat({ max: 100_000 }).map((seconds) => seconds * 1_000));
    fc.assert(
      fc.property(wholeMs, (ms) => {
        const text = durationText(ms);
        expect(text).toMatch(DURATION);
        expect(parseDuration(text)).toEqual({ ok: true, ms });
      }),
    );
  });

  it("answers every text with a duration or a reason, and never with a fraction", () => {
    const pieces = fc.array(fc.constantFrom("1", "05", ".", "h", "m", "s", "ms", "us", "ns", " ", "-", "d"), { maxLength: 8 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), pieces.map((parts) => parts.join(""))), (text) => {
        const parsed = parseDuration(text);
        expect(parsed.ok ? Number.isSafeInteger(parsed.ms) && parsed.ms >= 0 : parsed.message !== "").toBe(true);
      }),
    );
  });
});

describe("rounded", () => {
  it.each([
    [0, "0s"], [250.4, "250ms"], [999.9, "999ms"], [12_499, "12s"], [59_999, "59s"], [90_999, "1m30s"], [3_661_000, "1h1m"], [7_500_000, "2h5m"], [90_061_500, "1d1h"], [-5, "0s"],
  ])("keeps the two largest units of %d ms: %s", (ms, text) => {
    expect(durationText(rounded(ms))).toBe(text);
  });

  it("keeps one unit, or nothing finer than it is told", () => {
    expect(rounded(90_061_500, { units: 1 })).toBe(86_400_000);
    expect(rounded(999, { finestMs: 1000 })).toBe(0);
    expect(rounded(59_999, { units: 1 })).toBe(59_000);
  });
});
