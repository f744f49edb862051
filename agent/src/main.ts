/**
 * The agent as a process: arguments in, exit code out, and what signals mean.
 *
 * SIGTERM and SIGINT end the agent alone; its workloads go on. With --stop-with-parent it is the end of stdin that ends it, workloads included, and SIGINT is left to
 * the parent: a terminal sends it to both, and the parent decides.
 */
import { existsSync, rmdirSync } from "node:fs";
import pino from "pino";
import { type Agent, type AgentOptions, CannotStart, hasJoined, startAgent, usableDirectory } from "./compose.ts";
import { type Config, type LogLevel, readConfig } from "./config.ts";
import { becomeMember, identityFor } from "./enter.ts";
import { IdentityStore } from "./identity/identity-store.ts";
import { JoinError } from "./identity/join.ts";
import { onceDiskAllows } from "./once-disk-allows.ts";
import { pin, type Said, showPinned } from "./trust/release/pin-command.ts";

const LOG_WAITING_BYTES_MAX = 64 * 1024;

process.stderr.on("error", () => undefined);
const parsed = readConfig(process.argv.slice(2));
switch (parsed.kind) {
  case "said":
    process.stdout.write(parsed.text);
    break;
  case "fault":
    refuse(parsed.message);
  case "config":
    await perform(parsed.config);
    break;
}

async function perform({ dir: wantedDir, command, environment, logLevel }: Config): Promise<void> {
  if (command.kind === "pin") return print(await pin(wantedDir, command.file, command.replaces));
  if (command.kind === "show-pinned") return print(await showPinned(wantedDir));
  const isNew = !existsSync(wantedDir);
  try {
    if (command.kind === "run") {
      const enter = async (): Promise<Pick<AgentOptions, "dir" | "identity" | "store">> => {
        const dir = usableDirectory(wantedDir);
        const store = new IdentityStore(dir);
        return { dir, identity: await identityFor(command, { dir, store, say }), store };
      };
      // Whoever joins is there to be told; a machine of the fleet starts what should run as soon as it can.
      const entered = hasJoined(wantedDir) ? await onceDiskAllows(enter, say) : await enter();
      return await run({ ...entered, environment, maxAssignmentAgeMs: command.maxAssignmentAgeMs }, logLevel, command.stopWithParent);
    }
    const dir = usableDirectory(wantedDir);
    const store = new IdentityStore(dir);
    const { machine, controller } = await becomeMember(command.join, { dir, store, say }, command.isAgain);
    say(`${machine} is a machine of the fleet at ${controller} now. Start its agent with: muster-agent --dir ${dir}`);
  } catch (error) {
    if (isNew) leaveNothing(wantedDir);
    if (error instanceof JoinError) refuse(error.message, error.isFinal ? 2 : 1);
    if (error instanceof CannotStart) refuse(error.message);
    refuse(`cannot start in ${wantedDir}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function run(options: AgentOptions, level: LogLevel, stopWithParent: boolean): Promise<void> {
  const { identity, dir } = options;
  const logger = pino({ level, base: { machineId: identity.machine } }, stderrLog());
  const crash = (err: unknown): never => {
    logger.fatal({ err }, "agent crashed; its workloads go on");
    process.exit(1);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  const agent: Agent = await onceDiskAllows(() => startAgent(options, logger), say);
  logger.info({ controller: identity.controller, dir, pid: process.pid }, "agent started");

  let isEnding = false;
  const end = (how: "close" | "halt", cause: string): void => {
    if (isEnding) return;
    isEnding = true;
    logger.info({ cause, how }, "agent ends");
    void agent[how]().then(() => process.exit(0));
  };
  process.on("SIGTERM", () => end("close", "SIGTERM"));
  process.on("SIGINT", () => {
    if (!stopWithParent) end("close", "SIGINT");
  });
  if (!stopWithParent) return;
  process.stdin.on("end", () => end("halt", "parent ended"));
  process.stdin.on("error", () => end("halt", "parent ended"));
  process.stdin.resume();
}

function print({ ok, text }: Said): void {
  if (!ok) refuse(text);
  process.stdout.write(`${text}\n`);
}

/** Stderr may be a file on a full disk: its lines wait for the next ones, and beyond so many they are lost. The agent goes on without. */
function stderrLog(): pino.DestinationStream {
  const destination = pino.destination({ fd: 2, sync: true, maxLength: LOG_WAITING_BYTES_MAX });
  destination.on("error", () => undefined);
  return destination;
}

/** A directory that was made for nothing goes again; one that holds something by now stays. */
function leaveNothing(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // It is not empty, or was never made.
  }
}

function say(line: string): void {
  process.stderr.write(`muster-agent: ${line}\n`);
}

function refuse(message: string, code: 1 | 2 = 2): never {
  say(message);
  process.exit(code);
}
