/**
 * Files that only their owner may read, and that survive a power cut.
 */
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Makes the folders above it below `root`. The file must not be there yet. */
export async function writeDurably(root: string, name: string, content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
  const path = join(root, name);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await using file = await open(path, "wx", 0o600);
  for await (const piece of content) await file.writeFile(piece);
  await file.sync();
}

export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}
