/** The rules of .oxlintrc.json: each catches what it is for, where it is for, and leaves alone what is allowed there. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plant, ROOT, run } from "./tree.ts";
import type { Planted, Tree } from "./tree.ts";

interface Lint {
  readonly diagnostics: readonly Diagnostic[];
  readonly number_of_files: number;
}

interface Diagnostic {
  /** None when it is about an exception that excepts nothing. */
  readonly code?: string;
  readonly message: string;
  readonly filename: string;
}

interface Case {
  readonly what: string;
  readonly file: string;
  readonly text: string;
  /** As oxlint names the rule; undefined: nothing may be said of this file. */
  readonly rule: string | undefined;
}

const lines = (count: number) => "export {};\n".repeat(count);

const CASES: readonly Case[] = [
  ...["Date.now()", "new Date()", "performance.now()", "process.pid", "console.log(1)", "crypto.randomUUID()", "globalThis.Date", "setTimeout(() => 1, 1)", "fetch('x')"].map(
    (code): Case => ({ what: `${code} in pure code`, file: `controller/src/rollout/${code.replace(/[^a-zA-Z]/g, "-")}.ts`, text: `export const x = ${code};`, rule: "eslint(no-restricted-globals)" }),
  ),
  ...["proto/src", "controller/src/plan", "agent/src/machine"].map(
    (folder): Case => ({ what: `the clock in ${folder}`, file: `${folder}/clock.ts`, text: "export const x = Date.now();", rule: "eslint(no-restricted-globals)" }),
  ),
  { what: "Math.random() in pure code", file: "agent/src/machine/random.ts", text: "export const x = Math.random();", rule: "eslint(no-restricted-properties)" },
  { what: "the clock outside pure code", file: "agent/src/runner/clock.ts", text: "export const x = Date.now() + Math.random();", rule: undefined },
  { what: "the clock in a test of pure code", file: "agent/src/machine/clock.test.ts", text: "export const x = Date.now();", rule: undefined },

  { what: "process.env", file: "controller/src/engine/env.ts", text: "export const x = process.env['X'];", rule: "eslint(no-restricted-properties)" },
  { what: "process.env taken apart", file: "controller/src/engine/env-apart.ts", text: "export const { env } = process;", rule: "eslint(no-restricted-properties)" },
  { what: "process.env in the CLI", file: "controller/cli/src/env.ts", text: "export const x = process.env['X'];", rule: "eslint(no-restricted-properties)" },
  { what: "process.env in config.ts", file: "agent/src/config.ts", text: "export const x = process.env['X'];", rule: undefined },
  { what: "process.env in the CLI's context", file: "controller/cli/src/context.ts", text: "export const x = process.env['X'];", rule: undefined },

  {
    what: "an adapter in another folder of the controller",
    file: "controller/src/engine/publishes.ts",
    text: `import { publisher } from "../publish/publisher.ts"; export const x = publisher;`,
    rule: "eslint(no-restricted-imports)",
  },
  {
    what: "an adapter in another adapter",
    file: "agent/src/drivers/process/pulls.ts",
    text: `import { type Pull, pull } from "../../pull/puller.ts"; export const x = (y: Pull) => pull(y);`,
    rule: "eslint(no-restricted-imports)",
  },
  {
    what: "a gate's adapter in the engine",
    file: "controller/src/engine/asks.ts",
    text: `import { askWebhook } from "../gates/webhook.ts"; export const x = askWebhook;`,
    rule: "eslint(no-restricted-imports)",
  },
  { what: "the rule of crons where files are read", file: "controller/src/submit/cron.ts", text: `import { validateCron } from "../gates/cron-rule.ts"; export const x = validateCron;`, rule: undefined },
  { what: "the type of an adapter", file: "controller/src/api/knows-type.ts", text: `import type { Relay } from "../report/relay.ts"; export type X = Relay;`, rule: undefined },
  { what: "an adapter in itself", file: "controller/src/nats/itself.ts", text: `import { x } from "./client.ts"; export const y = x;`, rule: undefined },
  { what: "an adapter in compose.ts", file: "controller/src/compose.ts", text: `import { x } from "./nats/client.ts"; export const y = x;`, rule: undefined },
  { what: "an adapter in its test", file: "agent/src/pull/puller.test.ts", text: `import { x } from "../apply/store.ts"; export const y = x;`, rule: undefined },

  { what: "console", file: "controller/src/engine/console.ts", text: "console.log(1);", rule: "eslint(no-console)" },
  { what: "console in the CLI", file: "controller/cli/src/print.ts", text: "console.log(1);", rule: undefined },

  { what: "a default export", file: "agent/src/runner/default.ts", text: "export default 1;", rule: "import(no-default-export)" },
  { what: "a default export in a tool's configuration", file: "vitest.config.ts", text: "export default 1;", rule: undefined },
  { what: "a file of 451 lines", file: "agent/src/runner/long.ts", text: lines(451), rule: "eslint(max-lines)" },
  { what: "a file of 450 lines", file: "agent/src/runner/full.ts", text: lines(450), rule: undefined },
  { what: "a test of 451 lines", file: "agent/src/runner/long.test.ts", text: lines(451), rule: undefined },
  { what: "a TODO", file: "agent/src/runner/todo.ts", text: "// TODO: finish\nexport const x = 1;", rule: "eslint(no-warning-comments)" },

  { what: "any", file: "agent/src/runner/any.ts", text: "export const x = (y: any) => y;", rule: "typescript(no-explicit-any)" },
  { what: "a value import of a type", file: "agent/src/runner/type-import.ts", text: `import { T } from "./any.ts"; export type U = T;`, rule: "typescript(consistent-type-imports)" },
  { what: "a promise that nobody waits for", file: "agent/src/runner/floating.ts", text: "export function f(p: Promise<void>) { p; }", rule: "typescript(no-floating-promises)" },
  { what: "a promise where a truth is wanted", file: "agent/src/runner/misused.ts", text: "export const f = (p: Promise<boolean>) => { if (p) return 1; return 2; };", rule: "typescript(no-misused-promises)" },
  { what: "await of what is no promise", file: "agent/src/runner/await.ts", text: "export const f = async (x: number) => await x;", rule: "typescript(await-thenable)" },
  { what: "|| for a default", file: "agent/src/runner/default-or.ts", text: "export const f = (x: string | undefined) => x || 'y';", rule: "typescript(prefer-nullish-coalescing)" },
  {
    what: "a switch that forgets a case",
    file: "agent/src/runner/forgets.ts",
    text: "export function f(x: 'a' | 'b') { switch (x) { case 'a': return 1; } return 2; }",
    rule: "typescript(switch-exhaustiveness-check)",
  },
  {
    what: "a switch whose default swallows a case",
    file: "agent/src/runner/swallows.ts",
    text: "export function f(x: 'a' | 'b') { switch (x) { case 'a': return 1; default: return 3; } }",
    rule: "typescript(switch-exhaustiveness-check)",
  },
  { what: "a mocked module", file: "agent/src/runner/mock.test.ts", text: `import { vi } from "vitest"; vi.mock("./any.ts");`, rule: "vitest(no-restricted-vi-methods)" },
  { what: "a test that keeps the others from running", file: "agent/src/runner/only.test.ts", text: `import { test } from "vitest"; test.only("x", () => {});`, rule: "vitest(no-focused-tests)" },
  { what: "an exception that excepts nothing", file: "agent/src/runner/excepts.ts", text: "// oxlint-disable-next-line no-console\nexport const x = 1;", rule: "Unused oxlint-disable directive (no problems were reported)." },
];

function name({ code, message }: Diagnostic): string {
  return code ?? message;
}

function lint(cwd: string): Lint {
  const { stdout, output } = run(cwd, "oxlint", ["--format", "json"]);
  expect(stdout, output).toMatch(/^\{/);
  return JSON.parse(stdout) as Lint;
}

describe("the lint rules", () => {
  let tree: Tree;
  let said: readonly Diagnostic[];

  beforeAll(() => {
    tree = plant(Object.fromEntries(CASES.map(({ file, text }) => [file, text])) satisfies Planted);
    said = lint(tree.dir).diagnostics;
  });

  afterAll(() => tree[Symbol.dispose]());

  test.for(CASES.filter(({ rule }) => rule !== undefined))("catch $what", ({ file, rule }) => {
    expect(said.filter(({ filename }) => filename === file).map(name)).toContain(rule);
  });

  test.for(CASES.filter(({ rule }) => rule === undefined))("allow $what", ({ file }) => {
    expect(said.filter(({ filename }) => filename === file)).toEqual([]);
  });

  test("are kept by the real tree, and all of it was read", () => {
    const real = lint(ROOT);
    expect(real.diagnostics.map((diagnostic) => `${diagnostic.filename}: ${name(diagnostic)}`)).toEqual([]);
    expect(real.number_of_files).toBeGreaterThan(50);
  });
});
