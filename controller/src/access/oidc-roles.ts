/**
 * Which role a claim of the OpenID provider gives: `deployers=deployer`, with bounds `shop-team=deployer;apps=shop-*;targets=env in (staging,test)`. Pure.
 */
import { ROLES, type Role } from "../grpc/caller.ts";
import { type Binding, checkBinding } from "./binding.ts";

export interface RoleRule extends Binding {
  /** Of the claim: the text itself, or one of its list. */
  readonly value: string;
  readonly role: Role;
}

export type ParsedRule = { readonly ok: true; readonly rule: RoleRule } | { readonly ok: false; readonly message: string };

const RULE = /^([^=;]+)=([a-z]+)((?:;(?:apps|targets)=[^;]*)*)$/;

export function parseRoleRule(text: string): ParsedRule {
  const [, value = "", roleName = "", bounds = ""] = RULE.exec(text) ?? [];
  if (value === "") return { ok: false, message: `"${text}" is not VALUE=ROLE (try deployers=deployer, or shop=deployer;apps=shop-*;targets=env=staging)` };
  const role = ROLES.find((one) => one === roleName);
  if (role === undefined) return { ok: false, message: `"${roleName}" is not a role; ${ROLES.join(", ")} are` };
  const bound = (name: string): string => new RegExp(`;${name}=([^;]*)`).exec(bounds)?.[1] ?? "";
  const checked = checkBinding({ apps: bound("apps"), targets: bound("targets") });
  return checked.ok ? { ok: true, rule: { value, role, ...checked.binding } } : checked;
}

/** The first rule that one of the values meets. */
export function ruleFor(rules: readonly RoleRule[], values: readonly string[]): RoleRule | undefined {
  return rules.find(({ value }) => values.includes(value));
}

/** Of the claim with this name, or, where there is none, by its path: `realm_access.roles`. */
export function claimValues(claims: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const found = Object.hasOwn(claims, name) ? claims[name] : name.split(".").reduce<unknown>(within, claims);
  if (typeof found === "string") return [found];
  return Array.isArray(found) ? found.filter((value) => typeof value === "string") : [];
}

function within(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}
