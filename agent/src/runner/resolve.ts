/** Fills in a release's `${…}` for this machine. Pure. */
import type { Probe, Release } from "@muster/proto/gen/muster/v1/release.ts";
import { fillTemplate } from "@muster/proto/template.ts";

export interface Place {
  readonly machineId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly releaseDir: string;
  readonly secretsDir: string;
  /** By name, with those chosen for `auto`. */
  readonly ports: Readonly<Record<string, number>>;
}

export interface Resolved {
  /** Empty when the release runs no process. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly probes: readonly Probe[];
}

export type Resolution = { readonly ok: true; readonly value: Resolved } | { readonly ok: false; readonly missing: string };

export function resolveRelease(release: Release, place: Place): Resolution {
  const values = new Map([
    ["machine.id", place.machineId],
    ["app", release.app],
    ["version", release.version],
    ["release_dir", place.releaseDir],
    ["secrets_dir", place.secretsDir],
    ...Object.entries(place.ports).map(([name, port]) => [`ports.${name}`, String(port)] as const),
    ...Object.entries(place.labels).map(([name, value]) => [`labels.${name}`, value] as const),
  ]);
  const missing: string[] = [];
  const fill = (text: string): string => {
    const filled = fillTemplate(text, values);
    if (filled.ok) return filled.text;
    missing.push(filled.missing);
    return "";
  };
  const driver = release.driver?.$case === "process" ? release.driver.value : undefined;
  const value: Resolved = {
    command: driver?.command.map(fill) ?? [],
    env: Object.fromEntries(Object.entries(driver?.env ?? {}).map(([name, text]) => [name, fill(text)])),
    probes: release.health.map((probe) => ({ ...probe, check: fillCheck(probe.check, fill) })),
  };
  const [first] = missing;
  return first === undefined ? { ok: true, value } : { ok: false, missing: first };
}

function fillCheck(check: Probe["check"], fill: (text: string) => string): Probe["check"] {
  switch (check?.$case) {
    case "http":
      return { $case: "http", value: { url: fill(check.value.url) } };
    case "tcp":
      return { $case: "tcp", value: { address: fill(check.value.address) } };
    case "exec":
      return { $case: "exec", value: { command: check.value.command.map(fill) } };
    case undefined:
      return undefined;
  }
}
