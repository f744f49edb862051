/**
 * What each account and each user of NATS may do. Three accounts below one operator:
 *
 *     SYSTEM   the controller tells nats-server here which accounts there are, and who is revoked
 *     CONTROL  the controller publishes here
 *        │ one stream, one way
 *     AGENTS   every machine subscribes here, to its own two subjects; nobody publishes
 *
 * Always holds: whatever is not named is denied, and no account has JetStream. Agents may not publish at all, since nats-server does not check
 * the subject that a message asks to be answered at: whoever may publish anything can make somebody else's service publish elsewhere.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { MACHINE_SUBJECTS, assignmentSubject, requestSubject } from "@muster/proto/subjects.ts";
import type { AccountClaims, UserClaims } from "./jwt.ts";

/** nats-server answers here when an account is pushed. */
export const CLAIMS_UPDATE_SUBJECT = "$SYS.REQ.CLAIMS.UPDATE";
export const SYSTEM_INBOX_PREFIX = "_INBOX.muster";

const NOTHING = { deny: [">"] };
const NO_LIMIT = -1;
/**
 * Of a connection, in every account. A machine needs two, whoever asks nats-server one, the rest none; but nats-server cuts whoever stands at the limit
 * when it connects (with none), and whenever the account changes, as it does at each revocation.
 */
export const SUBSCRIPTIONS_MAX = 8;
/** A fleet as large as one nats-server carries (docs/benchmarks.md), each machine with the next connection beside the last. */
export const CONNECTIONS_MAX = 65_536;
/** The controller's own: the one in use, and those which a broken network has left behind. */
const OWN_CONNECTIONS_MAX = 64;

interface Bounds {
  readonly conn: number;
  readonly imports: number;
  readonly exports: number;
  readonly payload: number;
}

function account({ conn, imports, exports, payload }: Bounds, more: Partial<AccountClaims> = {}): AccountClaims {
  return {
    type: "account",
    version: 2,
    limits: { subs: SUBSCRIPTIONS_MAX, data: NO_LIMIT, payload, imports, exports, wildcards: true, conn, leaf: 0, mem_storage: 0, disk_storage: 0 },
    default_permissions: { pub: NOTHING, sub: NOTHING },
    ...more,
  };
}

export function systemAccount(): AccountClaims {
  return account({ conn: OWN_CONNECTIONS_MAX, imports: 0, exports: 0, payload: NO_LIMIT });
}

export function controlAccount(): AccountClaims {
  return account({ conn: OWN_CONNECTIONS_MAX, imports: 0, exports: 1, payload: NO_LIMIT }, { exports: [{ name: "machines", subject: MACHINE_SUBJECTS, type: "stream" }] });
}

export function agentsAccount(control: string, revocations: Readonly<Record<string, number>>): AccountClaims {
  return account(
    { conn: CONNECTIONS_MAX, imports: 1, exports: 0, payload: 0 },
    { imports: [{ name: "machines", subject: MACHINE_SUBJECTS, account: control, type: "stream" }], revocations },
  );
}

interface Allowed {
  readonly publish?: string;
  readonly subscribe?: readonly string[];
}

function user({ publish, subscribe }: Allowed): UserClaims {
  return {
    type: "user",
    version: 2,
    pub: publish === undefined ? NOTHING : { allow: [publish] },
    sub: subscribe === undefined ? NOTHING : { allow: subscribe },
    subs: SUBSCRIPTIONS_MAX,
    data: NO_LIMIT,
    payload: publish === undefined ? 0 : NO_LIMIT,
    allowed_connection_types: ["STANDARD"],
  };
}

export function machineUser(machine: MachineId): UserClaims {
  return user({ subscribe: [assignmentSubject(machine), requestSubject(machine)] });
}

export function controlUser(): UserClaims {
  return user({ publish: MACHINE_SUBJECTS });
}

export function systemUser(): UserClaims {
  return user({ publish: CLAIMS_UPDATE_SUBJECT, subscribe: [`${SYSTEM_INBOX_PREFIX}.>`] });
}
