/**
 * The part of rollout.bench.ts that is measured: the pure engine alone, in a process of its own, so that one size does not run with another's heap. Prints its figures
 * as one line of JSON.
 *
 * Targets answer in the order in which they were told, so that the window is always full. Every change is applied and checked, as in production; none is written.
 */
import { parseArgs } from "node:util";
import type { AppName, DeploymentId, Generation, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type Plan, type PlanMachine, planRollout } from "@muster/controller/src/plan/plan.ts";
import type { Strategy, WaveSpec } from "@muster/controller/src/plan/strategy.ts";
import { nextWake } from "@muster/controller/src/rollout/advance.ts";
import type { RolloutChange, Stamp } from "@muster/controller/src/rollout/change.ts";
import { noteAvailability } from "@muster/controller/src/rollout/derived.ts";
import { drive, type Recorder } from "@muster/controller/src/rollout/drive.ts";
import { attendedAlways, type Moment } from "@muster/controller/src/rollout/moment.ts";
import { Heap } from "@muster/controller/src/rollout/heap.ts";
import { auditRollout } from "@muster/controller/src/rollout/invariants.ts";
import { type AgentPhase, newRollout, type RolloutState } from "@muster/controller/src/rollout/state.ts";
import { OPEN_SURROUNDINGS } from "@muster/controller/src/rollout/surroundings.ts";

/** What limits who moves together. */
export const SHAPES = ["plain", "spread", "racks"] as const;
export type Shape = (typeof SHAPES)[number];

/** What one run found. Times are of the wall but for `eventsCpuMs`, which counts every thread and no neighbour. */
export interface Run {
  readonly events: number;
  readonly eventsMs: number;
  readonly eventsCpuMs: number;
  readonly planMs: number;
  readonly totalMs: number;
  readonly virtualMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

const ANSWERS: readonly AgentPhase[] = ["pulling", "probing", "healthy"];
const RACKS = 1000;
const SOAK_MS = 60_000;
const RELEASE = "bench@2" as ReleaseId;

if (import.meta.main) {
  const { values } = parseArgs({
    options: { what: { type: "string" }, shape: { type: "string" }, targets: { type: "string" }, events: { type: "string" }, seed: { type: "string", default: "1" } },
  });
  const shape = SHAPES.find((name) => name === values.shape);
  if (shape === undefined) throw new Error(`--shape is ${values.shape}, and may be ${SHAPES.join(", ")}`);
  const targets = Number(values.targets);
  const found = values.what === "simulate" ? simulate(shape, targets, Number(values.seed)) : answer(shape, targets, Number(values.events));
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

/** Rollouts over `targets` machines, one after another, until at least `events` reports were taken. */
function answer(shape: Shape, targets: number, events: number): Run {
  const startedAt = performance.now();
  const strategy = strategyOf(shape, 0);
  const plan = planRollout(strategy, fleetOf(targets), RELEASE);
  const planMs = performance.now() - startedAt;
  // The first run is for the compiler.
  takeReports(strategy, plan, Math.min(events, 200_000));
  let taken = 0;
  let eventsMs = 0;
  let eventsCpuMs = 0;
  while (taken < events) {
    const run = takeReports(strategy, plan, events - taken);
    taken += run.taken;
    eventsMs += run.ms;
    eventsCpuMs += run.cpuMs;
  }
  return { events: taken, eventsMs, eventsCpuMs, planMs, totalMs: performance.now() - startedAt, virtualMs: 0, ...memory() };
}

/** One rollout, or as much of it as `most` reports bring about. Begins and ends of waves count, the building of its state does not. */
function takeReports(strategy: Strategy, plan: Plan, most: number): { readonly taken: number; readonly ms: number; readonly cpuMs: number } {
  const told: MachineId[] = [];
  const generations: Generation[] = [];
  let seq = 0;
  let now = 1 as Instant;
  const record = (change: RolloutChange): Stamp => {
    seq += 1;
    if (change.kind === "target_assigned") {
      told.push(change.machine);
      generations.push(seq as Generation);
    }
    return { seq, ...attendedAlways(now) };
  };
  const state = rolloutOf(strategy, now);
  const applied = noting(state);
  drive(state, { kind: "start", plan }, OPEN_SURROUNDINGS, attendedAlways(now), { record, applied });
  globalThis.gc?.();
  const startedAt = performance.now();
  const cpuAt = cpuMs();
  let taken = 0;
  for (let index = 0; index < told.length && taken < most; index += 1) {
    now = (now + 1) as Instant;
    const machine = told[index]!;
    const generation = generations[index]!;
    for (const phase of ANSWERS) report(state, { machine, generation, phase }, attendedAlways(now), { record, applied });
    taken += ANSWERS.length;
  }
  const spent = { ms: performance.now() - startedAt, cpuMs: cpuMs() - cpuAt };
  if (taken < most && state.phase !== "succeeded") throw new Error(`it ended ${state.phase} after ${taken} reports`);
  return { taken, ...spent };
}

interface Answer {
  readonly at: number;
  readonly machine: MachineId;
  readonly generation: Generation;
  readonly phase: number;
}

/** From the fleet to the end in virtual time: each machine takes its seeded time for each step, and the rollout is woken when it asks for it. */
function simulate(shape: Shape, targets: number, seed: number): Run {
  const startedAt = performance.now();
  const strategy = strategyOf(shape, SOAK_MS);
  const plan = planRollout(strategy, fleetOf(targets), RELEASE);
  const planMs = performance.now() - startedAt;
  const random = randomOf(seed);
  const answers = new Heap<Answer>((a, b) => (a.at === b.at ? a.generation < b.generation : a.at < b.at));
  const begin = Date.UTC(2030, 0, 7) as Instant;
  const state = rolloutOf(strategy, begin);
  let now = begin;
  let seq = 0;
  let events = 0;
  const delay = (): number => 500 + Math.floor(random() * 29_500);
  const record = (change: RolloutChange): Stamp => {
    seq += 1;
    if (change.kind === "target_assigned") answers.push({ at: now + delay(), machine: change.machine, generation: seq as Generation, phase: 0 });
    return { seq, ...attendedAlways(now) };
  };
  const applied = noting(state);
  const eventsAt = performance.now();
  const cpuAt = cpuMs();
  drive(state, { kind: "start", plan }, OPEN_SURROUNDINGS, attendedAlways(now), { record, applied });
  while (state.phase === "rolling") {
    const wake = nextWake(state, OPEN_SURROUNDINGS, attendedAlways(now));
    const next = answers.peek();
    if (next === undefined && wake === undefined) throw new Error("it waits for nothing");
    if (next === undefined || (wake !== undefined && wake < next.at)) {
      now = wake!;
      drive(state, undefined, OPEN_SURROUNDINGS, attendedAlways(now), { record, applied });
    } else {
      answers.pop();
      now = next.at as Instant;
      const { machine, generation, phase } = next;
      if (phase < ANSWERS.length - 1) answers.push({ at: now + delay(), machine, generation, phase: phase + 1 });
      report(state, { machine, generation, phase: ANSWERS[phase]! }, attendedAlways(now), { record, applied });
    }
    events += 1;
  }
  const eventsMs = performance.now() - eventsAt;
  const eventsCpuMs = cpuMs() - cpuAt;
  const used = memory();
  auditRollout(state);
  if (state.phase !== "succeeded") throw new Error(`it ended ${state.phase}: ${state.reason?.message}`);
  return { events, eventsMs, eventsCpuMs, planMs, totalMs: eventsMs + planMs, virtualMs: now - begin, ...used };
}

function strategyOf(shape: Shape, soakMs: number): Strategy {
  const wave = (percent: number): WaveSpec => ({
    members: { kind: "size", size: { kind: "percent", percent } },
    gates: soakMs === 0 ? [] : [{ kind: "soak", forMs: soakMs }],
    at: null,
    afterMs: 0,
    maxFailures: null,
    maxUnreachable: null,
    successThreshold: null,
  });
  return {
    targets: "role=web",
    waves: [wave(1), wave(10), wave(50), wave(100)],
    alarms: [],
    maxUnavailable: { kind: "percent", percent: 10 },
    maxUnavailablePer: shape === "racks" ? [{ label: "rack", max: 20 }] : [],
    spread: shape === "spread" ? "zone" : null,
    order: [],
    minHealthyTimeMs: 1000,
    healthyDeadlineMs: 60_000,
    progressDeadlineMs: 600_000,
    maxFailures: { kind: "count", count: 0 },
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "ignore",
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    priority: 0,
    onFailure: "rollback",
    onConflict: "queue",
  };
}

/** A machine that was assigned something serves nothing until it says that it does: so the engine notes it. */
function noting(state: RolloutState): NonNullable<Recorder["applied"]> {
  return (change) => {
    if (change.kind === "target_assigned") noteAvailability(state, change.machine, { is: "changing" });
  };
}

function report(state: RolloutState, said: { readonly machine: MachineId; readonly generation: Generation; readonly phase: (typeof ANSWERS)[number] }, now: Moment, recorder: Recorder): void {
  if (said.phase === "healthy") noteAvailability(state, said.machine, { is: "available" });
  drive(state, { kind: "reported", ...said, reason: null, runs: "2" }, OPEN_SURROUNDINGS, now, recorder);
}

function rolloutOf(strategy: Strategy, at: Instant): RolloutState {
  return newRollout({ id: "bench" as DeploymentId, app: "bench" as AppName, release: RELEASE, strategy }, attendedAlways(at));
}

function fleetOf(targets: number): readonly PlanMachine[] {
  return Array.from({ length: targets }, (_, index) => ({
    id: `m-${index}` as MachineId,
    labels: { zone: `z-${index % 3}`, rack: `r-${index % RACKS}` },
    silent: false,
    cordoned: false,
    unhealthy: false,
    runsRelease: false,
    runsUnconfirmed: false,
    lastGood: "bench@1" as ReleaseId,
  }));
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function memory(): Pick<Run, "rssBytes" | "heapBytes"> {
  const rssBytes = process.memoryUsage.rss();
  globalThis.gc?.();
  return { rssBytes, heapBytes: process.memoryUsage().heapUsed };
}
