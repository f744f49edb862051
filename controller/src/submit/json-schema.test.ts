/**
 * The JSON Schema for editors and the reader say the same of every file, but for what JSON Schema can't say.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isVersion, parseAppName } from "@muster/proto/ids.ts";
import { isLabelKey } from "@muster/proto/selector.ts";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { exampleFile, faultLines } from "./example-file.ts";
import { jsonSchemaText } from "./json-schema.ts";
import { meantIssues } from "./schema-faults.ts";
import { DeploymentFileSchema } from "./schema.ts";
import { LABEL_KEY } from "./schema/leaf.ts";

const written = readFileSync(join(import.meta.dirname, "../../../docs/muster.schema.json"), "utf8");
const accepts = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true }).compile(JSON.parse(written) as object);
const rollout = (lines: string): string => exampleFile({ rollout: `  targets: role=web\n${lines}` });
const run = (lines: string): string => exampleFile({ run: `  command: [./app]\n${lines}` });

describe("docs/muster.schema.json", () => {
  it("is what the generator writes: run npm run gen -w controller", () => {
    expect(written).toBe(jsonSchemaText());
  });

  it("describes every key, and shows an example or a default or the allowed values of each", () => {
    const properties: [string, Record<string, unknown>][] = [];
    JSON.stringify(JSON.parse(written), (key, value: unknown) => {
      if (key === "properties") properties.push(...Object.entries(value as Record<string, Record<string, unknown>>));
      return value;
    });
    expect(properties.length).toBeGreaterThan(25);
    for (const [name, property] of properties) {
      expect(property, name).toHaveProperty("description");
      const shows = ["examples", "default", "const", "enum", "oneOf", "properties"].some((keyword) => keyword in property);
      expect(shows, name).toBe(true);
    }
  });

  it.each([
    ["the smallest file", exampleFile()],
    ["a version that is a number", exampleFile({ version: "1.10" })],
    ["the files driver", exampleFile({ run: "  driver: files\n  ports: { http: 80 }" })],
    ["all of run", run('  driver: process\n  ports: { a: auto, b_-1: 65535 }\n  env: { A: 1, B: true, _c: "" }\n  stop_timeout: 0')],
    ["secrets", run('  env: { A: { secret: a }, B: b }\n  files: [{ path: tls/server.key, secret: tls-key }, { path: a.b, secret: a, mode: "0400" }]')],
    ["the files driver with secrets", exampleFile({ run: "  driver: files\n  files: [{ path: a, secret: a }]" })],
    ["all probes", exampleFile({ end: "health:\n  - http: https://x/\n    interval: 100ms\n  - tcp: x:1\n    timeout: 1.5s\n  - exec: [x]\n    healthy_after: 1\n" })],
    ["all of rollout", rollout("  waves: [1, 12.25%, 100.00%]\n  max_unavailable: 99%\n  max_failures: 0%\n  min_healthy_time: 0\n  on_failure: pause\n  on_conflict: supersede")],
    [
      "waves as maps",
      rollout("  waves: [{ size: 1, success_threshold: 1 }, { targets: canary=true, success_threshold: 12.5%, soak: 5m, approve: true, after: 0 }, { size: 100%, at: 2026-12-01T08:00:00.5+01:00, max_failures: 0, max_unreachable: 0% }]"),
    ],
    [
      "all of gates",
      rollout(
        "  gates:\n    - webhook: { url: 'https://x/', timeout: 1s, retries: 0, retry_interval: 1s, on_silence: go }\n" +
          "    - prometheus: { url: 'http://p:9090', query: up, max: 1.5, min: -1, interval: 1s, timeout: 1s, count: 1, failure_limit: 0, retries: 0, on_silence: wait }\n" +
          "  waves: [{ size: 100%, gates: [{ prometheus: { url: 'http://p', query: up, min: 1e-3 } }] }]",
      ),
    ],
    ["limits of how many", rollout("  max_unavailable_per: { zone: 2, a.b/c: 1 }\n  spread: rack\n  max_unreachable: 5%")],
    [
      "all of when",
      rollout(
        '  window: { cron: "*/5 0-6 1 JAN MON", duration: 168h, time_zone: Europe/Berlin }\n  start_at: 2026-12-01T08:00:00Z\n' +
          "  after: { deployment_of: a, targets: '', soak: 0 }\n  priority: -100\n  offline: wait:1h30m\n  late_joiners: ignore",
      ),
    ],
    ["a wait without an end", rollout("  offline: wait")],
    ["one key of the order", rollout("  order: -id")],
    ["a list of keys, and a start by hand", rollout("  order: [a.b/c, -zone, shuffle]\n  start: manual")],
  ])("accepts what the reader accepts: %s", (_title, text) => {
    expect(faultLines(text)).toEqual([]);
    expect(accepts(parse(text)), JSON.stringify(accepts.errors)).toBe(true);
  });

  it.each([
    ["a bad name", exampleFile({ app: "Web" })],
    ["a bad version", exampleFile({ version: "1/2" })],
    ["a boolean for a version", exampleFile({ version: "true" })],
    ["a negative version", exampleFile({ version: "-1.5" })],
    ["a blank artifact", exampleFile({ artifact: '" "' })],
    ["an unknown key", exampleFile({ end: "x: 1\n" })],
    ["a missing key", exampleFile().replace("app: web\n", "")],
    ["an unknown driver", run("  driver: x")],
    ["a command of the files driver", run("  driver: files")],
    ["a text for a command", exampleFile({ run: "  command: x" })],
    ["a number in a command", exampleFile({ run: "  command: [x, 1]" })],
    ["an empty command", exampleFile({ run: "  command: []" })],
    ["a bad port's name", run("  ports: { A: 1 }")],
    ["a bad port", run("  ports: { a: 0 }")],
    ["a variable of the agent", run("  env: { MUSTER_X: a }")],
    ["a variable without a value", run("  env: { X: }")],
    ["a variable of a secret without a name", run("  env: { X: {} }")],
    ["a secret's file that climbs out", run("  files: [{ path: ../x, secret: a }]")],
    ["a secret's file that others may read", run('  files: [{ path: x, secret: a, mode: "0644" }]')],
    ["a duration without a unit", run("  stop_timeout: 10")],
    ["a probe that asks nothing", exampleFile({ end: "health: [{}]\n" })],
    ["a probe that asks twice", exampleFile({ end: "health: [{ http: 'http://x/', tcp: 'x:1' }]\n" })],
    ["a URL without a scheme", exampleFile({ end: "health: [{ http: x }]\n" })],
    ["an interval of 0", exampleFile({ end: "health: [{ tcp: 'x:1', interval: 0 }]\n" })],
    ["a streak of 0", exampleFile({ end: "health: [{ tcp: 'x:1', healthy_after: 0 }]\n" })],
    ["a bad wave", rollout("  waves: [1, ten, 100%]")],
    ["no waves", rollout("  waves: []")],
    ["no machine at once", rollout("  max_unavailable: 0%")],
    ["a bad on_failure", rollout("  on_failure: x")],
    ["a wave that takes nobody", rollout("  waves: [{ soak: 1m }, 100%]")],
    ["a wave of a size and a selector", rollout("  waves: [{ size: 1, targets: a }, 100%]")],
    ["an unknown key of a wave", rollout("  waves: [{ size: 1, sok: 1m }, 100%]")],
    ["a text for approve", rollout("  waves: [{ size: 1, approve: yes }, 100%]")],
    ["a time without a zone", rollout("  start_at: 2026-12-01T08:00:00")],
    ["a gate that asks nobody", rollout("  gates: [{}]")],
    ["a gate of two kinds", rollout("  gates: [{ webhook: { url: 'http://x' }, prometheus: { url: 'http://x', query: up, max: 1 } }]")],
    ["a metric without a limit", rollout("  gates: [{ prometheus: { url: 'http://x', query: up } }]")],
    ["a metric without a query", rollout("  gates: [{ prometheus: { url: 'http://x', max: 1 } }]")],
    ["a webhook without http", rollout("  gates: [{ webhook: { url: x } }]")],
    ["an unknown rule for silence", rollout("  gates: [{ webhook: { url: 'http://x', on_silence: x } }]")],
    ["a percentage per label", rollout("  max_unavailable_per: { zone: 50% }")],
    ["a label's name that is none", rollout("  max_unavailable_per: { -a: 1 }")],
    ["a key of the order that is none", rollout("  order: +id")],
    ["no keys of the order", rollout("  order: []")],
    ["a bad start", rollout("  start: soon")],
    ["a list of labels to spread over", rollout("  spread: [zone]")],
    ["a wait without a unit", rollout("  offline: wait:30")],
    ["a cron line of six fields", rollout('  window: { cron: "0 0 2 * * *", duration: 1h }')],
    ["a window without a duration", rollout('  window: { cron: "0 2 * * *" }')],
    ["an offset for a time zone", rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: +01:00 }')],
    ["a promotion without targets", rollout("  after: { deployment_of: web }")],
    ["a priority that is too high", rollout("  priority: 101")],
    ["a map for targets", exampleFile({ rollout: "  targets: { role: web }" })],
  ])("refuses what the reader refuses: %s", (_title, text) => {
    expect(faultLines(text)).not.toEqual([]);
    expect(accepts(parse(text))).toBe(false);
  });

  it.each([
    ["the order of waves", rollout("  waves: [50%, 10%, 100%]")],
    ["the order of deadlines", rollout("  healthy_deadline: 1s")],
    ["the range of a duration", run("  stop_timeout: 11m")],
    ["a name in ${…}", run('  env: { A: "${x}" }')],
    ["a selector", exampleFile({ rollout: "  targets: a b" })],
    ["the order of waves as maps", rollout("  waves: [{ size: 50% }, { size: 10% }, 100%]")],
    ["the day of a month", rollout("  start_at: 2026-02-30T08:00:00Z")],
    ["a cron line", rollout('  window: { cron: "0 25 * * *", duration: 1h }')],
    ["the name of a time zone", rollout('  window: { cron: "0 2 * * *", duration: 1h, time_zone: Berlin }')],
    ["one label in two limits", rollout("  spread: zone\n  max_unavailable_per: { zone: 1 }")],
    ["limits of a metric", rollout("  gates: [{ prometheus: { url: 'http://x', query: up, min: 2, max: 1 } }]")],
    ["a password in a URL", rollout("  gates: [{ webhook: { url: 'http://u:p@x' } }]")],
    ["two ports of one number", run("  ports: { a: 1, b: 1 }")],
  ])("can't say, and leaves to the reader: %s", (_title, text) => {
    expect(faultLines(text)).not.toEqual([]);
    expect(accepts(parse(text))).toBe(true);
  });

  it("agrees with the reader's schema whatever is changed in a file", () => {
    const whole: unknown = parse(
      exampleFile({
        run: "  driver: process\n  command: [./app]\n  ports: { a: auto }\n  env: { A: b }\n  stop_timeout: 1s",
        rollout:
          "  targets: a=b\n  waves:\n    - 1\n    - { targets: a, soak: 1m, approve: true, at: 2026-12-01T08:00:00Z, gates: [{ webhook: { url: 'http://x/' } }] }\n    - { size: 100%, after: 1m }\n" +
          "  gates: [{ prometheus: { url: 'http://x/', query: up, max: 1, on_silence: go } }]\n  max_unavailable: 1\n  max_unavailable_per: { zone: 1 }\n  spread: rack\n" +
          '  min_healthy_time: 1s\n  max_failures: 0\n  offline: wait\n  window: { cron: "0 2 * * *", duration: 1h, time_zone: UTC }\n' +
          "  after: { deployment_of: a, targets: a=c }\n  priority: 1\n  on_failure: abort",
        end: "health:\n  - http: http://x/\n    interval: 1s\n    timeout: 1s\n    healthy_after: 1\n  - exec: [x]\n",
      }),
    );
    const places = placesOf(whole);
    const values = fc.constantFrom<unknown>(
      undefined, null, true, 0, 1, -1, 1.5, 70_000, 2_000_000, "", " ", "x", "10", "10s", "0", "-1s", "25%", "0%", "125%", "auto", "files", "process", "a:1", "http://x/", "a\0b",
      [], {}, ["x"], [1], [null], { x: 1 }, { A: 1 }, { driver: "files" }, { http: "http://x/" }, { tcp: "x:1", exec: ["x"] }, { a: 1 },
      "wait:5m", "2026-12-01T08:00:00Z", "2026-02-30T08:00:00Z", "0 0 30 2 *", "1 2 3 4 5", "Europe/Berlin", "Nowhere", "http://u:p@x/", "stop", { size: 1 }, { size: "5%", targets: "a" },
      { targets: "a" }, { webhook: { url: "http://x/" } }, { prometheus: { url: "http://x/", query: "up", min: 1 } }, { prometheus: {} }, -100, 101,
    );
    const names = fc.constantFrom("x", "http", "tcp", "A", "a-b", "driver", "MUSTER_X", "app", "size", "targets", "soak", "webhook", "prometheus", "max", "retries");
    let refused = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...places), fc.option(names), values), { minLength: 1, maxLength: 2 }), (changes) => {
        const file = structuredClone(whole);
        // A copy: a later change may be inside of the value, which others share.
        for (const [place, name, value] of changes) change(file, name === null ? place : [...place, name], structuredClone(value));
        const ours = DeploymentFileSchema.safeParse(file);
        const theirs = accepts(file);
        if (!theirs) refused += 1;
        expect(ours.success || meantIssues(ours.error.issues).every(isBeyondJsonSchema), JSON.stringify(file)).toBe(theirs);
      }),
      { numRuns: 1_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});

describe("the patterns of the schema", () => {
  it("are those of labels everywhere else", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "Z", "0", "-", ".", "_", "/", " ", "é", "\n"), maxLength: 12 });
    const long = fc.constantFrom("a".repeat(63), "a".repeat(64), `${"a".repeat(253)}/a`, `${"a".repeat(254)}/a`);
    fc.assert(
      fc.property(fc.oneof(text, long), (found) => {
        expect(LABEL_KEY.test(found)).toBe(isLabelKey(found));
      }),
    );
  });

  it("are those of app names and versions everywhere else", () => {
    const properties = (JSON.parse(written) as { properties: { app: { pattern: string }; version: { anyOf: [{ pattern: string }] } } }).properties;
    const app = new RegExp(properties.app.pattern, "u");
    const version = new RegExp(properties.version.anyOf[0].pattern, "u");
    const text = fc.string({ unit: fc.constantFrom("a", "Z", "0", "9", "-", ".", "_", "+", " ", "/", "é", "\n"), maxLength: 66 });
    fc.assert(fc.property(fc.oneof(text, fc.constantFrom("a".repeat(63), "a".repeat(64), "1".repeat(64), "1".repeat(65))), (found) => {
      expect(app.test(found)).toBe(parseAppName(found) !== undefined);
      expect(version.test(found)).toBe(isVersion(found));
    }));
  });
});

/** Ranges of durations, the grammars of selectors, cron lines and URLs, days and time zones, which transforms and refinements judge. */
const BEYOND =
  /is too (?:short|long)|whole number of milliseconds|^not a selector|is not a time: that month has|is not a cron|never comes|is not a time zone|is not a URL, for|password in the URL|filled in on machines|without \/api\/v1/;

function isBeyondJsonSchema(issue: { readonly code: string; readonly message: string }): boolean {
  return issue.code === "custom" && BEYOND.test(issue.message);
}

type Place = readonly (string | number)[];

function placesOf(value: unknown, place: Place = []): Place[] {
  if (typeof value !== "object" || value === null) return [place];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [place, ...entries.flatMap(([part, item]) => placesOf(item, [...place, part]))];
}

/** Sets, or takes out with `undefined`, where the place exists; a place inside of what a change before it took away is left. */
function change(file: unknown, place: Place, value: unknown): void {
  const last = place.at(-1);
  const parent = place.slice(0, -1).reduce(inside, file);
  if (last === undefined || typeof parent !== "object" || parent === null) return;
  if (Array.isArray(parent) && typeof last === "string") return;
  if (value !== undefined) (parent as Record<string | number, unknown>)[last] = value;
  else if (!Array.isArray(parent)) delete (parent as Record<string | number, unknown>)[last];
}

function inside(value: unknown, part: string | number): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string | number, unknown>)[part] : undefined;
}
