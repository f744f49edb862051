/**
 * Counts what a verification found. Never says that all is well when something did not run: a report that is missing, a test file that could
 * not be loaded and an error outside every test count as failures.
 */

export interface Check {
  readonly name: string;
  readonly passed: boolean;
}

export interface Summary {
  readonly passed: boolean;
  /** What failed or was skipped, a line each. */
  readonly notes: readonly string[];
  readonly lastLine: string;
}

/** The parts of vitest's JSON report that are counted. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** `report` is the text of vitest's JSON report, or undefined when it left none. */
export function summarize(checks: readonly Check[], vitestPassed: boolean, report: string | undefined, skippingFails: boolean): Summary {
  const failedChecks = checks.filter((check) => !check.passed).map(({ name }) => `npm run ${name}`);
  const failedTests: string[] = [];
  const skipped: string[] = [];
  let passed = 0;
  for (const file of report === undefined ? [] : (JSON.parse(report) as Report).testResults) {
    const before = failedTests.length;
    for (const { fullName, status } of file.assertionResults) {
      if (status === "passed") passed += 1;
      else (status === "failed" ? failedTests : skipped).push(`${fullName} (${file.name})`);
    }
    if (file.status === "failed" && failedTests.length === before) failedTests.push(file.name);
  }
  if (report === undefined) failedTests.push("vitest, which ended without a report");
  else if (failedTests.length === 0 && !vitestPassed) failedTests.push("vitest, by an error outside every test");
  else if (failedTests.length === 0 && passed === 0) failedTests.push("vitest, which found no test");

  const failed = [...failedChecks, ...failedTests];
  const notes = [...failed.map((what) => `failed: ${what}`), ...skipped.map((what) => `skipped: ${what}`)];
  const failsForSkipping = skippingFails && skipped.length > 0;
  if (failsForSkipping) notes.push("CI is set: what is skipped here is verified nowhere, so this fails");
  return {
    passed: failed.length === 0 && !failsForSkipping,
    notes,
    lastLine: `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`,
  };
}
