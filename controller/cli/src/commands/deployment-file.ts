/**
 * Reads the deployment file as bytes: what is in it, the controller says.
 */
import { dirname, resolve } from "node:path";
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { counted } from "@muster/proto/text.ts";
import type { CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { readWhole } from "./read-whole.ts";

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
  const content = await readWhole(context, name, {
    bytesMax: FILE_BYTES_MAX,
    tooLarge: "is larger than 1 MiB, too large for a deployment file",
    wayOut: (directory) => `name the file in it, for example ${directory}/muster.yaml`,
  });
  if (name === "-") return { name: "stdin", content, folder: context.cwd };
  return { name, content, folder: dirname(resolve(context.cwd, name)) };
}

/** What the controller found wrong with the file; `outcome` says what was not done. */
export function faulty({ name }: DeploymentFile, faults: readonly Fault[], outcome: string): CliError {
  return new CliError(`${name} has ${counted(faults.length, "fault")}; ${outcome}`, {
    code: "invalid_file",
    exit: EXIT.badInput,
    faults: faults.map(({ line, column, path, message }) => ({ line, column, path, message })),
    fileName: name,
  });
}
