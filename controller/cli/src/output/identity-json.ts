/**
 * Tokens, members and authorities in `-o json`. Once released, a key keeps its name and its meaning.
 */
import { type Authority, type JoinToken, type Member, MemberState } from "@muster/proto/gen/muster/v1/identity.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

/** `token create` (with `token` and `address` beside it) and `token list` */
export function tokenJson({ id, uses, used, labels, approve, createdAt, expiresAt, revokedAt, createdBy }: JoinToken): Readonly<Record<string, Json>> {
  return {
    id,
    uses,
    used,
    labels,
    approve,
    created_at: isoOrNull(createdAt),
    expires_at: isoOrNull(expiresAt),
    revoked_at: isoOrNull(revokedAt),
    created_by: textOrNull(createdBy),
  };
}

const STATES: Readonly<Partial<Record<MemberState, string>>> = { [MemberState.PENDING]: "pending", [MemberState.MEMBER]: "member", [MemberState.REVOKED]: "revoked" };

/** `machines --pending` */
export function memberJson({ machine, state, labels, hostname, os, arch, askedAt, joinedAt, expiresAt, tokenId, address, fingerprint }: Member): Json {
  return {
    id: machine,
    state: STATES[state] ?? null,
    labels,
    hostname,
    os,
    arch,
    asked_at: isoOrNull(askedAt),
    joined_at: isoOrNull(joinedAt),
    expires_at: isoOrNull(expiresAt),
    token: tokenId,
    address,
    fingerprint,
  };
}

/** `ca show`, `ca rotate` and `ca retire` */
export function authorityJson({ pin, notBefore, notAfter, dependants, users }: Authority): Json {
  return { pin, not_before: isoOrNull(notBefore), not_after: isoOrNull(notAfter), dependants, users };
}
