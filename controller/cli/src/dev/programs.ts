/**
 * The command lines of the controller and the agent. The CLI starts them as programs and imports nothing of theirs.
 */
import { fileURLToPath } from "node:url";
import type { Env } from "../context.ts";
import type { Member } from "./layout.ts";

/** Each a program and its first arguments. */
export interface Programs {
  readonly controller: readonly string[];
  readonly agent: readonly string[];
}

/** Of the checkout this file belongs to, run by the Node that runs this. */
export function ownPrograms(): Programs {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  return {
    controller: [process.execPath, at("../../../src/main.ts")],
    agent: [process.execPath, at("../../../../agent/src/main.ts")],
  };
}

/** Reads a deployment file from stdin and writes what release it makes: submit/release-of-file.ts of the controller. */
export function releaseReader(): readonly string[] {
  return [process.execPath, fileURLToPath(new URL("../../../src/submit/release-of-file.ts", import.meta.url))];
}

export function agentArguments(member: Member, grpc: string, tokenFile: string): readonly string[] {
  const labels = Object.entries(member.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
  return ["--controller", grpc, "--token-file", tokenFile, "--dir", member.dir, "--id", member.id, ...labels];
}

/** A command line to paste into a shell. */
export function shellCommand(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

/** Debian keeps nats-server in /usr/sbin, which is not on the PATH of ordinary users. */
const SYSTEM_DIRS = ["/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"] as const;

/** Where programs are looked for, in order. */
export function searchPath(env: Env): readonly string[] {
  const own = env["PATH"]?.split(":").filter((dir) => dir !== "") ?? [];
  return [...new Set([...own, ...SYSTEM_DIRS])];
}
