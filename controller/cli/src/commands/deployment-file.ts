/**
 * Reads the deployment file as bytes: what is in it, the controller says.
 */
import { createReadStream } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { plural } from "../render/text.ts";

/** The most that the controller reads. */
const FILE_BYTES_MAX = 1024 * 1024;

export interface DeploymentFile {
  /** As the user named it, for messages. */
  readonly name: string;
  readonly content: Buffer;
  /** Where relative paths in it begin: its own folder, or the current one for stdin. */
  readonly folder: string;
}

/** `-` is stdin. */
export async function readDeploymentFile(context: CliContext, name: string): Promise<DeploymentFile> {
  if (name === "-") return { name: "stdin", content: await readWhole(context.stdin, "stdin", context.cwd), folder: context.cwd };
  const path = resolve(context.cwd, name);
  return { name, content: await readWhole(createReadStream(path), name, context.cwd), folder: dirname(path) };
}

/** What the controller found wrong with the file; `outcome` says what was not done. */
export function faulty({ name }: DeploymentFile, faults: readonly Fault[], outcome: string): CliError {
  return new CliError(`${name} has ${plural(faults.length, "fault")}; ${outcome}`, {
    code: "invalid_file",
    exit: EXIT.badInput,
    faults: faults.map(({ line, column, path, message }) => ({ line, column, path, message })),
    fileName: name,
  });
}

async function readWhole(stream: NodeJS.ReadableStream, name: string, cwd: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const piece of stream) {
      const bytes = Buffer.from(piece);
      sizeBytes += bytes.length;
      if (sizeBytes > FILE_BYTES_MAX) break;
      pieces.push(bytes);
    }
  } catch (error) {
    throw badInput(whyUnreadable(error, name, cwd), error);
  }
  if (sizeBytes > FILE_BYTES_MAX) throw badInput(`${name} is larger than 1 MiB, too large for a deployment file`);
  return Buffer.concat(pieces);
}

function whyUnreadable(error: unknown, name: string, cwd: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `${name}: there is no such file${isAbsolute(name) ? "" : ` in ${cwd}`}`;
    case "EISDIR":
      return `${name} is a directory; name the file in it, for example ${name.replace(/\/+$/, "")}/muster.yaml`;
    case "EACCES":
    case "EPERM":
      return `${name}: no permission to read it`;
    default:
      return `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}
