import type { Instant } from "@muster/proto/ids.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Window } from "../plan/strategy.ts";
import { validateCron } from "./cron-rule.ts";
import { Schedule } from "./schedule.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function at(text: string): Instant {
  return Date.parse(text) as Instant;
}

/** The opening in words, with instants in UTC. */
function opening(cron: string, durationMs: number, timeZone: string, now: string): string {
  const found = new Schedule().openingOf({ cron, durationMs, timeZone }, at(now));
  const word = (instant: Instant | null): string => (instant === null ? "never" : new Date(instant).toISOString().replace(":00.000Z", "Z"));
  return found.open ? `until ${word(found.until)}` : `opens ${word(found.opensAt)}`;
}

describe("a window", () => {
  test.each([
    ["2026-06-01T19:59:59.999Z", "opens 2026-06-01T20:00Z"],
    ["2026-06-01T20:00:00.000Z", "until 2026-06-02T00:00Z"],
    ["2026-06-01T20:00:00.001Z", "until 2026-06-02T00:00Z"],
    ["2026-06-01T23:59:59.999Z", "until 2026-06-02T00:00Z"],
    ["2026-06-02T00:00:00.000Z", "opens 2026-06-02T20:00Z"],
    ["2026-06-05T22:00:00.000Z", "until 2026-06-06T00:00Z"],
    ["2026-06-06T00:00:00.000Z", "opens 2026-06-08T20:00Z"],
  ])("on weekdays from 22:00 in Berlin for four hours: at %s %s", (now, expected) => {
    expect(opening("0 22 * * MON-FRI", 4 * HOUR, "Europe/Berlin", now)).toBe(expected);
  });

  test.each([
    ["in the skipped hour opens when the gap ends", "30 2 * * *", HOUR, "2026-03-29T00:59:00Z", "opens 2026-03-29T01:00Z"],
    ["in the skipped hour stays open as long as ever", "30 2 * * *", HOUR, "2026-03-29T01:30:00Z", "until 2026-03-29T02:00Z"],
    ["in the skipped hour opens the day after as written", "30 2 * * *", HOUR, "2026-03-29T02:00:00Z", "opens 2026-03-30T00:30Z"],
    ["with a list of hours, one of them skipped, opens when the gap ends", "30 2,14 * * *", HOUR, "2026-03-28T20:00:00Z", "opens 2026-03-29T01:00Z"],
    ["over the skipped hour lasts as long as its duration says", "0 1 * * *", 2 * HOUR, "2026-03-29T00:30:00Z", "until 2026-03-29T02:00Z"],
    ["in the hour that comes twice opens the first time", "30 2 * * *", 30 * MINUTE, "2026-10-25T00:00:00Z", "opens 2026-10-25T00:30Z"],
    ["in the hour that comes twice does not open the second time", "30 2 * * *", 30 * MINUTE, "2026-10-25T01:00:00Z", "opens 2026-10-26T01:30Z"],
    ["of every hour opens in both hours", "30 * * * *", 10 * MINUTE, "2026-10-25T01:00:00Z", "opens 2026-10-25T01:30Z"],
  ])("that begins %s", (_, cron, durationMs, now, expected) => {
    expect(opening(cron, durationMs, "Europe/Berlin", now)).toBe(expected);
  });

  test("opens at the end of a midnight that does not exist", () => {
    expect(opening("0 0 * * *", HOUR, "America/Sao_Paulo", "2018-11-03T12:00:00Z")).toBe("opens 2018-11-04T03:00Z");
  });

  test("knows zones that move by half an hour", () => {
    expect(opening("0 2 * * *", HOUR, "Australia/Lord_Howe", "2026-10-03T12:00:00Z")).toBe("opens 2026-10-03T15:30Z");
  });

  test.each([
    ["longer than its period never closes", "0 * * * *", 90 * MINUTE, "2026-06-01T12:10:00Z"],
    ["exactly as long as its period never closes", "0 * * * *", HOUR, "2026-06-01T12:10:00Z"],
    ["of a day every day never closes, though a day has 25 hours", "0 0 * * *", 25 * HOUR, "2026-10-25T22:30:00Z"],
    ["with a duration beyond all dates never closes once it has opened", "0 0 1 1 *", Number.MAX_SAFE_INTEGER, "2026-10-25T22:30:00Z"],
  ])("%s", (_, cron, durationMs, start) => {
    const schedule = new Schedule();
    const window = { cron, durationMs, timeZone: "Europe/Berlin" };
    let now = at(start);
    for (let asked = 0; asked < 5; asked++) {
      const found = schedule.openingOf(window, now);
      if (!found.open) expect.fail(`closed at ${new Date(now).toISOString()}`);
      expect(found.until).toBeGreaterThan(now + 20 * HOUR);
      if (found.until > at("9000-01-01T00:00:00Z")) return;
      now = found.until;
    }
  });

  test("joins occurrences that overlap and ends with the last of them", () => {
    expect(opening("0 20,21,22 * * *", 90 * MINUTE, "UTC", "2026-06-01T20:10:00Z")).toBe("until 2026-06-01T23:30Z");
    expect(opening("0 20,21,22 * * *", 90 * MINUTE, "UTC", "2026-06-01T23:10:00Z")).toBe("until 2026-06-01T23:30Z");
    expect(opening("0 20,21,23 * * *", 90 * MINUTE, "UTC", "2026-06-01T20:10:00Z")).toBe("until 2026-06-01T22:30Z");
  });

  test("that never comes again says so", () => {
    expect(opening("0 0 30 2 *", HOUR, "UTC", "2026-06-01T20:10:00Z")).toBe("opens never");
  });

  test("of a leap day waits for it", () => {
    expect(opening("0 0 29 2 *", HOUR, "UTC", "2026-06-01T20:10:00Z")).toBe("opens 2028-02-29T00:00Z");
  });
});

describe("the schedule", () => {
  const nightly: Window = { cron: "0 22 * * *", durationMs: HOUR, timeZone: "Europe/Berlin" };

  test("gives the very same answer until the window opens or closes, and finds the next then", () => {
    const schedule = new Schedule();
    const first = schedule.openingOf(nightly, at("2026-06-01T12:00:00Z"));
    expect(schedule.openingOf({ ...nightly }, at("2026-06-01T19:59:59.999Z"))).toBe(first);
    expect(schedule.openingOf(nightly, at("2026-06-01T20:00:00Z"))).toEqual({ open: true, until: at("2026-06-01T21:00:00Z") });
    expect(schedule.openingOf(nightly, at("2026-06-01T21:00:00Z"))).toEqual({ open: false, opensAt: at("2026-06-02T20:00:00Z") });
  });

  test("is not led astray by a clock that goes back", () => {
    const schedule = new Schedule();
    schedule.openingOf(nightly, at("2026-06-05T12:00:00Z"));
    expect(schedule.openingOf(nightly, at("2026-06-01T20:30:00Z"))).toEqual({ open: true, until: at("2026-06-01T21:00:00Z") });
  });

  test("tells windows apart by cron, duration and time zone", () => {
    const schedule = new Schedule();
    const now = at("2026-06-01T20:30:00Z");
    expect(schedule.openingOf(nightly, now).open).toBe(true);
    expect(schedule.openingOf({ ...nightly, cron: "0 23 * * *" }, now).open).toBe(false);
    expect(schedule.openingOf({ ...nightly, durationMs: 10 * MINUTE }, now).open).toBe(false);
    expect(schedule.openingOf({ ...nightly, timeZone: "UTC" }, now).open).toBe(false);
  });

  test("answers more windows than it keeps", () => {
    const schedule = new Schedule();
    const now = at("2026-06-01T20:30:00Z");
    const windows = Array.from({ length: 600 }, (_, index) => ({ ...nightly, durationMs: HOUR + index * MINUTE }));
    const untils = [...windows, ...windows].map((window) => schedule.openingOf(window, now));
    expect(untils).toEqual([...windows, ...windows].map(({ durationMs }) => ({ open: true, until: at("2026-06-01T20:00:00Z") + durationMs })));
  });

  const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia");
  const part = (min: number, max: number): fc.Arbitrary<string> => {
    const value = fc.integer({ min, max });
    const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
    const single = fc.oneof(value.map(String), range, fc.tuple(range, fc.integer({ min: 1, max: 7 })).map(([text, step]) => `${text}/${step}`));
    return fc.oneof(fc.constant("*"), fc.integer({ min: 1, max: 7 }).map((step) => `*/${step}`), fc.array(single, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(",")));
  };
  const day = fc.oneof(part(0, 7), fc.constantFrom("TUE#2", "FRI#L", "MON-FRI", "SAT,SUN"));
  const monthDay = fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, part(1, 31), fc.constant("L"));
  const cron = fc.tuple(part(0, 59), part(0, 23), monthDay, fc.oneof({ weight: 3, arbitrary: fc.constant("*") }, part(1, 12)), day).map((fields) => fields.join(" "));
  const window = fc.record({ cron, durationMs: fc.integer({ min: 1, max: 40 * 60 }).map((minutes) => minutes * MINUTE), timeZone: zone });
  const instant = fc.integer({ min: at("2000-01-01T00:00:00Z"), max: at("2037-01-01T00:00:00Z") }) as fc.Arbitrary<Instant>;

  test("says of every window that passes the rule when it closes after now, or when it opens after now and is open then", () => {
    fc.assert(
      fc.property(window, instant, (it, now) => {
        fc.pre(validateCron(it.cron) === undefined);
        const found = new Schedule().openingOf(it, now);
        if (found.open) {
          expect(found.until).toBeGreaterThan(now);
          expect(new Schedule().openingOf(it, (found.until - 1) as Instant).open).toBe(true);
        } else {
          if (found.opensAt === null) expect.fail(`${it.cron} never opens`);
          expect(found.opensAt).toBeGreaterThan(now);
          expect(new Schedule().openingOf(it, found.opensAt).open).toBe(true);
          expect(new Schedule().openingOf(it, (found.opensAt - 1) as Instant).open).toBe(false);
        }
      }),
      { numRuns: 80 },
    );
  });

  test("answers alike whether asked often or for the first time", () => {
    fc.assert(
      fc.property(window, instant, fc.array(fc.integer({ min: 0, max: 2 * DAY }), { maxLength: 12 }), (it, start, steps) => {
        fc.pre(validateCron(it.cron) === undefined);
        const kept = new Schedule();
        let now = start;
        for (const step of steps) {
          now = (now + step) as Instant;
          const [often, fresh] = [kept.openingOf(it, now), new Schedule().openingOf(it, now)];
          expect(often.open).toBe(fresh.open);
          // What never closes is followed only so far, and further when begun later.
          if (!often.open) expect(often).toEqual(fresh);
        }
      }),
      { numRuns: 25 },
    );
  });
});
