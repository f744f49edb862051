/** For tests alone: a world of fakes that outlives the agents in it, so that they can be killed and started again. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AppAssignment, Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import pino from "pino";
import type { NewReport } from "../report/spool.ts";
import { FailingDisk } from "./failing-disk.fixture.ts";
import { MachineRunner } from "./machine-runner.ts";
import type { Clock, Exit, Fault, LaunchSpec, Outcome, SecretStore, Verdict, Workload } from "./ports.ts";
import { rewriteRecord } from "./record.ts";
import type { World } from "./steps.ts";

/** Time passes only in `until`: then it jumps from one timer to the next. */
export class JumpingClock implements Clock {
  #now = 1_000_000;
  gaps = 0;
  /** Real work that is under way: time stands still until it is done. */
  #working = 0;
  #timers: { at: number; readonly call: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { at: this.#now + delayMs, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  clear(): void {
    this.#timers = [];
  }

  /** The agent is stopped for so long, and every timer that came due meanwhile is due at once. */
  stop(ms: number): void {
    const attendedMs = 2_000;
    this.#now += attendedMs;
    this.gaps += 1;
    for (const timer of this.#timers) timer.at -= ms - attendedMs;
  }

  async standStill<T>(work: Promise<T>): Promise<T> {
    this.#working += 1;
    try {
      return await work;
    } finally {
      this.#working -= 1;
    }
  }

  async until(isMet: () => boolean, limitMs = 600_000): Promise<void> {
    const end = this.#now + limitMs;
    for (;;) {
      for (let turn = 0; turn < 20; turn = this.#working > 0 ? 0 : turn + 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (isMet()) return;
      }
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) throw new Error("it never came to that");
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
    }
  }
}

/** Records are flushed with each decision, which no test here is about. */
const FAST = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

interface Living {
  readonly spec: LaunchSpec;
  readonly workload: Workload;
  readonly ended: PromiseWithResolvers<Exit>;
}

/** How a version behaves; by default it is healthy as soon as it is asked. */
export interface Behaviour {
  readonly verdicts?: readonly Verdict[];
  readonly exitsWith?: number;
  readonly startFault?: Fault;
  readonly pullFault?: Fault;
  /** Not to be run, or not to be gone back to. */
  readonly distrust?: { readonly judge?: Fault; readonly judgeReturn?: Fault };
}

export class FakeWorld {
  readonly dir = mkdtempSync(join(FAST, "muster-runner-"));
  readonly clock = new JumpingClock();
  readonly disk = new FailingDisk(() => this.clock.now());
  readonly living = new Map<string, Living>();
  readonly behaviours = new Map<string, Behaviour>();
  readonly reports: NewReport[] = [];
  /** Every start and stop of a process, in order. */
  readonly deeds: string[] = [];
  /** Of each watch of an app's health that has begun: whether it was well when somebody looked last. */
  readonly wasHealthy: boolean[] = [];
  readonly busyPorts = new Set<number>();
  readonly links = new Map<string, string>();
  readonly releases = new Set<string>();
  /** A real store, where it matters. */
  secrets: SecretStore | undefined;
  bootId = "boot-1";
  /** Counts down with each call of a port; at 0 the agent dies in that call, after its effect. */
  callsToLive = Infinity;
  /** Called in each call of a port, after its effect. */
  onCall = (): void => {};
  spoolFault: Error | undefined;
  #life = 0;
  #pid = 100;

  /** An agent that has just been started. */
  agent(machineId = "m-1"): MachineRunner {
    this.#life += 1;
    this.clock.clear();
    this.callsToLive = Infinity;
    const runner = new MachineRunner({
      dir: this.dir,
      machineId,
      world: this.#world(this.#life),
      spool: (report) => {
        if (this.spoolFault !== undefined) throw this.spoolFault;
        this.disk.write("spool");
        this.reports.push(report);
      },
      record: (...args) => {
        this.disk.write("record");
        rewriteRecord(...args);
      },
      logger: pino({ level: "silent" }),
    });
    runner.setArtifactUrl("http://127.0.0.1:1/artifacts");
    return runner;
  }

  /** The agent is killed: nothing that it waits for ever comes. */
  kill(): void {
    this.#life += 1;
    this.clock.clear();
  }

  reboot(): void {
    this.kill();
    this.living.clear();
    this.bootId = `${this.bootId}+`;
  }

  crash(launchId: string, code = 1): void {
    const living = this.living.get(launchId);
    this.living.delete(launchId);
    living?.ended.resolve({ code, signal: null });
  }

  get running(): readonly string[] {
    return [...this.living.values()].map(({ spec }) => `${spec.app}@${spec.version}`);
  }

  get last(): NewReport | undefined {
    return this.reports.at(-1);
  }

  saw(app: string, generation: number, phase: string): boolean {
    return this.reports.some((report) => report.app === app && report.generation === generation && report.phase === `APP_PHASE_${phase}`);
  }

  remove(): void {
    this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #judgement(version: string, question: "judge" | "judgeReturn"): Outcome {
    const fault = this.behaviours.get(version)?.distrust?.[question];
    return fault === undefined ? { ok: true, value: undefined } : { ok: false, fault };
  }

  #world(life: number): World {
    const { clock } = this;
    /** A dead agent's calls do nothing and never come back. */
    const call = <T>(effect: () => T | Promise<T>): Promise<T> => {
      if (life !== this.#life) return new Promise(() => {});
      const result = Promise.resolve(effect());
      this.onCall();
      this.callsToLive -= 1;
      if (this.callsToLive <= 0) this.kill();
      return result.then((value) => (life === this.#life ? value : new Promise<T>(() => {})));
    };
    const versionOf = (artifact: string): string => artifact.replace(/0+$/, "");
    return {
      trust: {
        judge: ({ version }) => call(() => this.#judgement(version, "judge")),
        judgeReturn: ({ version }) => call(() => this.#judgement(version, "judgeReturn")),
      },
      puller: {
        pull: ({ app, artifact }) =>
          call(() => {
            const fault = this.behaviours.get(versionOf(artifact))?.pullFault;
            if (fault !== undefined) return { ok: false, fault } as const;
            return this.disk.outcome("pull", () => void this.releases.add(`${app}/${artifact}`));
          }),
      },
      store: {
        releaseDir: (app, artifact) => `${this.dir}/apps/${app}/releases/${artifact}`,
        has: (app, artifact) => call(() => this.releases.has(`${app}/${artifact}`)),
        current: (app) => call(() => this.links.get(app)),
        makeReady: () => call(() => this.disk.outcome("link", () => undefined)),
        switchTo: (app, artifact) =>
          call(() =>
            this.disk.outcome("link", () => {
              if (artifact === undefined) this.links.delete(app);
              else this.links.set(app, artifact);
            }),
          ),
        prune: (app, keep) =>
          call(() => {
            this.disk.write("delete");
            for (const release of this.releases) if (release.startsWith(`${app}/`) && !keep.includes(release.split("/")[1]!)) this.releases.delete(release);
          }),
        removeApp: (app) =>
          call(() => {
            this.disk.write("delete");
            rmSync(join(this.dir, "apps", app), { recursive: true, force: true });
            for (const release of this.releases) if (release.startsWith(`${app}/`)) this.releases.delete(release);
          }),
      },
      secrets: this.secrets === undefined ? {
        take: () => undefined,
        dir: (app, version) => `${this.dir}/apps/${app}/secrets/releases/${version}/files`,
        place: () => call(() => this.disk.outcome("secrets", () => undefined)),
        environment: () => ({ ok: true, value: {} }),
        point: () => call(() => this.disk.outcome("link", () => undefined)),
        redact: (_app, text) => text,
        prune: () => call(() => undefined),
      } : {
        ...this.secrets,
        place: (...args) => call(() => this.clock.standStill(this.secrets!.place(...args))),
        point: (...args) => call(() => this.clock.standStill(this.secrets!.point(...args))),
        prune: (...args) => call(() => this.clock.standStill(this.secrets!.prune(...args))),
      },
      driver: {
        start: (spec) =>
          call(() => {
            const behaviour = this.behaviours.get(spec.version);
            if (behaviour?.startFault !== undefined) return { ok: false, fault: behaviour.startFault } as const;
            const found = this.living.get(spec.launchId);
            if (found !== undefined) return { ok: true, value: found.workload } as const;
            const opened = this.disk.outcome("launch", () => undefined);
            if (!opened.ok) return opened;
            this.#pid += 1;
            const workload: Workload = { launchId: spec.launchId, pid: this.#pid, startTicks: "1", bootId: this.bootId };
            this.living.set(spec.launchId, { spec, workload, ended: Promise.withResolvers<Exit>() });
            this.deeds.push(`start ${spec.app}@${spec.version}`);
            if (behaviour?.exitsWith !== undefined) setImmediate(() => this.crash(spec.launchId, behaviour.exitsWith));
            return { ok: true, value: workload } as const;
          }),
        find: (launchId) => call(() => this.living.get(launchId)?.workload),
        waitForExit: (workload, signal) => {
          const ended = this.living.get(workload.launchId)?.ended.promise ?? Promise.resolve({ code: null, signal: null });
          return new Promise((resolve, reject) => {
            signal.addEventListener("abort", () => reject(new Error("aborted")));
            void ended.then((exit) => life === this.#life && resolve(exit));
          });
        },
        stop: (workload) =>
          call(() => {
            const living = this.living.get(workload.launchId);
            if (living === undefined) return;
            this.deeds.push(`stop ${living.spec.app}@${living.spec.version}`);
            this.living.delete(workload.launchId);
            living.ended.resolve({ code: 0, signal: null });
          }),
      },
      prober: {
        watch: ({ releaseDir, wasHealthy }, onVerdict) => {
          this.wasHealthy.push(wasHealthy);
          const version = versionOf(releaseDir.split("/").at(-1)!);
          const verdicts = this.behaviours.get(version)?.verdicts ?? [{ health: "healthy" } as const];
          let isStopped = false;
          for (const [index, verdict] of verdicts.entries()) {
            this.clock.after(10 + index * 1_000, () => {
              if (!isStopped && life === this.#life) onVerdict(verdict);
            });
          }
          return { stop: () => (isStopped = true) };
        },
      },
      ports: {
        pick: (taken) => call(() => [41_000, 41_001, 41_002, 41_003].find((port) => !taken.has(port) && !this.busyPorts.has(port))!),
        isFree: (port) => call(() => !this.busyPorts.has(port)),
      },
      logs: {
        async *read() {
          yield [
            { stream: "stdout", text: "serving" },
            { stream: "stderr", text: "out of luck" },
          ];
        },
      },
      clock: {
        now: () => this.clock.now(),
        get gaps() {
          return clock.gaps;
        },
        after: (delayMs, done) => (life === this.#life ? this.clock.after(delayMs, done) : () => {}),
      },
      random: { fraction: () => 0.5, uuid: () => crypto.randomUUID() },
      bootId: () => this.bootId,
      strays: (app) => [...this.living.values()].filter(({ spec }) => spec.app === app).map(({ workload }) => workload.launchId),
    };
  }
}

export function assignment(generation: number, ...apps: readonly AppAssignment[]): Assignment {
  return { machine: "m-1", generation, apps: [...apps] };
}
