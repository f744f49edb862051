/**
 * `muster dev`: starts a dev fleet, says so, and keeps it until a signal.
 */
import { basename, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import type { CliContext } from "../context.ts";
import type { OutputFormat } from "../program.ts";
import { parseDuration } from "../render/time.ts";
import { type DevEvent, eventJson, eventLine } from "./events.ts";
import type { DevFleet, FleetOptions } from "./fleet.ts";
import { ownPrograms, type Programs } from "./programs.ts";

/** Each agent is a Node process of some 70 MB. */
const AGENTS_MAX = 100;
export const DEFAULT_AGENTS = 3;
export const DEFAULT_DIR = ".muster";

interface DevOptions {
  readonly agents: number;
  readonly dir: string;
  readonly silentAfter?: string;
}

export function registerDev(program: Command, context: CliContext, programs: Programs = ownPrograms()): Command {
  return program
    .command("dev")
    .summary("start a controller and some agents on this machine")
    .description(
      "Starts a controller and some agents on this machine, prints `ready` when all are connected, and stops everything, workloads too, on Ctrl-C. " +
        "Started again on the same directory it brings the same fleet back.",
    )
    .option("--agents <n>", `how many agents, 1 to ${AGENTS_MAX}`, parseAgents, DEFAULT_AGENTS)
    .option("--dir <dir>", "where all of it lives; other commands find a .muster/ by themselves", DEFAULT_DIR)
    .option("--silent-after <duration>", "an agent that is not heard for so long counts as silent, for example 15s", parseDurationOption)
    .addHelpText(
      "after",
      `
Examples:
  muster dev                              three agents, in .muster/
  muster dev --agents 5 --dir /tmp/fleet  a second fleet beside it`,
    )
    .action(async (options: DevOptions, command: Command) => {
      const { output } = command.optsWithGlobals<{ readonly output: OutputFormat }>();
      await runDev(options, output, programs, context);
    });
}

async function runDev(options: DevOptions, output: OutputFormat, programs: Programs, context: CliContext): Promise<void> {
  const signal = context.interruption();
  const dir = resolve(context.cwd, options.dir);
  const fleetOptions: FleetOptions = {
    dir,
    agentCount: options.agents,
    controllerArguments: options.silentAfter === undefined ? [] : ["--silent-after", options.silentAfter],
    programs,
    env: context.env,
    clock: context.clock,
    onEvent: (event) => context.stdout.write(`${output === "json" ? eventJson(event) : eventText(event, dir)}\n`),
  };
  const { DevFleet } = await import("./fleet.ts"); // it loads gRPC, which other commands' start should not wait for
  let fleet: DevFleet;
  try {
    fleet = await DevFleet.start(fleetOptions, signal);
  } catch (error) {
    if (signal.aborted) return; // all is stopped, as was wanted
    throw error;
  }
  await keepUntil(fleet, signal);
}

/** Until a signal stops the fleet, or the fleet can't go on: then with its reason. */
export async function keepUntil(fleet: DevFleet, signal: AbortSignal): Promise<void> {
  const asked = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  try {
    await Promise.race([asked, fleet.failure]);
  } finally {
    await fleet.stop();
  }
}

/** The nearest `.muster/` is found by itself; any other directory has to be said. */
function eventText(event: DevEvent, dir: string): string {
  const line = eventLine(event);
  if (event.event !== "controller_ready" || basename(dir) === DEFAULT_DIR) return line;
  return `${line}\nfor other commands: export MUSTER_ADDRESS=${event.grpc}`;
}

function parseAgents(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= AGENTS_MAX) return count;
  throw new InvalidArgumentError(`It is a number from 1 to ${AGENTS_MAX}.`);
}

export function parseDurationOption(text: string): string {
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.durationMs > 0) return text;
  throw new InvalidArgumentError("It is a duration such as 15s or 1m30s.");
}
