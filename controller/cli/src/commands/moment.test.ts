import { expect, test } from "vitest";
import { NOON } from "../fakes/samples.ts";
import { parseMoment } from "./moment.ts";

const future = (text: string, now: number = NOON): number => parseMoment(text, { option: "--from", side: "future", now });
const past = (text: string, now: number = NOON): number => parseMoment(text, { option: "--at", side: "past", now });
const local = (day: number, hours: number, minutes: number): number => new Date(2026, 0, day, hours, minutes).getTime();

test.each([
  ["2026-01-31T18:00:00Z", NOON + 6 * 3_600_000],
  ["2026-01-31T18:00:00+02:00", NOON + 4 * 3_600_000],
  ["2026-01-31t18:00:00.5z", NOON + 6 * 3_600_000 + 500],
  ["+2h", NOON + 7_200_000],
  ["+1h30m", NOON + 5_400_000],
  ["now", NOON],
])("reads %s", (text, at) => {
  expect(future(text)).toBe(at);
});

test("a time of the day is the next one, today or tomorrow", () => {
  const now = local(30, 12, 0);
  expect(future("18:30", now)).toBe(local(30, 18, 30));
  expect(future("9:05", now)).toBe(local(31, 9, 5));
  expect(future("12:00", now)).toBe(local(31, 12, 0));
});

test("a time of the day in the past is the last one, today or yesterday", () => {
  const now = local(30, 12, 0);
  expect(past("9:05", now)).toBe(local(30, 9, 5));
  expect(past("18:30", now)).toBe(local(29, 18, 30));
  expect(past("-5m", now)).toBe(now - 300_000);
});

test("an end follows its beginning: from 22:00 until 06:00 is one night", () => {
  const from = local(30, 22, 0);
  expect(parseMoment("06:00", { option: "--until", side: "future", now: local(30, 12, 0), from })).toBe(local(31, 6, 0));
});

test.each(["", "soon", "2h", "-2h", "+soon", "24:00", "12:60", "2026-02-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31", "1770000000"])(
  "refuses %j, and says what a time looks like",
  (text) => {
    expect(() => future(text)).toThrow(`--from: ${JSON.stringify(text)} is not a time; try 2026-01-31T18:00:00Z, 18:00 for the next one, or +2h`);
  },
);

test("refuses a future where the past is meant", () => {
  expect(() => past("+5m")).toThrow("or -5m");
});
