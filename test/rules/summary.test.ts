/** The last line of a verification is true, and no way of not running the tests passes for having run them. */
import { describe, expect, test } from "vitest";
import { summarize } from "../setup/summary.ts";

const GOOD = [{ name: "types", passed: true }];

function report(...files: readonly (readonly string[])[]): string {
  return JSON.stringify({
    testResults: files.map((statuses, index) => ({
      name: `/x/${index}.test.ts`,
      status: statuses.length === 0 || statuses.includes("failed") ? "failed" : "passed",
      assertionResults: statuses.map((status, nth) => ({ fullName: `does thing ${nth}`, status })),
    })),
  });
}

describe("the summary of a verification", () => {
  test("adds up the tests of all files", () => {
    expect(summarize(GOOD, true, report(["passed", "passed"], ["passed"]), true)).toEqual({ passed: true, notes: [], lastLine: "3 passed, 0 failed, 0 skipped" });
  });

  test("names what failed", () => {
    expect(summarize(GOOD, false, report(["passed", "failed"]), true)).toEqual({
      passed: false,
      notes: ["failed: does thing 1 (/x/0.test.ts)"],
      lastLine: "1 passed, 1 failed, 0 skipped",
    });
  });

  test("counts a check that found something", () => {
    expect(summarize([{ name: "lint:code", passed: false }], true, report(["passed"]), true)).toEqual({
      passed: false,
      notes: ["failed: npm run lint:code"],
      lastLine: "1 passed, 1 failed, 0 skipped",
    });
  });

  test("counts a file that could not be loaded", () => {
    expect(summarize(GOOD, false, report(["passed"], []), true)).toMatchObject({ passed: false, lastLine: "1 passed, 1 failed, 0 skipped" });
  });

  test("counts an error outside every test", () => {
    expect(summarize(GOOD, false, report(["passed"]), true)).toMatchObject({ passed: false, lastLine: "1 passed, 1 failed, 0 skipped" });
  });

  test("counts a vitest that left no report, even one that ended well", () => {
    expect(summarize(GOOD, true, undefined, true)).toMatchObject({ passed: false, lastLine: "0 passed, 1 failed, 0 skipped" });
  });

  test("counts a vitest that found no test", () => {
    expect(summarize(GOOD, true, report(), true)).toMatchObject({ passed: false, lastLine: "0 passed, 1 failed, 0 skipped" });
  });

  test.for(["skipped", "pending", "todo"])("shows a test that is %s, which fails the run only where it must not be", (status) => {
    const text = report(["passed", status]);
    expect(summarize(GOOD, true, text, false)).toMatchObject({ passed: true, lastLine: "1 passed, 0 failed, 1 skipped", notes: ["skipped: does thing 1 (/x/0.test.ts)"] });
    expect(summarize(GOOD, true, text, true)).toMatchObject({ passed: false, lastLine: "1 passed, 0 failed, 1 skipped" });
  });
});
