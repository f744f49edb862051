/**
 * What a backup holds, and what to do with it, in lines for people. Pure.
 */
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { size } from "./sizes.ts";
import { plain, wrap } from "./text.ts";
import { dateAndTime } from "./time.ts";

/** The rest is in `-o json`. */
const NAMED_MAX = 5;

export function backupLines(file: string, summary: BackupSummary, columns: number): readonly string[] {
  return [...checkedLines(file, summary, columns), `restore it with: muster restore ${file} --dir DIR${summary.isEncrypted ? " --passphrase-file FILE" : ""}`];
}

export function checkedLines(file: string, summary: BackupSummary, columns: number): readonly string[] {
  const kind = summary.isEncrypted ? "encrypted, " : "";
  return [...wrap(`${plain(file)} is whole: ${contents(summary)}; ${kind}${size(summary.sizeBytes)}`, columns), ...missingLines(summary, columns)];
}

export function restoredLines(dir: string, summary: BackupSummary, columns: number): readonly string[] {
  const { epoch } = summary;
  return [
    ...wrap(`restored into ${plain(dir)}: ${contents(summary)}`, columns),
    ...missingLines(summary, columns),
    ...wrap(`Its epoch is ${epoch}: what it tells agents is newer than all they heard before. If this backup was restored before, agents may know epoch ${epoch}: restore it with --epoch ${epoch + 1}.`, columns),
    `start it with: muster controller --dir ${plain(dir)}`,
  ];
}

/** `12 machines, 34 deployments and 8 artifacts as of 2026-01-31 12:00:00` */
function contents({ machines, deployments, artifacts, createdAt }: BackupSummary): string {
  return `${counted(machines, "machine")}, ${counted(deployments, "deployment")} and ${counted(artifacts, "artifact")} as of ${dateAndTime(createdAt)}`;
}

function missingLines({ missingArtifacts, missingArchive }: BackupSummary, columns: number): readonly string[] {
  return [...missingArtifactLines(missingArtifacts, columns), ...missingArchiveLines(missingArchive, columns)];
}

function missingArchiveLines(names: readonly string[], columns: number): readonly string[] {
  if (names.length === 0) return [];
  return wrap(plain(`${counted(names.length, "file")} of the archive of steps ${names.length === 1 ? "is" : "are"} not in it: ${names.join(", ")}. What happened then can't be told step by step`), columns);
}

function missingArtifactLines(missingArtifacts: BackupSummary["missingArtifacts"], columns: number): readonly string[] {
  if (missingArtifacts.length === 0) return [];
  const names = missingArtifacts.map(({ digest, releases }) => releases[0] ?? digest.slice(0, 12));
  const text = `${counted(names.length, "artifact is", "artifacts are")} not in it: ${firstAndMore(names, NAMED_MAX)}. After a restore push those that machines still need: muster artifact push PATH`;
  return wrap(plain(text), columns);
}
