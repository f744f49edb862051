/**
 * Runs one app on a simulated machine, with the real decisions (`@muster/agent/machine`) and in the order of the real runner:
 *
 *     event ─▶ decide ─▶ spool the report ─▶ write the state ─▶ steps, probes, timers ─▶ event …
 *
 * The agent may die between any two of these. What it had written stays; what it was about to do is gone.
 */
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { decide, type Decision } from "@muster/agent/machine/decide.ts";
import type { Event } from "@muster/agent/machine/event.ts";
import { pictureOf } from "@muster/agent/machine/picture.ts";
import type { AppState, Fault } from "@muster/agent/machine/state.ts";
import { type Demand, demandOf, type FileStep, type ProcessStep } from "@muster/agent/machine/step.ts";
import type { Cancel } from "./clock.ts";
import type { Life } from "./life.ts";
import { Slot } from "./slot.ts";

const RECORD_RETRY_MS = { least: 500, most: 2_500 };
const DISK_FULL: Fault = { code: "disk_full", message: "no space left on the disk", retryable: true };

export class SimApp {
  readonly #agent: Life;
  readonly #files: Slot<FileStep>;
  readonly #process: Slot<ProcessStep>;
  readonly #queue: Event[] = [];
  #state: AppState;
  #isBusy = false;
  #isPumping = false;
  #watched: string | undefined;
  #probed: { readonly key: string; cancel: Cancel } | undefined;
  #cancelTimer: Cancel = () => {};

  constructor(agent: Life, state: AppState) {
    this.#agent = agent;
    this.#state = state;
    this.#files = new Slot((step, isAborted, end) => this.#perform(step, isAborted, end, () => this.#performFiles(step, isAborted)));
    this.#process = new Slot((step, _, end) => this.#perform(step, () => false, end, () => this.#performProcess(step)));
  }

  get state(): AppState {
    return this.#state;
  }

  get name(): string {
    return this.#state.app;
  }

  post(event: Event): void {
    this.#queue.push(event);
    this.#pump();
  }

  wake(): void {
    const { machine } = this.#agent;
    const { launch, settled, current, app } = this.#state;
    const launchId = launch.kind === "starting" ? launch.launchId : launch.kind === "running" || launch.kind === "stopping" ? launch.workload.launchId : undefined;
    const found = launchId === undefined ? undefined : machine.processes.get(launchId)?.workload;
    if (settled && current !== undefined && machine.disk.links.get(app) !== current.artifact && machine.disk.releases.has(`${app}/${current.artifact}`)) {
      machine.switchTo(app, current.artifact);
    }
    this.post({ kind: "woken", found, bootId: machine.bootId });
  }

  heard(paceMs: number): void {
    if (this.#state.phase.kind === "pulling") this.post({ kind: "heard", paceMs });
  }

  exited(launchId: string, code: number): void {
    if (this.#watched === launchId) this.post({ kind: "exited", launchId, exit: { code, signal: null }, lastLine: "" });
  }

  /** What is posted while a decision is met waits until it has been met whole. */
  #pump(unfinished?: () => void): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    unfinished?.();
    while (!this.#isBusy && this.#agent.isAlive) {
      const event = this.#queue.shift();
      if (event === undefined) break;
      const moment = { now: this.#agent.now, chance: this.#agent.random.fraction(), launchId: this.#agent.machine.newLaunchId(this.name) };
      this.#writeDown(decide(this.#state, event, moment), false);
    }
    this.#isPumping = false;
  }

  #writeDown(decision: Decision, isSpooled: boolean): void {
    const { machine } = this.#agent;
    const { state, report } = decision;
    const isRecorded = state === this.#state;
    if (machine.isDiskFull && ((report !== undefined && !isSpooled) || !isRecorded)) {
      this.#isBusy = true;
      if (report !== undefined && !isSpooled) machine.unwritten.add(this.name);
      this.#agent.after(this.#agent.random.whole(RECORD_RETRY_MS.least, RECORD_RETRY_MS.most), () => {
        this.#isBusy = false;
        this.#pump(() => this.#writeDown(decision, isSpooled));
      });
      return;
    }
    if (report !== undefined && !isSpooled) {
      machine.unwritten.delete(this.name);
      this.#agent.spool(report);
      if (this.#agent.diesNow()) return;
    }
    if (!isRecorded) {
      machine.disk.apps.set(this.name, state);
      if (this.#agent.diesNow()) return;
    }
    this.#state = state;
    this.#meet(decision.demand);
  }

  #meet(demand: Demand): void {
    this.#leaveTurn(demand);
    this.#watched = demand.watch?.launchId;
    if (demand.watch !== undefined && !this.#agent.machine.processes.has(demand.watch.launchId)) this.exited(demand.watch.launchId, 1);
    this.#probe(demand.probe);
    this.#files.offer(demand.files);
    this.#process.offer(demand.process);
    this.#cancelTimer();
    if (demand.wakeAt !== undefined) this.#cancelTimer = this.#agent.after(demand.wakeAt - this.#agent.now, () => this.post({ kind: "tick" }));
  }

  #perform(step: FileStep | ProcessStep, isAborted: () => boolean, end: () => void, effect: () => Event | undefined): void {
    const { phase } = this.#state;
    const isMove = step.kind === "prepare" || phase.kind === "activating" || (phase.kind === "reverting" && phase.move !== "probe");
    const go = (): void => {
      this.#agent.after(this.#durationMs(step), () => {
        const event = effect();
        if (this.#agent.diesNow()) return;
        this.#agent.after(1, () => {
          if (event !== undefined && !isAborted()) this.post(event);
          end();
        });
      });
    };
    if (!isMove) go();
    else this.#agent.turn.take(this.name, () => (isAborted() ? this.#passTurn(end) : go()));
  }

  /** It was given up while it waited, and has its turn now. */
  #passTurn(end: () => void): void {
    end();
    this.#leaveTurn(demandOf(this.#state));
  }

  #leaveTurn({ holdsTurn, files }: Demand): void {
    if (!holdsTurn && files?.kind !== "prepare") this.#agent.turn.release(this.name);
  }

  #durationMs(step: FileStep | ProcessStep): number {
    const { random } = this.#agent;
    switch (step.kind) {
      case "pull":
        return this.#agent.isSlow() ? random.whole(2_000, 40_000) : random.whole(20, 1_500);
      case "stop":
        return this.#agent.isSlow() ? step.stopTimeoutMs : random.whole(1, 200);
      case "prepare":
      case "ports":
      case "switch":
      case "prune":
      case "delete":
      case "start":
        return random.whole(1, 60);
    }
  }

  #performFiles(step: FileStep, isAborted: () => boolean): Event | undefined {
    if (isAborted()) return undefined;
    const fault = this.#fileFault(step);
    return fault === undefined ? { kind: "step_done", key: step.key } : { kind: "step_failed", key: step.key, fault };
  }

  #fileFault(step: FileStep): Fault | undefined {
    const { machine } = this.#agent;
    const { disk } = machine;
    const app = this.name;
    if (machine.isDiskFull && step.kind !== "prune" && step.kind !== "delete") return DISK_FULL;
    if (this.#agent.stumbles()) return { code: "io_error", message: "input/output error", retryable: true };
    switch (step.kind) {
      case "pull":
        if (disk.releases.has(`${app}/${step.release.artifact}`)) return undefined;
        if (!this.#agent.canFetch()) return { code: "artifact_unavailable", message: "no answer", retryable: true };
        if (machine.isCorrupt(app, step.release.artifact)) return { code: "artifact_corrupt", message: "not what its digest names", retryable: false };
        disk.releases.add(`${app}/${step.release.artifact}`);
        return undefined;
      case "prepare":
        return disk.releases.has(`${app}/${step.release.artifact}`) ? undefined : { code: "io_error", message: "the release has gone", retryable: false };
      case "ports":
        return undefined;
      case "switch":
        machine.switchTo(app, step.artifact);
        return undefined;
      case "prune":
        for (const release of disk.releases) if (release.startsWith(`${app}/`) && !step.keep.includes(release.slice(app.length + 1))) disk.releases.delete(release);
        return undefined;
      case "delete":
        for (const release of disk.releases) if (release.startsWith(`${app}/`)) disk.releases.delete(release);
        return undefined;
    }
  }

  #performProcess(step: ProcessStep): Event {
    const { machine } = this.#agent;
    if (step.kind === "stop") {
      machine.stop(step.workload.launchId);
      return { kind: "stopped", launchId: step.workload.launchId };
    }
    const started = machine.start(step.launchId, step.release);
    if (started !== undefined) return { kind: "started", workload: started };
    return { kind: "start_failed", launchId: step.launchId, fault: { code: "start_failed", message: "serve: not found", retryable: false } };
  }

  #probe(wanted: Demand["probe"]): void {
    if (this.#probed?.key === wanted?.key) return;
    this.#probed?.cancel();
    this.#probed = undefined;
    if (wanted === undefined) return;
    const probed = { key: wanted.key, cancel: (): void => {} };
    this.#probed = probed;
    const look = (): void => {
      if (this.#probed !== probed) return;
      const seen = this.#look(wanted.release);
      if (seen === undefined) return;
      if (seen.nextMs !== undefined) probed.cancel = this.#agent.after(seen.nextMs + this.#agent.random.whole(1, 400), look);
      this.post({ kind: "verdict", verdict: seen.isHealthy ? { health: "healthy" } : { health: "unhealthy", detail: "GET / answered 500" } });
    };
    probed.cancel = this.#agent.after(this.#agent.random.whole(5, 500), look);
  }

  #look(release: Release): { readonly isHealthy: boolean; readonly nextMs: number | undefined } | undefined {
    const { launch } = this.#state;
    return this.#agent.machine.look(this.name, release, launch.kind === "running" ? launch.workload : undefined);
  }
}

/** What an app that nothing happens to any more is doing: at rest, or on its way by itself. */
export function isAtRest(state: AppState): boolean {
  return ["idle", "healthy", "unhealthy", "reverted", "failed", "removed"].includes(pictureOf(state)?.phase ?? "idle") && demandOf(state).files === undefined && state.late === undefined;
}
