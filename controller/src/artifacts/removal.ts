/**
 * Removes the files that retention has let go: after the commit that says so, and, for what a controller left undone that died in between, at the start and every hour.
 *
 * Never removes what the journal knows; never what came in the last minutes, since it may be recorded next.
 */
import type { Digest } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import type { Clock } from "../engine/clock.ts";
import type { JournalRow } from "../journal/entry.ts";
import type { ArtifactStore } from "./artifact-store.ts";

const CHECK_INTERVAL_MS = 3_600_000;
/** From the last byte of an artifact to its row in the journal it takes milliseconds. */
const SETTLED_MS = 600_000;

export interface RemovalOptions {
  readonly store: ArtifactStore;
  /** Whether the journal says that the artifact is stored. */
  readonly isKnown: (digest: Digest) => boolean;
  readonly onCommit: (listener: (rows: readonly JournalRow[]) => void) => () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Returns a function that ends it. */
export function removeWhatWasLetGo({ store, isKnown, onCommit, clock, logger }: RemovalOptions): () => void {
  let cancel: (() => void) | undefined;
  let isEnded = false;
  const attempt = (work: Promise<unknown>): void => {
    // What could not be removed now is tried again within the hour.
    work.catch((error: unknown) => logger.error({ err: error }, "artifact files could not be removed"));
  };
  const check = (): void => {
    attempt(store.removeUnknown((digest) => isEnded || isKnown(digest), clock.now() - SETTLED_MS));
    if (!isEnded) cancel = clock.wakeAfter(CHECK_INTERVAL_MS, check);
  };
  const unsubscribe = onCommit((rows) => {
    for (const { entry } of rows) if (entry.kind === "artifact_removed" && !isKnown(entry.artifact)) attempt(store.remove(entry.artifact));
  });
  check();
  return () => {
    isEnded = true;
    unsubscribe();
    cancel?.();
  };
}
