/**
 * Asks a release's probes. The parts: how each kind is asked (`check-*.ts`), when (`watch.ts`), and what follows (`verdict.ts`).
 */
import type { Probe } from "@muster/proto/gen/muster/v1/release.ts";
import type { Prober, ProbeTarget } from "../runner/ports.ts";
import { checkExec } from "./check-exec.ts";
import { checkHttp } from "./check-http.ts";
import { checkTcp } from "./check-tcp.ts";
import type { Sample } from "./verdict.ts";
import { watch, type Timers } from "./watch.ts";

export interface ProberOptions {
  /** What an exec probe sees besides its release's `env`: the same as a workload. */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly timers?: Timers;
}

const SYSTEM_TIMERS: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

export function createProber({ baseEnv, timers = SYSTEM_TIMERS }: ProberOptions): Prober {
  return {
    watch(target, onVerdict) {
      const env = { ...baseEnv, ...target.env };
      const probes = target.probes.map((probe) => ({
        intervalMs: probe.intervalMs,
        timeoutMs: probe.timeoutMs,
        healthyAfter: probe.healthyAfter,
        unhealthyAfter: probe.unhealthyAfter,
        ask: (signal: AbortSignal) => ask(probe, { ...target, env }, signal),
      }));
      return watch(probes, timers, onVerdict, target.wasHealthy);
    },
  };
}

function ask({ check, timeoutMs }: Probe, target: ProbeTarget, signal: AbortSignal): Promise<Sample> {
  switch (check?.$case) {
    case "http":
      return checkHttp(check.value.url, timeoutMs, signal);
    case "tcp":
      return checkTcp(check.value.address, timeoutMs, signal);
    case "exec":
      return checkExec(check.value.command, target, timeoutMs, signal);
    case undefined:
      // From a newer controller: not knowing how to ask is not knowing that it is well.
      return Promise.resolve({ ok: false, detail: "this agent does not know how to ask one of the probes: update it" });
  }
}
