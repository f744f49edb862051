/**
 * A dev fleet: one controller and its agents, started, watched over and stopped together. Used by `muster dev` and by the tour.
 *
 *   starting ─ all agents connected ─▶ ready ─ stop() ─▶ stopping ─▶ ended
 *       └───────── bad input, nobody connects ────────────┘
 *
 * Always holds: dev.json is there only while the fleet is ready, and the pids in it are those of now.
 */
import { existsSync, mkdirSync, realpathSync, rmSync, unwatchFile, watchFile, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { durationText } from "@muster/proto/duration.ts";
import { MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { Controller } from "../client/controller.ts";
import { listMachines } from "../client/machines.ts";
import type { Clock, Env } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { type ChildHooks, SupervisedChild } from "./child.ts";
import { type ControllerFile, type DevFile, readControllerFile, writeDevFile } from "./dev-file.ts";
import { type DevEvent, listed } from "./events.ts";
import { earlierAgentCount, type Layout, layoutOf, type Member, memberOf } from "./layout.ts";
import { type Acquired, acquireLock, type Child, type Lock } from "./lock.ts";
import { groupsBelow, identify, isRunning } from "./process-identity.ts";
import { agentArguments, type Programs, searchPath, shellCommand } from "./programs.ts";

export interface FleetOptions {
  /** Made when it is not there. */
  readonly dir: string;
  readonly agentCount: number;
  /** Passed on to the controller, for example `--silent-after 15s`. */
  readonly controllerArguments: readonly string[];
  /** Of the controller and of each agent; their own default else. */
  readonly logLevel?: string;
  readonly programs: Programs;
  readonly env: Env;
  readonly clock: Clock;
  onEvent(event: DevEvent): void;
}

/** Children of a killed `muster dev` stop their workloads first, and that takes a while. */
const EARLIER_CHILDREN_MS = 15_000;
/** A journal of a large fleet takes some seconds to open. */
const CONTROLLER_UP_MS = 60_000;
/** No further agent connected for so long: nothing more will come. */
const CONNECT_PROGRESS_MS = 60_000;
/** How often we say whom we still wait for. */
const MISSING_NOTE_MS = 10_000;
/** Agents give their workloads `stop_timeout`; longer than this nobody waits for a dev fleet. */
const STOP_MS = 30_000;
/** From SIGTERM to SIGKILL for a workload that has no agent any more. */
const WORKLOAD_STOP_MS = 3_000;
/** An agent that is started again and again until it joins has so long. */
const INVITATION_MS = 24 * 60 * 60_000;
const POLL_MS = 100;
const CONTROLLER_FILE_POLL_MS = 250;

export class DevFleet {
  readonly layout: Layout;
  readonly members: readonly Member[];
  readonly #options: FleetOptions;
  readonly #lock: Lock;
  #controller: SupervisedChild | undefined;
  #agents: readonly { readonly member: Member; readonly child: SupervisedChild }[] = [];
  #controllerFile: ControllerFile | undefined;
  #ready = false;
  #orphans: readonly Child[];
  #stopped: Promise<void> | undefined;
  readonly #end = Promise.withResolvers<never>();
  /** An end of this process that did not wait for `stop`, such as a second Ctrl-C. */
  readonly #onExit = (): void => this.kill();

  /**
   * Takes the directory and starts everything in it; resolves when every agent is connected. On failure, and when `signal` is
   * aborted, all that was started is stopped again before this rejects.
   */
  static async start(options: FleetOptions, signal: AbortSignal): Promise<DevFleet> {
    const fleet = new DevFleet(options);
    try {
      await Promise.race([fleet.#start(), fleet.failure, aborted(signal)]);
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  private constructor(options: FleetOptions) {
    this.#options = options;
    const { layout, acquired } = take(options.dir);
    if (acquired.kind === "held") {
      const message = `${options.dir} is in use by another muster dev, pid ${acquired.pid}; stop that one, or choose another --dir`;
      throw new CliError(message, { code: "in_use", exit: EXIT.badInput });
    }
    this.layout = layout;
    this.members = Array.from({ length: options.agentCount }, (_, index) => memberOf(layout, index));
    this.#lock = acquired.lock;
    this.#orphans = acquired.orphans;
    this.#end.promise.catch(() => undefined); // stop() may come before anybody waits for it
    process.once("exit", this.#onExit);
  }

  /** Rejects when the fleet can't go on; it never resolves. */
  get failure(): Promise<never> {
    return this.#end.promise;
  }

  /** Where operators of this machine reach the controller. */
  get address(): string {
    return `unix:${this.#known().socket}`;
  }

  /** Agents first, so that they stop their workloads and can still say so; then the controller. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** Nothing is asked any more: all are killed, workloads too. Synchronous, so that it can be the last thing a process does. */
  kill(): void {
    for (const child of this.#children()) child.kill();
    for (const group of groupsBelow(this.layout.dir)) signalGroup(group, "SIGKILL");
    this.#forget();
  }

  async #start(): Promise<void> {
    rmSync(this.layout.devFile, { force: true }); // of a killed muster dev
    await this.#waitForEarlier();
    this.#noteMembersOff();
    for (const dir of [this.layout.logsDir, this.layout.agentsDir]) mkdirSync(dir, { recursive: true });
    this.#controller = this.#child("controller", "controller", () => [
      ...this.#options.programs.controller,
      "--dir",
      this.layout.controllerDir,
      "--stop-with-parent",
      ...this.#options.controllerArguments,
      ...this.#logLevel(),
    ]);
    watchFile(this.layout.controllerFile, { interval: CONTROLLER_FILE_POLL_MS }, () => this.#onControllerFile());
    this.#controller.start();
    await this.#waitForController();
    const { pid, grpc, https } = this.#known();
    this.#say({ event: "controller_ready", pid, grpc, https, address: this.address });
    await this.#inviteNewcomers();
    this.#agents = this.members.map((member) => ({ member, child: this.#agentChild(member) }));
    for (const { child } of this.#agents) child.start();
    await this.#waitForConnections();
    this.#ready = true;
    writeDevFile(this.layout.devFile, this.#devFile());
    this.#say({ event: "ready", ...this.#devFile() });
  }

  async #waitForEarlier(): Promise<void> {
    if (this.#orphans.length === 0) return;
    this.#say({ event: "waiting_for_earlier", children: this.#orphans.map(({ name }) => name) });
    const deadline = performance.now() + EARLIER_CHILDREN_MS;
    await this.#until(() => {
      this.#orphans = this.#orphans.filter(isRunning);
      return this.#orphans.length === 0 || performance.now() > deadline;
    });
    if (this.#orphans.length > 0) this.#say({ event: "earlier_killed", children: this.#orphans.map(({ name }) => name) });
    for (const { pid } of this.#orphans) signalGroup(pid, "SIGKILL");
    this.#orphans = [];
  }

  #noteMembersOff(): void {
    const earlier = earlierAgentCount(this.layout);
    const { length } = this.members;
    if (earlier <= length) return;
    const ids = Array.from({ length: earlier - length }, (_, offset) => memberOf(this.layout, length + offset).id);
    this.#say({ event: "agents_off", ids });
  }

  /** One that crashes at its start is started again meanwhile, and each time that is said. */
  async #waitForController(): Promise<void> {
    const deadline = performance.now() + CONTROLLER_UP_MS;
    await this.#until(() => {
      if (this.#onControllerFile()) return true;
      if (performance.now() < deadline) return false;
      const message = `the controller was not up within ${durationText(CONTROLLER_UP_MS)}; its log is in ${this.layout.logsDir}`;
      throw new CliError(message, { code: "not_up", exit: EXIT.failed });
    });
  }

  /** A token for the agents that have not joined yet, in a file that they read it from. */
  async #inviteNewcomers(): Promise<void> {
    const newcomers = this.members.filter(({ dir }) => !existsSync(join(dir, "identity", "identity.json")));
    if (newcomers.length === 0) return;
    const controller = this.#connection();
    try {
      const request = { uses: newcomers.length, ttlMs: INVITATION_MS, labels: {}, approve: false };
      const { token } = await controller.unary(controller.identity, controller.identity.createToken, request);
      writeFileSync(this.layout.tokenFile, `${token}\n`, { mode: 0o600 });
    } finally {
      controller.close();
    }
  }

  #connection(): Controller {
    return new Controller({ target: this.address, source: this.layout.controllerFile });
  }

  async #waitForConnections(): Promise<void> {
    const controller = this.#connection();
    const total = this.members.length;
    let missing = this.members.map(({ id }) => id);
    let progressAt = performance.now();
    let notedAt = progressAt;
    try {
      await this.#until(async () => {
        const connected = await this.#connected(controller);
        const still = this.members.map(({ id }) => id).filter((id) => !connected.has(id));
        const now = performance.now();
        if (still.length < missing.length) {
          this.#say({ event: "agents_connected", connected: total - still.length, total });
          progressAt = notedAt = now;
        } else if (now - notedAt > MISSING_NOTE_MS) {
          this.#say({ event: "agents_missing", ids: still });
          notedAt = now;
        }
        missing = still;
        if (now - progressAt > CONNECT_PROGRESS_MS) throw this.#nobodyConnects(missing);
        return missing.length === 0;
      });
    } finally {
      controller.close();
    }
  }

  #nobodyConnects(missing: readonly string[]): CliError {
    const message = `${listed(missing)} did not connect within ${durationText(CONNECT_PROGRESS_MS)}; their logs are in ${this.layout.logsDir}`;
    return new CliError(message, { code: "not_connected", exit: EXIT.failed });
  }

  /** Machines heard since their agent was last started; a record of earlier does not count. None while the controller is away. */
  async #connected(controller: Controller): Promise<ReadonlySet<string>> {
    const startedAt = new Map(this.#agents.map(({ member, child }) => [member.id, child.startedAt]));
    try {
      const machines = await listMachines(controller, { selector: "", withoutApps: true });
      const heard = machines.filter(
        ({ id, state, lastSeenAt }) => state === MachineState.CONNECTED && lastSeenAt >= (startedAt.get(id) ?? Infinity),
      );
      return new Set(heard.map(({ id }) => id));
    } catch (error) {
      if (error instanceof CliError && error.code === "unreachable") return new Set();
      throw error;
    }
  }

  #child(name: string, role: "controller" | "agent", command: () => readonly string[], onAway = (): void => undefined): SupervisedChild {
    const log = join(this.layout.logsDir, `${name}.log`);
    const env = { ...this.#options.env, PATH: searchPath(this.#options.env).join(":") };
    const hooks: ChildHooks = {
      onChange: () => this.#onPidsChanged(),
      onRestarting: (ended, delayMs) => this.#say({ event: "child_restarting", name, ended, delayMs, log }),
      onAway,
      onGivenUp: (message) => this.#end.reject(new CliError(message, { code: "bad_input", exit: EXIT.badInput })),
      isFleetReady: () => this.#ready,
    };
    return new SupervisedChild({ name, role, log, env, command }, hooks);
  }

  #logLevel(): readonly string[] {
    const { logLevel } = this.#options;
    return logLevel === undefined ? [] : ["--log-level", logLevel];
  }

  #agentChild(member: Member): SupervisedChild {
    const command = (): readonly string[] => [...this.#options.programs.agent, ...agentArguments(member, this.#known().grpc, this.layout.tokenFile)];
    return this.#child(member.id, "agent", () => [...command(), ...this.#logLevel(), "--stop-with-parent"], () =>
      this.#say({ event: "agent_away", id: member.id, command: shellCommand(command()) }),
    );
  }

  #children(): readonly SupervisedChild[] {
    const agents = this.#agents.map(({ child }) => child);
    return this.#controller === undefined ? agents : [this.#controller, ...agents];
  }

  #onPidsChanged(): void {
    const running = this.#children().flatMap(({ pid, spec }) => {
      const identity = pid === undefined ? undefined : identify(pid);
      return identity === undefined ? [] : [{ name: spec.name, ...identity }];
    });
    this.#record(() => this.#lock.remember([...this.#orphans, ...running]));
    this.#writeDevFile();
  }

  /** Whether the file is that of the controller that runs now. */
  #onControllerFile(): boolean {
    const file = readControllerFile(this.layout.controllerFile);
    if (file === undefined || file.pid !== this.#controller?.pid) return false;
    this.#controllerFile = file;
    this.#writeDevFile();
    return true;
  }

  #writeDevFile(): void {
    if (this.#ready) this.#record(() => writeDevFile(this.layout.devFile, this.#devFile()));
  }

  /** A full disk is no reason to give the fleet up. */
  #record(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#say({ event: "not_recorded", message: error instanceof Error ? error.message : String(error) });
    }
  }

  #devFile(): DevFile {
    const { pid, grpc, https, socket, nats } = this.#known();
    const agents = this.#agents.map(({ member, child }) => ({ id: member.id, pid: child.pid ?? null, dir: member.dir, labels: member.labels }));
    return { controller: { pid, grpc, https, socket }, nats, agents };
  }

  #known(): ControllerFile {
    if (this.#controllerFile === undefined) throw new Error("the controller is not up yet");
    return this.#controllerFile;
  }

  async #stop(): Promise<void> {
    this.#ready = false;
    this.#say({ event: "stopping" });
    unwatchFile(this.layout.controllerFile);
    const timer = setTimeout(() => {
      this.#say({ event: "stop_overdue", afterMs: STOP_MS });
      this.kill();
    }, STOP_MS);
    await Promise.all(this.#agents.map(({ child }) => child.stop()));
    await this.#stopWorkloads();
    await this.#controller?.stop();
    clearTimeout(timer);
    this.#forget();
    this.#say({ event: "stopped" });
  }

  /** Those whose agent was killed, or was asked to go and left them running. */
  async #stopWorkloads(): Promise<void> {
    const groups = groupsBelow(this.layout.agentsDir);
    if (groups.length === 0) return;
    for (const group of groups) signalGroup(group, "SIGTERM");
    const deadline = performance.now() + WORKLOAD_STOP_MS;
    while (groupsBelow(this.layout.agentsDir).length > 0 && performance.now() < deadline) await this.#options.clock.sleep(POLL_MS);
    for (const group of groupsBelow(this.layout.agentsDir)) signalGroup(group, "SIGKILL");
    this.#say({ event: "workloads_stopped", count: groups.length });
  }

  #forget(): void {
    process.off("exit", this.#onExit);
    rmSync(this.layout.tokenFile, { force: true });
    rmSync(this.layout.devFile, { force: true });
    this.#lock.release();
  }

  /** Asks again and again until it holds, or until the fleet is stopped. */
  async #until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (this.#stopped === undefined && !(await holds())) await this.#options.clock.sleep(POLL_MS);
  }

  #say(event: DevEvent): void {
    this.#options.onEvent(event);
  }
}

/** The directory, there and writable, with symlinks resolved (/proc names working directories so), and locked for us. */
function take(dir: string): { readonly layout: Layout; readonly acquired: Acquired } {
  try {
    makeDirectory(dir);
    const layout = layoutOf(realpathSync(dir));
    return { layout, acquired: acquireLock(layout.lock) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`${dir} can't be used as a directory for the fleet: ${why}`, { code: "bad_input", exit: EXIT.badInput, cause });
  }
}

/** With its parents. Node's own `recursive` never returns where the system says "no such folder" of one whose parent is there, as /proc does. */
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return;
  if (!existsSync(dirname(dir))) makeDirectory(dirname(dir));
  mkdirSync(dir);
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error; // it ended meanwhile
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
