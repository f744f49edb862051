import { describe, expect, test } from "vitest";
import { validateCron, validateTimeZone } from "./cron-rule.ts";

describe("a cron", () => {
  test.each([
    "* * * * *", "0 22 * * MON-FRI", "*/15 9-17 1,15 jan-mar,12 *", "0 0 * * 7", "0 0 * * 0-7", "0 0 * * fri-sun", "0 0 L * *", "0 3 * * TUE#2", "0 3 * * 5#L",
    "0-59/20 0 29 2 *", "  0\t2  * * *  ", "59 23 31 12 6", "0 0 */31 */12 */7", "0 22-23,0-2 * * *", "0 0 * * SAT-SAT,SUN-MON",
  ])("%j is one", (text) => {
    expect(validateCron(text)).toBeUndefined();
  });

  test.each([
    ["", '"" has 0 fields: five fields are expected (minute, hour, day of month, month, day of week), for example 0 22 * * MON-FRI'],
    ["@daily", '"@daily" has 1 field: five fields are expected'],
    ["2026-01-01T00:00:00", "has 1 field"],
    ["0 0 2 * * *", '"0 0 2 * * *" has 6 fields'],
    ["60 * * * *", '"60 * * * *" is not a cron: 60 is not a minute: 0 to 59 are allowed'],
    ["0 24 * * *", "24 is not an hour: 0 to 23 are allowed"],
    ["0 0 0 * *", "0 is not a day of month: 1 to 31 are allowed"],
    ["0 0 * 13 *", "13 is not a month: 1 to 12 and JAN to DEC are allowed"],
    ["0 0 * * 8", "8 is not a day of week: 0 to 7 and SUN to SAT are allowed"],
    ["0 0 * * MONDAY", "MONDAY is not a day of week"],
    ["0 0 * * MON-FREI", "FREI is not a day of week"],
    ["0 22-2 * * *", "22-2 runs backwards: try 22-23,0-2"],
    ["0 0 * * SAT-MON", "SAT-MON runs backwards: try SAT-SAT,SUN-MON"],
    ["5/15 * * * *", "5/15 has a step but no range: try 5-59/15"],
    ["*/0 * * * *", "the step of */0 is not from 1 to 60"],
    ["*/61 * * * *", "the step of */61 is not from 1 to 60"],
    ["0 0 * * */8", "the step of */8 is not from 1 to 7"],
    ["1,,2 * * * *", '"" is not understood as a minute'],
    ["? * * * *", '"?" is not understood as a minute: *, 0 to 59, ranges such as 1-5, steps such as */2, and lists of these with commas are'],
    ["-1 * * * *", '"-1" is not understood as a minute'],
    ["1.5 * * * *", '"1.5" is not understood as a minute'],
    ["0 0 15W * *", "15W is not a day of month"],
    ["0 0 * * TUE#6", '"TUE#6" is not understood as a day of week'],
    ["0 0 * * L", "L is not a day of week"],
    ["0 0 30 2 *", '"0 0 30 2 *" never comes: no month has such a day'],
    ["0 0 31 4,6,9,11 *", "never comes"],
    [`${"1,".repeat(200)}1 * * * *`, "the cron has 409 characters, at most 256 are allowed"],
  ])("%j is none", (text, fault) => {
    expect(validateCron(text)).toContain(fault);
  });
});

describe("a time zone", () => {
  test.each(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])("%s is one", (text) => {
    expect(validateTimeZone(text)).toBeUndefined();
  });

  test.each(["", "Europe/Berln", "Local", "berlin"])("%j is none", (text) => {
    expect(validateTimeZone(text)).toBe(`"${text}" is not a time zone: an IANA name is expected, for example Europe/Berlin or UTC`);
  });

  test("an offset is none", () => {
    expect(validateTimeZone("+02:00")).toContain("is an offset, not a time zone");
  });
});
