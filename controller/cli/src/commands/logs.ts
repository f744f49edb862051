/**
 * `muster logs MACHINE APP [-f] [-n N]`
 */
import type { LogLine } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, type CliContext } from "../context.ts";
import { exitAfter } from "../errors.ts";
import type { GlobalOptions } from "../usage.ts";
import { plainWithColors } from "../render/text.ts";
import { wholeNumber, withExamples } from "./options.ts";

interface LogsOptions extends GlobalOptions {
  readonly follow?: boolean;
  readonly lines: number;
}

const LINES_DEFAULT = 100;
/** The most that the controller gives. */
const LINES_MAX = 10_000;

export function registerLogs(program: Command, context: CliContext): void {
  const command = program
    .command("logs")
    .summary("read what an app on a machine has written")
    .description("Reads what an app on a machine has written.")
    .argument("<machine>", "the machine's id")
    .argument("<app>", "the app's name")
    .option("-f, --follow", "stay, and show what comes")
    .option("-n, --lines <count>", "lines from the end to begin with", wholeNumber(1, LINES_MAX), LINES_DEFAULT)
    .action(async (machine: string, app: string, _options: unknown, self: Command) => {
      await readLogs(context, machine, app, self.optsWithGlobals<LogsOptions>());
    });
  withExamples(command, [
    ["muster logs web-1 shop-web -n 20", "the last 20 lines"],
    ["muster logs web-1 shop-web -f", "as they are written, until Ctrl-C"],
  ]);
}

async function readLogs(context: CliContext, machine: string, app: string, options: LogsOptions): Promise<void> {
  const signal = context.interruption();
  const request = { machine, app, tailLines: options.lines, follow: options.follow === true };
  await withController(context, options, async (controller) => {
    for await (const { lines } of controller.read(controller.fleet, controller.fleet.readLogs, request, signal)) {
      await write(context.stdout, lines.map((line) => logLine(line, context, options)).join(""));
    }
  });
  if (signal.aborted) context.setExitCode(exitAfter(signal));
}

/** Elsewhere than on a terminal the bytes are the app's own; a terminal must not obey them. */
function logLine({ stream, text }: LogLine, { isTty, colors }: CliContext, { output }: LogsOptions): string {
  if (output === "json") return `${JSON.stringify({ stream, text })}\n`;
  if (!isTty) return `${text}\n`;
  const shown = plainWithColors(text);
  return `${stream === "stderr" ? colors.dim(shown) : shown}\n`;
}
