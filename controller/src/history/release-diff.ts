/**
 * What differs between two releases in how they are run, in the words of the deployment file: `run.command`, `run.env.PORT`, `health[0].http`.
 */
import type { FieldDifference } from "@muster/proto/gen/muster/v1/history.ts";
import type { Probe, Release } from "@muster/proto/gen/muster/v1/release.ts";
import { durationText } from "@muster/proto/duration.ts";

/** In the order of the deployment file. */
export function differingFields(before: Release, after: Release): FieldDifference[] {
  const from = fieldsOf(before);
  const to = fieldsOf(after);
  const paths = [...new Set([...from.keys(), ...to.keys()])];
  return paths
    .map((path) => ({ path, before: from.get(path) ?? "", after: to.get(path) ?? "" }))
    .filter((field) => field.before !== field.after)
    .reduce<FieldDifference[]>(wholeProbes(before, after), [])
    .sort(byPlace);
}

/** A probe that is in one of both only is one difference. */
function wholeProbes(before: Release, after: Release) {
  return (fields: FieldDifference[], field: FieldDifference): FieldDifference[] => {
    const index = Number(/^health\[(\d+)\]/.exec(field.path)?.[1] ?? NaN);
    const both = index < Math.min(before.health.length, after.health.length);
    if (Number.isNaN(index) || both) return [...fields, field];
    const path = `health[${index}]`;
    if (fields.some((known) => known.path === path)) return fields;
    return [...fields, { path, before: probeText(before.health[index]), after: probeText(after.health[index]) }];
  };
}

function fieldsOf({ driver, ports, health, secrets }: Release): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  if (driver !== undefined) fields.set("run.driver", driver.$case);
  if (driver?.$case === "process") {
    const { command, env, stopTimeoutMs } = driver.value;
    fields.set("run.command", listText(command));
    for (const [name, value] of Object.entries(env)) fields.set(`run.env.${name}`, value === "" ? '""' : value);
    fields.set("run.stop_timeout", durationText(stopTimeoutMs));
  }
  for (const [name, secret] of Object.entries(secrets?.env ?? {})) fields.set(`run.env.${name}`, `{ secret: ${secret} }`);
  for (const { path, secret, mode } of secrets?.files ?? []) fields.set(`run.files.${path}`, `{ secret: ${secret}, mode: "0${mode.toString(8)}" }`);
  for (const [name, port] of Object.entries(ports)) fields.set(`run.ports.${name}`, port === 0 ? "auto" : String(port));
  for (const [index, probe] of health.entries()) for (const [name, value] of probeFields(probe)) fields.set(`health[${index}].${name}`, value);
  return fields;
}

function probeFields({ check, intervalMs, timeoutMs, healthyAfter, unhealthyAfter }: Probe): readonly (readonly [string, string])[] {
  return [
    ...checkField(check),
    ["interval", durationText(intervalMs)],
    ["timeout", durationText(timeoutMs)],
    ["healthy_after", String(healthyAfter)],
    ["unhealthy_after", String(unhealthyAfter)],
  ];
}

function checkField(check: Probe["check"]): readonly (readonly [string, string])[] {
  switch (check?.$case) {
    case "http":
      return [["http", check.value.url]];
    case "tcp":
      return [["tcp", check.value.address]];
    case "exec":
      return [["exec", listText(check.value.command)]];
    case undefined:
      return [];
  }
}

/** As YAML writes a map in one line. */
function probeText(probe: Probe | undefined): string {
  if (probe === undefined) return "";
  return `{ ${probeFields(probe).map(([name, value]) => `${name}: ${value}`).join(", ")} }`;
}

/** As YAML writes a list in one line. */
function listText(words: readonly string[]): string {
  return `[${words.map((word) => (/^[\w./@%+:$={}-]+$/.test(word) ? word : JSON.stringify(word))).join(", ")}]`;
}

const PLACES = ["run.driver", "run.command", "run.env", "run.files", "run.stop_timeout", "run.ports", "health"];

function byPlace(a: FieldDifference, b: FieldDifference): number {
  const place = ({ path }: FieldDifference) => PLACES.findIndex((prefix) => path.startsWith(prefix));
  return place(a) - place(b) || a.path.localeCompare(b.path, "en", { numeric: true });
}
