/**
 * Runs one app: hands events to the machine one at a time, writes down what was decided, and only then does it.
 *
 *     event ─▶ decide ─▶ spool the report ─▶ write state.json ─▶ steps, probes, timers ─▶ event …
 *
 * The order is the point. A crash after the report yields the same report again, which is harmless; a crash after the record yields the step
 * again, which looks at the world first. Never decides anything itself.
 *
 * A state that cannot be written is tried again until it can: until then nothing is done, and no time passes for this app. A report that cannot be spooled holds nothing up: it is
 * kept until it can be, or there is a newer one, and an agent that dies before says at its next start how things stand.
 */
import type { Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Logger } from "pino";
import { decide } from "../machine/decide.ts";
import type { Event } from "../machine/event.ts";
import { isSeenWell } from "../machine/launch.ts";
import type { Picture } from "../machine/picture.ts";
import type { AppState, Workload } from "../machine/state.ts";
import type { Demand, FileStep, ProcessStep } from "../machine/step.ts";
import { cannotStore, faultOf } from "./fault.ts";
import type { Clock } from "./ports.ts";
import { Slot } from "./slot.ts";
import { type StepContext, lastLineOf, performFileStep, performProcessStep, resolveFor } from "./steps.ts";
import { launchIdOf } from "./strays.ts";
import type { Turn } from "./turn.ts";
import { Untold, storeRetryMs } from "./untold.ts";

export interface AppRunnerOptions {
  readonly state: AppState;
  readonly context: StepContext;
  readonly turn: Turn;
  /** Both durable when they return; throw when they can't be. */
  readonly spool: (report: Picture) => void;
  readonly record: (state: AppState) => void;
  readonly logger: Logger;
}

/** A timer can't be set further ahead; it is set again when it comes. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const STOP_RETRY_MS = 1_000;
const MEND_RETRY_MS = { first: 1_000, most: 30_000 };

export class AppRunner {
  readonly #options: AppRunnerOptions;
  readonly #files: Slot<FileStep>;
  readonly #process: Slot<ProcessStep>;
  readonly #untold: Untold;
  readonly #queue: Event[] = [];
  #state: AppState;
  #pumping: Promise<void> | undefined;
  /** Aborted once it is to do nothing more; what is known by then is still written down. */
  readonly #closing = new AbortController();
  #watched: { readonly launchId: string; readonly abort: AbortController } | undefined;
  #probed: { readonly key: string; stop(): void } | undefined;
  #mending: Promise<void> | undefined;
  #cancelTimer = (): void => {};
  #refusal: Refusal | undefined;
  /** In which no decision could be written down, in all: none of this is the time of a release. */
  #heldUpMs = 0;
  #gapsSeen: number;

  constructor(options: AppRunnerOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#gapsSeen = options.context.world.clock.gaps;
    const { clock, random } = options.context.world;
    this.#untold = new Untold({ app: options.context.app, spool: options.spool, clock, fraction: () => random.fraction(), logger: options.logger });
    this.#files = new Slot((step, signal) => this.#performFiles(step, signal));
    this.#process = new Slot((step) => this.#performProcess(step));
  }

  get state(): AppState {
    return this.#state;
  }

  /** Present while what was decided, or the report of it, cannot be written down: no report can say so. */
  get refusal(): Refusal | undefined {
    return this.#refusal ?? this.#untold.refusal;
  }

  post(event: Event): void {
    this.#queue.push(event);
    this.#pumping ??= this.#pump();
  }

  /** The controller was: that says something only of what it is to bring. */
  heard(paceMs: number): void {
    if (this.#state.phase.kind === "pulling") this.post({ kind: "heard", paceMs });
  }

  /** Looks at the world, after the agent's own start, and goes on with what was half done. */
  async wake(): Promise<void> {
    const { world } = this.#options.context;
    const { launch } = this.#state;
    let found: Workload | undefined;
    if (launch.kind === "starting") found = await world.driver.find(launch.launchId, undefined);
    if (launch.kind === "running" || launch.kind === "stopping") found = await world.driver.find(launch.workload.launchId, launch.workload);
    await this.#mendLink(MEND_RETRY_MS.first);
    this.post({ kind: "woken", found, bootId: world.bootId() });
  }

  /** In the middle of an exchange the link is switched by a step; outside of one it is as recorded, or is made so. Tried again while the disk fails. */
  async #mendLink(nextMs: number): Promise<void> {
    const { app, world } = this.#options.context;
    const { settled, current } = this.#state;
    if (!settled || current === undefined || this.#closing.signal.aborted) return;
    const done = Promise.withResolvers<void>();
    this.#mending = done.promise;
    try {
      if ((await world.store.current(app)) === current.artifact || !(await world.store.has(app, current.artifact))) return;
      const outcome = await world.store.switchTo(app, current.artifact);
      this.#options.logger.warn({ app, artifact: current.artifact, repaired: outcome.ok }, "current did not point where it should");
      if (!outcome.ok) this.#mendLater(nextMs);
    } catch (error) {
      this.#options.logger.error({ app, fault: faultOf(error) }, "current cannot be read");
      this.#mendLater(nextMs);
    } finally {
      done.resolve();
    }
  }

  #mendLater(afterMs: number): void {
    this.#options.context.world.clock.after(afterMs, () => void this.#mendLink(Math.min(MEND_RETRY_MS.most, 2 * afterMs)));
  }

  /** Stops the workload on purpose, to be started again when the agent is. */
  async halt(): Promise<void> {
    await this.close();
    const { driver } = this.#options.context.world;
    const { launch, current } = this.#state;
    const known = launch.kind === "running" || launch.kind === "stopping" ? launch.workload : undefined;
    const launchId = launch.kind === "starting" ? launch.launchId : known?.launchId;
    const workload = launchId === undefined ? undefined : await driver.find(launchId, known);
    const stopTimeoutMs = current?.driver?.$case === "process" ? current.driver.value.stopTimeoutMs : 0;
    if (workload !== undefined) await driver.stop(workload, stopTimeoutMs);
    await this.#handle({ kind: "halted" });
  }

  /** Does nothing more, and leaves the workload running. What is being started or stopped at this moment is waited for. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelTimer();
    this.#watched?.abort.abort();
    this.#probed?.stop();
    this.#untold.close();
    await Promise.all([this.#mending, this.#files.end(), this.#process.end()]);
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) await this.#handle(event);
    this.#pumping = undefined;
  }

  /** A gap comes first, whatever it is found with: nothing is judged by the time after it as if somebody had looked meanwhile. */
  async #handle(event: Event): Promise<void> {
    const { clock } = this.#options.context.world;
    const now = this.#now();
    if (clock.gaps !== this.#gapsSeen) {
      this.#gapsSeen = clock.gaps;
      await this.#decide({ kind: "gap" }, now);
    }
    await this.#decide(event, now);
  }

  async #decide(event: Event, now: number): Promise<void> {
    const { world, app } = this.#options.context;
    const { random } = world;
    const moment = { now, chance: random.fraction(), launchId: launchIdOf(app, random.uuid()) };
    const { state, report, demand } = decide(this.#state, event, moment);
    if (report !== undefined) this.#untold.tell(report);
    if (!(await this.#writeDown(state))) return;
    if (state.phase.kind !== this.#state.phase.kind) this.#logPhase(state, report);
    this.#state = state;
    if (!this.#closing.signal.aborted) this.#meet(demand);
  }

  /** False when it could not be written before closing: then it has not happened, and the next agent finds the world as it is. */
  async #writeDown(state: AppState): Promise<boolean> {
    if (recorded(state) === recorded(this.#state)) return true;
    const { clock, random } = this.#options.context.world;
    const { signal } = this.#closing;
    const since = clock.now();
    for (let tries = 1; ; tries += 1) {
      try {
        this.#options.record(state);
        this.#refusal = undefined;
        this.#heldUpMs += clock.now() - since;
        if (tries > 1) this.#options.logger.info({ app: state.app, tries, heldUpMs: clock.now() - since }, "state written at last");
        return true;
      } catch (error) {
        const retryMs = storeRetryMs(tries, random.fraction());
        this.#refusal = cannotStore(`the state of ${state.app}`, error);
        // A line for each try would go on filling the disk.
        this.#options.logger[tries === 1 ? "error" : "debug"]({ app: state.app, fault: faultOf(error), retryMs, err: error }, "state not written");
        if (signal.aborted) return false;
        await pause(clock, retryMs, signal);
      }
    }
  }

  /** Attended time in which this app's decisions could be written down. */
  #now(): number {
    return this.#options.context.world.clock.now() - this.#heldUpMs;
  }

  #meet(demand: Demand): void {
    const { turn, context } = this.#options;
    if (!demand.holdsTurn && demand.files?.kind !== "prepare") turn.release(context.app);
    this.#watch(demand.watch);
    this.#probe(demand.probe);
    this.#files.offer(demand.files);
    this.#process.offer(demand.process);
    this.#cancelTimer();
    if (demand.wakeAt === undefined) return;
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, demand.wakeAt - this.#now()));
    this.#cancelTimer = context.world.clock.after(delayMs, () => this.post({ kind: "tick" }));
  }

  async #performFiles(step: FileStep, signal: AbortSignal): Promise<void> {
    await this.#mending;
    if (!(await this.#mayGo(step.kind === "prepare", signal))) return;
    const event = await performFileStep(step, this.#state, this.#options.context, signal);
    if (!signal.aborted) this.post(event);
  }

  async #performProcess(step: ProcessStep): Promise<void> {
    // Not given up half-way when something else is wanted: what is being started or stopped must become known all the same.
    const { signal } = this.#closing;
    if (!(await this.#mayGo(false, signal))) return;
    do {
      try {
        return this.post(await performProcessStep(step, this.#state, this.#options.context));
      } catch (error) {
        this.#options.logger.error({ app: this.#state.app, step: step.kind, err: error }, "step failed");
        await new Promise<void>((resolve) => this.#options.context.world.clock.after(STOP_RETRY_MS, resolve));
      }
    } while (!signal.aborted);
  }

  /** Steps of an exchange wait for this app's turn. */
  async #mayGo(isFirst: boolean, signal: AbortSignal): Promise<boolean> {
    const { phase } = this.#state;
    const isMove = isFirst || phase.kind === "activating" || (phase.kind === "reverting" && phase.move !== "probe");
    return !isMove || (await this.#options.turn.take(this.#state.app, signal));
  }

  #watch(workload: Workload | undefined): void {
    if (this.#watched?.launchId === workload?.launchId) return;
    this.#watched?.abort.abort();
    this.#watched = undefined;
    if (workload === undefined) return;
    const abort = new AbortController();
    this.#watched = { launchId: workload.launchId, abort };
    void this.#tellExit(workload, abort.signal);
  }

  async #tellExit(workload: Workload, signal: AbortSignal): Promise<void> {
    const { app, world } = this.#options.context;
    try {
      const exit = await world.driver.waitForExit(workload, signal);
      const lastLine = await lastLineOf(app, world);
      if (!signal.aborted) this.post({ kind: "exited", launchId: workload.launchId, exit, lastLine });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #probe(wanted: Demand["probe"]): void {
    if (this.#probed?.key === wanted?.key) return;
    this.#probed?.stop();
    this.#probed = undefined;
    if (wanted === undefined) return;
    const { context } = this.#options;
    const { key, release, wasHealthy } = wanted;
    const resolution = resolveFor(release, this.#state, context);
    if (!resolution.ok) {
      this.#probed = { key, stop: () => {} };
      return this.post({ kind: "verdict", verdict: { health: "unhealthy", detail: `\${${resolution.missing}} has no value on this machine` } });
    }
    const { app, world } = context;
    const { probes, env } = resolution.value;
    // A workload that runs has them; without, an exec probe says itself what it lacks.
    const secret = world.secrets.environment(app, release);
    const target = {
      wasHealthy,
      probes,
      env: { ...env, ...(secret.ok ? secret.value : {}) },
      releaseDir: world.store.releaseDir(app, release.artifact),
      redact: (text: string) => world.secrets.redact(app, text),
    };
    const watch = context.world.prober.watch(target, (verdict) => {
      if (this.#probed?.key === key) this.post({ kind: "verdict", verdict });
    });
    this.#probed = { key, stop: () => watch.stop() };
  }

  #logPhase({ app, phase, goal, current }: AppState, report: Picture | undefined): void {
    const { logger } = this.#options;
    const fields = { app, phase: phase.kind, generation: goal?.generation, version: current?.version, reason: report?.reason };
    if (report?.reason === undefined) logger.info(fields, "app phase");
    else logger.warn(fields, "app phase");
  }
}

/** Ends early when the signal aborts. */
async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(ms, resolve);
  const onAbort = (): void => resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  await promise;
  signal.removeEventListener("abort", onAbort);
  cancel();
}

/** What is worth a write: of its health, only what the next agent goes by. */
function recorded(state: AppState): string {
  return JSON.stringify({ ...state, health: isSeenWell(state) });
}
