/**
 * Sends a packed artifact, unless the controller has it whole. Memory stays at a few pieces however large the pack is.
 */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import type { PushArtifactRequest, PushArtifactResponse } from "@muster/proto/gen/muster/v1/artifacts.ts";
import type { Controller } from "./controller.ts";

/** The protocol allows 1 MiB a message; half of it keeps progress smooth. */
const PIECE_BYTES = 512 * 1024;

export interface PackedArtifact {
  readonly digest: string;
  readonly manifestBytes: Uint8Array;
  readonly packPath: string;
  readonly packBytes: number;
}

interface PushOptions {
  readonly signal: AbortSignal;
  /** Bytes of the pack handed over so far. */
  readonly onSent: (sentBytes: number) => void;
}

/** Whether anything had to be sent. */
export async function pushArtifact(
  controller: Controller,
  artifact: PackedArtifact,
  options: PushOptions,
): Promise<{ readonly created: boolean }> {
  const { artifacts } = controller;
  const { digest } = artifact;
  const { present } = await controller.unary(artifacts, artifacts.hasArtifact, { digest }, { signal: options.signal });
  if (present) return { created: false };
  const { created } = await send(controller, artifact, options);
  return { created };
}

async function send(controller: Controller, artifact: PackedArtifact, { signal, onSent }: PushOptions): Promise<PushArtifactResponse> {
  const answered = Promise.withResolvers<PushArtifactResponse>();
  // The answer may come early, when the controller refuses: it ends the sending, and is thrown below.
  let isAnswered = false;
  const call = controller.artifacts.pushArtifact((error, response) => {
    isAnswered = true;
    if (error === null) answered.resolve(response);
    else answered.reject(controller.explain(error));
  });
  const settled = answered.promise.then(
    () => undefined,
    () => undefined,
  );
  const cancel = (): void => call.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    let sentBytes = 0;
    for await (const part of parts(artifact)) {
      if (isAnswered) break;
      if (!call.write({ part })) await Promise.race([once(call, "drain"), settled]);
      if (part.$case === "pack") onSent((sentBytes += part.value.length));
    }
    call.end();
    return await answered.promise;
  } catch (error) {
    call.cancel();
    await settled;
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function* parts({ manifestBytes, packPath }: PackedArtifact): AsyncGenerator<NonNullable<PushArtifactRequest["part"]>> {
  for (let offset = 0; offset < manifestBytes.length; offset += PIECE_BYTES) {
    yield { $case: "manifest", value: Buffer.from(manifestBytes.subarray(offset, offset + PIECE_BYTES)) };
  }
  for await (const piece of createReadStream(packPath, { highWaterMark: PIECE_BYTES })) {
    yield { $case: "pack", value: piece as Buffer };
  }
}
