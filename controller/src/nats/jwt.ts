/**
 * The JWTs of NATS (version 2): who signs says something about whom it is for. Signed by node:crypto, in some 30 µs; the library of NATS holds the
 * loop for 40 ms each, which a fleet that joins would feel.
 *
 * Format: github.com/nats-io/jwt. Fields that are zero are left out there, and mean "none allowed" in limits.
 */
import { createHash } from "node:crypto";
import { base32 } from "@muster/proto/nkey.ts";
import type { Nkey } from "./nkey.ts";

/** Which subjects; `deny` wins, and an `allow` that is there denies the rest. */
interface Permission {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** -1: no limit; 0: none. */
interface UserLimits {
  readonly subs: number;
  readonly data: number;
  /** Of a message that is published. */
  readonly payload: number;
}

interface AccountLimits extends UserLimits {
  readonly imports: number;
  readonly exports: number;
  readonly wildcards: boolean;
  /** Connections of clients, and of leaf nodes. */
  readonly conn: number;
  readonly leaf: number;
  /** Both 0: no JetStream. */
  readonly mem_storage: number;
  readonly disk_storage: number;
}

export interface OperatorClaims {
  readonly type: "operator";
  readonly version: 2;
  readonly system_account: string;
}

export interface AccountClaims {
  readonly type: "account";
  readonly version: 2;
  readonly limits: AccountLimits;
  /** For users with none of their own. */
  readonly default_permissions: { readonly pub: Permission; readonly sub: Permission };
  readonly exports?: readonly { readonly name: string; readonly subject: string; readonly type: "stream" }[];
  readonly imports?: readonly { readonly name: string; readonly subject: string; readonly account: string; readonly type: "stream" }[];
  /** User → seconds since 1970: its JWTs that were issued until then are worth nothing. */
  readonly revocations?: Readonly<Record<string, number>>;
}

export interface UserClaims extends UserLimits {
  readonly type: "user";
  readonly version: 2;
  readonly pub: Permission;
  readonly sub: Permission;
  readonly allowed_connection_types: readonly "STANDARD"[];
}

export interface Statement {
  readonly name: string;
  /** Public key of whom it is about. */
  readonly subject: string;
  readonly issuer: Nkey;
  /** Seconds since 1970. */
  readonly issuedAtS: number;
  /** Seconds since 1970; undefined: never. */
  readonly expiresAtS?: number;
  readonly nats: OperatorClaims | AccountClaims | UserClaims;
}

const HEADER = encode({ typ: "JWT", alg: "ed25519-nkey" });

export function signJwt({ name, subject, issuer, issuedAtS, expiresAtS, nats }: Statement): string {
  const claims = { iat: issuedAtS, iss: issuer.publicKey, name, sub: subject, ...(expiresAtS === undefined ? {} : { exp: expiresAtS }), nats };
  const jti = base32(createHash("sha256").update(JSON.stringify(claims)).digest());
  const signed = `${HEADER}.${encode({ jti, ...claims })}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
