/**
 * A publisher's keys on disk: `NAME.key`, 0600, and `NAME.pub`. Made and read offline, never sent anywhere.
 *
 * The private key stands in its file as it is or, with a passphrase, sealed: scrypt makes the key, AES-256-GCM seals, and the name and the public key are bound to it. A key file that others may
 * read is not used.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, scryptSync } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { NAME_RULE, parseAppName } from "@muster/proto/ids.ts";
import { parsePublicKey, type PublicKey } from "@muster/proto/trust/public-key.ts";
import { z } from "zod";
import { badInput, CliError, EXIT } from "../errors.ts";
import { publicKeyText } from "./ed25519.ts";

export interface PublicKeyFile {
  readonly name: string;
  readonly publicKey: PublicKey;
}

export interface PrivateKeyFile extends PublicKeyFile {
  readonly path: string;
  readonly secret: { readonly kind: "plain"; readonly pkcs8: Buffer } | { readonly kind: "sealed"; readonly sealed: Sealed };
}

const FORMAT = "muster.key.v1";
/** A third of a second and 128 MiB for each guess. A file that asks for other figures is refused: they would be somebody else's. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const;
const SCRYPT_MEMORY_MAX = 256 * 1024 * 1024;
const KEY_BYTES_MAX = 16 * 1024;

const base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
const SealedSchema = z.strictObject({ kdf: z.literal("scrypt-131072-8-1"), cipher: z.literal("aes-256-gcm"), salt: base64, iv: base64, tag: base64, data: base64 });
const KeySchema = z.strictObject({
  format: z.literal(FORMAT),
  name: z.string(),
  public_key: z.string(),
  private_key: z.union([base64, SealedSchema]),
});
type Sealed = z.infer<typeof SealedSchema>;

/** Writes both files, neither over another one. `passphrase` undefined: the private key is not sealed. */
export function createKeyFiles(name: string, paths: { readonly key: string; readonly pub: string }, passphrase: string | undefined): PublicKey {
  if (parseAppName(name) === undefined) throw badInput(`"${name}" can't be the name of a key: ${NAME_RULE}`);
  const { privateKey } = generateKeyPairSync("ed25519");
  const publicKey = publicKeyText(privateKey);
  const pkcs8 = privateKey.export({ format: "der", type: "pkcs8" });
  const secret = passphrase === undefined ? pkcs8.toString("base64") : seal(pkcs8, passphrase, bound(name, publicKey));
  writeNew(paths.key, `${JSON.stringify({ format: FORMAT, name, public_key: publicKey, private_key: secret }, null, 2)}\n`, 0o600);
  try {
    writeNew(paths.pub, `${publicKey} ${name}\n`, 0o644);
  } catch (error) {
    rmSync(paths.key, { force: true });
    throw error;
  }
  return publicKey;
}

/** Of `NAME.pub`. */
export function readPublicKey(path: string): PublicKeyFile {
  const [, text = "", name = ""] = /^(\S+) (\S+)\n?$/.exec(readSmall(path)) ?? [];
  const publicKey = parsePublicKey(text);
  if (publicKey === undefined || parseAppName(name) === undefined) throw badInput(`${path} is no public key; muster key create writes one beside each NAME.key, as NAME.pub`);
  return { name, publicKey };
}

export function readKeyFile(path: string): PrivateKeyFile {
  const text = readSmall(path);
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0) throw badInput(`${path} can be read by others (mode 0${mode.toString(8)}), so it may be nobody's secret any more: chmod 600 it, or make another key`);
  const parsed = KeySchema.safeParse(jsonOf(text));
  const publicKey = parsed.success ? parsePublicKey(parsed.data.public_key) : undefined;
  if (!parsed.success || publicKey === undefined || parseAppName(parsed.data.name) === undefined) throw badInput(`${path} is no key file; make one with: muster key create NAME`);
  const { name, private_key: secret } = parsed.data;
  return { path, name, publicKey, secret: typeof secret === "string" ? { kind: "plain", pkcs8: Buffer.from(secret, "base64") } : { kind: "sealed", sealed: secret } };
}

/** `passphrase` is asked for only when the key is sealed. */
export async function openKey({ path, name, publicKey, secret }: PrivateKeyFile, passphrase: () => Promise<string>): Promise<KeyObject> {
  const pkcs8 = secret.kind === "plain" ? secret.pkcs8 : unseal(secret.sealed, await passphrase(), bound(name, publicKey), path);
  try {
    const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
    if (key.asymmetricKeyType === "ed25519" && publicKeyText(key) === publicKey) return key;
  } catch (error) {
    throw badInput(`${path} holds no private key that can be read`, error);
  }
  throw badInput(`${path} holds the private key of another public key than it says`);
}

function bound(name: string, publicKey: PublicKey): Buffer {
  return Buffer.from(`${FORMAT} ${publicKey} ${name}`);
}

function seal(pkcs8: Buffer, passphrase: string, associated: Buffer): Sealed {
  const [salt, iv] = [randomBytes(32), randomBytes(12)];
  const cipher = createCipheriv("aes-256-gcm", sealingKey(passphrase, salt), iv).setAAD(associated);
  const data = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  const text = (bytes: Buffer): string => bytes.toString("base64");
  return { kdf: "scrypt-131072-8-1", cipher: "aes-256-gcm", salt: text(salt), iv: text(iv), tag: text(cipher.getAuthTag()), data: text(data) };
}

function unseal(sealed: Sealed, passphrase: string, associated: Buffer, path: string): Buffer {
  const bytes = (text: string): Buffer => Buffer.from(text, "base64");
  try {
    const decipher = createDecipheriv("aes-256-gcm", sealingKey(passphrase, bytes(sealed.salt)), bytes(sealed.iv), { authTagLength: 16 });
    decipher.setAAD(associated).setAuthTag(bytes(sealed.tag));
    return Buffer.concat([decipher.update(bytes(sealed.data)), decipher.final()]);
  } catch (error) {
    throw badInput(`the passphrase does not open ${path}, or the file is damaged`, error);
  }
}

function sealingKey(passphrase: string, salt: Buffer): Buffer {
  return scryptSync(passphrase.normalize("NFC"), salt, 32, { ...SCRYPT, maxmem: SCRYPT_MEMORY_MAX });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readSmall(path: string): string {
  try {
    if (statSync(path).size > KEY_BYTES_MAX) throw badInput(`${path} is larger than any key`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw badInput(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

function writeNew(path: string, text: string, mode: number): void {
  let file: number;
  try {
    file = openSync(path, "wx", mode);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") throw badInput(`${path} is there already, and a key is never written over another`, error);
    throw new CliError(`${path} can't be written: ${error instanceof Error ? error.message : String(error)}`, { code: "write_failed", exit: EXIT.failed, cause: error });
  }
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
