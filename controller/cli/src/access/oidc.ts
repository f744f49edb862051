/**
 * Tokens of an OpenID provider: got by the device flow (RFC 8628), where the user confirms a code in whatever browser, and refreshed later.
 */
import {
  allowInsecureRequests,
  ClientError,
  type Configuration,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  refreshTokenGrant,
  ResponseBodyError,
  type TokenEndpointResponse,
} from "openid-client";
import { badInput, CliError, EXIT } from "../errors.ts";
import type { OidcCredential } from "./logins.ts";

export type Provider = Pick<OidcCredential, "issuer" | "clientId" | "scopes" | "wantsAccessToken">;

/** Where the user confirms, and what they are to see there. */
export interface DeviceCode {
  readonly url: string;
  readonly code: string;
}

/** A token that ends so soon is refreshed before it is used. */
const REFRESH_BEFORE_MS = 60_000;

/** Throws CliError. */
export async function loginWithDevice(provider: Provider, show: (code: DeviceCode) => Promise<void>, signal: AbortSignal, now: () => number): Promise<OidcCredential> {
  return saidPlainly(provider, async () => {
    const config = await discover(provider);
    const device = await initiateDeviceAuthorization(config, { scope: provider.scopes });
    await show({ url: device.verification_uri_complete ?? device.verification_uri, code: device.user_code });
    const answer = await pollDeviceAuthorizationGrant(config, device, undefined, { signal });
    return credentialOf(provider, answer, null, now());
  });
}

/** Itself while it holds for long enough. Throws CliError. */
export async function refreshed(credential: OidcCredential, now: number): Promise<OidcCredential> {
  const { refreshToken, expiresAt } = credential;
  if (expiresAt - now > REFRESH_BEFORE_MS || refreshToken === null) return credential;
  return saidPlainly(credential, async () => {
    const answer = await refreshTokenGrant(await discover(credential), refreshToken);
    return credentialOf(credential, answer, refreshToken, now);
  });
}

function discover({ issuer, clientId }: Provider): Promise<Configuration> {
  const url = new URL(issuer);
  const isLoopback = url.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return discovery(url, clientId, undefined, None(), isLoopback ? { execute: [allowInsecureRequests] } : {});
}

function credentialOf(provider: Provider, answer: TokenEndpointResponse, before: string | null, now: number): OidcCredential {
  const { issuer, clientId, scopes, wantsAccessToken } = provider;
  const token = wantsAccessToken ? answer.access_token : answer.id_token;
  if (token === undefined) throw new CliError(`${issuer} gave no ID token; the scopes have to contain openid`, { code: "unauthenticated", exit: EXIT.failed });
  const expiresAt = expiryOf(token) ?? now + (answer.expires_in ?? 0) * 1000;
  return { kind: "oidc", issuer, clientId, scopes, wantsAccessToken, token, expiresAt, refreshToken: answer.refresh_token ?? before };
}

/** Only in order to know when to ask for another; the controller checks it. */
function expiryOf(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as { readonly exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

async function saidPlainly<Result>({ issuer }: Provider, ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (error instanceof ResponseBodyError) throw refused(`${issuer} refused: ${error.error_description ?? error.error}; log in again: muster login HOST:PORT --oidc`, error);
    if (error instanceof ClientError) throw refused(`${issuer} can't be used to log in: ${error.message}`, error);
    if (error instanceof TypeError) throw badInput(`${issuer} can't be reached: ${error.message}`, error);
    throw error;
  }
}

function refused(message: string, cause: unknown): CliError {
  return new CliError(message, { code: "unauthenticated", exit: EXIT.failed, cause });
}
