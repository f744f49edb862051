import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sizeText } from "../plan/size.ts";
import { COUNT_MAX, parseSize } from "./size.ts";

describe("parseSize", () => {
  it.each([
    ["1", { kind: "count", count: 1 }],
    ["1000000", { kind: "count", count: 1_000_000 }],
    ["1%", { kind: "percent", percent: 1 }],
    ["12.5%", { kind: "percent", percent: 12.5 }],
    ["100%", { kind: "percent", percent: 100 }],
    ["100.00%", { kind: "percent", percent: 100 }],
  ])("reads %s", (text, size) => {
    expect(parseSize(text)).toEqual({ ok: true, size });
  });

  it.each([
    ["0", '0 is too small: at least 1, or a percentage such as "10%"'],
    ["-5", '-5 is too small: at least 1, or a percentage such as "10%"'],
    ["1000001", '1000001 is too large: at most 1000000, or a percentage such as "10%"'],
    ["0.25", '0.25 is neither a count nor a percentage (try "25%")'],
    ["1.5", '1.5 is neither a count nor a percentage (try 10 or "10%")'],
    ["0%", '"0%" is not from 1% to 100%'],
    ["101%", '"101%" is not from 1% to 100%'],
    ["12.345%", '"12.345%" is too exact: a percentage has at most two decimals and no leading zeros'],
    ["50 %", '"50 %" is neither a count nor a percentage (try "50%")'],
    ["half", '"half" is neither a count nor a percentage (try 10 or "10%")'],
    ["", '"" is neither a count nor a percentage (try 10 or "10%")'],
    ["1e3", '"1e3" is neither a count nor a percentage (try 10 or "10%")'],
    ["Infinity", '"Infinity" is neither a count nor a percentage (try 10 or "10%")'],
  ])("refuses %j", (text, message) => {
    expect(parseSize(text)).toEqual({ ok: false, message });
  });

  it("gives back what sizeText writes", () => {
    const size = fc.oneof(
      fc.integer({ min: 1, max: COUNT_MAX }).map((count) => ({ kind: "count", count }) as const),
      fc.integer({ min: 100, max: 10_000 }).map((hundredths) => ({ kind: "percent", percent: hundredths / 100 }) as const),
    );
    fc.assert(
      fc.property(size, (found) => {
        expect(parseSize(sizeText(found))).toEqual({ ok: true, size: found });
      }),
    );
  });

  it("answers every text with a size or a reason", () => {
    const pieces = fc.array(fc.constantFrom("0", "1", "25", ".", "%", " ", "-", "e", "9999999"), { maxLength: 6 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(fc.string(), pieces), (text) => {
        const parsed = parseSize(text);
        expect(parsed.ok ? sizeText(parsed.size) !== "" : parsed.message !== "").toBe(true);
      }),
    );
  });
});
