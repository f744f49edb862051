/**
 * `muster backup FILE` and `muster backup check FILE`
 *
 * The controller hands out the bytes; encrypting, writing and checking them is the work of a program here, so the passphrase stays on this machine.
 */
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import type { Command } from "commander";
import { runBackupJob, STANDARD } from "../client/backup-program.ts";
import { withController } from "../client/session.ts";
import { terminalColumns, writeLines, type CliContext } from "../context.ts";
import { backupJson } from "../output/backup-json.ts";
import { printDocument } from "../output/json.ts";
import { backupLines, checkedLines } from "../render/backup-view.ts";
import { size } from "../render/sizes.ts";
import { wrapLines } from "../render/text.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";
import { type PassphraseOption, readPassphrase } from "./passphrase-file.ts";
import { openProgress } from "./progress.ts";

interface BackupOptions extends GlobalOptions, PassphraseOption {
  readonly withoutArtifacts?: boolean;
}

export function registerBackup(program: Command, context: CliContext): void {
  const backup = program
    .command("backup")
    .summary("write a copy of the controller, keys included, to a file")
    .description(
      "Writes a copy of the controller to FILE while it goes on working: journal, keys, ports and artifacts, all of one moment. It is read back and checked " +
        "before FILE takes the place of an earlier one. FILE `-` is standard output. Whoever has the file and its passphrase can be the controller.",
    )
    .argument("<file>", "where to; readable by you alone")
    .option("--passphrase-file <file>", "encrypt it with the one line in this file; the `age` program can open it, too")
    .option("--without-artifacts", "leave out the files of releases; what is still wanted has to be pushed again after a restore")
    .action(async (file: string, _options: unknown, self: Command) => {
      await makeBackup(context, file, self.optsWithGlobals<BackupOptions>());
    });
  withExamples(backup, [
    ["muster backup muster.tar.age --passphrase-file /root/passphrase", "for a timer, every hour"],
    ["muster backup - | ssh vault 'cat > muster.tar'", "to another machine; check it there"],
  ]);
  const check = backup
    .command("check")
    .summary("check a backup without restoring it")
    .description("Reads a backup to its end and checks every byte of it, and its database. No controller is needed. FILE `-` is standard input.")
    .argument("<file>", "the backup")
    .option("--passphrase-file <file>", "what it was encrypted with")
    .action(async (file: string, _options: unknown, self: Command) => {
      await checkBackup(context, file, self.optsWithGlobals<GlobalOptions & PassphraseOption>());
    });
  withExamples(check, [["muster backup check muster.tar.age --passphrase-file /root/passphrase", "exit code 0: it can be restored"]]);
}

async function makeBackup(context: CliContext, file: string, options: BackupOptions): Promise<void> {
  const passphrase = readPassphrase(context, options);
  const progress = await openProgress(context, options.output);
  let summary: BackupSummary | undefined;
  try {
    summary = await withController(context, options, (controller) => {
      const { backups } = controller;
      let totalBytes = 0;
      let sentBytes = 0;
      const feed = async function* (signal: AbortSignal): AsyncGenerator<Uint8Array> {
        for await (const { part } of controller.read(backups, backups.backup, { withoutArtifacts: options.withoutArtifacts === true }, signal)) {
          if (part?.$case === "totalBytes") totalBytes = part.value;
          if (part?.$case !== "data") continue;
          yield part.value;
          progress.show(`writing  ${outOf((sentBytes += part.value.length), totalBytes)}`);
        }
      };
      const onProgress = (doneBytes: number, total: number): void => progress.show(`checking  ${outOf(doneBytes, total)}`);
      return runBackupJob(context, { kind: "write", file, passphrase }, { feed, onProgress });
    });
  } finally {
    progress.end();
  }
  const shown = file === STANDARD ? "what was written" : file;
  if (passphrase === undefined) {
    const warning = `muster: ${shown} holds the controller's keys and is not encrypted: keep it where nobody else can read it, or say --passphrase-file FILE`;
    await writeLines(context.stderr, wrapLines([warning], terminalColumns(context.stderr)));
  }
  if (summary === undefined) return;
  if (options.output === "json") return printDocument(context, { file, ...backupJson(summary) });
  await writeLines(context.stdout, backupLines(file, summary, context.columns()));
}

async function checkBackup(context: CliContext, file: string, options: GlobalOptions & PassphraseOption): Promise<void> {
  const passphrase = readPassphrase(context, options);
  const progress = await openProgress(context, options.output);
  const onProgress = (doneBytes: number, totalBytes: number): void => progress.show(`checking  ${outOf(doneBytes, totalBytes)}`);
  const summary = await runBackupJob(context, { kind: "check", file, passphrase }, { onProgress }).finally(() => progress.end());
  if (summary === undefined) return;
  if (options.output === "json") return printDocument(context, { file, ...backupJson(summary) });
  await writeLines(context.stdout, checkedLines(file, summary, context.columns()));
}

/** `12 MB of 340 MB`; the total is not always known, and not to the byte. */
export function outOf(doneBytes: number, totalBytes: number): string {
  return totalBytes === 0 ? size(doneBytes) : `${size(Math.min(doneBytes, totalBytes))} of ${size(totalBytes)}`;
}
