/** Backups in `-o json`. */
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { isoOrNull } from "./json.ts";

export function backupJson(summary: BackupSummary) {
  return {
    made_by: summary.madeBy,
    created_at: isoOrNull(summary.createdAt),
    encrypted: summary.isEncrypted,
    size_bytes: summary.sizeBytes,
    journal_seq: summary.journalSeq,
    machines: summary.machines,
    deployments: summary.deployments,
    artifacts: summary.artifacts,
    missing_artifacts: summary.missingArtifacts.map(({ digest, releases }) => ({ digest, releases: [...releases] })),
    missing_archive: [...summary.missingArchive],
    epoch: summary.epoch,
  };
}
