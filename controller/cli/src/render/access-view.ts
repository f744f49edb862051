/**
 * Users, the caller and the audit log, for people. Pure.
 */
import { AuditResult, type AuditEntry, type Role, type User, type WhoAmIResponse } from "@muster/proto/gen/muster/v1/access.ts";
import type { Colors } from "../context.ts";
import { RESULT_WORDS, ROLE_WORDS } from "../output/access-json.ts";
import { table } from "./table.ts";
import { plain } from "./text.ts";
import { ago, ahead, dateAndTime } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

export function userTable(users: readonly User[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = users.map((user) => [
    { text: user.name },
    { text: ROLE_WORDS[user.role] },
    { text: user.apps === "" ? "all" : user.apps },
    { text: user.targets === "" ? "all" : user.targets },
    { text: user.certificate ? "certificate" : "token" },
    expiry(user, now, colors),
    { text: ago(user.lastUsedAt, now), paint: colors.dim },
  ]);
  const titles = [
    { title: "NAME", isFixed: true },
    { title: "ROLE", isFixed: true },
    { title: "APPS" },
    { title: "TARGETS" },
    { title: "WITH", isSpare: true },
    { title: "ENDS" },
    { title: "LAST USED", isSpare: true },
  ];
  return table(titles, rows, columns, colors.dim);
}

function expiry({ disabled, expiresAt }: User, now: number, colors: Colors): { readonly text: string; readonly paint?: (text: string) => string } {
  if (disabled) return { text: "disabled", paint: colors.yellow };
  return expiresAt <= now ? { text: "expired", paint: colors.yellow } : { text: ahead(expiresAt, now) };
}

/** `anna  deployer  apps shop-*  targets env=staging` */
export function userLine(user: User, { colors }: ViewOptions): string {
  return `${colors.bold(user.name)}  ${rightsText(user)}${user.disabled ? "  disabled" : ""}`;
}

/** `anna at muster.example:4000: deployer, ends in 90d` */
export function callerLines(caller: WhoAmIResponse, address: string, { colors, now }: ViewOptions): readonly string[] {
  const name = colors.bold(plain(caller.name));
  if (caller.local) return [`${name} at ${address}: on the controller's own machine, may do everything`];
  const end = caller.expiresAt === 0 ? "" : `, ends ${ahead(caller.expiresAt, now)} (${dateAndTime(caller.expiresAt)})`;
  return [`${name} at ${address}: ${rightsText(caller)}${end}`];
}

function rightsText({ role, apps, targets }: { readonly role: Role; readonly apps: string; readonly targets: string }): string {
  return [ROLE_WORDS[role], ...(apps === "" ? [] : [`apps ${apps}`]), ...(targets === "" ? [] : [`targets ${targets}`])].join("  ");
}

/** `2026-01-31 12:03:04  anna (user) from 10.0.0.7  DeploymentsService/Pause id=d-7  refused, 12 times: …` */
export function auditLine({ at, who, kind, from, method, subject, result, message, count }: AuditEntry, { colors }: Pick<ViewOptions, "colors">): string {
  const name = who === "" ? "unknown" : `${colors.bold(plain(who))} (${kind})`;
  const what = `${plain(method)}${subject === "" ? "" : ` ${plain(subject)}`}`;
  const times = count > 1 ? `, ${count} times` : "";
  const ending = `${RESULT_WORDS[result]}${times}${message === "" ? "" : `: ${plain(message)}`}`;
  return `${colors.dim(dateAndTime(at))}  ${name} from ${plain(from)}  ${what}  ${result === AuditResult.OK ? ending : colors.yellow(ending)}`;
}
