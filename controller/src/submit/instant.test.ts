import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatInstant, INSTANT, parseInstant } from "./instant.ts";

describe("parseInstant", () => {
  it.each([
    ["2026-12-01T08:00:00Z", Date.UTC(2026, 11, 1, 8)],
    ["2026-12-01T08:00:00+01:00", Date.UTC(2026, 11, 1, 7)],
    ["2026-12-01T08:00:00-03:30", Date.UTC(2026, 11, 1, 11, 30)],
    ["2026-12-01T08:00:00.5Z", Date.UTC(2026, 11, 1, 8, 0, 0, 500)],
    ["2026-12-01T23:59:59.999Z", Date.UTC(2026, 11, 1, 23, 59, 59, 999)],
    ["2028-02-29T00:00:00Z", Date.UTC(2028, 1, 29)],
    ["2000-02-29T00:00:00Z", Date.UTC(2000, 1, 29)],
    ["1999-12-31T00:00:00Z", Date.UTC(1999, 11, 31)],
  ])("reads %s", (text, at) => {
    expect(parseInstant(text)).toEqual({ ok: true, at });
  });

  it.each([
    ["2026-12-01T08:00:00", '"2026-12-01T08:00:00" has no time zone: write 2026-12-01T08:00:00Z for UTC, or an offset such as 2026-12-01T08:00:00+01:00'],
    ["2026-12-01", '"2026-12-01" has no time zone: write 2026-12-01T00:00:00Z for UTC, or an offset such as 2026-12-01T00:00:00+01:00'],
    ["2026-12-01 08:00:00Z", '"2026-12-01 08:00:00Z" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00Z'],
    ["2026-12-01T08:00Z", '"2026-12-01T08:00Z" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00Z'],
    ["2026-12-01t08:00:00z", '"2026-12-01t08:00:00z" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00Z'],
    ["2026-12-01 08:00 UTC", '"2026-12-01 08:00 UTC" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00Z'],
    ["2026-12-01T08:00:00+0100", '"2026-12-01T08:00:00+0100" is not a time as RFC 3339 writes it: try 2026-12-01T08:00:00+01:00'],
    ["2026-02-29T08:00:00Z", '"2026-02-29T08:00:00Z" is not a time: that month has 28 days'],
    ["2100-02-29T08:00:00Z", '"2100-02-29T08:00:00Z" is not a time: that month has 28 days'],
    ["2028-02-30T08:00:00Z", '"2028-02-30T08:00:00Z" is not a time: that month has 29 days'],
    ["2026-06-31T08:00:00Z", '"2026-06-31T08:00:00Z" is not a time: that month has 30 days'],
    ["2026-12-32T08:00:00Z", '"2026-12-32T08:00:00Z" is not a time: a month, day, hour, minute, second or offset is out of its range'],
    ["2026-12-01T24:00:00Z", '"2026-12-01T24:00:00Z" is not a time: a month, day, hour, minute, second or offset is out of its range'],
    ["2026-12-01T08:00:60Z", '"2026-12-01T08:00:60Z" is not a time: a month, day, hour, minute, second or offset is out of its range'],
    ["2026-12-01T08:00:00+24:00", '"2026-12-01T08:00:00+24:00" is not a time: a month, day, hour, minute, second or offset is out of its range'],
    ["2026-12-01T08:00:00.1234Z", '"2026-12-01T08:00:00.1234Z" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z'],
    ["", '"" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z'],
    ["01.12.2026 8:00", '"01.12.2026 8:00" is not a time: write date, time and time zone, for example 2026-12-01T08:00:00Z'],
  ])("refuses %j", (text, message) => {
    expect(parseInstant(text)).toEqual({ ok: false, message });
  });
});

describe("formatInstant", () => {
  const years = { min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true };

  it("gives back what parseInstant reads, for every millisecond of four-digit years", () => {
    fc.assert(
      fc.property(fc.date(years), (date) => {
        expect(parseInstant(date.toISOString())).toEqual({ ok: true, at: date.getTime() });
        const text = formatInstant(date.getTime() as Parameters<typeof formatInstant>[0]);
        expect(text).toMatch(INSTANT);
        expect(parseInstant(text)).toEqual({ ok: true, at: date.getTime() });
      }),
    );
  });

  it("answers every text with a time or a reason, and what it suggests can be read", () => {
    const pieces = fc.array(fc.constantFrom("2026", "-", "12", "01", "T", " ", "08", ":", "00", "Z", "+", ".5", "30"), { maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), pieces.map((parts) => parts.join(""))), (text) => {
        const parsed = parseInstant(text);
        if (parsed.ok) return;
        expect(parsed.message).not.toBe("");
        const suggested = /(?:try|write) ([0-9]\S+)/.exec(parsed.message)?.[1];
        if (suggested !== undefined && !parsed.message.includes("has no time zone")) expect(suggested).toMatch(INSTANT);
      }),
    );
  });
});
