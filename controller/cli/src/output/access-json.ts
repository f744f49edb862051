/**
 * Users, the caller and the audit log in `-o json`. Once released, a key keeps its name and its meaning.
 */
import { AuditResult, type AuditEntry, Role, type User, type WhoAmIResponse } from "@muster/proto/gen/muster/v1/access.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

export const ROLE_WORDS: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "unknown",
  [Role.VIEWER]: "viewer",
  [Role.DEPLOYER]: "deployer",
  [Role.ADMIN]: "admin",
};
export const RESULT_WORDS: Readonly<Record<AuditResult, string>> = {
  [AuditResult.UNSPECIFIED]: "unknown",
  [AuditResult.OK]: "ok",
  [AuditResult.REFUSED]: "refused",
  [AuditResult.FAILED]: "failed",
};

/** `user list`, `user set`, and within `user create` */
export function userJson(user: User): { readonly [key: string]: Json } {
  return {
    name: user.name,
    role: ROLE_WORDS[user.role],
    apps: textOrNull(user.apps),
    targets: textOrNull(user.targets),
    credential: user.certificate ? "certificate" : "token",
    disabled: user.disabled,
    created_at: isoOrNull(user.createdAt),
    created_by: textOrNull(user.createdBy),
    expires_at: isoOrNull(user.expiresAt),
    last_used_at: isoOrNull(user.lastUsedAt),
  };
}

/** `whoami` and `login` */
export function callerJson({ name, local, role, apps, targets, expiresAt }: WhoAmIResponse, address: string): Json {
  return { address, name, local, role: ROLE_WORDS[role], apps: textOrNull(apps), targets: textOrNull(targets), expires_at: isoOrNull(expiresAt) };
}

/** `audit` */
export function auditJson({ seq, at, who, kind, from, method, subject, result, message, count, lastAt }: AuditEntry): Json {
  return {
    seq,
    at: isoOrNull(at),
    who: textOrNull(who),
    kind,
    from,
    method,
    subject: textOrNull(subject),
    result: RESULT_WORDS[result],
    message: textOrNull(message),
    count,
    last_at: isoOrNull(lastAt),
  };
}
