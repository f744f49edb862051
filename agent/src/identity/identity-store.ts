/**
 * Who this machine is, on disk: `<dir>/identity/identity.json`, for the agent's own user alone, replaced whole.
 *
 *     none ─ asks ─▶ joining ─ got credentials ─▶ current ─ renews ─▶ current + next ─ the next has worked ─▶ current (+ previous)
 *
 * Always holds: keys are on disk before their public halves are sent anywhere, so an answer that was lost on the way belongs to keys that are still there; the
 * credentials that work are replaced only by such as have worked.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readRecord, writeRecord } from "../runner/record.ts";
import type { PrivateKeys } from "./keys.ts";

/** What the controller gave for one set of keys. */
export interface Credentials {
  readonly keys: PrivateKeys;
  /** PEM. */
  readonly certificate: string;
  /** PEM, oldest first: who may have signed the controller's certificates. */
  readonly authorities: readonly string[];
  readonly natsJwt: string;
  /** Milliseconds since 1970, by the controller's clock. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface Identity {
  readonly machine: string;
  /** `host:port`. */
  readonly controller: string;
  readonly current: Credentials;
  /** Renewed, and not tried yet; without credentials while the answer is waited for. */
  readonly next?: { readonly keys: PrivateKeys; readonly credentials?: Credentials };
  /** Of the credentials before the current ones: what was sealed to them may still arrive. */
  readonly previousSealingKey?: string;
}

/** A joining that has begun: asked again, it is asked with the same keys. */
export interface Joining {
  readonly controller: string;
  readonly tokenId: string;
  readonly machine: string;
  readonly keys: PrivateKeys;
}

export type Loaded =
  | { readonly kind: "identity"; readonly identity: Identity }
  | { readonly kind: "none" }
  | { readonly kind: "damaged"; readonly path: string }
  /** Others can read it. */
  | { readonly kind: "exposed"; readonly path: string };

const IDENTITY = "muster-identity-1";
const JOINING = "muster-joining-1";
const OTHERS = 0o077;

export class IdentityStore {
  readonly #dir: string;

  /** `dir`: the agent's own. */
  constructor(dir: string) {
    this.#dir = join(dir, "identity");
  }

  load(): Loaded {
    for (const path of [this.#dir, this.#path("identity")]) if (isExposed(path)) return { kind: "exposed", path };
    const found = readRecord(this.#path("identity"), IDENTITY);
    switch (found.kind) {
      case "found":
        return { kind: "identity", identity: found.value as Identity };
      case "absent":
        return { kind: "none" };
      case "corrupt":
        return { kind: "damaged", path: this.#path("identity") };
    }
  }

  save(identity: Identity): void {
    this.#makeDir();
    writeRecord(this.#path("identity"), IDENTITY, identity);
    rmSync(this.#path("joining"), { force: true });
  }

  /** That of an earlier attempt with the same token for the same machine. */
  joining(wanted: Omit<Joining, "keys">): Joining | undefined {
    const found = readRecord(this.#path("joining"), JOINING);
    if (found.kind !== "found") return undefined;
    const before = found.value as Joining;
    return before.tokenId === wanted.tokenId && before.machine === wanted.machine && before.controller === wanted.controller ? before : undefined;
  }

  saveJoining(joining: Joining): void {
    this.#makeDir();
    writeRecord(this.#path("joining"), JOINING, joining);
  }

  #makeDir(): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    chmodSync(this.#dir, 0o700);
  }

  #path(name: "identity" | "joining"): string {
    return join(this.#dir, `${name}.json`);
  }
}

function isExposed(path: string): boolean {
  try {
    return (lstatSync(path).mode & OTHERS) !== 0;
  } catch {
    return false; // not there yet
  }
}
