/**
 * The journal page by page, whether its rows are in the database or in the archive. Pure but for the archive's own reading.
 */
import type { ArchiveError } from "./archive-error.ts";
import type { Archive, ArchivedRow, Under } from "./archive.ts";

export interface Page {
  /** In the order of sequences. */
  readonly rows: readonly ArchivedRow[];
  /** Where to go on; undefined: there is no more. */
  readonly next: number | undefined;
}

export interface PageOrder {
  readonly fromSeq: number;
  readonly most: number;
  readonly under: Under | undefined;
  /** Which rows of the archive are wanted, as the query did that `live` came from. */
  readonly isWanted: (row: ArchivedRow) => boolean;
  /** Told of rows that can't be read; it may throw. */
  readonly onMissing: (error: ArchiveError) => void;
}

/** `live`: those of the database from `fromSeq` on, at most `most` of them. */
export function pageWith(archive: Archive, live: readonly ArchivedRow[], { fromSeq, most, under, isWanted, onMissing }: PageOrder): Page {
  const liveUpTo = live.length < most ? Infinity : live.at(-1)!.seq;
  if (fromSeq > archive.lastSeq) return pageOf(live, liveUpTo, most);
  const toSeq = Math.min(liveUpTo, archive.lastSeq);
  const archived = archive.read({ fromSeq, toSeq, under, isWanted, most, onMissing });
  const upTo = archived.upTo < toSeq ? archived.upTo : liveUpTo;
  return pageOf(merge(archived.rows, live.filter(({ seq }) => seq <= upTo)), upTo, most);
}

function pageOf(rows: readonly ArchivedRow[], upTo: number, most: number): Page {
  if (rows.length > most) return { rows: rows.slice(0, most), next: rows[most - 1]!.seq + 1 };
  return { rows, next: upTo === Infinity ? undefined : upTo + 1 };
}

function merge(one: readonly ArchivedRow[], other: readonly ArchivedRow[]): readonly ArchivedRow[] {
  if (one.length === 0 || other.length === 0) return one.length === 0 ? other : one;
  return [...one, ...other].sort((a, b) => a.seq - b.seq);
}
