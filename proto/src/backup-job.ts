/**
 * What the command `muster` and the program that reads and writes backups say to each other, over the channel that Node opens between a process and its child.
 * The passphrase goes this way and no other: never as an argument, and never to the controller.
 */

/** `file` and `dir` are relative to the program's working directory. `-` is standard input or output. */
export type BackupJob =
  /** The archive comes on standard input. */
  | { readonly kind: "write"; readonly file: string; readonly passphrase?: string | undefined }
  | { readonly kind: "check"; readonly file: string; readonly passphrase?: string | undefined }
  | { readonly kind: "restore"; readonly file: string; readonly passphrase?: string | undefined; readonly dir: string; readonly epoch?: number | undefined };

export type BackupNews =
  /** `totalBytes` is 0 when nobody knows. */
  | { readonly kind: "progress"; readonly doneBytes: number; readonly totalBytes: number }
  /** Of what went to standard output nothing is known but that it went. */
  | { readonly kind: "done"; readonly summary?: BackupSummary | undefined }
  | { readonly kind: "failed"; readonly code: BackupFaultCode; readonly message: string };

/** What a backup holds. */
export interface BackupSummary {
  /** Version of the Muster that made it. */
  readonly madeBy: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly isEncrypted: boolean;
  /** Of the whole file. */
  readonly sizeBytes: number;
  /** Of the last row of the journal. */
  readonly journalSeq: number;
  readonly machines: number;
  readonly deployments: number;
  /** Whose files are in it. */
  readonly artifacts: number;
  /** Known to the controller, but not in it. */
  readonly missingArtifacts: readonly MissingArtifact[];
  /** Files of the journal's archive, such as `2026-11.jsonl.zst`, known to the controller, but not in it: the steps in them are lost. */
  readonly missingArchive: readonly string[];
  /** Of the controller that it was made from; of the restored one, when it was restored. */
  readonly epoch: number;
}

export interface MissingArtifact {
  readonly digest: string;
  /** `app@version`, newest first. */
  readonly releases: readonly string[];
}

export type BackupFaultCode =
  | "damaged"
  | "truncated"
  | "newer"
  | "wrong_passphrase"
  | "passphrase_needed"
  | "not_empty"
  | "in_use"
  | "not_found"
  | "no_permission"
  | "disk_full"
  | "interrupted"
  | "bad_epoch"
  | "busy"
  | "io_error";

