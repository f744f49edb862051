/**
 * What a deployment file may say: the single source of what is accepted, of the defaults, and of docs/muster.schema.json.
 *
 * Takes the plain values of the YAML; gives durations in milliseconds, sizes, times and selectors as they are used. Its rooms are in schema/: the release, the
 * rollout and its waves, gates and times, and the leaves of all. What needs more than one key to be judged is in cross-rules.ts and rollout-rules.ts.
 */
import { z } from "zod";
import { Alarm, PrometheusAlarm, WebhookAlarm } from "./schema/alarm.ts";
import { Gate, Prometheus, Webhook } from "./schema/gate.ts";
import { says } from "./schema/leaf.ts";
import { App, Artifact, FilesRun, Health, Probe, ProcessRun, Run, Version } from "./schema/release.ts";
import { Rollout } from "./schema/rollout.ts";
import { SecretFile, SecretValue } from "./schema/secret.ts";
import { Promotion, Window } from "./schema/schedule.ts";
import { WaveMap } from "./schema/wave.ts";

export const DeploymentFileSchema = z
  .strictObject(
    {
      app: App,
      version: Version,
      artifact: Artifact,
      run: Run,
      health: Health,
      rollout: Rollout.meta({ description: "Which machines, and how to go through them." }),
    },
    says(explainRoot),
  )
  .meta({ title: "Muster deployment file", description: "A release, the machines it is for, and how to bring it to them." });

export type ValidFile = z.output<typeof DeploymentFileSchema>;

interface KeyedMap {
  /** Its path without the places in lists. */
  readonly at: string;
  /** Follows "it belongs in". */
  readonly name: string;
  readonly shape: object;
}

/** Every map below the top whose keys are fixed. */
const MAPS: readonly KeyedMap[] = [
  { at: "run", name: "run", shape: { ...ProcessRun.shape, ...FilesRun.shape } },
  { at: "run.files", name: "an entry of run.files", shape: SecretFile.shape },
  { at: "rollout", name: "rollout", shape: Rollout.shape },
  { at: "health", name: "each probe of health", shape: Probe.shape },
  { at: "rollout.waves", name: "a wave of rollout.waves", shape: WaveMap.shape },
  { at: "rollout.window", name: "rollout.window", shape: Window.shape },
  { at: "rollout.after", name: "rollout.after", shape: Promotion.shape },
  ...["rollout.gates", "rollout.waves.gates"].flatMap((at) => [
    { at, name: "an entry of gates", shape: Gate.shape },
    { at: `${at}.webhook`, name: "a gate's webhook", shape: Webhook.shape },
    { at: `${at}.prometheus`, name: "a gate's prometheus", shape: Prometheus.shape },
  ]),
  { at: "rollout.alarms", name: "an entry of alarms", shape: Alarm.shape },
  { at: "rollout.alarms.webhook", name: "an alarm's webhook", shape: WebhookAlarm.shape },
  { at: "rollout.alarms.prometheus", name: "an alarm's prometheus", shape: PrometheusAlarm.shape },
];

type KeyPath = readonly (string | number)[];

function withoutPlaces(path: KeyPath): string {
  return path.filter((part) => typeof part === "string").join(".");
}

/** The keys that may stand at a place of the file. */
export function keysAt(path: KeyPath, driver: unknown): readonly string[] {
  if (path[0] === "run" && path[1] === "env") return Object.keys(SecretValue.shape);
  if (path[0] === "run" && path.length === 1) return Object.keys(driver === "files" ? FilesRun.shape : ProcessRun.shape);
  return Object.keys(MAPS.find(({ at }) => at === withoutPlaces(path))?.shape ?? DeploymentFileSchema.shape);
}

/** Where a key belongs that stands in a wrong place: as near to it as may be. */
export function homeOf(key: string, path: KeyPath): string | undefined {
  if (path.length > 0 && Object.hasOwn(DeploymentFileSchema.shape, key)) return "it belongs at the top of the file";
  const here = withoutPlaces(path);
  const [home] = MAPS.filter(({ at, shape }) => at !== here && Object.hasOwn(shape, key)).toSorted((a, b) => shared(b.at, here) - shared(a.at, here));
  return home === undefined ? undefined : `it belongs in ${home.name}`;
}

/** How many of the first parts of two paths are the same. */
function shared(one: string, other: string): number {
  const parts = other.split(".");
  const differ = one.split(".").findIndex((part, index) => part !== parts[index]);
  return differ < 0 ? one.split(".").length : differ;
}

function explainRoot(found: unknown): string {
  const what = found === null || found === undefined ? "empty" : Array.isArray(found) ? "a list" : "a single text";
  return `the file is ${what}: a map with the keys ${keysAt([], undefined).join(", ")} is wanted`;
}
