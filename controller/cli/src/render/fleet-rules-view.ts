/**
 * What holds for all rollouts alike: budgets of groups of machines, and freezes. Pure.
 */
import type { Budget, Freeze } from "@muster/proto/gen/muster/v1/fleet.ts";
import { whereText } from "@muster/proto/selector.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import { table } from "./table.ts";
import { plain, wrap } from "./text.ts";
import { ahead, elapsedText, moment } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** More names than this nobody reads; -o json gives all. */
const UNAVAILABLE_SHOWN_MAX = 5;

export function budgetTable(budgets: readonly Budget[], { colors, columns }: ViewOptions): readonly string[] {
  const rows = budgets.map((budget) => [
    { text: plain(whereText(budget.selector)) },
    { text: String(budget.machines) },
    { text: String(budget.maxUnavailable) },
    { text: String(budget.unavailable.length), paint: isUsedUp(budget) ? colors.yellow : String },
    { text: unavailableText(budget), paint: colors.dim },
  ]);
  const titles = [
    { title: "SELECTOR" },
    { title: "MACHINES", align: "right" as const },
    { title: "ALLOWED", align: "right" as const },
    { title: "USED", align: "right" as const },
    { title: "UNAVAILABLE NOW" },
  ];
  return table(titles, rows, columns, colors.dim);
}

function isUsedUp({ maxUnavailable, unavailable }: Budget): boolean {
  return unavailable.length >= maxUnavailable;
}

function unavailableText({ unavailable }: Budget): string {
  return firstAndMore(unavailable, UNAVAILABLE_SHOWN_MAX);
}

/** `role=db  at most 1 of 3 machines unavailable; now 1: db-2` */
export function budgetLine(budget: Budget, { colors }: ViewOptions): string {
  const { selector, maxUnavailable, machines, unavailable } = budget;
  const now = unavailable.length === 0 ? "now none" : `now ${unavailable.length}: ${unavailableText(budget)}`;
  return `${colors.bold(plain(whereText(selector)))}  at most ${maxUnavailable} of ${counted(machines, "machine")} unavailable; ${now}`;
}

export function freezeTable(freezes: readonly Freeze[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = freezes.map((freeze) => [
    { text: freeze.id },
    isUnderWay(freeze, now) ? { text: "under way", paint: colors.yellow } : { text: ahead(freeze.from, now) },
    { text: moment(freeze.from, now) },
    { text: freeze.until === 0 ? "ended by hand" : moment(freeze.until, now) },
    { text: plain(freeze.by), paint: colors.dim },
    { text: plain(freeze.reason) },
  ]);
  const titles = [
    { title: "ID", isFixed: true },
    { title: "STATE", isFixed: true },
    { title: "FROM" },
    { title: "UNTIL" },
    { title: "BY", isSpare: true },
    { title: "REASON" },
  ];
  return table(titles, rows, columns, colors.dim);
}

/** `f-1  freeze from now until 14:00:00 (2h)`, and what that means. */
export function freezeLines(freeze: Freeze, { colors, columns, now }: ViewOptions): readonly string[] {
  const { id, from, until } = freeze;
  const begin = isUnderWay(freeze, now) ? "from now" : `from ${moment(from, now)} (${ahead(from, now)})`;
  const end = until === 0 ? `until it is ended with: muster freeze end ${id}` : `until ${moment(until, now)} (${elapsedText(until - Math.max(from, now))})`;
  const when = wrap(`freeze ${begin} ${end}`, columns - id.length - 2);
  return [
    ...when.map((line, index) => `${index === 0 ? colors.bold(id) : " ".repeat(id.length)}  ${line}`),
    colors.dim("  no rollout starts anything new; rollbacks go on"),
  ];
}

function isUnderWay({ from, until }: Freeze, now: number): boolean {
  return from <= now && (until === 0 || until > now);
}
