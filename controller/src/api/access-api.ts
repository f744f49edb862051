/**
 * AccessService: users, who the caller is, and the audit log.
 */
import { status } from "@grpc/grpc-js";
import {
  type AccessServiceServer,
  AuditResult,
  type AuditEntry as AuditEntryMessage,
  type CreateUserRequest,
  type CreateUserResponse,
  Role as RoleMessage,
  type User as UserMessage,
} from "@muster/proto/gen/muster/v1/access.ts";
import type { Logger } from "pino";
import { type Binding, checkBinding } from "../access/binding.ts";
import type { OidcOptions } from "../access/oidc.ts";
import { isUserName, type NewUser, type User, USER_NAME_RULE, type Users, USERS_MAX } from "../access/users.ts";
import type { Audit, AuditEntry } from "../audit/audit.ts";
import { remark } from "../audit/subject.ts";
import { CallError, invalid, missing, unary } from "../grpc/answer.ts";
import type { Caller, Role } from "../grpc/caller.ts";
import { serve, until } from "../grpc/stream.ts";
import { turn } from "../journal/slices.ts";
import { byOf } from "./order.ts";

/** What this needs of the certificate authority. */
export interface OperatorAuthority {
  /** The one that signs; the pin is the sha256 of its certificate, hex. */
  readonly newest: { readonly pin: string };
  /** DER, oldest first. */
  readonly bundle: readonly Uint8Array[];
  /**
   * A client certificate, DER, for the key of a PKCS#10 request, with `operatorUri(operator)` as its one subject alternative name, whatever the request asks for.
   * Refused with a message when the request can't be taken.
   */
  issueOperator(
    request: Uint8Array,
    operator: { readonly name: string; readonly number: number },
    expiresAt: number,
  ): Promise<{ readonly ok: true; readonly certificate: Uint8Array } | { readonly ok: false; readonly message: string }>;
}

export interface AccessApiOptions {
  readonly users: Users;
  readonly audit: Audit;
  readonly authority: OperatorAuthority;
  readonly oidc: OidcOptions | undefined;
  /** `host:port` that is listened on. */
  readonly address: () => string;
  /** Ends what a user has open; called when their credentials count no more, or other things are allowed to them. */
  readonly endCalls: (name: string) => void;
  readonly now: () => number;
  readonly logger: Logger;
}

const TTL_MS_MIN = 60_000;
const TTL_MS_MAX = 366 * 24 * 60 * 60_000;
const AUDIT_DEFAULT = 100;
const AUDIT_MAX = 10_000;
const AUDIT_PAGE = 500;

const ROLE_OF: Readonly<Record<RoleMessage, Role | undefined>> = {
  [RoleMessage.UNSPECIFIED]: undefined,
  [RoleMessage.VIEWER]: "viewer",
  [RoleMessage.DEPLOYER]: "deployer",
  [RoleMessage.ADMIN]: "admin",
};
const ROLE_MESSAGE: Readonly<Record<Role, RoleMessage>> = { viewer: RoleMessage.VIEWER, deployer: RoleMessage.DEPLOYER, admin: RoleMessage.ADMIN };
const RESULT_MESSAGE: Readonly<Record<AuditEntry["result"], AuditResult>> = { ok: AuditResult.OK, refused: AuditResult.REFUSED, failed: AuditResult.FAILED };

export function accessApi({ users, audit, authority, oidc, address, endCalls, now, logger }: AccessApiOptions): AccessServiceServer {
  return {
    whoAmI: unary(logger, (_request, caller) => ({ ...callerView(caller), authorities: authority.bundle.map((der) => Buffer.from(der)) })),

    getLoginMethods: unary(logger, () => {
      if (oidc === undefined) return { oidc: undefined };
      const { issuer, clientId, scopes, audience } = oidc;
      return { oidc: { issuer, clientId, scopes, wantsAccessToken: audience !== clientId } };
    }),

    createUser: unary(logger, async (request, caller, call) => {
      remark(call, { name: request.name, role: ROLE_OF[request.role] ?? "", apps: request.apps, targets: request.targets });
      const wanted = newUserOf(request, caller);
      const credential = request.certificateRequest.length === 0 ? withToken(wanted) : await withCertificate(wanted, request.certificateRequest);
      return { ...credential, pin: authority.newest.pin, address: address() };
    }),

    listUsers: unary(logger, () => ({ users: users.list().map(userView) })),

    setUser: unary(logger, ({ name, role, apps, targets, disabled }, _caller, call) => {
      remark(call, { name, role: ROLE_OF[role] ?? "", apps: apps ?? "", targets: targets ?? "", disabled: String(disabled ?? "") });
      const before = users.get(name) ?? noUser(name);
      const binding = boundTo({ apps: apps ?? before.apps, targets: targets ?? before.targets });
      const user = users.change(name, { role: ROLE_OF[role] ?? before.role, ...binding, disabled: disabled ?? before.disabled }) ?? noUser(name);
      endCalls(name);
      return { user: userView(user) };
    }),

    removeUser: unary(logger, ({ name }) => {
      if (!users.remove(name)) noUser(name);
      endCalls(name);
      return {};
    }),

    readAudit: (call) =>
      serve(call, logger, async (write, signal) => {
        const { since, who, refused, limit, follow } = call.request;
        const query = { since, who, refused };
        let hasMore = false;
        let wake = (): void => undefined;
        const unsubscribe = audit.onWritten(() => {
          hasMore = true;
          wake();
        });
        try {
          let left = limit === 0 ? AUDIT_DEFAULT : Math.min(limit, AUDIT_MAX);
          const first = audit.firstOf({ ...query, limit: left });
          let after = first === undefined ? (audit.read({ since: 0, who: "", refused: false, limit: 1 }).at(-1)?.seq ?? 0) : first - 1;
          while (first !== undefined && left > 0 && !signal.aborted) {
            const page = audit.read({ ...query, limit: Math.min(left, AUDIT_PAGE), after });
            if (page.length === 0) break;
            await write({ entries: page.map(auditView) });
            left -= page.length;
            after = page.at(-1)!.seq;
            await turn();
          }
          while (follow && !signal.aborted) {
            hasMore = false;
            const page = audit.read({ ...query, limit: AUDIT_PAGE, after });
            if (page.length > 0) await write({ entries: page.map(auditView) });
            after = page.at(-1)?.seq ?? after;
            if (page.length > 0 || hasMore) continue;
            await until(signal, (done) => {
              wake = done;
              return () => (wake = () => undefined);
            });
          }
        } finally {
          unsubscribe();
        }
      }),
  };

  function newUserOf(request: CreateUserRequest, caller: Caller): NewUser {
    const { name, ttlMs } = request;
    if (!isUserName(name)) throw invalid(`"${name.slice(0, 80)}" is not the name of a user: ${USER_NAME_RULE}`);
    const role = ROLE_OF[request.role];
    if (role === undefined) throw invalid("a user needs a role: viewer, deployer or admin");
    if (ttlMs < TTL_MS_MIN || ttlMs > TTL_MS_MAX) throw invalid("a credential holds from a minute to a year");
    return { name, role, ...boundTo(request), createdBy: byOf(request, caller), expiresAt: now() + ttlMs };
  }

  function withToken(wanted: NewUser): Pick<CreateUserResponse, "user" | "token" | "certificate"> {
    const { user, token } = users.createWithToken(wanted) ?? taken(wanted);
    return { user: userView(user), token, certificate: Buffer.alloc(0) };
  }

  async function withCertificate(wanted: NewUser, request: Uint8Array): Promise<Pick<CreateUserResponse, "user" | "token" | "certificate">> {
    const user = users.createForCertificate(wanted) ?? taken(wanted);
    try {
      const issued = await authority.issueOperator(request, user, user.expiresAt);
      if (!issued.ok) throw invalid(`the certificate request can't be taken: ${issued.message}`);
      return { user: userView(user), token: "", certificate: Buffer.from(issued.certificate) };
    } catch (error) {
      users.remove(user.name);
      throw error;
    }
  }

  function taken({ name }: NewUser): never {
    if (users.get(name) === undefined) throw new CallError(status.RESOURCE_EXHAUSTED, `there are ${USERS_MAX} users; remove some first`);
    throw new CallError(status.ALREADY_EXISTS, `there is a user ${name} already; for another credential: muster user remove ${name}, and create it again`);
  }
}

function noUser(name: string): never {
  throw missing(`there is no user ${name.slice(0, 80)}`);
}

function boundTo(binding: Binding): Binding {
  const checked = checkBinding(binding);
  if (!checked.ok) throw invalid(checked.message);
  return checked.binding;
}

function callerView(caller: Caller): { name: string; local: boolean; role: RoleMessage; apps: string; targets: string; expiresAt: number } {
  switch (caller.kind) {
    case "operator": {
      const { name, role, apps, targets, expiresAt } = caller;
      return { name, local: false, role: ROLE_MESSAGE[role], apps, targets, expiresAt };
    }
    case "local":
      return { name: caller.name, local: true, role: RoleMessage.ADMIN, apps: "", targets: "", expiresAt: 0 };
    case "machine":
    case "anonymous":
      throw new Error("only operators may ask who they are");
  }
}

function userView({ name, role, apps, targets, credential, disabled, createdAt, createdBy, expiresAt, lastUsedAt }: User): UserMessage {
  return { name, role: ROLE_MESSAGE[role], apps, targets, certificate: credential === "certificate", disabled, createdAt, createdBy, expiresAt, lastUsedAt };
}

function auditView(entry: AuditEntry): AuditEntryMessage {
  return { ...entry, result: RESULT_MESSAGE[entry.result] };
}
