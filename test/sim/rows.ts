/** Rows of the journal, by their kind. Whoever reads it for some of them names those; new kinds are of no interest until somebody says so. */
import type { Entry, EntryKind, JournalRow } from "@muster/controller/src/journal/entry.ts";

export type ByKind = { readonly [Kind in EntryKind]?: (entry: Extract<Entry, { readonly kind: Kind }>, seq: number) => void };

export function dispatch(handlers: ByKind, { entry, seq }: JournalRow): void {
  const handler = handlers[entry.kind] as ((entry: Entry, seq: number) => void) | undefined;
  handler?.(entry, seq);
}
