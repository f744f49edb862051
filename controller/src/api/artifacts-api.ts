/**
 * ArtifactsService: artifacts come in once, checked byte by byte, and are listed.
 */
import type { Artifact, ArtifactsServiceServer, PushArtifactRequest } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { parseDigest } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import type { ArtifactStore } from "../artifacts/artifact-store.ts";
import type { Engine } from "../engine/engine.ts";
import type { Journal } from "../journal/journal.ts";
import { Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { invalid, toServiceError, unary } from "../grpc/answer.ts";

export interface ArtifactsApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly store: ArtifactStore;
  readonly logger: Logger;
}

export function artifactsApi({ journal, engine, store, logger }: ArtifactsApiOptions): ArtifactsServiceServer {
  return {
    hasArtifact: unary(logger, async ({ digest }) => {
      const parsed = parseDigest(digest);
      if (parsed === undefined) throw invalid(`"${digest.slice(0, 80)}" is not the digest of an artifact`);
      return { present: engine.operators.hasArtifact(parsed) && (await store.has(parsed)) };
    }),

    pushArtifact: (call, callback) => {
      receive(call as AsyncIterable<PushArtifactRequest>).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toServiceError(error, logger)),
      );
    },

    listArtifacts: unary(logger, async () => ({ artifacts: await listArtifacts(journal) })),
  };

  async function receive(parts: AsyncIterable<PushArtifactRequest>) {
    const receiver = store.receive();
    try {
      let inPack = false;
      for await (const { part } of parts) {
        if (part === undefined) throw invalid("an empty message");
        if (part.$case === "manifest") {
          if (inPack) throw invalid("a piece of the manifest came after the pack");
          orRefuse(await receiver.writeManifest(part.value));
          continue;
        }
        if (!inPack) orRefuse(await receiver.endManifest());
        inPack = true;
        orRefuse(await receiver.writePack(part.value));
      }
      if (!inPack) orRefuse(await receiver.endManifest());
      const stored = await receiver.finish();
      orRefuse(stored);
      const { digest, created, fileCount, sizeBytes, packBytes } = stored;
      engine.operators.recordArtifact({ kind: "artifact_stored", artifact: digest, fileCount, sizeBytes, packBytes });
      return { digest, created };
    } finally {
      await receiver.discard();
    }
  }
}

/** What does not match ends the upload at once. */
function orRefuse(answer: { readonly ok: true } | { readonly ok: false; readonly message: string }): asserts answer is { readonly ok: true } {
  if (!answer.ok) throw invalid(answer.message);
}

/** Newest first, in slices; one that is stored or removed meanwhile may be missing. */
async function listArtifacts({ db }: Journal): Promise<Artifact[]> {
  const slice = new Slice();
  const artifacts: Artifact[] = [];
  for (const digest of statement(db, "SELECT digest FROM artifacts ORDER BY stored_at DESC, digest").pluck().all() as string[]) {
    await slice.took(2);
    const row = statement(db, "SELECT *, (SELECT json_group_array(r.id ORDER BY r.created_at) FROM releases r WHERE r.artifact = a.digest) AS releases FROM artifacts a WHERE digest = ?").get(digest) as ArtifactRow | undefined;
    if (row === undefined) continue;
    artifacts.push({ digest, fileCount: row.file_count, sizeBytes: row.size_bytes, packBytes: row.pack_bytes, storedAt: row.stored_at, releases: JSON.parse(row.releases) as string[] });
  }
  return artifacts;
}

interface ArtifactRow {
  readonly file_count: number;
  readonly size_bytes: number;
  readonly pack_bytes: number;
  readonly stored_at: number;
  readonly releases: string;
}
