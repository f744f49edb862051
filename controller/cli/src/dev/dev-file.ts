/**
 * The files by which programs find each other: the controller's controller.json, which it writes itself, and dev.json, which
 * `muster dev` writes for everybody else. Both appear whole: written beside, then renamed.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";

const controllerFileShape = z.object({
  pid: z.int().positive(),
  /** `host:port`. */
  grpc: z.string(),
  /** A URL. */
  https: z.string(),
  /** Path of the unix socket for operators. */
  socket: z.string(),
  nats: z.object({ pid: z.int().positive(), url: z.string() }),
});
export type ControllerFile = z.infer<typeof controllerFileShape>;

export interface DevAgent {
  readonly id: string;
  /** Null while it is away or about to be started again. */
  readonly pid: number | null;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface DevFile {
  readonly controller: { readonly pid: number; readonly grpc: string; readonly https: string; readonly socket: string };
  readonly nats: { readonly pid: number; readonly url: string };
  readonly agents: readonly DevAgent[];
}

/** Undefined when there is none yet. */
export function readControllerFile(path: string): ControllerFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return controllerFileShape.parse(JSON.parse(text));
}

export function writeDevFile(path: string, content: DevFile): void {
  writeFileSync(`${path}.next`, `${JSON.stringify(content, undefined, 2)}\n`);
  renameSync(`${path}.next`, path);
}
