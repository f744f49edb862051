/**
 * The keys that the keys of secrets are encrypted with. They stand in a file, base64, one a line: the first encrypts, those after it are older and still open what
 * they encrypted. So a key is replaced by writing a new one before it, and is needed no more after the next start.
 *
 * Never writes over a file that is there. Always holds: nobody but the controller's user may read the file that it made or was pointed to.
 */
import { createHmac, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SecretsError } from "./secrets-error.ts";

const KEY_BYTES = 32;
const KEYS_MAX = 16;
/** What systemd's LoadCredential= or LoadCredentialEncrypted= calls it. */
const CREDENTIAL_NAME = "muster-secrets-key";

export interface MasterKey {
  /** Tells keys apart, and says nothing of them. */
  readonly id: string;
  readonly key: Buffer;
}

export type KeySource =
  /** Made at the first start. */
  | { readonly kind: "own"; readonly path: string }
  | { readonly kind: "file"; readonly path: string }
  /** systemd has put it where this service alone may read it. */
  | { readonly kind: "credential"; readonly path: string };

export interface KeyOptions {
  /** The controller's directory. */
  readonly dir: string;
  readonly keyFile: string | undefined;
  /** systemd's $CREDENTIALS_DIRECTORY. */
  readonly credentialsDir: string | undefined;
}

/** A file that is named counts before a credential, and that before the controller's own. */
export function keySourceOf({ dir, keyFile, credentialsDir }: KeyOptions): KeySource {
  if (keyFile !== undefined) return { kind: "file", path: keyFile };
  const credential = credentialsDir === undefined ? undefined : join(credentialsDir, CREDENTIAL_NAME);
  if (credential !== undefined && existsSync(credential)) return { kind: "credential", path: credential };
  return { kind: "own", path: join(dir, "identity", "secrets.key") };
}

/** The newest first; undefined when there is no such file. Throws SecretsError. */
export function readMasterKeys({ kind, path }: KeySource): readonly [MasterKey, ...MasterKey[]] | undefined {
  let text: string;
  try {
    if (kind !== "credential") refuseExposed(path);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof SecretsError) throw error;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new SecretsError("key_unusable", `the key of the secrets, ${path}, can't be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  const [first, ...others] = lines.map((line) => keyOf(Buffer.from(line, "base64")));
  const isSound = first !== undefined && lines.length <= KEYS_MAX && [first, ...others].every(({ key }) => key.length === KEY_BYTES);
  if (!isSound) throw new SecretsError("key_malformed", `the key of the secrets, ${path}, is not ${KEY_BYTES} random bytes in base64, one key a line: make one with: openssl rand -base64 ${KEY_BYTES}`);
  return [first, ...others];
}

/** Throws SecretsError. */
export function makeMasterKey(path: string): MasterKey {
  const key = randomBytes(KEY_BYTES);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, `${key.toString("base64")}\n`, { mode: 0o600, flag: "wx", flush: true });
  } catch (error) {
    throw new SecretsError("key_unusable", `the key of the secrets, ${path}, can't be written: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  return keyOf(key);
}

function keyOf(key: Buffer): MasterKey {
  return { id: createHmac("sha256", key).update("id of a key of secrets").digest("hex").slice(0, 16), key };
}

function refuseExposed(path: string): void {
  if ((statSync(path).mode & 0o077) === 0) return;
  throw new SecretsError("key_exposed", `the key of the secrets, ${path}, may be read by others than its owner: chmod 600 ${path}, and change the key if anybody else is on this machine`);
}
