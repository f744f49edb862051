/**
 * The deployment file: bytes → a deployment that can be planned, or every fault of the file with its place.
 *
 *     bytes ─ decode ─▶ text ─ yaml-tree ─▶ values with places ─ schema, cross-rules ─▶ strategy, release
 *
 * Pure but for the libraries it calls; reads nothing but the bytes that it is given.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Probe, Release as ReleaseMessage } from "@muster/proto/gen/muster/v1/release.ts";
import { parseAppName } from "@muster/proto/ids.ts";
import type { AppName } from "@muster/proto/ids.ts";
import type { Selector } from "@muster/proto/selector.ts";
import { counted } from "@muster/proto/text.ts";
import type { Strategy } from "../plan/strategy.ts";
import { crossFaults } from "./cross-rules.ts";
import { decode } from "./decode.ts";
import { DeploymentFileSchema } from "./schema.ts";
import type { ValidFile } from "./schema.ts";
import { schemaFaults } from "./schema-faults.ts";
import { toStrategy } from "./strategy.ts";
import { readYaml } from "./yaml-tree.ts";
import type { Path } from "./yaml-tree.ts";

export interface DeploymentFile {
  readonly app: AppName;
  readonly version: string;
  /** As written: relative to the file. */
  readonly artifactPath: string;
  /** Its `artifact` is empty: the digest is known when the artifact is pushed. */
  readonly release: ReleaseMessage;
  readonly strategy: Strategy;
  readonly selector: Selector;
}

export type ReadDeploymentFile = { readonly ok: true; readonly file: DeploymentFile } | { readonly ok: false; readonly faults: readonly Fault[] };

/** More than anybody mends in one go. */
const FAULTS_MAX = 50;

export function readDeploymentFile(content: Uint8Array): ReadDeploymentFile {
  const decoded = decode(content);
  if (!decoded.ok) return { ok: false, faults: [decoded.fault] };
  const yaml = readYaml(decoded.text, isTakenAsWritten);
  if (!yaml.ok) return { ok: false, faults: yaml.faults };
  const parsed = DeploymentFileSchema.safeParse(yaml.tree.value);
  const faults = [...yaml.tree.faults, ...(parsed.success ? [] : schemaFaults(parsed.error.issues, yaml.tree)), ...crossFaults(yaml.tree)];
  if (!parsed.success || faults.length > 0) return { ok: false, faults: inOrder(faults) };
  return { ok: true, file: toDeploymentFile(parsed.data) };
}

/** `version: 1.10` is the version 1.10, and `DEBUG: 0x10` in env says 0x10. */
function isTakenAsWritten(path: Path, value: number | boolean): boolean {
  if (path.length === 1) return path[0] === "version" && typeof value === "number";
  return path.length === 3 && path[0] === "run" && path[1] === "env";
}

function inOrder(faults: readonly Fault[]): readonly Fault[] {
  const sorted = faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
  if (sorted.length <= FAULTS_MAX) return sorted;
  const more = sorted.length - FAULTS_MAX;
  return [...sorted.slice(0, FAULTS_MAX), { line: 0, column: 0, path: "", message: `and ${counted(more, "more fault")}` }];
}

function toDeploymentFile({ app, version, artifact, run, health, rollout }: ValidFile): DeploymentFile {
  return {
    app: parseAppName(app)!,
    version,
    artifactPath: artifact,
    release: Release.fromPartial({
      app,
      version,
      driver: toDriver(run),
      ports: sortedByKey(Object.entries(run.ports).map(([name, port]) => [name, port === "auto" ? 0 : port])),
      health: health.map(toProbe),
      secrets: toSecrets(run),
    }),
    strategy: toStrategy(rollout),
    selector: rollout.targets,
  };
}

function toDriver(run: ValidFile["run"]): ReleaseMessage["driver"] {
  if (run.driver === "files") return { $case: "files", value: {} };
  const env = Object.entries(run.env).flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : []));
  return { $case: "process", value: { command: run.command, env: sortedByKey(env), stopTimeoutMs: run.stop_timeout } };
}

/** Absent when there are none: a release that names no secret says nothing of secrets. */
function toSecrets(run: ValidFile["run"]): ReleaseMessage["secrets"] {
  const variables = run.driver === "files" ? [] : Object.entries(run.env).flatMap(([name, value]) => (typeof value === "string" ? [] : [[name, value.secret] as const]));
  if (variables.length === 0 && run.files.length === 0) return undefined;
  const files = run.files.map(({ path, secret, mode }) => ({ path, secret, mode: Number.parseInt(mode, 8) }));
  return { env: sortedByKey(variables), files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

function toProbe(probe: ValidFile["health"][number]): Probe {
  return {
    check: toCheck(probe),
    intervalMs: probe.interval,
    timeoutMs: probe.timeout,
    healthyAfter: probe.healthy_after,
    unhealthyAfter: probe.unhealthy_after,
  };
}

function toCheck({ http, tcp, exec }: ValidFile["health"][number]): Probe["check"] {
  if (http !== undefined) return { $case: "http", value: { url: http } };
  if (tcp !== undefined) return { $case: "tcp", value: { address: tcp } };
  return { $case: "exec", value: { command: exec! } };
}

/** Two files that differ in the order of names only make the same release, byte for byte. */
function sortedByKey<Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> {
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
