/**
 * Who calls, and whether they may: the gate asks here before each call.
 *
 *   unix socket ──────────────▶ local: everything
 *   authorization: mut1.… ────▶ user ─────┐
 *   authorization: a JWT ─────▶ OpenID ───┼─▶ role and binding ─▶ what the method needs
 *   client certificate ───────▶ user ─────┘
 *                       └─────▶ machine ─▶ what the method needs
 *
 * Never does: read a message of the call, or tell a stranger which part of a credential was wrong beyond what helps its owner.
 */
import { type Metadata, status } from "@grpc/grpc-js";
import { durationText } from "@muster/proto/duration.ts";
import { type Caller, type CertifiedMachine, type Operator, type Peer, type Role, ROLES } from "../grpc/caller.ts";
import type { Admission, Admit } from "../grpc/gate.ts";
import { type Attempts, hostOf } from "./attempts.ts";
import { isBound } from "./binding.ts";
import { type Need, needOf } from "./methods.ts";
import type { Oidc } from "./oidc.ts";
import type { Found, Users } from "./users.ts";

/** Whether a machine's membership stands. `expired`: its certificate has, within the grace. */
export type MachineVerdict = { readonly ok: true; readonly expired: boolean } | { readonly ok: false; readonly reason: string };

export interface AdmissionOptions {
  readonly users: Pick<Users, "byToken" | "byCertificate">;
  readonly oidc: Pick<Oidc, "verify"> | undefined;
  readonly machines: { judge(certified: CertifiedMachine): MachineVerdict };
  readonly attempts: Attempts;
}

/** What local callers call themselves. */
const NAME_HEADER = "muster-user";
const LOCAL_NAME = /^[^\p{C}]{1,128}$/u;
const CREDENTIAL_CHARS_MAX = 16 * 1024;

type Identity =
  | { readonly ok: true; readonly caller: Caller; readonly expired?: boolean }
  | { readonly ok: false; readonly message: string };

export function createAdmission({ users, oidc, machines, attempts }: AdmissionOptions): Admit {
  return ({ path, peer, metadata }) => {
    const need = needOf(path);
    if (need === undefined) return { ok: false, code: status.PERMISSION_DENIED, message: "this method is nobody's" };
    // Whatever credentials there are: nothing rests on them.
    if (need === "anybody" && peer.via === "tls") return { ok: true, caller: { kind: "anonymous", address: peer.address } };
    const identity = identify(peer, metadata, need);
    return identity instanceof Promise ? identity.then((settled) => judge(settled, need, path)) : judge(identity, need, path);
  };

  function identify(peer: Peer, metadata: Metadata, need: Need): Identity | Promise<Identity> {
    if (peer.via === "socket") return { ok: true, caller: { kind: "local", name: localName(metadata) } };
    const { address, certified } = peer;
    const [credential] = metadata.get("authorization");
    if (credential !== undefined) return identifyByToken(String(credential), address);
    switch (certified.kind) {
      case "machine": {
        const { machine, membership, authority, expiresAt } = certified;
        const verdict = machines.judge(certified);
        if (!verdict.ok) return { ok: false, message: verdict.reason };
        return { ok: true, caller: { kind: "machine", machine, membership, authority, expiresAt, address }, expired: verdict.expired };
      }
      case "operator":
        return asOperator(users.byCertificate(certified), address, "the certificate counts for nothing");
      case "nobody":
        return { ok: false, message: need === "machine" || need === "former_machine" ? "this machine has not joined: muster-agent join" : "this needs a login: muster login HOST:PORT" };
    }
  }

  function identifyByToken(credential: string, address: string): Identity | Promise<Identity> {
    const waitMs = attempts.waitMs(address);
    if (waitMs > 0) return { ok: false, message: `too many failed attempts from ${hostOf(address)}: try again in ${durationText(Math.ceil(waitMs / 1000) * 1000)}` };
    const settle = (identity: Identity): Identity => {
      if (!identity.ok) attempts.failed(address);
      return identity;
    };
    const token = credential.length > CREDENTIAL_CHARS_MAX ? "" : (/^Bearer (\S+)$/i.exec(credential)?.[1] ?? "");
    if (oidc === undefined || !looksLikeJwt(token)) return settle(asOperator(users.byToken(token), address, "token refused"));
    return oidc.verify(token).then((found) => {
      if (found.ok) return { ok: true, caller: { kind: "operator", via: "oidc", ...found.operator, address } };
      // Where the provider is away, nothing was tried.
      const identity: Identity = { ok: false, message: `token refused: ${found.reason}; log in again: muster login HOST:PORT --oidc` };
      return found.isGuess ? settle(identity) : identity;
    });
  }
}

function asOperator(found: Found, address: string, what: string): Identity {
  if (!found.ok) return { ok: false, message: `${what}: ${found.reason}; log in again: muster login HOST:PORT` };
  const { name, role, apps, targets, expiresAt } = found.user;
  return { ok: true, caller: { kind: "operator", via: "user", name, role, apps, targets, expiresAt, address } };
}

function judge(identity: Identity, need: Need, path: string): Admission {
  if (!identity.ok) return { ok: false, code: status.UNAUTHENTICATED, message: identity.message };
  const { caller } = identity;
  const denied = (message: string): Admission => ({ ok: false, code: status.PERMISSION_DENIED, message, caller });
  switch (need) {
    case "anybody":
      return { ok: true, caller };
    case "machine":
    case "former_machine":
      if (caller.kind !== "machine") return denied(`${methodName(path)} is for machines alone`);
      if (identity.expired === true && need === "machine") {
        return { ok: false, code: status.UNAUTHENTICATED, message: "the machine's certificate has expired: renew it first", caller };
      }
      return { ok: true, caller };
    case "viewer":
    case "deployer":
    case "admin":
      if (caller.kind === "local") return { ok: true, caller };
      if (caller.kind !== "operator") return denied(`${methodName(path)} is for operators alone`);
      return judgeOperator(caller, need, path);
  }
}

function judgeOperator(caller: Operator, need: Role, path: string): Admission {
  const denied = (message: string): Admission => ({ ok: false, code: status.PERMISSION_DENIED, message, caller });
  if (ROLES.indexOf(caller.role) < ROLES.indexOf(need)) return denied(`${methodName(path)} needs the role ${need}, and ${caller.name} is ${caller.role}`);
  // Else somebody who is bound could make a user who is not.
  if (need === "admin" && isBound(caller)) return denied(`${methodName(path)} concerns the whole fleet, and ${caller.name} is bound to ${boundsText(caller)}`);
  return { ok: true, caller };
}

function boundsText({ apps, targets }: Operator): string {
  return [...(apps === "" ? [] : [`the apps ${apps}`]), ...(targets === "" ? [] : [`machines with ${targets}`])].join(" and ");
}

/** `/muster.v1.FleetService/ListMachines` → `FleetService/ListMachines` */
export function methodName(path: string): string {
  return path.replace(/^\/(?:muster\.v1\.)?/, "");
}

function localName(metadata: Metadata): string {
  const [name] = metadata.get(NAME_HEADER);
  return typeof name === "string" && LOCAL_NAME.test(name) ? name : "local";
}

function looksLikeJwt(token: string): boolean {
  return /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(token) && !token.startsWith("mut1.");
}
