/**
 * Small fleets for tests: `web-01` … in zones a, b and c by turns, and a sensible strategy.
 */
import type { AppName, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Probe } from "@muster/proto/gen/muster/v1/release.ts";
import type { Gate, Size, Strategy, WaveSpec } from "../plan/strategy.ts";
import type { ForecastInputs, ForecastMachine } from "./inputs.ts";
import { type Forecast, forecast } from "./forecast.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
/** 2026-01-05 is a Monday. */
export const NOW = Date.UTC(2026, 0, 5, 12) as Instant;

export const count = (value: number): Size => ({ kind: "count", count: value });
export const percent = (value: number): Size => ({ kind: "percent", percent: value });
export const soak = (forMs: number): Gate => ({ kind: "soak", forMs });

export function wave(size: Size | string, gates: readonly Gate[] = [], over: Partial<WaveSpec> = {}): WaveSpec {
  const members = typeof size === "string" ? ({ kind: "selector", selector: size } as const) : ({ kind: "size", size } as const);
  return { members, gates, at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null, ...over };
}

export function strategy(over: Partial<Strategy> = {}): Strategy {
  return {
    targets: "role=web",
    waves: [wave(count(1), [soak(10 * MINUTE)]), wave(percent(25), [soak(10 * MINUTE)]), wave(percent(100))],
    maxUnavailable: percent(25),
    alarms: [],
    maxUnavailablePer: [],
    spread: null,
    order: [],
    minHealthyTimeMs: 10 * SECOND,
    healthyDeadlineMs: 5 * MINUTE,
    progressDeadlineMs: 10 * MINUTE,
    maxFailures: count(0),
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "deploy",
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    priority: 0,
    onFailure: "rollback",
    onConflict: "queue",
    ...over,
  };
}

export const PROBE: Probe = {
  check: { $case: "http", value: { url: "http://127.0.0.1:8080/healthz" } },
  intervalMs: 2 * SECOND,
  timeoutMs: SECOND,
  healthyAfter: 2,
  unhealthyAfter: 3,
};

export function fleet(size: number, over: (index: number) => Partial<ForecastMachine> = () => ({})): readonly ForecastMachine[] {
  return Array.from({ length: size }, (_, index) => ({
    id: machine(index + 1),
    labels: { role: "web", zone: "abc"[index % 3]! },
    silent: false,
    cordoned: false,
    unhealthy: false,
    runsRelease: false,
    runsUnconfirmed: false,
    lastGood: "shop@1.0" as ReleaseId,
    ...over(index),
  }));
}

/** From 1. */
export function machine(number: number): MachineId {
  return `web-${String(number).padStart(2, "0")}` as MachineId;
}

/** Each update has taken 14 s of work so far, of which the last 4 s were for the probes. */
export const HISTORY = { workMs: Array.from({ length: 20 }, () => 14 * SECOND), wasHealthy: true, stopTimeoutMs: 10 * SECOND, deployments: ["d-7"] } as const;

export function inputs(over: Partial<ForecastInputs> = {}): ForecastInputs {
  return {
    app: "shop" as AppName,
    releaseId: "shop@1.1" as ReleaseId,
    release: { driver: { $case: "process", value: { command: ["./shop"], env: {}, stopTimeoutMs: 10 * SECOND } }, health: [PROBE] },
    strategy: strategy(),
    now: NOW,
    machines: fleet(20),
    history: HISTORY,
    budgets: [],
    silentAfterMs: 15 * SECOND,
    frozen: () => ({ open: true, until: null }),
    opening: () => ({ open: true, until: null }),
    waitsFor: [],
    beginsAt: null,
    ...over,
  };
}

export function forecastOf(over: Partial<ForecastInputs> = {}): Forecast {
  return finish(forecast(inputs(over)));
}

function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

export function blast(made: Forecast, world: string): Forecast["blastRadius"][number] {
  const found = made.blastRadius.find((one) => one.world === world);
  if (found === undefined) throw new Error(`no world ${world} among ${made.blastRadius.map((one) => one.world).join(", ")}`);
  return found;
}
