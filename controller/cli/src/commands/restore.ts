/**
 * `muster restore FILE --dir DIR`
 *
 * Needs no controller and asks none: it is for the day on which there is none.
 */
import { EPOCH_MAX } from "@muster/proto/generation.ts";
import { type Command, Option } from "commander";
import { runBackupJob } from "../client/backup-program.ts";
import { writeLines, type CliContext } from "../context.ts";
import { backupJson } from "../output/backup-json.ts";
import { printDocument } from "../output/json.ts";
import { restoredLines } from "../render/backup-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { outOf } from "./backup.ts";
import { wholeNumber, withExamples } from "./options.ts";
import { type PassphraseOption, readPassphrase } from "./passphrase-file.ts";
import { openProgress } from "./progress.ts";

interface RestoreOptions extends GlobalOptions, PassphraseOption {
  readonly dir: string;
  readonly epoch?: number;
}

export function registerRestore(program: Command, context: CliContext): void {
  const command = program
    .command("restore")
    .summary("bring a controller back from a backup")
    .description(
      "Brings a controller back from a backup into DIR, which must be empty or not there. Everything is checked first; killed at any moment, it leaves nothing that a " +
        "controller would start with, and can be run again. Start the controller afterwards: agents come back by themselves. FILE `-` is standard input.",
    )
    .argument("<file>", "the backup")
    .requiredOption("--dir <dir>", "the controller's directory")
    .option("--passphrase-file <file>", "what it was encrypted with")
    .addOption(new Option("--epoch <number>", "when this backup was restored before: a higher one than then").argParser(wholeNumber(1, EPOCH_MAX)))
    .action(async (file: string, _options: unknown, self: Command) => {
      await restore(context, file, self.optsWithGlobals<RestoreOptions>());
    });
  withExamples(command, [["muster restore muster.tar.age --dir /var/lib/muster --passphrase-file /root/passphrase", "then start the controller"]]);
}

async function restore(context: CliContext, file: string, options: RestoreOptions): Promise<void> {
  const { dir, epoch } = options;
  const passphrase = readPassphrase(context, options);
  const progress = await openProgress(context, options.output);
  const onProgress = (doneBytes: number, totalBytes: number): void => progress.show(`restoring  ${outOf(doneBytes, totalBytes)}`);
  const summary = await runBackupJob(context, { kind: "restore", file, passphrase, dir, epoch }, { onProgress }).finally(() => progress.end());
  if (summary === undefined) return;
  if (options.output === "json") return printDocument(context, { file, dir, ...backupJson(summary) });
  await writeLines(context.stdout, restoredLines(dir, summary, context.columns()));
}
