/**
 * Runs one command line in a context and tells how it ended. Never touches the process.
 */
import type { Command } from "commander";
import { terminalColumns, write, type CliContext } from "./context.ts";
import { CliError, EXIT } from "./errors.ts";
import { createProgram } from "./program.ts";
import { wrapLines } from "./render/text.ts";
import { type GlobalOptions, UsageError } from "./usage.ts";

export async function run(args: readonly string[], context: CliContext): Promise<void> {
  const program = createProgram(context);
  const [first, ...words] = args;
  if (first === "__complete") return complete(program, words, context);
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    await tell(error, program, context);
  }
}

/** Asked by the shell's completion. commander has no part in it, as half a command line is no command line. */
async function complete(program: Command, words: readonly string[], context: CliContext): Promise<void> {
  const [{ commandTree }, { printCandidates }] = await Promise.all([import("./completion/tree.ts"), import("./completion/candidates.ts")]);
  await printCandidates(context, commandTree(program), words);
}

/** commander's endings that are not errors: help was asked for, or there was nothing else to do. */
const QUIET_ENDINGS = ["commander.help", "commander.helpDisplayed", "commander.version"];

async function tell(error: unknown, program: Command, context: CliContext): Promise<void> {
  if (error instanceof UsageError && QUIET_ENDINGS.includes(error.commander.code)) return context.setExitCode(EXIT.done);
  const ending = error instanceof UsageError ? usageEnding(error) : error;
  if (!(ending instanceof CliError)) throw ending;
  context.setExitCode(ending.exit);
  const { output } = program.opts<GlobalOptions>();
  await write(context.stderr, output === "json" ? errorJson(ending) : errorText(ending, terminalColumns(context.stderr)));
}

/** `error: unknown option '--folow'\n(Did you mean --follow?)` */
function usageEnding(error: UsageError): CliError {
  const message = suggesting(error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ").replace(/\.$/, ""));
  return new CliError(`${message}. See: ${error.commandPath} --help`, { code: "usage", exit: EXIT.badInput, cause: error });
}

/** What other tools call what a command here is called otherwise. */
const KNOWN_ELSEWHERE: Readonly<Record<string, string>> = { history: "why ID, events or releases", undo: "rollback", cancel: "abort", delete: "machine remove", ps: "machines", apply: "deploy", describe: "status or machine" };
/** Not proposed to somebody who may have meant something else: it changes what runs, or what is kept. */
const NOT_TO_GUESS = new Set(["restore", "rollback", "abort", "promote", "approve", "retry", "drain", "retention"]);

/** commander proposes what is spelled alike. */
function suggesting(message: string): string {
  const [, word = ""] = /^unknown command '(.*?)'/.exec(message) ?? [];
  const elsewhere = Object.hasOwn(KNOWN_ELSEWHERE, word) ? KNOWN_ELSEWHERE[word] : undefined;
  if (elsewhere !== undefined) return `unknown command '${word}' (Did you mean ${elsewhere}?)`;
  const [, proposed = ""] = / \(Did you mean ([a-z]+)\?\)$/.exec(message) ?? [];
  return NOT_TO_GUESS.has(proposed) && proposed[0] !== word[0] ? message.replace(/ \(Did you mean .*$/, "") : message;
}

/** Each fault on a line of its own, as compilers write them, so that editors find the place. On a terminal (`columns`) long ones are broken between words. */
function errorText({ message, faults, fileName }: CliError, columns: number | undefined): string {
  const lines = faults.map(({ line, column, path, message: what }) => {
    const place = line === 0 ? fileName : `${fileName}:${line}:${column}`;
    return `${place}${path === "" ? "" : ` ${path}`}: ${what}`;
  });
  return `${wrapLines([...lines, ...`muster: ${message}`.split("\n")], columns).join("\n")}\n`;
}

function errorJson({ code, message, faults }: CliError): string {
  return `${JSON.stringify({ error: { code, message, faults } })}\n`;
}
