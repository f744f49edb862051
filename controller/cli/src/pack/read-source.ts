/**
 * Finds out what a path is, and opens it as a source. The file's name tells tar from zip; whether a tar is gzipped, its content tells.
 */
import { statSync, type Stats } from "node:fs";
import { PackError, systemReason } from "./pack-error.ts";
import { readDirectory } from "./read-directory.ts";
import { readTar } from "./read-tar.ts";
import { readZip } from "./read-zip.ts";
import type { Source } from "./source.ts";

const TAR = /\.(?:tar|tar\.gz|tgz)$/i;
const ZIP = /\.zip$/i;

/** Throws PackError. */
export async function readSource(path: string): Promise<Source> {
  const stats = look(path);
  if (stats.isDirectory()) return readDirectory(path);
  const known = TAR.test(path) ? readTar : ZIP.test(path) ? readZip : undefined;
  if (!stats.isFile() || known === undefined) {
    throw new PackError("not_supported", path, `${path}: neither a directory nor a .tar, .tar.gz, .tgz or .zip file`);
  }
  if (stats.size === 0) throw new PackError("bad_archive", path, `${path}: the archive is empty (0 bytes)`);
  return known(path);
}

function look(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR");
    if (missing) throw new PackError("not_found", path, `${path}: no such file or directory`, { cause });
    throw new PackError("unreadable", path, `${path}: can't be read (${systemReason(cause)})`, { cause });
  }
}
