/**
 * Where things stand in an agent's directory. Names paths; never touches the disk.
 *
 *     <dir>/apps/<app>/releases/<digest>/          a release, whole or absent
 *                      releases/<digest>.manifest  its manifest
 *                      releases/<digest>.link → releases/<digest>  what `current` becomes a second name of
 *                      staging/<digest>.<random>/  a release on its way, or (deleted.…) on its way out
 *                      current → releases/<digest>
 *                      shared/  logs/  state.json  secrets/
 *     <dir>/assignment.json
 *     <dir>/removed/<app>.<random>/                an app on its way out
 *
 * Always holds: a path made here is below the agent's directory, since names that are not plain are a bug and crash.
 */
import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { parseAppName, parseDigest } from "@muster/proto/ids.ts";

export interface AppLayout {
  readonly appDir: string;
  readonly releasesDir: string;
  readonly stagingDir: string;
  readonly currentLink: string;
  readonly logsDir: string;
  releaseDir(digest: string): string;
  manifestFile(digest: string): string;
  readyLink(digest: string): string;
}

export function appLayout(dir: string, app: string): AppLayout {
  assert(parseAppName(app) !== undefined, `not an app's name: ${app}`);
  const appDir = join(appsDir(dir), app);
  const releasesDir = join(appDir, "releases");
  return {
    appDir,
    releasesDir,
    stagingDir: join(appDir, "staging"),
    currentLink: join(appDir, "current"),
    logsDir: join(appDir, "logs"),
    releaseDir: (digest) => join(releasesDir, checked(digest)),
    manifestFile: (digest) => join(releasesDir, `${checked(digest)}.manifest`),
    readyLink: (digest) => join(releasesDir, `${checked(digest)}.link`),
  };
}

export function appsDir(dir: string): string {
  return join(resolve(dir), "apps");
}

export function removedDir(dir: string): string {
  return join(resolve(dir), "removed");
}

function checked(digest: string): string {
  assert(parseDigest(digest) !== undefined, `not a digest: ${digest}`);
  return digest;
}
