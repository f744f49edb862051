/**
 * Everything that decides and remembers who may call, put together: users, the gate's admission, the audit log, and the end of what somebody has open.
 */
import type { Database } from "better-sqlite3";
import type { Logger } from "pino";
import { Audit } from "../audit/audit.ts";
import type { Admit, Witness } from "../grpc/gate.ts";
import { OpenCalls } from "../grpc/open-calls.ts";
import { type AdmissionOptions, createAdmission } from "./admission.ts";
import { Attempts } from "./attempts.ts";
import { auditCalls } from "./audit-calls.ts";
import { createOidc, type OidcOptions } from "./oidc.ts";
import { Users } from "./users.ts";

export interface AccessOptions {
  readonly db: Database;
  readonly oidc: OidcOptions | undefined;
  readonly machines: AdmissionOptions["machines"];
  readonly now: () => number;
  /** For the audit log. */
  readonly longAgo: (ageMs: number) => number;
  readonly logger: Logger;
}

export interface Access {
  readonly users: Users;
  readonly audit: Audit;
  /** For the gate. */
  readonly admit: Admit;
  readonly witness: Witness;
  /** Ends what a user has open, once the call is answered that this is asked in. */
  endCalls(name: string): void;
  /** Writes what waits. */
  close(): void;
}

/** A watch outlives its caller's credential by no more than this. */
const SWEEP_EVERY_MS = 60_000;

export function createAccess({ db, oidc, machines, now, longAgo, logger }: AccessOptions): Access {
  const users = new Users(db, now);
  const audit = new Audit({ db, now, longAgo, logger });
  const open = new OpenCalls();
  const admit = createAdmission({ users, oidc: oidc === undefined ? undefined : createOidc(oidc, now), machines, attempts: new Attempts(now) });
  const sweep = setInterval(() => {
    const at = now();
    open.end((caller) => caller.kind === "operator" && caller.expiresAt <= at, "the credential has expired; log in again: muster login HOST:PORT");
  }, SWEEP_EVERY_MS).unref();
  return {
    users,
    audit,
    admit,
    witness: { onEnd: auditCalls(audit), open },
    endCalls(name) {
      setImmediate(() => open.end((caller) => caller.kind === "operator" && caller.via === "user" && caller.name === name, `what ${name} may do has changed; try again`));
    },
    close() {
      clearInterval(sweep);
      audit.close();
    },
  };
}
