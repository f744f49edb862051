/**
 * BackupService: hands out a copy of the controller, one at a time.
 */
import { status } from "@grpc/grpc-js";
import type { BackupServiceServer } from "@muster/proto/gen/muster/v1/backup.ts";
import type { Logger } from "pino";
import { CallError } from "../grpc/answer.ts";
import { serve } from "../grpc/stream.ts";
import { makeBackup } from "./make-backup.ts";

export interface BackupApiOptions {
  /** The controller's. */
  readonly dir: string;
  readonly now: () => number;
  readonly logger: Logger;
}

export function backupApi({ dir, now, logger }: BackupApiOptions): BackupServiceServer {
  let isUnderWay = false;
  return {
    backup: (call) =>
      serve(call, logger, async (write, signal) => {
        if (isUnderWay) throw new CallError(status.FAILED_PRECONDITION, "another backup is under way; wait for its end");
        isUnderWay = true;
        const { withoutArtifacts } = call.request;
        try {
          const backup = await makeBackup({ dir, withArtifacts: !withoutArtifacts, now, signal });
          try {
            await write({ part: { $case: "totalBytes", value: backup.totalBytes } });
            let sizeBytes = 0;
            for await (const piece of backup.pieces) {
              if (signal.aborted) return;
              await write({ part: { $case: "data", value: piece } });
              sizeBytes += piece.length;
            }
            logger.info({ sizeBytes, withoutArtifacts }, "backup handed out");
          } finally {
            await backup.close();
          }
        } finally {
          isUnderWay = false;
        }
      }),
  };
}
