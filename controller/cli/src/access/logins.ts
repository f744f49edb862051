/**
 * What `muster login` keeps: for each controller its authorities and the credential, in `$XDG_CONFIG_HOME/muster/logins`, and which one was logged in to last.
 *
 * Always holds: folders are 0700 and files 0600 and written whole; a file that others can read is not used.
 */
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Env } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";

const credentialShape = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("token"), token: z.string() }),
  /** PEM, both. */
  z.object({ kind: z.literal("certificate"), key: z.string(), certificate: z.string() }),
  z.object({
    kind: z.literal("oidc"),
    issuer: z.string(),
    clientId: z.string(),
    scopes: z.string(),
    wantsAccessToken: z.boolean(),
    token: z.string(),
    /** Milliseconds since 1970, of the token. */
    expiresAt: z.number(),
    refreshToken: z.string().nullable(),
  }),
]);
export type Credential = z.infer<typeof credentialShape>;
export type OidcCredential = Extract<Credential, { readonly kind: "oidc" }>;

const loginShape = z.object({
  /** `host:port`. */
  address: z.string(),
  /** DER as base64, oldest first; the newest is asked for. */
  authorities: z.array(z.string()).min(1),
  /** When the controller was last asked for them. */
  authoritiesAt: z.number(),
  credential: credentialShape,
});
export type Login = z.infer<typeof loginShape>;

const OTHERS = 0o077;

/** Undefined when nobody has logged in to it. */
export function readLogin(env: Env, address: string): Login | undefined {
  const dir = dirOf(env);
  return dir === undefined ? undefined : readFile(pathOf(dir, address), address);
}

/** The one that was logged in to last. */
export function readCurrentLogin(env: Env): Login | undefined {
  const dir = dirOf(env);
  const current = dir === undefined ? undefined : readIfThere(join(dir, "current"));
  return current === undefined ? undefined : readLogin(env, current.trim());
}

/** It becomes the current one. */
export function addLogin(env: Env, login: Login): void {
  const dir = neededDir(env);
  saveLogin(env, login);
  writeWhole(join(dir, "current"), `${login.address}\n`);
}

export function saveLogin(env: Env, login: Login): void {
  const dir = neededDir(env);
  for (const folder of [join(dir, ".."), dir]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  }
  writeWhole(pathOf(dir, login.address), `${JSON.stringify(login, undefined, 2)}\n`);
}

/** Whether there was one. */
export function removeLogin(env: Env, address: string): boolean {
  const dir = dirOf(env);
  if (dir === undefined || readIfThere(pathOf(dir, address)) === undefined) return false;
  rmSync(pathOf(dir, address));
  if (readIfThere(join(dir, "current"))?.trim() === address) rmSync(join(dir, "current"));
  return true;
}

function dirOf(env: Env): string | undefined {
  const config = env["XDG_CONFIG_HOME"];
  if (config !== undefined && config !== "") return join(config, "muster", "logins");
  const home = env["HOME"];
  return home === undefined || home === "" ? undefined : join(home, ".config", "muster", "logins");
}

function neededDir(env: Env): string {
  const dir = dirOf(env);
  if (dir !== undefined) return dir;
  throw new CliError("there is no place to keep the login: set HOME or XDG_CONFIG_HOME", { code: "bad_input", exit: EXIT.badInput });
}

function pathOf(dir: string, address: string): string {
  return join(dir, `${encodeURIComponent(address)}.json`);
}

function readFile(path: string, address: string): Login | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  if ((lstatSync(path).mode & OTHERS) !== 0) {
    throw new CliError(`${path} holds a credential and others can read it: chmod 600 ${path}`, { code: "bad_input", exit: EXIT.badInput });
  }
  try {
    return loginShape.parse(JSON.parse(text));
  } catch (error) {
    throw new CliError(`${path} can't be read as a login; log in again: muster login ${address}`, { code: "bad_input", exit: EXIT.badInput, cause: error });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw new CliError(`cannot read ${path}`, { code: "bad_input", exit: EXIT.badInput, cause: error });
  }
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.next`, text, { mode: 0o600 });
  chmodSync(`${path}.next`, 0o600);
  renameSync(`${path}.next`, path);
}
