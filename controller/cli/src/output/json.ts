/**
 * How `-o json` is written: one indented document for a command that answers once (a stream is one line for each object, NDJSON).
 * Keys are snake_case, enums lower-case words, moments ISO-8601 in UTC, and what is not there is null. Documented in docs/cli.md.
 */
import { write, type CliContext } from "../context.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export async function printDocument(context: CliContext, value: Json): Promise<void> {
  await write(context.stdout, `${JSON.stringify(value, null, 2)}\n`);
}

/** 0 is how the protocol says that something has not happened. */
export function isoOrNull(at: number): string | null {
  return at === 0 ? null : new Date(at).toISOString();
}

/** The empty text is how the protocol says that there is none. */
export function textOrNull(text: string): string | null {
  return text === "" ? null : text;
}
