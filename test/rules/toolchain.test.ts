/** The tools are the ones that npm brought, and each of them can fail. */
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { plant, ROOT, run } from "./tree.ts";

const WORKSPACES = [".", "proto", "controller", "controller/cli", "agent", "test"] as const;

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function packageOf(workspace: string): Package {
  return JSON.parse(readFileSync(join(ROOT, workspace, "package.json"), "utf8")) as Package;
}

describe("Node", () => {
  test("is the one in node_modules, whichever one the machine has", () => {
    expect(realpathSync(process.execPath)).toBe(realpathSync(join(ROOT, "node_modules/.bin/node")));
    expect(process.versions.node).toMatch(/^24\./);
  });

  test("is the same one in the scripts of every workspace", () => {
    for (const workspace of WORKSPACES) {
      const { stdout, output } = run(join(ROOT, workspace), "npm", ["exec", "--silent", "--offline", "-c", "node -p process.execPath"]);
      expect(realpathSync(stdout.trim()), output).toBe(realpathSync(process.execPath));
    }
  });
});

describe("the type checker", () => {
  test.for([
    ["a wrong type", "export const x: number = 'one';", "TS2322"],
    ["an index that may be missing", "export const x = (list: readonly string[]): string => list[0];", "TS2322"],
    ["syntax that Node cannot strip", "export enum X { A }", "TS1294"],
    ["a type imported as a value", `import { Mode } from "node:fs"; export type X = Mode;`, "TS1484"],
    ["a case that is forgotten", "export function f(x: 'a' | 'b'): number { switch (x) { case 'a': return 1; } }", "TS2366"],
  ] as const)("catches %s", ([, text, code]) => {
    using tree = plant({ "agent/src/runner/x.ts": text });
    const { status, stdout } = run(join(tree.dir, "agent"), "tsc", ["--noEmit"]);
    expect(status).not.toBe(0);
    expect(stdout).toContain(code);
  });
});

describe("knip", () => {
  /** A tree in which everything is used, as far as its files go. */
  const USED = {
    "agent/package.json": JSON.stringify({ name: "@muster/agent", type: "module", dependencies: { zod: "*", pino: "*" } }),
    "agent/src/main.ts": `import { used } from "./used.ts"; import { z } from "zod"; export const x = [used, z];`,
    "agent/src/used.ts": "export const used = 1;",
  };

  const knip = (cwd: string) => run(cwd, "knip", ["--no-progress", "--reporter", "compact", "--workspace", "agent"]).stdout;

  test("catches a file, an export and a dependency that nobody uses, and one that is used but not declared", () => {
    using tree = plant({
      ...USED,
      "agent/src/used.ts": `import { parse } from "yaml"; export const used = parse; export const unusedExport = 1;`,
      "agent/src/unused-file.ts": "export const y = 1;",
    });
    const found = knip(tree.dir);
    for (const what of ["unused-file.ts", "unusedExport", "pino", "yaml"]) expect(found).toContain(what);
    using good = plant(USED);
    for (const what of ["unused-file.ts", "unusedExport", "yaml", "zod"]) expect(knip(good.dir)).not.toContain(what);
  });
});

describe("the dependencies", () => {
  const adr = readFileSync(join(ROOT, "docs/adr/0009-dependencies.md"), "utf8");
  const listed = new Set([...adr.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!));
  const declared = new Set(
    WORKSPACES.flatMap((workspace) => {
      const { dependencies, devDependencies, optionalDependencies } = packageOf(workspace);
      return Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    }).filter((name) => !name.startsWith("@muster/")),
  );

  test("each have their reason in ADR 9, and it lists no other", () => {
    expect([...listed].sort()).toEqual([...declared].sort());
  });

  test("have one version each over all workspaces", () => {
    const ranges = new Map<string, Set<string>>();
    for (const workspace of WORKSPACES) {
      const { dependencies, devDependencies } = packageOf(workspace);
      for (const [name, range] of Object.entries({ ...dependencies, ...devDependencies })) ranges.set(name, (ranges.get(name) ?? new Set()).add(range));
    }
    expect([...ranges].filter(([, set]) => set.size > 1)).toEqual([]);
  });
});
