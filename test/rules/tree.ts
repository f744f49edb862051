/**
 * A small Muster in a temporary folder: the real configuration of the tools, the real workspaces' package.json, and only the source files
 * that a test plants. A rule that catches nothing there would catch nothing in the real tree either.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
const BIN = join(ROOT, "node_modules/.bin");

const COPIED = [
  "package.json",
  "tsconfig.json",
  ".oxlintrc.json",
  ".dependency-cruiser.cjs",
  "knip.json",
  ...["proto", "controller", "controller/cli", "agent", "test"].flatMap((workspace) => [`${workspace}/package.json`, `${workspace}/tsconfig.json`]),
];

/** Files by their path from the root of the tree; each must be there before a tool runs. */
export type Planted = Readonly<Record<string, string>>;

export interface Tree extends Disposable {
  readonly dir: string;
}

export function plant(files: Planted): Tree {
  const dir = mkdtempSync(join(tmpdir(), "muster-rules-"));
  for (const path of COPIED) cpSync(join(ROOT, path), join(dir, path));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  mkdirSync(join(dir, "node_modules/@muster"), { recursive: true });
  for (const workspace of ["proto", "controller", "agent"]) symlinkSync(join(dir, workspace), join(dir, "node_modules/@muster", workspace));
  symlinkSync(join(dir, "controller/cli"), join(dir, "node_modules/@muster/cli"));
  for (const library of ["zod", "fast-check", "@types", "@swc"]) symlinkSync(join(ROOT, "node_modules", library), join(dir, "node_modules", library));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  /** Both streams, for a message when something is not as expected. */
  readonly output: string;
}

/** Runs one of the installed tools, with Node from node_modules/.bin. */
export function run(cwd: string, tool: string, args: readonly string[]): Ran {
  const { status, stdout, stderr, error } = spawnSync(tool, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: `${BIN}${delimiter}${process.env["PATH"] ?? ""}` },
  });
  if (error !== undefined) throw error;
  return { status, stdout, output: `${stdout}\n${stderr}` };
}
