/**
 * A passphrase comes from a file or from the terminal, and never from an argument, which everybody on the machine can read.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { write, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";

/** The first line of the file. */
export function passphraseFrom(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw badInput(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  const [line = ""] = text.split(/\r?\n/, 1);
  if (line === "") throw badInput(`${path} begins with no passphrase`);
  return line;
}

/** Asks at the terminal, without showing what is typed. `otherwise` says what to do where there is none. */
export async function askPassphrase(context: CliContext, question: string, otherwise: string): Promise<string> {
  const { stdin, stderr } = context;
  if (!("isTTY" in stdin) || stdin.isTTY !== true) throw badInput(`there is no terminal to ask for the passphrase at; ${otherwise}`);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const prompt = createInterface({ input: stdin, output: silent, terminal: true });
  const interruption = new AbortController();
  prompt.on("SIGINT", () => interruption.abort());
  try {
    await write(stderr, question);
    return await prompt.question("", { signal: interruption.signal });
  } catch (error) {
    if (interruption.signal.aborted) throw new CliError("interrupted", { code: "interrupted", exit: EXIT.interrupted, cause: error });
    throw error;
  } finally {
    prompt.close();
    await write(stderr, "\n");
  }
}

/** Twice, since nobody sees what is typed. */
export async function askNewPassphrase(context: CliContext): Promise<string> {
  const otherwise = "use --passphrase-file FILE";
  const first = await askPassphrase(context, "passphrase: ", otherwise);
  if (first === "") throw badInput("an empty passphrase seals nothing; without --passphrase the key is not sealed");
  if ((await askPassphrase(context, "once more: ", otherwise)) !== first) throw badInput("the two passphrases differ; no key was made");
  return first;
}
