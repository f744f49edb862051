/**
 * The names of things, and what each may look like. Parsing is the only way to make one, so a value of these types has been checked.
 */

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** `[a-z0-9-]{1,63}`, no hyphen at either end. */
export type MachineId = Brand<string, "MachineId">;
/** `[a-z0-9-]{1,63}`, no hyphen at either end; safe as the name of a folder. */
export type AppName = Brand<string, "AppName">;
/** `d-1`, `d-2`, … in the order of submission. */
export type DeploymentId = Brand<string, "DeploymentId">;
/** `app@version`. */
export type ReleaseId = Brand<string, "ReleaseId">;
/** 64 lower-case hex digits: a sha256. */
export type Digest = Brand<string, "Digest">;
/** Ever-rising number of an assignment: the journal sequence of the row that made it. On the wire its epoch stands above it: generation.ts. */
export type Generation = Brand<number, "Generation">;
/** Wall clock, milliseconds since 1970. */
export type Instant = Brand<number, "Instant">;

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$/;
const DEPLOYMENT = /^d-[1-9][0-9]{0,14}$/;
const DIGEST = /^[0-9a-f]{64}$/;

export const NAME_RULE = "1 to 63 of a-z, 0-9 and -, with no - at either end";
export const VERSION_RULE = "1 to 64 of A-Z, a-z, 0-9 and . + _ -, beginning with a letter or digit";
/** Of a release, and of what is told of it. */
export const PORTS_MAX = 64;
export const PORT_MAX = 65_535;
export const PORT_NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/u;
export const PORT_NAME_RULE = "1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit";

export function parseMachineId(text: string): MachineId | undefined {
  return NAME.test(text) ? (text as MachineId) : undefined;
}

export function parseAppName(text: string): AppName | undefined {
  return NAME.test(text) ? (text as AppName) : undefined;
}

const SECRET_PATH = /^(?!(?:.*\/)?\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100}){0,7}$/;

/** Named as machines and apps are. */
export function isSecretName(text: string): boolean {
  return NAME.test(text);
}

/** Of a file that holds a secret: plain parts, so that it stays below the folder that it is relative to. */
export function isSecretPath(text: string): boolean {
  return SECRET_PATH.test(text);
}

export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

export function parseDeploymentId(text: string): DeploymentId | undefined {
  return DEPLOYMENT.test(text) ? (text as DeploymentId) : undefined;
}

/** Its place in the order of submission, from 1. */
export function deploymentNumber(id: DeploymentId): number {
  return Number(id.slice("d-".length));
}

export function parseDigest(text: string): Digest | undefined {
  return DIGEST.test(text) ? (text as Digest) : undefined;
}

export function releaseId(app: string, version: string): ReleaseId {
  return `${app}@${version}` as ReleaseId;
}
