/**
 * The names in certificates. A controller is reached by whatever address it has; what its certificate says is not that address but its authority, so that
 * no address need be configured, and a machine's certificate names the machine and its membership.
 */
import { type MachineId, parseMachineId } from "./ids.ts";

/** Every server certificate of a controller has this name, whoever signed it. */
export const CONTROLLER_NAME = "controller.muster.internal";

const PIN_DIGITS = 32;

/**
 * The name to ask a controller for (TLS server name indication), so that it answers with the certificate of the authority that the caller trusts.
 * `pin`: sha256 of that authority's certificate, hex.
 */
export function authorityName(pin: string): string {
  return `ca-${pin.slice(0, PIN_DIGITS)}.muster.internal`;
}

/** Whose certificate it is. A machine that is removed and joins again has another membership, and its old certificates are worth nothing. */
export interface MachineName {
  readonly machine: MachineId;
  readonly membership: number;
}

const MACHINE_URI = /^muster:\/\/machine\/([a-z0-9-]{1,63})\/([1-9][0-9]{0,15})$/;

/** The certificate's one subject alternative name, a URI. */
export function machineUri({ machine, membership }: MachineName): string {
  return `muster://machine/${machine}/${membership}`;
}

export function parseMachineUri(uri: string): MachineName | undefined {
  const [, id, membership] = MACHINE_URI.exec(uri) ?? [];
  const machine = id === undefined ? undefined : parseMachineId(id);
  return machine === undefined ? undefined : { machine, membership: Number(membership) };
}

/** A user with a client certificate. One that is removed and made again has another number, and old certificates are worth nothing. */
export interface OperatorName {
  readonly name: string;
  readonly number: number;
}

const OPERATOR_URI = /^muster:\/\/operator\/([a-z0-9][a-z0-9._@-]{0,62})\/([1-9][0-9]{0,15})$/;

/** The certificate's one subject alternative name, a URI. */
export function operatorUri({ name, number }: OperatorName): string {
  return `muster://operator/${name}/${number}`;
}

export function parseOperatorUri(uri: string): OperatorName | undefined {
  const [, name, number] = OPERATOR_URI.exec(uri) ?? [];
  return name === undefined ? undefined : { name, number: Number(number) };
}
