/**
 * A folder for files that nobody needs afterwards. It is gone when the work is done, when it fails, and when the process is ended by hand.
 */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError, EXIT } from "../errors.ts";

export async function withScratch<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await makeFolder();
  // A second Ctrl-C ends the process without coming back here.
  const removeAtExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeAtExit);
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
    process.off("exit", removeAtExit);
  }
}

async function makeFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), "muster-pack-"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `cannot make a scratch directory in ${tmpdir()}: ${why}. Set TMPDIR to a directory with room`;
    throw new CliError(message, { code: "scratch_failed", exit: EXIT.failed, cause: error });
  }
}
