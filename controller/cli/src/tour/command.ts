/**
 * `muster tour`, hidden: what `npm start` runs. Sees to nats-server, starts a dev fleet, walks the tour, and stays until Ctrl-C
 * (or, with --once, ends by itself).
 */
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { badInput, interrupted } from "../errors.ts";
import { DEFAULT_DIR, keepUntil } from "../dev/command.ts";
import { ensureNatsServer, executeHere } from "../dev/ensure-nats-server.ts";
import { eventLine } from "../dev/events.ts";
import type { DevFleet, FleetOptions } from "../dev/fleet.ts";
import { earlierAgentCount, layoutOf } from "../dev/layout.ts";
import { ownPrograms, searchPath } from "../dev/programs.ts";
import { stopSignal } from "../dev/stop-signal.ts";
import { padEnd, width } from "../render/text.ts";
import { AGENTS, nextCommands } from "./script.ts";
import type { TourEnd } from "./tour.ts";

interface TourCommandOptions {
  readonly once?: boolean;
  readonly dir: string;
}

const COMMAND_COLUMNS = 34;
const EXAMPLE_DIR = fileURLToPath(new URL("../../../../docs/example/shop-web", import.meta.url));

export function registerTour(program: Command, context: CliContext): void {
  program
    .command("tour", { hidden: true })
    .description("Shows on this machine what Muster does: two good releases, then a broken one that is taken back.")
    .option("--once", "stop everything after the tour; exit code 0 when all went as it should")
    .option("--dir <dir>", "where the fleet lives", DEFAULT_DIR)
    .action(async (options: TourCommandOptions) => runTour(options, context));
}

async function runTour({ once = false, dir }: TourCommandOptions, context: CliContext): Promise<void> {
  const signal = stopSignal();
  const say = (...lines: readonly string[]): void => void context.stdout.write(lines.map((line) => `${line}\n`).join(""));
  const nats = ensureNatsServer(searchPath(context.env), process.getuid?.() === 0, executeHere, () => say("installing nats-server"));
  if (nats.kind === "missing") throw badInput(nats.message);

  say(context.colors.bold("Muster: a controller and three agents on this machine. Each agent stands for a server of its own."));
  const { DevFleet } = await import("../dev/fleet.ts");
  let fleet: DevFleet | undefined;
  try {
    fleet = await DevFleet.start(fleetOptions(resolve(context.cwd, dir), context, (line) => say(line === "" ? "" : context.colors.dim(`  ${line}`))), signal);
    const end = await walk(fleet, signal, context);
    if (once) return await fleet.stop();
    const address = resolve(context.cwd, dir) === resolve(context.cwd, DEFAULT_DIR) ? [] : [`  export MUSTER_ADDRESS=${fleet.address}`];
    say("", context.colors.bold("The fleet stays up. In another terminal, try:"), "", ...address, ...invitation(end, context));
    await keepUntil(fleet, signal);
  } catch (error) {
    await fleet?.stop();
    if (!signal.aborted) throw error;
    if (once) throw interrupted(signal, "the tour was ended early");
  }
}

/** Everything that an earlier start left here is started again: a machine of the fleet that is away would hold the tour up. */
function fleetOptions(dir: string, context: CliContext, say: (line: string) => void): FleetOptions {
  return {
    dir,
    agentCount: Math.max(AGENTS, earlierAgentCount(layoutOf(dir))),
    controllerArguments: [],
    programs: ownPrograms(),
    env: context.env,
    clock: context.clock,
    onEvent: (event) => {
      if (event.event === "stopping") say("");
      if (event.event !== "ready") say(eventLine(event));
    },
  };
}

async function walk(fleet: DevFleet, signal: AbortSignal, context: CliContext): Promise<TourEnd> {
  const { walkTour } = await import("./tour.ts");
  const options = { address: fleet.address, machineIds: fleet.members.map(({ id }) => id), exampleDir: EXAMPLE_DIR };
  return Promise.race([walkTour({ ...context, interruption: () => signal }, options), fleet.failure]);
}

function invitation({ deploymentIds, machines }: TourEnd, context: CliContext): readonly string[] {
  const machine = machines[0];
  if (machine === undefined) return [];
  const commands = nextCommands(deploymentIds, machine, relative(context.cwd, EXAMPLE_DIR));
  return [...commands.flatMap(([command, purpose]) => commandLines(command, context.colors.dim(purpose))), "", "Ctrl-C stops everything."];
}

/** A command too long for its column has its purpose below. */
function commandLines(command: string, purpose: string): readonly string[] {
  if (width(command) <= COMMAND_COLUMNS) return [`  ${padEnd(command, COMMAND_COLUMNS)}  ${purpose}`];
  return [`  ${command}`, `  ${padEnd("", COMMAND_COLUMNS)}  ${purpose}`];
}
