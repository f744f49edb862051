/**
 * `muster dev`: starts a dev fleet, says so, and keeps it until a signal.
 */
import { basename, resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseDurationOption, wholeNumber, withExamples } from "../commands/options.ts";
import type { CliContext } from "../context.ts";
import type { GlobalOptions } from "../usage.ts";
import { type DevEvent, eventJson, eventLine } from "./events.ts";
import type { DevFleet, FleetOptions } from "./fleet.ts";
import { ownPrograms, type Programs } from "./programs.ts";
import { stopSignal } from "./stop-signal.ts";

/** Each agent is a Node process of some 70 MB. */
const AGENTS_MAX = 100;
const DEFAULT_AGENTS = 3;
export const DEFAULT_DIR = ".muster";
/** What both controller and agent know. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

interface DevOptions extends GlobalOptions {
  readonly agents: number;
  readonly dir: string;
  readonly silentAfter?: number;
  readonly logLevel?: string;
}

export function registerDev(program: Command, context: CliContext, programs: Programs = ownPrograms()): void {
  const command = program
    .command("dev")
    .summary("start a controller and some agents on this machine")
    .description(
      "Starts a controller and some agents on this machine, prints `ready` when all are connected, and stops everything, workloads too, on Ctrl-C. " +
        "Started again on the same directory it goes on with the same fleet; of that, agents beyond --agents stay off until a larger number brings them back.",
    )
    .option("--agents <n>", `how many agents, 1 to ${AGENTS_MAX}`, wholeNumber(1, AGENTS_MAX), DEFAULT_AGENTS)
    .option("--dir <dir>", "where all of it lives; other commands find a .muster/ by themselves", DEFAULT_DIR)
    .option("--silent-after <duration>", "an agent that is not heard for so long counts as silent, for example 15s", parseDurationOption)
    .addOption(new Option("--log-level <level>", "the least that controller and agents log").choices(LOG_LEVELS))
    .action(async (_options: unknown, self: Command) => {
      await runDev(self.optsWithGlobals<DevOptions>(), programs, context);
    });
  withExamples(command, [
    ["muster dev", "three agents, in .muster/"],
    ["muster dev --agents 5 --dir /tmp/fleet", "a second fleet beside it"],
  ]);
}

async function runDev(options: DevOptions, programs: Programs, context: CliContext): Promise<void> {
  const signal = stopSignal();
  const dir = resolve(context.cwd, options.dir);
  const fleetOptions: FleetOptions = {
    dir,
    agentCount: options.agents,
    controllerArguments: options.silentAfter === undefined ? [] : ["--silent-after", `${options.silentAfter}ms`],
    ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
    programs,
    env: context.env,
    clock: context.clock,
    onEvent: (event) => context.stdout.write(`${options.output === "json" ? eventJson(event) : eventText(event, dir)}\n`),
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
  return `${line}\nfor other commands: export MUSTER_ADDRESS=${event.address}`;
}
