/**
 * Performs steps: from a demand of the machine to calls of the ports, and from what they answer to an event. Decides nothing.
 * Every step may have been half done before, by this agent or by one that was killed.
 */
import type { Event } from "../machine/event.ts";
import { type AppState, sameRelease, wanted } from "../machine/state.ts";
import { portsOf } from "../machine/picture.ts";
import type { FileStep, ProcessStep } from "../machine/step.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { faultOf } from "./fault.ts";
import type { Clock, Fault, LogReader, Outcome, PortPicker, Prober, ProcessDriver, Puller, Random, ReleaseStore, ReleaseTrust, SecretStore, Workload } from "./ports.ts";
import { type Resolution, resolveRelease } from "./resolve.ts";

/** All that a machine's apps need of the world. */
export interface World {
  readonly trust: ReleaseTrust;
  readonly puller: Puller;
  readonly store: ReleaseStore;
  readonly secrets: SecretStore;
  readonly driver: ProcessDriver;
  readonly prober: Prober;
  readonly ports: PortPicker;
  readonly logs: LogReader;
  readonly clock: Clock;
  readonly random: Random;
  /** Names the time since the machine was switched on. */
  bootId(): string;
  /** Launch ids of an app's processes that are found though nothing is written down of them. */
  strays(app: string): readonly string[];
}

export interface StepContext {
  readonly app: string;
  readonly world: World;
  readonly machineId: string;
  /** Resolves once the controller has said where artifacts are; rejects when the signal aborts. */
  readonly artifactUrl: (signal: AbortSignal) => Promise<string>;
  /** An artifact has come: whoever gave it is there. */
  readonly onFetched: () => void;
  /** Ports of this machine's other apps. */
  readonly takenPorts: () => ReadonlySet<number>;
  /** The record of this app was lost: processes of it may run that nobody knows of. */
  readonly mayHaveStrays: boolean;
}

/** Sockets of the process that was just stopped may need a moment to go away. */
const PORT_GRACE_MS = 2_000;
const PORT_LOOK_INTERVAL_MS = 100;
const STRAY_STOP_TIMEOUT_MS = 10_000;
const LAST_LINES_MAX = 40;
const LAST_LINE_CHARS_MAX = 200;
/** A log that can't be read in time is not worth waiting for. */
const LAST_LINE_TIMEOUT_MS = 1_000;

export async function performFileStep(step: FileStep, state: AppState, context: StepContext, signal: AbortSignal): Promise<Event> {
  try {
    const outcome = await fileStep(step, state, context, signal);
    if (!outcome.ok) return { kind: "step_failed", key: step.key, fault: outcome.fault };
    return { kind: "step_done", key: step.key, ...(outcome.value === undefined ? {} : { ports: outcome.value }) };
  } catch (error) {
    return { kind: "step_failed", key: step.key, fault: faultOf(error) };
  }
}

type Ports = Readonly<Record<string, number>>;

async function fileStep(step: FileStep, state: AppState, context: StepContext, signal: AbortSignal): Promise<Outcome<Ports | undefined>> {
  const { app, world } = context;
  switch (step.kind) {
    case "pull": {
      const artifactUrl = await context.artifactUrl(signal);
      const trusted = await world.trust.judge(step.release);
      if (!trusted.ok) return trusted;
      const pulled = plain(await world.puller.pull({ app, artifact: step.release.artifact, artifactUrl, signal }));
      if (pulled.ok) context.onFetched();
      return pulled;
    }
    case "prepare":
      return prepare(step.release, state, context);
    case "ports":
      await stopStrays(context);
      return choosePorts(step.release, state, context);
    case "switch": {
      const trusted = await mayReturn(state, world);
      if (!trusted.ok) return trusted;
      await stopStrays(context);
      return switchTo(step.artifact, state, context);
    }
    case "prune":
      await world.store.prune(app, step.keep);
      await world.secrets.prune(app, [state.current, state.lastGood].flatMap((release) => (release === undefined ? [] : [release.version])));
      return { ok: true, value: undefined };
    case "delete":
      await world.store.removeApp(app);
      return { ok: true, value: undefined };
  }
}

/** A release that was good once may be one by now that must not run again. Also asked when it is the goal: the agent may have been going back to it already, and not have pulled it. */
async function mayReturn(state: AppState, { trust }: World): Promise<Outcome> {
  const { phase, lastGood } = state;
  const isReturn = phase.kind === "reverting" || (phase.kind === "activating" && sameRelease(wanted(state), lastGood));
  return isReturn && lastGood !== undefined ? trust.judgeReturn(lastGood) : { ok: true, value: undefined };
}

export async function performProcessStep(step: ProcessStep, state: AppState, context: StepContext): Promise<Event> {
  switch (step.kind) {
    case "start":
      return start(step.launchId, step.release, state, context);
    case "stop":
      await context.world.driver.stop(step.workload, step.stopTimeoutMs);
      return { kind: "stopped", launchId: step.workload.launchId };
  }
}

async function start(launchId: string, release: Release, state: AppState, context: StepContext): Promise<Event> {
  const { app, world } = context;
  const resolution = resolveFor(release, state, context);
  if (!resolution.ok) return { kind: "start_failed", launchId, fault: unresolved(resolution.missing) };
  const { command, env } = resolution.value;
  try {
    const placed = await world.secrets.place(app, release);
    if (!placed.ok) return { kind: "start_failed", launchId, fault: placed.fault };
    const secret = world.secrets.environment(app, release);
    if (!secret.ok) return { kind: "start_failed", launchId, fault: secret.fault };
    const spec = { app, version: release.version, launchId, releaseDir: world.store.releaseDir(app, release.artifact), command, env: { ...env, ...secret.value } };
    const outcome = await world.driver.start(spec);
    return outcome.ok ? { kind: "started", workload: outcome.value } : { kind: "start_failed", launchId, fault: outcome.fault };
  } catch (error) {
    return { kind: "start_failed", launchId, fault: faultOf(error) };
  }
}

export function resolveFor(release: Release, state: AppState, { app, world, machineId }: StepContext): Resolution {
  const labels = state.goal?.labels ?? {};
  const places = { releaseDir: world.store.releaseDir(app, release.artifact), secretsDir: world.secrets.dir(app, release.version) };
  return resolveRelease(release, { machineId, labels, ...places, ports: portsOf(release.ports, state.ports) });
}

async function prepare(release: Release, state: AppState, context: StepContext): Promise<Outcome<undefined>> {
  const { app, world } = context;
  if (!(await world.store.has(app, release.artifact))) {
    return failed({ code: "io_error", message: "the release has gone from this machine's disk since it was pulled", retryable: false });
  }
  // Ports are chosen later; here only names count.
  const anyPorts = Object.fromEntries(Object.keys(release.ports).map((name) => [name, 1]));
  const resolution = resolveFor(release, { ...state, ports: { ...anyPorts, ...state.ports } }, context);
  if (!resolution.ok) return failed(unresolved(resolution.missing));
  for (const { artifact } of [release, ...(state.lastGood === undefined ? [] : [state.lastGood])]) {
    const ready = await world.store.makeReady(app, artifact);
    if (!ready.ok) return ready;
  }
  return plain(await world.secrets.place(app, release));
}

/** The files of secrets go with the release that they are for. */
async function switchTo(artifact: string | undefined, state: AppState, { app, world }: StepContext): Promise<Outcome<undefined>> {
  const outcome = await world.store.switchTo(app, artifact);
  if (!outcome.ok) return outcome;
  const release = artifact === undefined ? undefined : state.phase.kind === "reverting" ? state.lastGood : wanted(state);
  return plain(await world.secrets.point(app, release));
}

/** Fixed ports must be free. A port once chosen for `auto` is kept, unless somebody else has it by now. */
async function choosePorts(release: Release, state: AppState, context: StepContext): Promise<Outcome<Ports>> {
  const { world, takenPorts } = context;
  const chosen: Record<string, number> = {};
  for (const [name, fixed] of Object.entries(release.ports)) {
    const wanted = fixed === 0 ? state.ports[name] : fixed;
    if (wanted !== undefined && (await becomesFree(wanted, world))) {
      if (fixed === 0) chosen[name] = wanted;
    } else if (fixed !== 0) {
      return failed({ code: "port_in_use", message: `port ${fixed} (${name}) is taken by another process`, retryable: false });
    } else {
      chosen[name] = await world.ports.pick(new Set([...takenPorts(), ...Object.values(state.ports), ...Object.values(chosen)]));
    }
  }
  return { ok: true, value: chosen };
}

async function becomesFree(port: number, { ports, clock }: World): Promise<boolean> {
  for (let waitedMs = 0; ; waitedMs += PORT_LOOK_INTERVAL_MS) {
    if (await ports.isFree(port)) return true;
    if (waitedMs >= PORT_GRACE_MS) return false;
    await new Promise<void>((resolve) => clock.after(PORT_LOOK_INTERVAL_MS, resolve));
  }
}

async function stopStrays({ app, world, mayHaveStrays }: StepContext): Promise<void> {
  if (!mayHaveStrays) return;
  const found = await Promise.all(world.strays(app).map((launchId) => world.driver.find(launchId, undefined)));
  const strays = found.filter((workload) => workload !== undefined);
  await Promise.all(strays.map((workload: Workload) => world.driver.stop(workload, STRAY_STOP_TIMEOUT_MS)));
}

/** A runtime says what went wrong and then, often, where and what it is itself. */
const TELLING = /error|exception|fatal|panic/i;

/** What the workload wrote to stderr last, where it names a fault the last line that does; or empty. */
export async function lastLineOf(app: string, { logs, secrets }: Pick<World, "logs"> & { readonly secrets: Pick<SecretStore, "redact"> }): Promise<string> {
  const words: string[] = [];
  try {
    const signal = AbortSignal.timeout(LAST_LINE_TIMEOUT_MS);
    for await (const lines of logs.read({ app, tailLines: LAST_LINES_MAX, follow: false, signal })) {
      words.push(...lines.filter(({ stream, text }) => stream === "stderr" && text.trim() !== "").map(({ text }) => text.trim()));
    }
  } catch {
    // Its words are a courtesy: without them the exit says enough.
  }
  const line = words.findLast((text) => TELLING.test(text)) ?? words.at(-1) ?? "";
  return secrets.redact(app, line).slice(0, LAST_LINE_CHARS_MAX);
}

function unresolved(name: string): Fault {
  return { code: "unresolved_name", message: `\${${name}} has no value on this machine`, retryable: false };
}

function failed(fault: Fault): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault };
}

function plain(outcome: Outcome): Outcome<undefined> {
  return outcome.ok ? { ok: true, value: undefined } : outcome;
}
