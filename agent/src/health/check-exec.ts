/**
 * Runs a command once. Well when it exits with 0 in time. It has a process group of its own, and nothing of that group outlives the check.
 */
import { spawn } from "node:child_process";
import { resolve as resolvePath } from "node:path";
import { errorCode } from "../runner/fault.ts";
import type { Sample } from "./verdict.ts";

/** Of its output, the last of which is shown. */
const OUTPUT_BYTES_KEPT = 4 * 1024;
const LINE_CHARS_SHOWN = 200;
const COMMAND_CHARS_SHOWN = 100;
/** For output still on its way after the exit; somebody who left the group may hold the pipes open for ever. */
const DRAIN_MS = 100;

export interface ExecContext {
  readonly releaseDir: string;
  /** Whole: what the command sees. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes secrets out of what it has written. */
  readonly redact: (text: string) => string;
}

export function checkExec(command: readonly string[], { releaseDir, env, redact }: ExecContext, timeoutMs: number, signal: AbortSignal): Promise<Sample> {
  const [program, ...args] = command;
  const shown = command.join(" ").slice(0, COMMAND_CHARS_SHOWN);
  const failed = (what: string): Sample => ({ ok: false, detail: `${shown} ${what}` });
  if (program === undefined) return Promise.resolve(failed("the exec probe has no command"));
  const { promise, resolve } = Promise.withResolvers<Sample>();
  try {
    const child = spawn(program.includes("/") ? resolvePath(releaseDir, program) : program, args, {
      cwd: releaseDir,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let output = Buffer.alloc(0);
    const keep = (piece: Buffer): void => {
      output = Buffer.concat([output, piece]).subarray(-OUTPUT_BYTES_KEPT);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);

    const killGroup = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if (errorCode(error) !== "ESRCH" && errorCode(error) !== "EPERM") throw error;
      }
    };
    const finish = (sample: Sample): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(sample);
    };
    const abort = (): void => {
      killGroup();
      finish(failed("was stopped"));
    };
    const timer = setTimeout(() => {
      killGroup();
      finish(failed(`timed out after ${timeoutMs} ms${lastLine(output, redact)}`));
    }, timeoutMs);
    signal.addEventListener("abort", abort, { once: true });
    child.on("error", (error) => finish(failed(startFailure(error))));
    child.on("exit", (code, endedBy) => {
      clearTimeout(timer);
      killGroup();
      const end = (): void => {
        if (code === 0) finish({ ok: true });
        else finish(failed(code === null ? `was ended by ${endedBy}${lastLine(output, redact)}` : `exited with ${code}${lastLine(output, redact)}`));
      };
      const drain = setTimeout(end, DRAIN_MS);
      child.on("close", () => {
        clearTimeout(drain);
        end();
      });
    });
  } catch (error) {
    resolve(failed(startFailure(error)));
  }
  return promise;
}

function startFailure(error: unknown): string {
  switch (errorCode(error) ?? "") {
    case "ENOENT":
      return "could not be started: no such program";
    case "EACCES":
      return "could not be started: it is not executable";
    default:
      return `could not be started: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** `: "…"`, or nothing when nothing was written. */
function lastLine(output: Buffer, redact: (text: string) => string): string {
  const line = output
    .toString("utf8")
    .split("\n")
    .map((text) => text.trim())
    .findLast((text) => text !== "");
  return line === undefined ? "" : `: ${JSON.stringify(redact(line).slice(0, LINE_CHARS_SHOWN))}`;
}
