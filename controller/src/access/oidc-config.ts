/**
 * How an OpenID provider is given on the controller's command line.
 */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { OidcOptions } from "./oidc.ts";
import { isSafe } from "./oidc-fetch.ts";
import { parseRoleRule, type RoleRule } from "./oidc-roles.ts";

const SCOPES_DEFAULT = "openid email profile offline_access";

interface Given {
  readonly oidcIssuer?: string;
  readonly oidcAudience?: string;
  readonly oidcClientId?: string;
  readonly oidcScopes: string;
  readonly oidcRoleClaim: string;
  readonly oidcRole: readonly RoleRule[];
  readonly oidcCa?: string;
}

export function withOidcOptions(command: Command): Command {
  return command
    .option("--oidc-issuer <url>", "the OpenID provider whose users may log in", issuer)
    .option("--oidc-audience <id>", "whom its tokens have to be meant for")
    .option("--oidc-client-id <id>", "the client that users log in with; else the audience")
    .option("--oidc-scopes <scopes>", "what that client asks for", SCOPES_DEFAULT)
    .option("--oidc-role-claim <claim>", "the claim that roles are given by, for example groups or realm_access.roles", "groups")
    .addOption(
      new Option("--oidc-role <value=role>", "who has this in the claim has that role; ;apps=shop-* and ;targets=env=staging bind it; may be repeated, the first that is met counts")
        .argParser((text: string, before: readonly RoleRule[]) => [...before, rule(text)])
        .default([], "nobody"),
    )
    .option("--oidc-ca <file>", "PEM of the authority of the provider's certificate, where it is not a usual one", pem);
}

/** Undefined when there is none. Throws InvalidArgumentError when half of it is there. */
export function oidcOf(options: Given): OidcOptions | undefined {
  const { oidcIssuer, oidcAudience, oidcClientId, oidcScopes, oidcRoleClaim, oidcRole, oidcCa } = options;
  if (oidcIssuer === undefined) {
    if (oidcAudience === undefined && oidcRole.length === 0) return undefined;
    throw new InvalidArgumentError("--oidc-issuer is missing: it says which provider the other --oidc options are about.");
  }
  if (oidcAudience === undefined) throw new InvalidArgumentError("--oidc-audience is missing: without it, tokens for any program would be taken.");
  if (oidcRole.length === 0) throw new InvalidArgumentError("--oidc-role is missing: without it, nobody has a role (try --oidc-role deployers=deployer).");
  const known = { issuer: oidcIssuer, audience: oidcAudience, clientId: oidcClientId ?? oidcAudience, scopes: oidcScopes, roleClaim: oidcRoleClaim, rules: oidcRole };
  return oidcCa === undefined ? known : { ...known, ca: oidcCa };
}

function issuer(text: string): string {
  if (URL.canParse(text) && isSafe(new URL(text))) return text;
  throw new InvalidArgumentError(`"${text}" is not a URL that begins with https:// (http:// is for loopback alone).`);
}

function rule(text: string): RoleRule {
  const parsed = parseRoleRule(text);
  if (parsed.ok) return parsed.rule;
  throw new InvalidArgumentError(`${parsed.message}.`);
}

function pem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidArgumentError(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}.`);
  }
}
