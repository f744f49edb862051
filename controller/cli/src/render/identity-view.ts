/**
 * Join tokens, machines that wait, and certificate authorities. Pure.
 */
import type { Authority, JoinToken, Member } from "@muster/proto/gen/muster/v1/identity.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { table } from "./table.ts";
import { plain } from "./text.ts";
import { ago, ahead, moment } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

const FINGERPRINT_CHARS = 16;
const NAMES_SHOWN_MAX = 5;

export function tokenTable(tokens: readonly JoinToken[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = tokens.map((token) => {
    const state = stateOf(token, now);
    return [
      { text: token.id },
      { text: state, paint: state === "good" ? colors.green : colors.dim },
      { text: `${token.used} of ${token.uses}` },
      { text: token.expiresAt > now ? ahead(token.expiresAt, now) : ago(token.expiresAt, now) },
      { text: token.approve ? "yes" : "no" },
      { text: plain(token.createdBy), paint: colors.dim },
      { text: labelsText(token.labels), paint: colors.dim },
    ];
  });
  const titles = [{ title: "ID", isFixed: true }, { title: "STATE", isFixed: true }, { title: "USED" }, { title: "EXPIRES" }, { title: "APPROVAL" }, { title: "BY", isSpare: true }, { title: "LABELS", isSpare: true }];
  return table(titles, rows, columns, colors.dim);
}

function stateOf({ revokedAt, expiresAt, used, uses }: JoinToken, now: number): string {
  if (revokedAt !== 0) return "revoked";
  if (expiresAt <= now) return "expired";
  return used >= uses ? "used up" : "good";
}

export function pendingTable(members: readonly Member[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = members.map(({ machine, address, hostname, askedAt, fingerprint, labels }) => [
    { text: machine },
    { text: ago(askedAt, now) },
    { text: address },
    { text: plain(hostname) },
    { text: fingerprint.slice(0, FINGERPRINT_CHARS) },
    { text: labelsText(labels), paint: colors.dim },
  ]);
  const titles = [{ title: "MACHINE", isFixed: true }, { title: "ASKED" }, { title: "FROM" }, { title: "HOST NAME" }, { title: "KEY" }, { title: "LABELS", isSpare: true }];
  return table(titles, rows, columns, colors.dim);
}

/** Oldest first. */
export function authorityLines(authorities: readonly Authority[], { colors, now }: ViewOptions): readonly string[] {
  return authorities.flatMap(({ pin, notBefore, notAfter, dependants, users }, index) => {
    const isNewest = index === authorities.length - 1;
    const role = isNewest ? "signs" : "counts until it is retired";
    const lines = [`${colors.bold(`sha256:${pin}`)}  ${role}`, colors.dim(`  counts from ${moment(notBefore, now)} until ${moment(notAfter, now)}`)];
    if (isNewest) return lines;
    if (dependants.length + users.length === 0) return [...lines, "  nobody depends on it any more: muster ca retire"];
    const machines = dependants.length === 0 ? [] : [`  ${counted(dependants.length, "machine")} would be lost without it: ${named(dependants)}`];
    return [...lines, ...machines, ...(users.length === 0 ? [] : [`  certificates of ${counted(users.length, "user")} would be worth nothing: ${named(users)}`])];
  });
}

function named(machines: readonly string[]): string {
  return firstAndMore(machines, NAMES_SHOWN_MAX);
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(",");
}
