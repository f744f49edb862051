/**
 * Runs all apps of this machine: takes the machine's assignment, and gives each app its part. An assignment is written down before anything is done
 * about it, so an agent that starts without a network goes on where it was. An app that an assignment does not name is left as it is.
 */
import { isSecretPath, isVersion, parseAppName, parseDigest } from "@muster/proto/ids.ts";
import { AppPhase, type Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import { type AppAssignment, Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Logger } from "pino";
import type { Picture } from "../machine/picture.ts";
import { type AppState, emptyState } from "../machine/state.ts";
import type { NewReport } from "../report/spool.ts";
import { AppRunner } from "./app-runner.ts";
import { refusal } from "./fault.ts";
import { appsOnDisk, assignmentFile, stateFile } from "./on-disk.ts";
import type { Clock } from "./ports.ts";
import { readRecord, rewriteRecord } from "./record.ts";
import type { World } from "./steps.ts";
import { Turn } from "./turn.ts";

const STATE_FORMAT = "muster.app-state.v2";
const ASSIGNMENT_FORMAT = "muster.assignment.v1";

export interface MachineRunnerOptions {
  /** The agent's directory, resolved. */
  readonly dir: string;
  readonly machineId: string;
  readonly world: World;
  /** Both durable when they return; throw when they can't be. */
  readonly spool: (report: NewReport) => void;
  readonly record?: typeof rewriteRecord;
  readonly logger: Logger;
}

export class MachineRunner {
  readonly #options: MachineRunnerOptions;
  readonly #apps = new Map<string, AppRunner>();
  readonly #turn = new Turn();
  #assignment: Assignment | undefined;
  #artifactUrl: string | undefined;
  readonly #awaitingUrl = new Set<(url: string) => void>();
  readonly #lostRecords = new Set<string>();
  #unsupported: Refusal | undefined;
  /** How often it is to be heard. Nobody knows before it has said so. */
  #paceMs = Infinity;

  constructor(options: MachineRunnerOptions) {
    this.#options = options;
    this.#assignment = this.#readAssignment();
  }

  /** Of the assignment that is written down; 0 when there is none. */
  get generation(): number {
    return this.#assignment?.generation ?? 0;
  }

  /** What keeps this machine from doing what its assignment says, when no report can say it. */
  get refusal(): Refusal | undefined {
    for (const { refusal: unwritten } of this.#apps.values()) if (unwritten !== undefined) return unwritten;
    return this.#unsupported;
  }

  /** Looks at the world and at what is written down, and goes on. */
  async start(): Promise<void> {
    for (const app of appsOnDisk(this.#options.dir)) {
      const state = this.#readState(app);
      if (state !== undefined) this.#open(app, state);
    }
    if (this.#assignment !== undefined) this.#options.world.secrets.take(this.#assignment);
    await Promise.all([...this.#apps.values()].map((app) => app.wake()));
    this.#hand();
  }

  /** Takes an assignment that is newer than the one it has. Throws when it can't be written down; then it was not taken. */
  offer(assignment: Assignment): void {
    const { machineId, logger } = this.#options;
    if (assignment.machine !== machineId) return logger.error({ machine: assignment.machine }, "assignment for another machine ignored");
    if (assignment.generation < this.generation) return;
    if (assignment.generation === this.generation) {
      // The same, and perhaps sealed to a newer key of this machine.
      this.#options.world.secrets.take(assignment);
      return;
    }
    this.#record(assignmentFile(this.#options.dir), ASSIGNMENT_FORMAT, Assignment.toJSON(assignment));
    this.#assignment = assignment;
    this.#options.world.secrets.take(assignment);
    logger.info({ generation: assignment.generation, apps: assignment.apps.length }, "assignment taken");
    this.#hand();
  }

  /** The controller has forgotten what it was told of the apps: each says again how it is. */
  sayAgain(): void {
    for (const app of this.#apps.values()) app.post({ kind: "forgotten" });
  }

  /** The controller was heard. `paceMs`: after so long at most it should have been; 0: it was away before. */
  heard(paceMs: number): void {
    this.#paceMs = paceMs === 0 ? this.#paceMs : paceMs;
    for (const app of this.#apps.values()) app.heard(paceMs);
  }

  /** Where artifacts are from now on. */
  setArtifactUrl(url: string): void {
    this.#artifactUrl = url;
    for (const tell of this.#awaitingUrl) tell(url);
    this.#awaitingUrl.clear();
  }

  /** Leaves all workloads running. */
  async close(): Promise<void> {
    await Promise.all([...this.#apps.values()].map((app) => app.close()));
  }

  /** Stops all workloads, side by side. */
  async halt(): Promise<void> {
    await Promise.all([...this.#apps.values()].map((app) => app.halt()));
  }

  #hand(): void {
    this.#unsupported = undefined;
    for (const goal of this.#assignment?.apps ?? []) {
      const fault = faultOfGoal(goal);
      if (fault !== undefined) {
        this.#options.logger.error({ app: goal.app, generation: goal.generation, fault }, "goal that this agent cannot carry out ignored");
        this.#unsupported ??= refusal("unsupported", `the assignment holds ${fault} (app ${JSON.stringify(goal.app.slice(0, 80))}): if this agent is older than its controller, update it, then deploy again`);
        continue;
      }
      const runner = this.#apps.get(goal.app) ?? this.#open(goal.app, emptyState(goal.app, this.#clock.now()));
      runner.post({ kind: "goal", goal: withoutSealed(goal) });
    }
  }

  #open(app: string, state: AppState): AppRunner {
    const { machineId, world, spool, logger } = this.#options;
    const runner = new AppRunner({
      state,
      turn: this.#turn,
      spool: (report) => spool(reportOf(report)),
      record: (next) => this.#record(stateFile(this.#options.dir, app), STATE_FORMAT, next),
      logger,
      context: {
        app,
        world,
        machineId,
        onFetched: () => this.heard(this.#paceMs),
        artifactUrl: (signal) => this.#knownArtifactUrl(signal),
        takenPorts: () => this.#portsOfOthers(app),
        mayHaveStrays: this.#lostRecords.has(app),
      },
    });
    this.#apps.set(app, runner);
    return runner;
  }

  #readAssignment(): Assignment | undefined {
    const { dir, logger } = this.#options;
    const found = readRecord(assignmentFile(dir), ASSIGNMENT_FORMAT);
    if (found.kind === "corrupt") logger.error({ dir }, "assignment cannot be read and was set aside: the controller is asked for it");
    return found.kind === "found" ? Assignment.fromJSON(found.value) : undefined;
  }

  #readState(app: string): AppState | undefined {
    const found = readRecord(stateFile(this.#options.dir, app), STATE_FORMAT);
    switch (found.kind) {
      case "absent":
        return undefined;
      case "corrupt":
        this.#lostRecords.add(app);
        this.#options.logger.error({ app }, "state cannot be read and was set aside: the app begins anew");
        return undefined;
      case "found": {
        // What its checksum vouches for was written by `record`, in this format; by an agent that did not have every field, perhaps.
        const written = found.value as Partial<AppState> & Pick<AppState, "seenAt">;
        return { ...emptyState(app, written.seenAt), ...written };
      }
    }
  }

  #portsOfOthers(app: string): ReadonlySet<number> {
    const others = [...this.#apps].filter(([name]) => name !== app).map(([, runner]) => runner.state);
    return new Set(others.flatMap((state) => [...Object.values(state.ports), ...Object.values(state.current?.ports ?? {})]));
  }

  #knownArtifactUrl(signal: AbortSignal): Promise<string> {
    if (this.#artifactUrl !== undefined) return Promise.resolve(this.#artifactUrl);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#awaitingUrl.add(resolve);
    signal.addEventListener("abort", () => {
      this.#awaitingUrl.delete(resolve);
      reject(new Error("given up before the controller said where artifacts are"));
    }, { once: true });
    return promise;
  }

  get #record(): typeof rewriteRecord {
    return this.#options.record ?? rewriteRecord;
  }

  get #clock(): Clock {
    return this.#options.world.clock;
  }
}

/** What comes from the network names folders: it is checked before it does. */
function faultOfGoal({ app, goal }: AppAssignment): string | undefined {
  if (parseAppName(app) === undefined) return "not an app's name";
  if (goal === undefined) return "neither a release nor a removal that this agent knows";
  if (goal.$case === "remove") return undefined;
  const release = goal.value;
  if (release.app !== app) return "a release of another app";
  if (parseDigest(release.artifact) === undefined) return "not an artifact's digest";
  if (!isVersion(release.version)) return "not a version";
  if (release.secrets?.files.some(({ path }) => !isSecretPath(path)) === true) return "not a path of a secret's file";
  return release.driver === undefined ? "a driver that this agent does not know" : undefined;
}

/** What is sealed has its own place, and is no part of an app's state. */
function withoutSealed(goal: AppAssignment): AppAssignment {
  return goal.secrets === undefined ? goal : { ...goal, secrets: { versions: goal.secrets.versions, sealed: undefined } };
}

const PHASES: Readonly<Record<Picture["phase"], AppPhase>> = {
  pulling: AppPhase.PULLING,
  staged: AppPhase.STAGED,
  activating: AppPhase.ACTIVATING,
  probing: AppPhase.PROBING,
  healthy: AppPhase.HEALTHY,
  unhealthy: AppPhase.UNHEALTHY,
  reverting: AppPhase.REVERTING,
  reverted: AppPhase.REVERTED,
  failed: AppPhase.FAILED,
  removing: AppPhase.REMOVING,
  removed: AppPhase.REMOVED,
};

function reportOf({ phase, reason, ports, ...picture }: Picture): NewReport {
  return { ...picture, phase: PHASES[phase], reason: reason === undefined ? undefined : { ...reason }, ports: { ...ports } };
}
