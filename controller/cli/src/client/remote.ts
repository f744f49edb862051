/**
 * A controller on another machine: which authorities vouch for it, and with what credential it is spoken to.
 */
import { parsePin } from "@muster/proto/join-token.ts";
import { readSecret } from "../access/ask.ts";
import { fetchAuthority } from "../access/authority.ts";
import { type Credential, type Login, readCurrentLogin, readLogin, saveLogin } from "../access/logins.ts";
import type { CliContext, ControllerClock } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import type { ControllerAddress } from "./address.ts";
import { Controller } from "./controller.ts";
import type { Keepalive } from "./keepalive.ts";

/** Authorities overlap for days when they change. */
const AUTHORITIES_AGAIN_AFTER_MS = 60 * 60_000;

/** `found` undefined: the one that was logged in to last. Throws CliError. */
export async function openRemote(context: CliContext, found: ControllerAddress | undefined, keepalive?: Keepalive): Promise<Controller> {
  const login = found === undefined ? readCurrentLogin(context.env) : readLogin(context.env, found.target);
  const address = found ?? (login === undefined ? undefined : { target: login.address, source: "muster login" });
  if (address === undefined) throw nowhere();
  const tokenFile = context.env["MUSTER_TOKEN_FILE"];
  if (tokenFile === undefined || tokenFile === "") return openLogin(context, address, login ?? notLoggedIn(address), keepalive);
  const token = await readSecret(context, tokenFile, "MUSTER_TOKEN_FILE");
  return connect(address, await authoritiesOf(context, address, login), { kind: "token", token }, keepalive, context.controllerClock);
}

/** For what is no login yet, as well. */
export function connect(address: ControllerAddress, authorities: readonly Uint8Array[], credential: Credential | undefined, keepalive?: Keepalive, clock?: ControllerClock): Controller {
  return new Controller(address, { kind: "tls", authorities, credential }, keepalive, clock);
}

async function openLogin(context: CliContext, address: ControllerAddress, login: Login, keepalive?: Keepalive): Promise<Controller> {
  const credential = await freshCredential(context, login);
  const controller = connect(address, decoded(login), credential, keepalive, context.controllerClock);
  if (context.clock.now() - login.authoritiesAt >= AUTHORITIES_AGAIN_AFTER_MS) await learnAuthorities(context, controller, { ...login, credential });
  return controller;
}

/** A rotation gives the controller another authority beside the old one, and takes the old one away later. */
async function learnAuthorities(context: CliContext, controller: Controller, login: Login): Promise<void> {
  try {
    const { authorities } = await controller.unary(controller.access, controller.access.whoAmI, {});
    if (authorities.length === 0) return;
    saveLogin(context.env, { ...login, authorities: authorities.map((der) => der.toString("base64")), authoritiesAt: context.clock.now() });
  } catch (error) {
    // What the command itself asks next says what is wrong.
    if (!(error instanceof CliError)) throw error;
  }
}

async function freshCredential(context: CliContext, login: Login): Promise<Credential> {
  const { credential } = login;
  if (credential.kind !== "oidc") return credential;
  const { refreshed } = await import("../access/oidc.ts");
  const fresh = await refreshed(credential, context.clock.now());
  if (fresh !== credential) saveLogin(context.env, { ...login, credential: fresh });
  return fresh;
}

/** With MUSTER_CA no login is needed, as in a pipeline. */
async function authoritiesOf({ env }: CliContext, address: ControllerAddress, login: Login | undefined): Promise<readonly Uint8Array[]> {
  const text = env["MUSTER_CA"];
  if (text === undefined || text === "") return decoded(login ?? notLoggedIn(address));
  const pin = parsePin(text);
  if (pin === undefined) throw badInput("MUSTER_CA is not the pin of an authority (sha256: and 64 hex digits)");
  return [await fetchAuthority(address.target, pin)];
}

function decoded({ authorities }: Login): readonly Uint8Array[] {
  return authorities.map((der) => Buffer.from(der, "base64"));
}

function notLoggedIn({ target }: ControllerAddress): never {
  throw new CliError(`not logged in to ${target}: muster login ${target}`, { code: "unauthenticated", exit: EXIT.failed });
}

function nowhere(): CliError {
  return new CliError(
    "no controller is known here: say --address, set MUSTER_ADDRESS, go to a folder with a .muster/ in it or above it, or log in to one: " +
      "muster login HOST:PORT. Start one with: muster dev",
    { code: "unreachable", exit: EXIT.unreachable },
  );
}
