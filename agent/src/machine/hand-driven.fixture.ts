/** For tests alone: one app that is driven by hand, with a clock that stands still until it is moved. */
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { decide } from "./decide.ts";
import type { Event } from "./event.ts";
import type { Picture } from "./picture.ts";
import { type AppState, type Workload, emptyState } from "./state.ts";
import { type Demand, demandOf } from "./step.ts";

export const BOOT = "boot-1";
const DAY_MS = 86_400_000;

export function processRelease(version: string, more: Partial<Release> = {}): Release {
  const artifact = version.replaceAll(/[^0-9a-f]/g, "").padEnd(64, "0");
  const driver: Release["driver"] = { $case: "process", value: { command: ["serve"], env: {}, stopTimeoutMs: 10_000 } };
  return { app: "web", version, artifact, driver, ports: {}, health: [], secrets: undefined, ...more };
}

export function filesRelease(version: string): Release {
  return processRelease(version, { driver: { $case: "files", value: {} } });
}

/** Confirmed, unless it is said otherwise. */
export function run(generation: number, release: Release, more: Partial<AppAssignment> = {}): AppAssignment {
  const goal: AppAssignment["goal"] = { $case: "run", value: release };
  return { app: "web", generation, deploymentId: "d-1", goal, minHealthyTimeMs: 5_000, healthyDeadlineMs: 60_000, labels: { zone: "a" }, secrets: undefined, confirmed: true, lastGoodVersion: "", ...more };
}

/** The same once more, with the word that the release has passed its wave. */
export function confirmed(goal: AppAssignment): AppAssignment {
  return { ...goal, confirmed: true };
}

export function remove(generation: number, drained = false): AppAssignment {
  return { ...run(generation, processRelease("0")), goal: { $case: "remove", value: { drained } } };
}

export function workload(launchId: string, bootId = BOOT): Workload {
  return { launchId, pid: 1000 + Number(launchId.split("-")[1]), startTicks: "1", bootId };
}

export class HandDriven {
  state: AppState;
  now = DAY_MS;
  readonly reports: Picture[] = [];
  #launches = 0;

  constructor() {
    this.state = emptyState("web", this.now);
  }

  get demand(): Demand {
    return demandOf(this.state);
  }

  get phase(): string {
    return this.state.phase.kind;
  }

  get lastReport(): Picture | undefined {
    return this.reports.at(-1);
  }

  say(event: Event): this {
    this.#launches += 1;
    const decision = decide(this.state, event, { now: this.now, chance: 0.5, launchId: `l-${this.#launches}` });
    this.state = decision.state;
    if (decision.report !== undefined) this.reports.push(decision.report);
    return this;
  }

  goal(goal: AppAssignment): this {
    return this.say({ kind: "goal", goal });
  }

  /** Lets time pass, with a tick at each moment that was asked for and at the end. The controller is heard, unless it is away. */
  pass(ms: number, isAway = false): this {
    const end = this.now + ms;
    for (let ticks = 0; ticks < 1000; ticks += 1) {
      const at = this.demand.wakeAt;
      if (at === undefined || at > end) break;
      this.now = Math.max(this.now, at);
      this.say({ kind: "tick" });
      if (this.state.isFetchedLate && !isAway) this.say({ kind: "heard", paceMs: Infinity });
      if (this.now === end) break;
    }
    this.now = end;
    this.say({ kind: "tick" });
    return this.state.isFetchedLate && !isAway ? this.say({ kind: "heard", paceMs: Infinity }) : this;
  }

  /** Does the steps that are asked for, successfully, until none is, or `until` is met. */
  work(until: (self: HandDriven) => boolean = () => false): this {
    for (let count = 0; count < 100 && !until(this); count += 1) {
      const { files, process } = this.demand;
      if (process?.kind === "stop") this.say({ kind: "stopped", launchId: process.workload.launchId });
      else if (process?.kind === "start") this.say({ kind: "started", workload: workload(process.launchId) });
      else if (files !== undefined) this.say({ kind: "step_done", key: files.key });
      else return this;
    }
    return this;
  }

  /** Up to the given step, which is not done. */
  workTo(kind: string): this {
    this.work((self) => self.demand.files?.kind === kind || self.demand.process?.kind === kind);
    if (this.demand.files?.kind !== kind && this.demand.process?.kind !== kind) throw new Error(`never came to ${kind}`);
    return this;
  }

  failStep(fault: { code: "disk_full" | "io_error" | "artifact_corrupt" | "artifact_unavailable" | "port_in_use" | "unresolved_name"; message: string; retryable: boolean }): this {
    return this.say({ kind: "step_failed", key: this.demand.files!.key, fault });
  }

  failStart(retryable = false): this {
    const step = this.demand.process;
    if (step?.kind !== "start") throw new Error("starts nothing");
    const fault = { code: retryable ? "disk_full" : "start_failed", message: "serve: not found", retryable } as const;
    return this.say({ kind: "start_failed", launchId: step.launchId, fault });
  }

  healthy(): this {
    return this.say({ kind: "verdict", verdict: { health: "healthy" } });
  }

  unhealthy(detail = "GET / answered 500"): this {
    return this.say({ kind: "verdict", verdict: { health: "unhealthy", detail } });
  }

  exit(code = 1, lastLine = ""): this {
    if (this.state.launch.kind !== "running") throw new Error("nothing runs");
    return this.say({ kind: "exited", launchId: this.state.launch.workload.launchId, exit: { code, signal: null }, lastLine });
  }

  /** All the way to healthy. */
  deploy(goal: AppAssignment): this {
    return this.goal(goal).work().healthy().pass(goal.minHealthyTimeMs).work();
  }
}
