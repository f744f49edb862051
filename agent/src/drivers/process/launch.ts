/**
 * Starts a workload's process. Never follows it afterwards.
 *
 * Always holds: the process leads a session and a group of its own, has no tie to the agent but its parent (its output goes into files, its
 * input is empty), and sees of the agent's environment only the minimal one. So it outlives the agent, however that ends.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants, existsSync } from "node:fs";
import { mkdir, open, stat, type FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { diskFault } from "../../disk/disk-fault.ts";
import { appLayout } from "../../disk/layout.ts";
import { errorCode } from "../../runner/fault.ts";
import type { Exit, Fault, LaunchSpec } from "../../runner/ports.ts";
import { LAUNCH_ID_VARIABLE } from "./identity.ts";
import { statOf } from "./proc.ts";
import { logFile, STREAMS } from "./rotation.ts";

export type Launched =
  | { readonly ok: true; readonly pid: number; readonly startTicks: string; readonly exit: Promise<Exit> }
  | { readonly ok: false; readonly fault: Fault };

/** The system is short of something for now. */
const SCARCE = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE"];

export async function launch(dir: string, baseEnv: Readonly<Record<string, string>>, spec: LaunchSpec): Promise<Launched> {
  const [program, ...args] = spec.command;
  if (program === undefined || program === "") return failed("the release has no command");
  if (!(await isDirectory(spec.releaseDir))) return failed(`${program} could not be started: its directory ${spec.releaseDir} is not there`);
  const env: Readonly<Record<string, string>> = {
    ...baseEnv,
    ...spec.env,
    [LAUNCH_ID_VARIABLE]: spec.launchId,
    MUSTER_APP: spec.app,
    MUSTER_VERSION: spec.version,
  };
  const output: FileHandle[] = [];
  try {
    const { logsDir } = appLayout(dir, spec.app);
    await mkdir(logsDir, { recursive: true });
    for (const stream of STREAMS) {
      output.push(await open(logFile(logsDir, stream), constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o640));
    }
  } catch (error) {
    await closeAll(output);
    return { ok: false, fault: diskFault(error, `open the output files of ${spec.app}`, appLayout(dir, spec.app).logsDir) };
  }
  try {
    const stdio = ["ignore" as const, ...output.map((file) => file.fd)];
    const child = spawn(program.includes("/") ? resolve(spec.releaseDir, program) : program, args, {
      cwd: spec.releaseDir,
      env,
      stdio,
      detached: true,
    });
    if (child.pid === undefined) throw (await once(child, "error"))[0];
    // In this turn of the event loop even a process that has ended at once is still there to be looked at, and its end not yet told.
    const started = statOf(child.pid);
    assert(started !== undefined, "a child that was not waited for is in /proc");
    const { promise: exit, resolve: ended } = Promise.withResolvers<Exit>();
    child.once("exit", (code, signal) => ended({ code, signal }));
    child.unref();
    return { ok: true, pid: child.pid, startTicks: started.startTicks, exit };
  } catch (error) {
    return { ok: false, fault: startFault(error, program, spec.releaseDir) };
  } finally {
    await closeAll(output);
  }
}

function startFault(error: unknown, program: string, releaseDir: string): Fault {
  const code = errorCode(error);
  if (code !== undefined && SCARCE.includes(code)) {
    return { code: "start_failed", message: `${program} could not be started: the system is short of processes, files or memory (${code})`, retryable: true };
  }
  // One folder of PATH that may not be looked into makes it EACCES.
  if (!program.includes("/") && (code === "ENOENT" || code === "EACCES")) {
    const wayOut = "install it on this machine, or name a file of the release, such as ./server";
    return failed(`${program} was not found in PATH: ${wayOut}`).fault;
  }
  switch (code ?? "") {
    case "ENOENT":
      return existsSync(resolve(releaseDir, program))
        ? failed(`${program} could not be started: the interpreter named in its first line is not on this machine`).fault
        : failed(`${program} could not be started: the release has no such file`).fault;
    case "EACCES":
      return failed(`${program} may not be executed: make it executable (chmod +x) before the release is made`).fault;
    default:
      return failed(`${program} could not be started: ${error instanceof Error ? error.message : String(error)}`).fault;
  }
}

function failed(message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code: "start_failed", message, retryable: false } };
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return false;
    throw error;
  }
}

async function closeAll(files: readonly FileHandle[]): Promise<void> {
  for (const file of files) await file.close();
}
