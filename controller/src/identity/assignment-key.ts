/**
 * The Ed25519 keys that assignments and requests are signed with, and how one follows another.
 *
 *     rotate:   next, announced ──60 s──▶ signs ──rotate, 60 s──▶ former, announced ──until nothing that it signed is good any more──▶ forgotten
 *
 * Always holds: a key is announced before it is used, and for as long as an envelope signed with it may be on its way; what is on disk is enough to go on from,
 * whenever the controller dies.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { identityDir, movePrivate, PrivateFileError, readPrivate, writePrivate } from "./private-file.ts";

/** Connected agents hear of it at once, others with their next welcome. */
const ANNOUNCED_BEFORE_USE_MS = 60_000;
/** No envelope is good for longer. */
export const ENVELOPE_LIFETIME_MS = 24 * 60 * 60 * 1000;

export interface SigningKey {
  readonly keyid: string;
  readonly privateKey: KeyObject;
  /** Raw, 32 bytes. */
  readonly publicKey: Buffer;
}

export type AnnouncedKey = Omit<SigningKey, "privateKey">;

interface Former {
  readonly publicKey: string;
  readonly announcedUntil: number;
}

/** Beside the private keys. */
interface Ring {
  readonly controllerId: string;
  readonly nextSignsFrom: number;
  readonly former: readonly Former[];
}

export class AssignmentKeys {
  readonly #dir: string;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();
  #signing: SigningKey;
  #next: SigningKey | undefined;
  #ring: Ring;

  /** Makes the first key when there is none. Throws PrivateFileError. */
  static open(dir: string, now: () => number): AssignmentKeys {
    return new AssignmentKeys(identityDir(dir), now);
  }

  private constructor(dir: string, now: () => number) {
    this.#dir = dir;
    this.#now = now;
    const ring = readPrivate(this.#ringFile);
    this.#signing = readKey(this.#signingFile) ?? this.#first(ring);
    this.#next = readKey(this.#nextFile);
    if (ring === undefined) this.#write({ controllerId: this.#signing.keyid, nextSignsFrom: 0, former: [] });
    this.#ring = JSON.parse(ring ?? readPrivate(this.#ringFile)!) as Ring;
  }

  /** For the controller's whole life, whatever its keys. */
  get controllerId(): string {
    return this.#ring.controllerId;
  }

  /** The one that signs now. */
  signing(): SigningKey {
    if (this.#next !== undefined && this.#now() >= this.#ring.nextSignsFrom) this.#promote(this.#next);
    return this.#signing;
  }

  /** All that agents are to believe now. */
  announced(): readonly AnnouncedKey[] {
    const now = this.#now();
    const former = this.#ring.former.filter(({ announcedUntil }) => now < announcedUntil).map(({ publicKey }) => announcedOf(Buffer.from(publicKey, "hex")));
    const keys = [this.signing(), ...(this.#next === undefined ? [] : [this.#next]), ...former];
    return [...new Map(keys.map(({ keyid, publicKey }) => [keyid, { keyid, publicKey }])).values()];
  }

  /** Announces a new key, which signs a minute later. With one under way already, that goes on. */
  rotate(): void {
    if (this.#next !== undefined) return;
    const pem = newPem();
    this.#write({ ...this.#ring, nextSignsFrom: this.#now() + ANNOUNCED_BEFORE_USE_MS });
    writePrivate(this.#nextFile, pem);
    this.#next = keyOf(pem, this.#nextFile);
    for (const listener of this.#listeners) listener();
  }

  /** Called whenever there is one more to announce. */
  onAnnounce(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** First the record, then the step: after a death in between, the key that still signs is announced twice over, and no harm is done. */
  #promote(next: SigningKey): void {
    const now = this.#now();
    const former = [...this.#ring.former.filter(({ announcedUntil }) => now < announcedUntil), { publicKey: this.#signing.publicKey.toString("hex"), announcedUntil: now + ENVELOPE_LIFETIME_MS }];
    this.#write({ ...this.#ring, former });
    movePrivate(this.#nextFile, this.#signingFile);
    this.#signing = next;
    this.#next = undefined;
  }

  #first(ring: string | undefined): SigningKey {
    if (ring !== undefined) throw new PrivateFileError("unreadable", `${this.#signingFile} is gone, and agents believe no other key: restore it from a backup`);
    const pem = newPem();
    writePrivate(this.#signingFile, pem);
    return keyOf(pem, this.#signingFile);
  }

  #write(ring: Ring): void {
    writePrivate(this.#ringFile, `${JSON.stringify(ring, undefined, 2)}\n`);
    this.#ring = ring;
  }

  get #signingFile(): string {
    return join(this.#dir, "assignment-signing.key");
  }

  get #nextFile(): string {
    return join(this.#dir, "assignment-signing.next.key");
  }

  get #ringFile(): string {
    return join(this.#dir, "assignment-keys.json");
  }
}

function newPem(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }) as string;
}

function readKey(path: string): SigningKey | undefined {
  const pem = readPrivate(path);
  return pem === undefined ? undefined : keyOf(pem, path);
}

function keyOf(pem: string, path: string): SigningKey {
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType !== "ed25519") throw new Error(`a key of type ${privateKey.asymmetricKeyType}`);
    return { privateKey, ...announcedOf(Buffer.from(createPublicKey(privateKey).export({ format: "jwk" }).x!, "base64url")) };
  } catch (error) {
    throw new PrivateFileError("unreadable", `${path} does not hold an Ed25519 key: restore it from a backup`, { cause: error });
  }
}

function announcedOf(publicKey: Buffer): AnnouncedKey {
  return { keyid: createHash("sha256").update(publicKey).digest("hex"), publicKey };
}
