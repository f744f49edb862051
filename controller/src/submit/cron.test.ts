import { Cron } from "croner";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CRON, cronFault } from "./cron.ts";

describe("cronFault", () => {
  it.each([
    "* * * * *", "0 2 * * 1-5", "*/15 8-18 * * MON-FRI", "0,30 0 1,15 JAN-MAR *", "0 0 29 2 *", "0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 * * 7", "5-55/10 * * * *",
    "  0   2 * * *  ", "0 0 * * sun",
  ])("takes %j", (line) => {
    expect(cronFault(line)).toBeUndefined();
    expect(line).toMatch(CRON);
  });

  const FIELDS = 'where 5 are wanted: minute, hour, day of month, month, day of week, for example "0 2 * * 1-5"';
  it.each([
    ["", `"" has 0 fields ${FIELDS}`],
    ["@daily", `"@daily" has 1 field ${FIELDS}`],
    ["0 0 2 * * *", `"0 0 2 * * *" has 6 fields ${FIELDS}`],
    ["60 * * * *", `"60 * * * *" is not a cron line: "60" can't be its minute (0-59, *, lists, ranges and steps such as */15)`],
    ["0 24 * * *", `"0 24 * * *" is not a cron line: "24" can't be its hour (0-23, *, lists, ranges and steps such as */15)`],
    ["0 0 0 * *", `"0 0 0 * *" is not a cron line: "0" can't be its day of month (1-31, *, lists, ranges and steps such as */15)`],
    ["0 0 * 13 *", `"0 0 * 13 *" is not a cron line: "13" can't be its month (1-12 or JAN-DEC, *, lists, ranges and steps such as */15)`],
    ["0 0 * * 8", `"0 0 * * 8" is not a cron line: "8" can't be its day of week (0-7 or SUN-SAT, *, lists, ranges and steps such as */15)`],
    ["0 0 * * 5-1", `"0 0 * * 5-1" is not a cron line: "5-1" can't be its day of week (0-7 or SUN-SAT, *, lists, ranges and steps such as */15)`],
    ["*/0 * * * *", `"*/0 * * * *" is not a cron line: "*/0" can't be its minute (0-59, *, lists, ranges and steps such as */15)`],
    ["1,,2 * * * *", `"1,,2 * * * *" is not a cron line: "1,,2" can't be its minute (0-59, *, lists, ranges and steps such as */15)`],
    ["? 0 * * *", `"? 0 * * *" is not a cron line: "?" can't be its minute (0-59, *, lists, ranges and steps such as */15)`],
    ["0 0 30 2 *", '"0 0 30 2 *" never comes: none of its months has such a day'],
    ["0 0 31 4,6,9,11 *", '"0 0 31 4,6,9,11 *" never comes: none of its months has such a day'],
    [`${"1,".repeat(200)}1 * * * *`, `"${"1,".repeat(30)}…" is too long for a cron line: at most 256 characters`],
  ])("refuses %j", (line, message) => {
    expect(cronFault(line)).toBe(message);
  });

  it("names the field that is wrong, whichever it is, and takes nothing that the library refuses", () => {
    const field = fc.constantFrom("*", "0", "1", "7", "12", "24", "31", "60", "*/5", "1-5", "5-1", "1,2", "MON", "JAN", "L", "x", "-1", "1.5", "?", "#");
    fc.assert(
      fc.property(fc.array(field, { minLength: 5, maxLength: 5 }), (fields) => {
        const line = fields.join(" ");
        const fault = cronFault(line);
        const read = (): unknown => new Cron(line, { mode: "5-part", timezone: "Europe/Berlin", paused: true }).nextRun(new Date("2026-01-01T00:00:00Z"));
        if (fault === undefined) expect(read()).toBeInstanceOf(Date);
        else if (fault.includes("never comes")) expect(read()).toBeNull();
        else expect(fields.some((found) => fault.includes(`"${found}" can't be its`))).toBe(true);
      }),
    );
  });
});
