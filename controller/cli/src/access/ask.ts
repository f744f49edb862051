/**
 * Questions to whoever sits at the terminal, and secrets that come in by a file or a pipe; never by an argument, which others on the machine could read.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { CliContext } from "../context.ts";
import { badInput } from "../errors.ts";

const SECRET_BYTES_MAX = 64 * 1024;

export function isAtTerminal({ stdin }: CliContext): boolean {
  return "isTTY" in stdin && stdin.isTTY === true;
}

/** Only y or yes is yes. */
export async function confirm(context: CliContext, question: string): Promise<boolean> {
  return /^y(?:es)?$/i.test(await answerTo(context, `${question} [y/N] `, context.stderr));
}

/** What is typed is not shown. */
export async function askSecret(context: CliContext, question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  context.stderr.write(question);
  const answer = await answerTo(context, "", silent);
  context.stderr.write("\n");
  return answer;
}

async function answerTo(context: CliContext, question: string, output: NodeJS.WritableStream): Promise<string> {
  const reader = createInterface({ input: context.stdin, output, terminal: isAtTerminal(context) });
  try {
    return (await reader.question(question, { signal: context.interruption() })).trim();
  } catch (error) {
    if (context.interruption().aborted) return "";
    throw error;
  } finally {
    reader.close();
  }
}

/** `-` is stdin. Without the white space around it. */
export async function readSecret(context: CliContext, file: string, option: string): Promise<string> {
  const bytes = file === "-" ? await readAll(context.stdin, option) : readFileOrSay(resolve(context.cwd, file), file, option);
  const text = bytes.toString("utf8").trim();
  if (text === "") throw badInput(`${option}: ${file === "-" ? "stdin" : file} is empty`);
  return text;
}

async function readAll(stream: NodeJS.ReadableStream, option: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > SECRET_BYTES_MAX) throw badInput(`${option}: stdin has more than ${SECRET_BYTES_MAX} bytes`);
  }
  return Buffer.concat(chunks);
}

function readFileOrSay(path: string, shown: string, option: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw badInput(`${option}: cannot read ${shown}`, error);
  }
}
