/**
 * What an artifact will hold, entry by entry, and the one judge of what it may hold. The rules are those of proto/src/manifest.ts;
 * here they are checked as entries come, so that a hostile archive is refused by name before it has cost much.
 *
 * Always holds: a path is there once, files have only directories above them, and the limits are kept.
 */
import { ENTRIES_MAX, MODE_BITS, pathFault, targetFault, UNPACKED_BYTES_MAX, type Chunk, type ManifestEntry } from "@muster/proto/manifest.ts";
import type { Digest } from "@muster/proto/ids.ts";
import { entryError, type PackError } from "./pack-error.ts";
import type { SourceEntry } from "./source.ts";

/** A chunk whose place in the pack is given later. */
export type Piece = Pick<Chunk, "sha256" | "sizeBytes">;

export interface PieceFile<P extends Piece> {
  readonly type: "file";
  readonly path: string;
  readonly mode: number;
  readonly sizeBytes: number;
  readonly sha256: Digest;
  readonly pieces: readonly P[];
}

type Node<P extends Piece> = PieceFile<P> | Exclude<ManifestEntry, { type: "file" }>;

/** The owner can always take an artifact away again. */
const DIRECTORY_BITS = 0o700;
const FILE_BITS = 0o400;

export class Tree<P extends Piece> {
  readonly #sourcePath: string;
  readonly #nodes = new Map<string, Node<P>>();
  /** Directories that are only there because something is in them: an archive may name them later. */
  readonly #implied = new Set<string>();
  #unpackedBytes = 0;

  constructor(sourcePath: string) {
    this.#sourcePath = sourcePath;
  }

  /** Everything that can be said of an entry before its content is read: a bomb is refused by what it claims, and a source holds it to that. */
  open(entry: SourceEntry): void {
    const fault = pathFault(entry.path);
    if (fault !== undefined) throw this.#refused(entry.path, fault);
    if (this.#nodes.has(entry.path) && !(entry.type === "dir" && this.#implied.has(entry.path))) {
      throw this.#refused(entry.path, this.#implied.has(entry.path) ? `is a ${entry.type}, but there are files below it` : "is there twice");
    }
    this.#openParents(entry.path);
    if (entry.type === "symlink") {
      const targetRule = targetFault(entry.path, entry.target);
      if (targetRule !== undefined) throw this.#refused(entry.path, `is a symlink to ${JSON.stringify(entry.target)}, which ${targetRule}`);
    }
    if (entry.type === "file") this.#countBytes(entry.path, entry.sizeBytes);
  }

  addFile(path: string, mode: number, content: Omit<PieceFile<P>, "type" | "path" | "mode">): void {
    this.#set({ type: "file", path, mode: (mode & MODE_BITS) | FILE_BITS, ...content });
  }

  addDirectory(path: string, mode: number): void {
    this.#implied.delete(path);
    this.#set({ type: "dir", path, mode: (mode & MODE_BITS) | DIRECTORY_BITS });
  }

  addSymlink(path: string, target: string): void {
    this.#set({ type: "symlink", path, target });
  }

  /** The same content, and so the same mode, as an earlier file. */
  addLink(path: string, to: string): void {
    const file = this.#nodes.get(to);
    if (file?.type !== "file") throw this.#refused(path, `is a hard link to ${JSON.stringify(to)}, which is not a file before it in the archive`);
    this.#countBytes(path, file.sizeBytes);
    this.#set({ ...file, path });
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  get unpackedBytes(): number {
    return this.#unpackedBytes;
  }

  /** In the order of the manifest. */
  nodes(): readonly Node<P>[] {
    return [...this.#nodes.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #countBytes(path: string, bytes: number): void {
    this.#unpackedBytes += bytes;
    if (this.#unpackedBytes > UNPACKED_BYTES_MAX) {
      throw entryError("too_large", this.#sourcePath, path, `goes beyond the limit: at most ${UNPACKED_BYTES_MAX} bytes are allowed, unpacked`);
    }
  }

  #set(node: Node<P>): void {
    this.#nodes.set(node.path, node);
    if (this.#nodes.size > ENTRIES_MAX) {
      throw entryError("too_large", this.#sourcePath, node.path, `is one too many: at most ${ENTRIES_MAX} files and directories are allowed`);
    }
  }

  #openParents(path: string): void {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      const parent = path.slice(0, slash);
      const node = this.#nodes.get(parent);
      if (node === undefined) {
        this.#set({ type: "dir", path: parent, mode: 0o755 });
        this.#implied.add(parent);
      } else if (node.type !== "dir") {
        throw this.#refused(path, `is below ${JSON.stringify(parent)}, which is a ${node.type}`);
      }
    }
  }

  #refused(path: string, fault: string): PackError {
    return entryError("refused", this.#sourcePath, path, fault);
  }
}
