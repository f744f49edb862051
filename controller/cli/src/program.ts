/**
 * The tree of commands: which there are, in which group of the help, with which options. One file a command does the work.
 */
import { Command, CommanderError, Option } from "commander";
import type { CliContext } from "./context.ts";

export const OUTPUT_FORMATS = ["text", "json"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Options that may stand before or after the name of any command. */
export interface GlobalOptions {
  readonly output: OutputFormat;
  readonly address?: string;
}

/** The user said something that no command understands, or asked for help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly commander: CommanderError;
  /** `muster logs` */
  readonly commandPath: string;

  constructor(commander: CommanderError, commandPath: string) {
    super(commander.message, { cause: commander });
    this.commander = commander;
    this.commandPath = commandPath;
  }
}

export function createProgram(context: CliContext): Command {
  const program = new Command("muster")
    .description("Deploys software to a fleet of machines, in waves, and takes a bad release back by itself.")
    .addOption(new Option("-o, --output <format>", "how results are written").choices(OUTPUT_FORMATS).default("text"))
    .option("--address <host:port>", "the controller; else MUSTER_ADDRESS, else what the nearest .muster/ says")
    .configureHelp({ showGlobalOptions: true, helpWidth: context.columns() })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stdout.write(text),
      // Said once, by main.ts, when the error arrives there.
      outputError: () => undefined,
    });
  for (const command of [program, ...descendants(program)]) {
    command.exitOverride((error) => {
      throw new UsageError(error, pathOf(command));
    });
  }
  return program;
}

function descendants(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

/** `muster artifact push` */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
