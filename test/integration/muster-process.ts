/**
 * The command `muster` as a process, for tests, with a home of its own.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MUSTER = fileURLToPath(new URL("../../controller/cli/bin/muster.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Options {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Called with all of stderr so far. */
  readonly onStderr?: (text: string) => void;
}

export function runMuster(args: readonly string[], { cwd, env, stdin = "", onStderr = () => undefined }: Options): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MUSTER, ...args], { cwd, env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env } });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => onStderr((err += text)));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
    child.stdin.on("error", () => undefined).end(stdin);
  });
}
