/**
 * Whom nats-server believes: holds the keys of the operator and of the three accounts, says by them what each machine may hear, and who is revoked.
 *
 * Never talks to nats-server; who does is told by `onChange`. Always holds: what is revoked is on disk before `revoke` returns, and a later JWT of an
 * account is newer than all before it, in whole seconds, so that no server keeps an older one for it, whatever the clock does.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { parsePublicNkey } from "@muster/proto/nkey.ts";
import { z } from "zod";
import { agentsAccount, controlAccount, controlUser, machineUser, systemAccount, systemUser } from "./accounts.ts";
import { NatsAuthorityError } from "./authority-error.ts";
import { type AuthorityKeys, openKeys, readPrivate, writePrivate } from "./authority-files.ts";
import { type AccountClaims, type UserClaims, signJwt } from "./jwt.ts";
import { type Nkey, newNkey } from "./nkey.ts";
import { type Revocations, prune, revoke } from "./revocations.ts";

export interface NatsUser {
  /** `U…`. */
  readonly publicKey: string;
  /** Of its last JWT, milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What nats-server asks of somebody who connects: answers its nonce. For nats.js. */
export type Answer = (nonce?: string) => { readonly jwt: string; readonly nkey: string; readonly sig: string };

export interface Account {
  readonly name: "SYSTEM" | "CONTROL" | "AGENTS";
  readonly publicKey: string;
  readonly jwt: string;
}

export interface NatsAuthorityOptions {
  /** Its own; made when it is not there. Its parent must be. */
  readonly dir: string;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

const REVOCATIONS_FILE = "revocations.json";
const seconds = z.int().nonnegative();
const Kept = z.strictObject({ issuedAtS: seconds, users: z.record(z.string(), z.strictObject({ untilS: seconds, endsAtS: seconds })) });

/** Throws NatsAuthorityError. */
export function openNatsAuthority({ dir, now }: NatsAuthorityOptions): NatsAuthority {
  const keys = openKeys(dir);
  const { issuedAtS, users } = readKept(dir);
  return new NatsAuthority(dir, keys, now, users, issuedAtS);
}

export class NatsAuthority {
  readonly #dir: string;
  readonly #keys: AuthorityKeys;
  readonly #now: () => number;
  /** Made anew at each start and never written down: whoever has the accounts' seeds can make one of their own. */
  readonly #own = newNkey("user");
  readonly #listeners: (() => void)[] = [];
  #revocations: Revocations;
  #issuedAtS: number;

  constructor(dir: string, keys: AuthorityKeys, now: () => number, revocations: Revocations, issuedAtS: number) {
    this.#dir = dir;
    this.#keys = keys;
    this.#now = now;
    this.#revocations = revocations;
    this.#issuedAtS = Math.max(issuedAtS, this.#nowS());
  }

  get operatorJwt(): string {
    const { operator, system } = this.#keys;
    return this.#sign("muster", operator, operator.publicKey, { type: "operator", version: 2, system_account: system.publicKey });
  }

  /** As they are now. */
  get accounts(): readonly Account[] {
    const { system, control, agents } = this.#keys;
    const revocations = Object.fromEntries(Object.entries(prune(this.#revocations, this.#nowS())).map(([user, { untilS }]) => [user, untilS]));
    return [
      this.#account("SYSTEM", system, systemAccount()),
      this.#account("CONTROL", control, controlAccount()),
      this.#account("AGENTS", agents, agentsAccount(control.publicKey, revocations)),
    ];
  }

  get systemAccount(): string {
    return this.#keys.system.publicKey;
  }

  /** Allows whoever has the key to subscribe to the machine's own subjects until then, and nothing else. The key must be a user's (`parsePublicNkey`). */
  machineJwt({ machine, publicKey, expiresAt }: NatsUser & { readonly machine: MachineId }): string {
    if (parsePublicNkey("user", publicKey) === undefined) throw new Error(`a key that is not a user's came to be signed for ${machine}`);
    return signJwt({ name: machine, subject: publicKey, issuer: this.#keys.agents, issuedAtS: this.#nowS(), expiresAtS: toSeconds(expiresAt), nats: machineUser(machine) });
  }

  /** For the controller's own connections: to tell machines, and to tell nats-server. */
  answerAs(account: "CONTROL" | "SYSTEM"): Answer {
    const [issuer, claims]: [Nkey, UserClaims] = account === "CONTROL" ? [this.#keys.control, controlUser()] : [this.#keys.system, systemUser()];
    const jwt = this.#sign("controller", issuer, this.#own.publicKey, claims);
    return (nonce = "") => ({ jwt, nkey: this.#own.publicKey, sig: Buffer.from(this.#own.sign(Buffer.from(nonce))).toString("base64url") });
  }

  /**
   * Cuts the users and refuses them from now on; give all keys of a machine whose JWTs may not have ended. Done again it changes nothing.
   * Throws NatsAuthorityError when it can't be written, and then nothing has changed.
   */
  revoke(users: readonly NatsUser[]): void {
    const nowS = this.#nowS();
    const revocations = revoke(this.#revocations, users.map(({ publicKey, expiresAt }) => ({ publicKey, endsAtS: toSeconds(expiresAt) })), nowS);
    const issuedAtS = Math.max(this.#issuedAtS + 1, nowS);
    writePrivate(this.#dir, REVOCATIONS_FILE, `${JSON.stringify({ issuedAtS, users: revocations } satisfies z.input<typeof Kept>)}\n`);
    this.#revocations = revocations;
    this.#issuedAtS = issuedAtS;
    for (const listener of this.#listeners) listener();
  }

  /** Calls back after each revocation. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #account(name: Account["name"], { publicKey }: Nkey, claims: AccountClaims): Account {
    return { name, publicKey, jwt: this.#sign(name, this.#keys.operator, publicKey, claims) };
  }

  #sign(name: string, issuer: Nkey, subject: string, nats: Parameters<typeof signJwt>[0]["nats"]): string {
    return signJwt({ name, subject, issuer, issuedAtS: this.#issuedAtS, nats });
  }

  #nowS(): number {
    return toSeconds(this.#now());
  }
}

function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function readKept(dir: string): z.output<typeof Kept> {
  const text = readPrivate(dir, REVOCATIONS_FILE);
  if (text === undefined) return { issuedAtS: 0, users: {} };
  try {
    return Kept.parse(JSON.parse(text));
  } catch (cause) {
    throw new NatsAuthorityError("damaged", `${dir}/${REVOCATIONS_FILE} can't be understood; put it back from a backup, or machines that were revoked come in again until their JWTs end`, { cause });
  }
}
