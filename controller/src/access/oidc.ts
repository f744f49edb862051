/**
 * People for whom an OpenID provider speaks: checks their tokens (issuer, audience, dates, signature by a key of the provider) and says which role their claim gives.
 *
 * Always holds: only signatures by asymmetric keys that the provider publishes count, so neither an unsigned token nor one "signed" with a public key gets in.
 */
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from "jose";
import type { Operator } from "../grpc/caller.ts";
import { fetchDocument, FetchError } from "./oidc-fetch.ts";
import { claimValues, type RoleRule, ruleFor } from "./oidc-roles.ts";

export interface OidcOptions {
  /** A URL, exactly as tokens name it. */
  readonly issuer: string;
  readonly audience: string;
  readonly clientId: string;
  /** Separated by blanks: what clients ask for. */
  readonly scopes: string;
  /** The claim, or the path to it, that roles are given by. */
  readonly roleClaim: string;
  readonly rules: readonly RoleRule[];
  /** Of the provider's certificate, PEM, where it is not one of the usual; replaces those. */
  readonly ca?: string;
}

export type OidcOperator = Pick<Operator, "name" | "role" | "apps" | "targets" | "expiresAt">;

export type OidcFound =
  | { readonly ok: true; readonly operator: OidcOperator }
  /** `isGuess`: the token itself is to blame, not the world. */
  | { readonly ok: false; readonly reason: string; readonly isGuess: boolean };

export interface Oidc {
  readonly options: OidcOptions;
  verify(token: string): Promise<OidcFound>;
}

const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
/** Between two clocks. */
const TOLERANCE_S = 30;
/** A provider that is away is not asked again at once, however many knock. */
const DISCOVERY_AGAIN_AFTER_MS = 5_000;
const NAME_CHARS_MAX = 100;

type Keys = ReturnType<typeof createRemoteJWKSet>;

export function createOidc(options: OidcOptions, now: () => number): Oidc {
  const { issuer, audience, ca } = options;
  let found: { readonly keys: Promise<Keys>; readonly at: number; hasFailed: boolean } | undefined;

  function keys(): Promise<Keys> {
    if (found === undefined || (found.hasFailed && now() - found.at >= DISCOVERY_AGAIN_AFTER_MS)) {
      const discovery = { keys: discover(issuer, ca), at: now(), hasFailed: false };
      discovery.keys.catch(() => {
        discovery.hasFailed = true;
      });
      found = discovery;
    }
    return found.keys;
  }

  return {
    options,
    async verify(token) {
      try {
        const verified = await jwtVerify(token, await keys(), {
          issuer,
          audience,
          algorithms: ALGORITHMS,
          clockTolerance: TOLERANCE_S,
          requiredClaims: ["exp", "sub"],
          currentDate: new Date(now()),
        });
        return operatorOf(verified.payload, options);
      } catch (error) {
        return refusalOf(error, issuer);
      }
    },
  };
}

/** Throws FetchError. */
async function discover(issuer: string, ca: string | undefined): Promise<Keys> {
  const url = new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  const document = (await (await fetchDocument(url, ca)).json()) as { readonly issuer?: unknown; readonly jwks_uri?: unknown };
  if (document.issuer !== issuer) throw new FetchError(`${url.href} speaks for the issuer ${JSON.stringify(document.issuer)}, not for ${issuer}`);
  if (typeof document.jwks_uri !== "string") throw new FetchError(`${url.href} names no keys`);
  return createRemoteJWKSet(new URL(document.jwks_uri), { [customFetch]: (keysUrl, { signal }) => fetchDocument(new URL(keysUrl), ca, signal) });
}

function operatorOf(claims: JWTPayload, { roleClaim, rules }: OidcOptions): OidcFound {
  const name = nameOf(claims);
  const values = claimValues(claims, roleClaim);
  if (values.length === 0) return guess(`the token of ${name} has no claim ${roleClaim}, which roles are given by`);
  const rule = ruleFor(rules, values);
  if (rule === undefined) return guess(`no role is given to what the token of ${name} says in ${roleClaim}`);
  const { role, apps, targets } = rule;
  return { ok: true, operator: { name, role, apps, targets, expiresAt: (claims.exp ?? 0) * 1000 } };
}

/** Never the name of a user of ours: those have no colon. A mail address that nobody has verified is only what somebody typed. */
function nameOf({ email, email_verified: isVerified, sub = "" }: JWTPayload): string {
  const name = typeof email === "string" && isVerified === true ? email : sub;
  return `oidc:${name.replaceAll(/[^\x21-\x7E]/g, "?").slice(0, NAME_CHARS_MAX)}`;
}

function refusalOf(error: unknown, issuer: string): OidcFound {
  if (error instanceof errors.JWTExpired) return guess("it has expired");
  if (error instanceof errors.JWTClaimValidationFailed) return guess(claimFault(error));
  if (error instanceof errors.JOSEAlgNotAllowed) return guess("it is not signed in a way that is taken");
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey) return guess(`no key of ${issuer} has signed it`);
  if (error instanceof FetchError || error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) {
    return { ok: false, reason: `the OpenID provider ${issuer} can't be asked for its keys (${error.message})`, isGuess: false };
  }
  return guess("it can't be read");
}

function claimFault({ claim }: errors.JWTClaimValidationFailed): string {
  switch (claim) {
    case "iss":
      return "it is of another issuer";
    case "aud":
      return "it is meant for somebody else (audience)";
    case "nbf":
    case "iat":
      return "it is not valid yet";
    default:
      return `its claim ${claim} is missing or wrong`;
  }
}

function guess(reason: string): OidcFound {
  return { ok: false, reason, isGuess: true };
}
