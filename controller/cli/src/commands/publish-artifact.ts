/**
 * A directory or an archive becomes an artifact that the controller has: packed here, and sent unless it is there already.
 */
import { counted } from "@muster/proto/text.ts";
import type { Controller } from "../client/controller.ts";
import type { CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import type { PushedArtifact } from "../output/artifact-json.ts";
import type { OutputFormat } from "../usage.ts";
import { shortDigest } from "../render/list-view.ts";
import { size } from "../render/sizes.ts";
import type { PackedArtifact, PackOptions } from "../pack/pack.ts";
import type { PackError } from "../pack/pack-error.ts";
import { openProgress } from "./progress.ts";
import { withScratch } from "./scratch.ts";

export async function publishArtifact(
  context: CliContext,
  controller: Controller,
  sourcePath: string,
  output: OutputFormat,
  /** Asked before anything is sent; refuses by throwing. */
  mayBeSent: (digest: string) => Promise<unknown> = () => Promise.resolve(),
): Promise<PushedArtifact> {
  const { pushArtifact } = await import("../client/push-artifact.ts");
  return withPacked(context, sourcePath, output, async (artifact, show) => {
    await mayBeSent(artifact.digest);
    const { created } = await pushArtifact(controller, artifact, {
      signal: context.interruption(),
      onSent: (sentBytes) => show(`sending  ${size(sentBytes)} of ${size(artifact.packBytes)}`),
    });
    const { digest, fileCount, sizeBytes, packBytes } = artifact;
    return { digest, created, fileCount, sizeBytes, packBytes };
  });
}

/** What the artifact of a directory or an archive would be; nothing is kept of it, and nothing sent. */
export function packOnly(context: CliContext, sourcePath: string, output: OutputFormat): Promise<Pick<PackedArtifact, "digest">> {
  return withPacked(context, sourcePath, output, ({ digest }) => Promise.resolve({ digest }));
}

/** The pack is gone when `use` is done. */
async function withPacked<Result>(
  context: CliContext,
  sourcePath: string,
  output: OutputFormat,
  use: (artifact: PackedArtifact, show: (text: string) => void) => Promise<Result>,
): Promise<Result> {
  const progress = await openProgress(context, output);
  try {
    return await withScratch(async (scratchDir) => {
      const artifact = await pack(sourcePath, {
        scratchDir,
        signal: context.interruption(),
        onProgress: ({ filesDone, filesTotal, bytesDone }) => {
          progress.show(`packing  ${filesDone}${filesTotal === undefined ? "" : `/${filesTotal}`} files, ${size(bytesDone)}`);
        },
      });
      return await use(artifact, (text) => progress.show(text));
    });
  } finally {
    progress.end();
  }
}

async function pack(sourcePath: string, options: PackOptions): Promise<PackedArtifact> {
  const [{ packArtifact }, { PackError }] = await Promise.all([import("../pack/pack.ts"), import("../pack/pack-error.ts")]);
  try {
    return await packArtifact(sourcePath, options);
  } catch (error) {
    throw error instanceof PackError ? explain(error) : error;
  }
}

/** Only a scratch directory that fails is not the artifact's fault. An interruption is told by whoever was interrupted. */
function explain(error: PackError): CliError {
  const exit = error.code === "scratch_failed" || error.code === "aborted" ? EXIT.failed : EXIT.badInput;
  return new CliError(error.message, { code: `artifact_${error.code}`, exit, cause: error });
}

/** `artifact 3f2a90c1d2e4  12 files, 3.4 MB, 1.1 MB packed: sent` */
export function pushedLine({ digest, created, fileCount, sizeBytes, packBytes }: PushedArtifact): string {
  const what = created ? "sent" : "already there, nothing sent";
  return `artifact ${shortDigest(digest)}  ${counted(fileCount, "file")}, ${size(sizeBytes)}, ${size(packBytes)} packed: ${what}`;
}
