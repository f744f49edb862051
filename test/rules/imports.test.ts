/** The import rules of .dependency-cruiser.cjs: each catches what it is for, and the real tree keeps them all. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plant, ROOT, run } from "./tree.ts";
import type { Planted, Tree } from "./tree.ts";

interface Cruise {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: { readonly violations: readonly Violation[] };
}

interface Violation {
  readonly rule: { readonly name: string };
  readonly from: string;
  readonly to: string;
  /** A cycle is told once, from one of its files. */
  readonly cycle?: readonly { readonly name: string }[];
}

const configuration = createRequire(import.meta.url)(join(ROOT, ".dependency-cruiser.cjs")) as { readonly forbidden: readonly { readonly name: string }[] };

/** What stands in the tree before anything is planted: it keeps every rule, in the ways that are easily forbidden by mistake. */
const GOOD: Planted = {
  // Without `exports`, so that every violation can be imported by name.
  ...Object.fromEntries(["controller", "agent"].map((side) => [`${side}/package.json`, JSON.stringify({ name: `@muster/${side}`, type: "module" })])),
  "proto/src/ids.ts": `export const id = "x";`,
  "proto/src/ids.test.ts": `import fc from "fast-check"; import { id } from "./ids.ts"; void [fc, id];`,
  "proto/src/gen/muster/v1/agent.ts": `import { z } from "zod"; export const AppPhase = { HEALTHY: "HEALTHY", z };`,
  "controller/src/plan/plan.ts": `import { id } from "@muster/proto/ids.ts"; export const plan = id;`,
  "controller/src/rollout/decide.ts":
    `import { plan } from "../plan/plan.ts"; import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts"; export const decide = [plan, AppPhase];`,
  "controller/src/rollout/decide.test.ts": `import { readFileSync } from "node:fs"; import { decide } from "./decide.ts"; void [readFileSync, decide];`,
  "controller/src/engine/ports.ts": `export interface Publisher { publish(): void }`,
  "controller/src/engine/engine.ts": `import { decide } from "../rollout/decide.ts"; import type { Publisher } from "./ports.ts"; export const engine = (p: Publisher) => [p, decide];`,
  "controller/src/publish/publisher.ts": `import type { Publisher } from "../engine/ports.ts"; export const publisher: Publisher = { publish() {} };`,
  "controller/src/nats/client.ts": `import { connect } from "node:net"; export const client = connect;`,
  "controller/src/nats/child.ts": `import { client } from "./client.ts"; export const child = client;`,
  "controller/src/compose.ts": `import { engine } from "./engine/engine.ts"; import { publisher } from "./publish/publisher.ts"; import { child } from "./nats/child.ts"; export const composed = [engine(publisher), child];`,
  "controller/cli/src/main.ts": `import { id } from "@muster/proto/ids.ts"; export const cli = id;`,
  "agent/src/machine/decide.ts": `import { id } from "@muster/proto/ids.ts"; export const decide = id;`,
  "agent/src/pull/puller.ts": `import { id } from "@muster/proto/ids.ts"; export const puller = id;`,
  "agent/src/compose.ts": `import { puller } from "./pull/puller.ts"; import { decide } from "./machine/decide.ts"; export const composed = [puller, decide];`,
  "test/fakes/fleet.ts": `import { open } from "node:fs/promises"; await using file = await open("x"); void file; import { composed } from "@muster/controller/src/compose.ts"; export const fleet = composed;`,
};

/** By rule: files that break it, each planted in the good tree, each of which must be named. */
const VIOLATIONS: Readonly<Record<string, Planted>> = {
  "no-cycle": {
    "controller/src/fleet/a.ts": `import { b } from "./b.ts"; export const a = () => b;`,
    "controller/src/fleet/b.ts": `import type { a } from "./a.ts"; export const b = (x: typeof a) => x;`,
  },
  resolvable: { "agent/src/runner/lost.ts": `import { x } from "@muster/proto/nowhere.ts"; export const y = x;` },
  "no-rag-bag": {
    "controller/src/fleet/uses-utils.ts": `import { x } from "../utils/text.ts"; export const y = x;`,
    "agent/src/runner/uses-common.ts": `import { x } from "../common/text.ts"; export const y = x;`,
  },
  "workspaces-by-name": { "agent/src/runner/by-path.ts": `import { id } from "../../../proto/src/ids.ts"; export const y = id;` },
  "proto-imports-no-side": { "proto/src/knows-side.ts": `import { decide } from "@muster/agent/src/machine/decide.ts"; export const y = decide;` },
  "controller-not-agent": { "controller/src/fleet/knows-agent.ts": `import type { decide } from "@muster/agent/src/machine/decide.ts"; export type Y = typeof decide;` },
  "agent-not-controller": { "agent/src/runner/knows-controller.ts": `import { plan } from "@muster/controller/src/plan/plan.ts"; export const y = plan;` },
  "cli-imports-only-proto": {
    "controller/cli/src/knows-controller.ts": `import { plan } from "../../src/plan/plan.ts"; export const y = plan;`,
    "controller/cli/src/knows-agent.ts": `import { decide } from "@muster/agent/src/machine/decide.ts"; export const y = decide;`,
  },
  "nobody-imports-cli": {
    "controller/src/fleet/knows-cli.ts": `import { cli } from "../../cli/src/main.ts"; export const y = cli;`,
    "test/fakes/knows-cli.ts": `import { cli } from "@muster/cli/src/main.ts"; export const y = cli;`,
  },
  "nobody-imports-tests": {
    "controller/src/fleet/knows-test.ts": `import "../rollout/decide.test.ts"; export const y = 1;`,
    "agent/src/runner/knows-fakes.ts": `import { fleet } from "../../../test/fakes/fleet.ts"; export const y = fleet;`,
  },
  "pure-proto": {
    "proto/src/reads.ts": `import { readFileSync } from "node:fs"; export const y = readFileSync;`,
    "proto/src/npm.ts": `import { z } from "zod"; export const y = z;`,
  },
  "pure-plan": {
    "controller/src/plan/reads.ts": `import { readFileSync } from "node:fs"; export const y = readFileSync;`,
    "controller/src/plan/knows-rollout.ts": `import { decide } from "../rollout/decide.ts"; export const y = decide;`,
  },
  "pure-rollout": {
    "controller/src/rollout/hashes.ts": `import { createHash } from "crypto"; export const y = createHash;`,
    "controller/src/rollout/npm.ts": `import { z } from "zod"; export const y = z;`,
    "controller/src/rollout/knows-engine.ts": `import type { Publisher } from "../engine/ports.ts"; export type Y = Publisher;`,
  },
  "pure-forecast": {
    "controller/src/forecast/npm.ts": `import { z } from "zod"; export const y = z;`,
    "controller/src/forecast/knows-engine.ts": `import type { Publisher } from "../engine/ports.ts"; export type Y = Publisher;`,
  },
  "pure-machine": {
    "agent/src/machine/reads.ts": `import { readFileSync } from "node:fs"; export const y = readFileSync;`,
    "agent/src/machine/npm.ts": `import type { z } from "zod"; export type Y = typeof z;`,
  },
  "no-process-by-import": {
    "agent/src/runner/process.ts": `import { env } from "node:process"; export const y = env;`,
    "controller/cli/src/process.ts": `import { env } from "process"; export const y = env;`,
    "controller/src/fleet/console.ts": `import { log } from "node:console"; export const y = log;`,
  },
};

/** Imported by violations; they break nothing by themselves. */
const BAIT: Planted = { "controller/src/utils/text.ts": `export const x = 1;`, "agent/src/common/text.ts": `export const x = 1;` };

function cruise(cwd: string): Cruise {
  const { stdout, output } = run(cwd, "depcruise", ["--config", ".dependency-cruiser.cjs", "--output-type", "json", "agent", "controller", "proto", "test"]);
  expect(stdout, output).toMatch(/^\{/);
  return JSON.parse(stdout) as Cruise;
}

describe("the import rules", () => {
  let good: Tree;
  let bad: Tree;
  let caught: ReadonlySet<string>;

  beforeAll(() => {
    good = plant(GOOD);
    bad = plant({ ...GOOD, ...BAIT, ...Object.assign({}, ...Object.values(VIOLATIONS)) });
    caught = new Set(cruise(bad.dir).summary.violations.flatMap(({ rule, from, cycle }) => [from, ...(cycle ?? []).map(({ name }) => name)].map((file) => `${rule.name}: ${file}`)));
  });

  afterAll(() => {
    good[Symbol.dispose]();
    bad[Symbol.dispose]();
  });

  test("have nothing to say of a tree that keeps them", () => {
    expect(cruise(good.dir).summary.violations).toEqual([]);
  });

  test.for(configuration.forbidden.map(({ name }) => name))("catch a planted violation of %s", (name) => {
    const planted = Object.keys(VIOLATIONS[name] ?? {});
    expect(planted).not.toEqual([]);
    for (const file of planted) expect(caught).toContain(`${name}: ${file}`);
  });

  test("are kept by the real tree, and every file of it was read", () => {
    const tracked = run(ROOT, "git", ["ls-files", "-z", "agent/*.ts", "controller/*.ts", "proto/*.ts", "test/*.ts"]).stdout.split("\0").filter((path) => path !== "");
    const real = cruise(ROOT);
    expect(real.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);
    const read = new Set(real.modules.map(({ source }) => source));
    expect(tracked.length).toBeGreaterThan(50);
    expect(tracked.filter((path) => !read.has(path))).toEqual([]);
  });

  test("can be told from a tool that reads no TypeScript, as it does without @swc/core", () => {
    expect(cruise(good.dir).modules.map(({ source }) => source)).toEqual(expect.arrayContaining(Object.keys(GOOD).filter((path) => path.endsWith(".ts"))));
  });
});
