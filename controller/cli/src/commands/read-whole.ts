/**
 * A file or standard input as bytes, with words for what keeps it from being read.
 */
import { createReadStream } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import type { CliContext } from "../context.ts";
import { badInput } from "../errors.ts";

export interface Reading {
  readonly bytesMax: number;
  /** Follows the name: "is larger than 1 MiB, …". */
  readonly tooLarge: string;
  /** What to do when the name is that of a directory; it comes without slashes at its end. */
  readonly wayOut: (directory: string) => string;
}

/** `-` is stdin. */
export async function readWhole(context: CliContext, name: string, reading: Reading): Promise<Buffer> {
  const isStdin = name === "-";
  const shown = isStdin ? "stdin" : name;
  const stream = isStdin ? context.stdin : createReadStream(resolve(context.cwd, name));
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const piece of stream) {
      const bytes = Buffer.from(piece);
      sizeBytes += bytes.length;
      if (sizeBytes > reading.bytesMax) break;
      pieces.push(bytes);
    }
  } catch (error) {
    throw badInput(whyUnreadable(error, shown, context.cwd, reading), error);
  }
  if (sizeBytes > reading.bytesMax) throw badInput(`${shown} ${reading.tooLarge}`);
  return Buffer.concat(pieces);
}

function whyUnreadable(error: unknown, name: string, cwd: string, { wayOut }: Reading): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `${name}: there is no such file${isAbsolute(name) ? "" : ` in ${cwd}`}`;
    case "EISDIR":
      return `${name} is a directory; ${wayOut(name.replace(/\/+$/, ""))}`;
    case "EACCES":
    case "EPERM":
      return `${name}: no permission to read it`;
    default:
      return `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
