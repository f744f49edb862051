/**
 * What every command shares of how it is called: the options that stand anywhere, and the error for a call that no command understands.
 */
import type { CommanderError } from "commander";

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
