/**
 * Releases for tests: small servers that behave as they are told, and that write down each of their starts.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Writes the files and a muster.yaml beside the folder of files; returns the path of the muster.yaml. */
export function writeRelease(folder: string, yaml: string, files: Readonly<Record<string, string | Buffer>>): string {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, "files", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "muster.yaml");
  writeFileSync(file, yaml);
  return file;
}
