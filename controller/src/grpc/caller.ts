/**
 * Who is at the other end: of a connection (what the transport proves), and of a call (what that and the call's own credentials make of it).
 */
import type { Metadata } from "@grpc/grpc-js";
import type { MachineId } from "@muster/proto/ids.ts";

/** What a client certificate says, after its signature and its dates have been checked. */
export type Certified =
  | {
      readonly kind: "machine";
      readonly machine: MachineId;
      readonly membership: number;
      readonly expiresAt: number;
      /** Pin of the authority that signed it. */
      readonly authority: string;
    }
  | { readonly kind: "operator"; readonly name: string; readonly number: number; readonly expiresAt: number }
  /** None was shown, or one that no authority of ours has signed. */
  | { readonly kind: "nobody" };

export type CertifiedMachine = Extract<Certified, { readonly kind: "machine" }>;

/** The other end of a connection. */
export type Peer =
  /** The unix socket: whoever the file's permissions let in. */
  | { readonly via: "socket" }
  | { readonly via: "tls"; readonly address: string; readonly certified: Certified };

/** The roles of operators; each may do what those before it may. */
export const ROLES = ["viewer", "deployer", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Whoever makes a call, after all was checked. */
export type Caller =
  /** Somebody on the controller's own machine; the name is what they call themselves. */
  | { readonly kind: "local"; readonly name: string }
  | Operator
  | { readonly kind: "machine"; readonly machine: MachineId; readonly membership: number; readonly authority: string; /** Of its certificate. */ readonly expiresAt: number; readonly address: string }
  | { readonly kind: "anonymous"; readonly address: string };

/** A user of this controller, or somebody for whom the OpenID provider speaks. */
export interface Operator {
  readonly kind: "operator";
  readonly via: "user" | "oidc";
  readonly name: string;
  readonly role: Role;
  /** Globs, `shop-*,web`; empty: all. */
  readonly apps: string;
  /** A selector; empty: all machines. */
  readonly targets: string;
  /** Of the credential. */
  readonly expiresAt: number;
  readonly address: string;
}

const CALLERS = new WeakMap<Metadata, Caller>();

/** Known from here on to the handlers of the call that came with this metadata. */
export function rememberCaller(metadata: Metadata, caller: Caller): void {
  CALLERS.set(metadata, caller);
}

/** For handlers. Throws when the call did not come through the gate, which is a bug. */
export function callerOf({ metadata }: { readonly metadata: Metadata }): Caller {
  const caller = CALLERS.get(metadata);
  if (caller === undefined) throw new Error("a call reached its handler without passing the gate");
  return caller;
}

export type MachineCaller = Extract<Caller, { readonly kind: "machine" }>;

/** The machine that calls, for methods which the gate opens to machines alone. */
export function machineOf(caller: Caller): MachineCaller {
  if (caller.kind !== "machine") throw new Error("a call that only machines may make reached its handler from somebody else");
  return caller;
}

/** For records and logs. */
export function nameOf(caller: Caller): string {
  switch (caller.kind) {
    case "local":
    case "operator":
      return caller.name;
    case "machine":
      return caller.machine;
    case "anonymous":
      return caller.address;
  }
}
