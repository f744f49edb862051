/**
 * How a machine becomes one of the fleet, stays one, and ceases to be one.
 *
 * Always holds: the use of a token, the machine's record and its credentials are one transaction; asked again with the same keys, it answers the same, so an answer
 * that was lost on the way costs nothing; names in certificates come from the record, never from the request.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { machineUri } from "@muster/proto/identity.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Database } from "better-sqlite3";
import { migrate } from "../journal/own-tables.ts";
import type { CertifiedMachine } from "../grpc/caller.ts";
import type { Authorities } from "./authorities.ts";
import { provenKey, type ProvenKey } from "./authority.ts";
import { JoinTokens, type TokenFault } from "./join-tokens.ts";
import { type Issued, type Member, Members, type NewMember } from "./members.ts";
import { IDENTITY_TABLES } from "./tables.ts";
import { Turns } from "./turns.ts";

/** Public halves, as the machine sent them. */
export interface MachineKeys {
  readonly certificateRequest: Uint8Array;
  readonly natsKey: string;
  readonly sealingKey: Uint8Array;
}

export interface Asked {
  readonly tokenId: string;
  readonly secret: string;
  readonly machine: MachineId;
  readonly keys: MachineKeys;
  readonly labels: Labels;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  readonly address: string;
}

export type JoinOutcome =
  | { readonly kind: "joined"; readonly member: Member; readonly issued: Issued; readonly isNew: boolean }
  | { readonly kind: "waits"; readonly member: Member; readonly isNew: boolean }
  | { readonly kind: "bad_token"; readonly fault: TokenFault }
  | { readonly kind: "bad_keys" }
  /** Another machine has the id, or the machine was revoked. */
  | { readonly kind: "taken"; readonly member: Member };

export type RenewOutcome = { readonly kind: "renewed"; readonly member: Member; readonly issued: Issued } | { readonly kind: "bad_keys" } | { readonly kind: "not_a_member" };

/** What a machine's certificate is worth now. */
export type Standing =
  | { readonly kind: "member"; readonly member: Member }
  /** It may renew, and nothing else. */
  | { readonly kind: "expired"; readonly member: Member }
  | { readonly kind: "refused"; readonly why: string };

export interface MembershipOptions {
  readonly db: Database;
  readonly authorities: Authorities;
  /** A NATS user JWT for the machine. */
  readonly natsJwt: (machine: MachineId, natsKey: string, expiresAt: number) => string;
  readonly credentialTtlMs: number;
  /** After a certificate's end, for so long it may still be renewed. */
  readonly renewalGraceMs: number;
  readonly now: () => number;
}

/** Of the life of credentials: whoever has less of it left is asked to renew them. */
const HURRY_SHARE = 0.25;
const SEALING_KEY_BYTES = 32;
/** An nkey of a user. */
const NATS_KEY = /^U[A-Z2-7]{55}$/;

export class Membership {
  readonly tokens: JoinTokens;
  readonly members: Members;
  readonly #options: MembershipOptions;

  /** Joining and renewing come in crowds, and each holds the loop for milliseconds several times. */
  readonly #turns = new Turns();

  constructor(options: MembershipOptions) {
    this.#options = options;
    migrate(options.db, "identity", IDENTITY_TABLES);
    this.tokens = new JoinTokens(options.db);
    this.members = new Members(options.db);
  }

  async join(asked: Asked): Promise<JoinOutcome> {
    const { now } = this.#options;
    const checked = this.tokens.check(asked.tokenId, asked.secret, now());
    // A token that has been used up still answers whoever used it, who may have lost the answer.
    if (!checked.ok) return { kind: "bad_token", fault: checked.fault };
    await this.#turns.next();
    const key = await this.#proven(asked.keys);
    if (key === undefined) return { kind: "bad_keys" };
    await this.#turns.next();
    const wanted: NewMember = {
      machine: asked.machine,
      state: checked.token.approve ? "pending" : "member",
      token: asked.tokenId,
      fingerprint: key.fingerprint,
      labels: { ...asked.labels, ...checked.token.labels },
      hostname: asked.hostname,
      os: asked.os,
      arch: asked.arch,
      address: asked.address,
      askedAt: now(),
    };
    const known = this.members.find(asked.machine);
    if (known !== undefined && known.token === wanted.token && known.fingerprint === wanted.fingerprint) return this.#joinAgain(known, asked.keys, key);
    if (known !== undefined && !this.#hasLapsed(known)) return { kind: "taken", member: known };
    if (checked.token.used >= checked.token.uses) return { kind: "bad_token", fault: "used_up" };
    return this.#joinAnew(wanted, asked.keys, key);
  }

  /** The same machine with the same keys: its answer was lost, or it asks whether it has been approved. */
  async #joinAgain(known: Member, keys: MachineKeys, key: ProvenKey): Promise<JoinOutcome> {
    if (known.state === "pending") return { kind: "waits", member: known, isNew: false };
    if (known.state === "revoked") return { kind: "taken", member: known };
    const before = this.members.issued(known.membership, key.fingerprint);
    if (before !== undefined) return { kind: "joined", member: known, issued: before, isNew: false };
    const issued = await this.#issue(known, keys, key);
    return this.#transaction(() => {
      const current = this.members.find(known.machine);
      if (current?.membership !== known.membership || current.state !== "member") return { kind: "taken", member: current ?? known };
      this.members.keep(known.membership, issued, this.#options.now());
      return { kind: "joined", member: known, issued, isNew: true };
    });
  }

  async #joinAnew(wanted: NewMember, keys: MachineKeys, key: ProvenKey): Promise<JoinOutcome> {
    const { now } = this.#options;
    // The certificate names the membership, and making it takes a moment: the number is taken first, and everything that counts is written at once afterwards.
    const membership = this.members.reserve();
    const issued = wanted.state === "member" ? await this.#issue({ machine: wanted.machine, membership }, keys, key) : undefined;
    return this.#transaction(() => {
      const other = this.members.find(wanted.machine);
      if (other !== undefined && !this.#hasLapsed(other)) return { kind: "taken", member: other };
      if (!this.tokens.use(wanted.token)) return { kind: "bad_token", fault: "used_up" };
      this.members.remove(wanted.machine);
      this.members.add(membership, wanted, now());
      if (issued !== undefined) this.members.keep(membership, issued, now());
      const member = this.members.find(wanted.machine)!;
      return issued === undefined ? { kind: "waits", member, isNew: true } : { kind: "joined", member, issued, isNew: true };
    });
  }

  /** For a machine whose standing is `member` or `expired`. */
  async renew(machine: MachineId, membership: number, keys: MachineKeys): Promise<RenewOutcome> {
    await this.#turns.next();
    const key = await this.#proven(keys);
    if (key === undefined) return { kind: "bad_keys" };
    await this.#turns.next();
    const before = this.members.issued(membership, key.fingerprint);
    const issued = before ?? (await this.#issue({ machine, membership }, keys, key));
    return this.#transaction(() => {
      const current = this.members.find(machine);
      if (current?.membership !== membership || current.state !== "member") return { kind: "not_a_member" };
      if (before === undefined) this.members.keep(membership, issued, this.#options.now());
      return { kind: "renewed", member: current, issued };
    });
  }

  /** What a certificate is worth now, whose signature has been checked. */
  judge(certified: CertifiedMachine): Standing {
    const { now, renewalGraceMs } = this.#options;
    const member = this.members.find(certified.machine);
    if (member === undefined) return { kind: "refused", why: `${certified.machine} is not a member of this fleet any more` };
    if (member.membership !== certified.membership) return { kind: "refused", why: `${certified.machine} has joined anew since, with other keys` };
    if (member.state === "revoked") return { kind: "refused", why: `${certified.machine} has been revoked` };
    if (member.state === "pending") return { kind: "refused", why: `${certified.machine} waits for approval` };
    if (certified.expiresAt > now()) return { kind: "member", member };
    if (certified.expiresAt + renewalGraceMs > now()) return { kind: "expired", member };
    return { kind: "refused", why: `the certificate of ${certified.machine} has been expired for too long` };
  }

  /** It should soon: its credentials were not signed by the newest authority, or have little time left by the controller's clock. By its own the machine would have done so at half of their life. */
  shouldRenew({ authority, expiresAt }: Pick<CertifiedMachine, "authority" | "expiresAt">): boolean {
    const { authorities, credentialTtlMs, now } = this.#options;
    return authority !== authorities.newest.pin || expiresAt - now() < credentialTtlMs * HURRY_SHARE;
  }

  /** As whom it may still listen on NATS. */
  natsUsers({ membership }: Member): readonly { readonly publicKey: string; readonly expiresAt: number }[] {
    return this.members.allIssued(membership).map(({ natsKey, expiresAt }) => ({ publicKey: natsKey, expiresAt }));
  }

  /** Nobody could come back with what its last credentials were: the id may be joined anew. */
  #hasLapsed({ state, expiresAt }: Member): boolean {
    return state === "member" && expiresAt !== undefined && expiresAt + this.#options.renewalGraceMs <= this.#options.now();
  }

  async #proven(keys: MachineKeys): Promise<ProvenKey | undefined> {
    if (!NATS_KEY.test(keys.natsKey) || keys.sealingKey.byteLength !== SEALING_KEY_BYTES) return undefined;
    return provenKey(keys.certificateRequest);
  }

  async #issue(name: { readonly machine: MachineId; readonly membership: number }, keys: MachineKeys, key: ProvenKey): Promise<Issued> {
    const { authorities, natsJwt, credentialTtlMs, now } = this.#options;
    const issuedAt = now();
    const expiresAt = issuedAt + credentialTtlMs;
    const authority = authorities.newest;
    const certificate = await authority.issueClient(key, machineUri(name), { issuedAt, expiresAt });
    await this.#turns.next();
    return {
      fingerprint: key.fingerprint,
      natsKey: keys.natsKey,
      sealingKey: keys.sealingKey,
      authority: authority.pin,
      certificate,
      natsJwt: natsJwt(name.machine, keys.natsKey, expiresAt),
      issuedAt,
      expiresAt,
    };
  }

  #transaction<T>(work: () => T): T {
    return this.#options.db.transaction(work).immediate();
  }
}
