/**
 * Secrets without their values: names, versions, and who needs them. Pure.
 */
import type { Secret } from "@muster/proto/gen/muster/v1/secrets.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import { size } from "./sizes.ts";
import { table } from "./table.ts";
import { plain } from "./text.ts";
import { ago } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** More than this nobody reads; -o json gives all. */
const RELEASES_SHOWN_MAX = 5;

/** A line for each version, the newest first. */
export function secretTable(secrets: readonly Secret[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = secrets.flatMap(({ name, apps, versions }) =>
    versions.toReversed().map(({ version, sizeBytes, setAt, setBy, neededBy }, index) => [
      { text: index === 0 ? name : "" },
      { text: String(version) },
      { text: index === 0 ? apps : "" },
      { text: size(sizeBytes) },
      { text: ago(setAt, now), paint: colors.dim },
      { text: plain(setBy), paint: colors.dim },
      { text: releasesText(neededBy) },
    ]),
  );
  const titles = [
    { title: "NAME" },
    { title: "VERSION", align: "right" as const },
    { title: "APPS" },
    { title: "SIZE", align: "right" as const, isSpare: true },
    { title: "SET" },
    { title: "BY", isSpare: true },
    { title: "NEEDED BY" },
  ];
  return table(titles, rows, columns, colors.dim);
}

/** `db-password  version 2, for shop-*; releases made from now on take it` */
export function secretLine({ name, apps, versions }: Secret, { colors }: ViewOptions): string {
  const whose = apps === "*" ? "all apps" : apps;
  return `${colors.bold(name)}  version ${versions.at(-1)?.version ?? 0}, for ${whose}; releases made from now on take it`;
}

export function removedLines(name: string, neededBy: readonly string[]): readonly string[] {
  if (neededBy.length === 0) return [`${name} is removed`];
  return [`${name} is removed, though it is needed by ${releasesText(neededBy)}`, "their machines keep the value that they have; no other machine gets it"];
}

function releasesText(releases: readonly string[]): string {
  return firstAndMore(releases.map(plain), RELEASES_SHOWN_MAX);
}
