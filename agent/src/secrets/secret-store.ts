/**
 * The secrets of this machine's releases: opened when they are needed first, and kept on disk from then on, so that a machine that boots without a network starts
 * its workloads all the same.
 *
 *     apps/<app>/secrets/releases/<version>/values.json   name → value, base64
 *                                           files/<path>  those that the release wants as files
 *                        current → releases/<version>/files
 *
 * Always holds: nobody but this user may enter a folder or read a file of these; a version's folder stands whole or not at all; no value is in an error or a log.
 * For one app, calls come one after another.
 */
import assert from "node:assert/strict";
import { constants, readdirSync, readFileSync } from "node:fs";
import { mkdir, open, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { type SealedSecrets, SecretValues } from "@muster/proto/gen/muster/v1/secrets.ts";
import { isSecretPath, isVersion } from "@muster/proto/ids.ts";
import type { SealedFor } from "@muster/proto/sealing.ts";
import { diskFault } from "../disk/disk-fault.ts";
import { syncDirectory, syncEach } from "../disk/durable.ts";
import { appLayout } from "../disk/layout.ts";
import { kindOf, randomSuffix } from "../disk/release.ts";
import { errorCode } from "../runner/fault.ts";
import type { Fault, SecretStore } from "../runner/ports.ts";
import { openSealed, type SealingKeyPair } from "./open.ts";
import { formsOf, redact } from "./redact.ts";

export interface SecretStoreOptions {
  /** The agent's directory. */
  readonly dir: string;
  readonly machineId: string;
  /** The newest, and those before it for what was sealed before they were renewed. */
  readonly sealingKeys: () => readonly SealingKeyPair[];
  /** What came can't be opened, or did not come: the controller is to be asked again, since it may know a newer key by now. */
  readonly onUnopened: () => void;
}

const FORMAT = "muster.secrets.v1";
/** Begins the names of folders on their way in or out; no version begins with a dot. */
const DRAFT = ".draft.";
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

type Versions = Readonly<Record<string, number>>;
type Values = Readonly<Record<string, Buffer>>;

/** What came for an app, sealed. */
interface Box {
  readonly generation: number;
  /** Of the release that it is for. */
  readonly version: string;
  readonly secrets: Versions;
  readonly sealed: SealedSecrets | undefined;
}

interface Kept {
  readonly secrets: Versions;
  readonly values: Values;
}

export function createSecretStore({ dir, machineId, sealingKeys, onUnopened }: SecretStoreOptions): SecretStore {
  const boxes = new Map<string, Box>();
  /** How an app's values may be written, for redaction. */
  const forms = new Map<string, readonly string[]>();
  const folderOf = (app: string, version: string): string => join(foldersOf(dir, app), checked(version));

  return {
    take({ apps }) {
      for (const { app, generation, goal, secrets } of apps) {
        if (goal?.$case === "run" && secrets !== undefined) boxes.set(app, { generation, version: goal.value.version, secrets: secrets.versions, sealed: secrets.sealed });
        else boxes.delete(app);
      }
    },

    dir: (app, version) => join(folderOf(app, version), "files"),

    async place(app, release) {
      const names = secretsOf(release);
      if (names.length === 0) return { ok: true, value: undefined };
      const folder = folderOf(app, release.version);
      const latest = boxes.get(app);
      const box = latest?.version === release.version ? latest : undefined;
      const kept = readKept(folder);
      if (kept !== undefined && hasAll(kept.values, names) && (box === undefined || sameVersions(box.secrets, kept.secrets))) return { ok: true, value: undefined };
      if (box?.sealed === undefined) {
        onUnopened();
        return unavailable(`no value came for ${names.join(", ")}; see muster secret list`);
      }
      const values = await opened(box.sealed, sealingKeys(), { machine: machineId, app, ...box });
      if (values === undefined || !hasAll(values, names)) {
        onUnopened();
        return unavailable(`what came for ${names.join(", ")} does not open with this machine's keys; the controller is asked again`);
      }
      try {
        await write(folder, release, { secrets: box.secrets, values });
      } catch (error) {
        return { ok: false, fault: diskFault(error, "write the secrets of the release", folder) };
      }
      forms.delete(app);
      return { ok: true, value: undefined };
    },

    environment(app, release) {
      const env: Record<string, string> = {};
      if (secretsOf(release).length === 0) return { ok: true, value: env };
      const kept = readKept(folderOf(app, release.version));
      for (const [variable, name] of Object.entries(release.secrets?.env ?? {})) {
        const value = kept?.values[name];
        if (value === undefined) return unavailable(`${name} is not on this machine`);
        env[variable] = value.toString("utf8");
      }
      return { ok: true, value: { ...env, MUSTER_SECRETS_DIR: join(folderOf(app, release.version), "files") } };
    },

    async point(app, release) {
      const root = rootOf(dir, app);
      const link = join(root, "current");
      try {
        if (release === undefined || secretsOf(release).length === 0) {
          await rm(link, { force: true });
          return { ok: true, value: undefined };
        }
        const target = join("releases", checked(release.version), "files");
        if (await pointsTo(link, target)) return { ok: true, value: undefined };
        await rm(`${link}.new`, { force: true });
        await symlink(target, `${link}.new`);
        await rename(`${link}.new`, link);
        await syncDirectory(root);
        return { ok: true, value: undefined };
      } catch (error) {
        return { ok: false, fault: diskFault(error, "switch the current secrets", root) };
      }
    },

    redact(app, text) {
      let known = forms.get(app);
      if (known === undefined) {
        const folders = namesIn(foldersOf(dir, app)).map((name) => readKept(join(foldersOf(dir, app), name)));
        known = formsOf(folders.flatMap((kept) => Object.values(kept?.values ?? {}).map((value) => value.toString("utf8"))));
        forms.set(app, known);
      }
      return redact(text, known);
    },

    async prune(app, keep) {
      for (const name of namesIn(foldersOf(dir, app))) {
        if (!keep.includes(name)) await rm(join(foldersOf(dir, app), name), { recursive: true, force: true });
      }
      forms.delete(app);
    },
  };
}

async function opened(sealed: SealedSecrets, keys: readonly SealingKeyPair[], sealedFor: SealedFor): Promise<Values | undefined> {
  const key = keys.find(({ keyId }) => keyId === sealed.keyId);
  const plaintext = key === undefined ? undefined : await openSealed(sealed, key, sealedFor);
  if (plaintext === undefined) return undefined;
  const { values } = SecretValues.decode(plaintext);
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]));
}

async function write(folder: string, release: Release, { secrets, values }: Kept): Promise<void> {
  const folders = dirname(folder);
  await mkdir(folders, { recursive: true, mode: 0o700 });
  const draft = join(folders, `${DRAFT}${randomSuffix()}`);
  try {
    await fill(draft, release, { secrets, values });
    await putInPlace(draft, folder);
  } catch (error) {
    // Tries on a full disk must not fill it further.
    await rm(draft, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  for (const made of [folders, dirname(folders), dirname(dirname(folders))]) await syncDirectory(made);
}

async function fill(draft: string, release: Release, { secrets, values }: Kept): Promise<void> {
  await mkdir(join(draft, "files"), { recursive: true, mode: 0o700 });
  const texts = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.toString("base64")]));
  await writePrivate(join(draft, "values.json"), Buffer.from(JSON.stringify({ format: FORMAT, secrets, values: texts })), 0o600);
  for (const { path, secret, mode } of release.secrets?.files ?? []) {
    assert(isSecretPath(path), `not a path of a secret's file: ${path}`);
    const file = join(draft, "files", path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writePrivate(file, values[secret]!, mode === 0o400 ? 0o400 : 0o600);
  }
  await syncEach(draft);
}

/** A death between the two leaves none, and the next try writes it again. */
async function putInPlace(draft: string, folder: string): Promise<void> {
  if ((await kindOf(folder)) === "absent") return rename(draft, folder);
  const before = join(dirname(folder), `${DRAFT}${randomSuffix()}`);
  await rename(folder, before);
  try {
    await rename(draft, folder);
  } catch (error) {
    await rename(before, folder);
    throw error;
  }
}

/** Flushed with its folder. */
async function writePrivate(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
}

/** Undefined when it is not there, or is not what was written. */
function readKept(folder: string): Kept | undefined {
  try {
    const { format, secrets, values } = JSON.parse(readFileSync(join(folder, "values.json"), "utf8")) as { format: unknown; secrets: Versions; values: Readonly<Record<string, string>> };
    if (format !== FORMAT) return undefined;
    return { secrets, values: Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Buffer.from(text, "base64")])) };
  } catch {
    return undefined;
  }
}

function rootOf(dir: string, app: string): string {
  return join(appLayout(dir, app).appDir, "secrets");
}

function foldersOf(dir: string, app: string): string {
  return join(rootOf(dir, app), "releases");
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function pointsTo(link: string, target: string): Promise<boolean> {
  try {
    return (await readlink(link)) === target;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

function checked(version: string): string {
  assert(isVersion(version), `not a version: ${version}`);
  return version;
}

function secretsOf({ secrets }: Release): readonly string[] {
  return [...new Set([...Object.values(secrets?.env ?? {}), ...(secrets?.files ?? []).map(({ secret }) => secret)])];
}

function hasAll(values: Values, names: readonly string[]): boolean {
  return names.every((name) => Object.hasOwn(values, name));
}

function sameVersions(a: Versions, b: Versions): boolean {
  return Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([name, version]) => b[name] === version);
}

/** A newer telling may bring it, so it is worth another try. */
function unavailable(message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code: "secret_unavailable", message, retryable: true } };
}
