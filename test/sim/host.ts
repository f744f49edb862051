/**
 * A simulated host without its agent. Its disk outlives everything but a new disk; its processes outlive the agent but not a reboot. What really ran and answered on it is
 * in `serving`, which nobody but the checks reads.
 */
import type { AppName, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { MachineJoined, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import type { Picture } from "@muster/agent/machine/picture.ts";
import { type AppState, isProcess, type Workload } from "@muster/agent/machine/state.ts";
import type { Cancel, Timeline } from "./clock.ts";
import type { Affliction, Course, Releases } from "./releases.ts";
import { Serving } from "./serving.ts";

interface Disk {
  readonly instance: string;
  /** The spool: not acknowledged, oldest first. */
  reports: ReportAccepted[];
  nextSeq: number;
  assignment: Assignment | undefined;
  readonly apps: Map<string, AppState>;
  /** `app/artifact`. */
  readonly releases: Set<string>;
  readonly links: Map<string, string>;
}

interface Process {
  readonly workload: Workload;
  readonly app: string;
  readonly artifact: string;
  readonly course: Course;
  readonly startedAt: number;
  readonly cancels: readonly Cancel[];
}

/** Hears what a host does, so that it can be held against what it was assigned. */
export interface HostWatcher {
  ran(machine: MachineId, app: string, artifact: string): void;
  took(machine: MachineId, before: number, assignment: Assignment): void;
  acknowledged(machine: MachineId, instance: string, seq: number, reports: readonly ReportAccepted[]): void;
  /** Its agent takes down what answered well until now, for generation `generation` of the app. */
  takesDown(machine: MachineId, app: string, generation: number): void;
  /** Its agent has written a report about generation `generation` of the app. */
  said(machine: MachineId, app: string, generation: number, phase: string): void;
}

export class Host {
  readonly id: MachineId;
  /** As its agent was started with them. */
  labels: Readonly<Record<string, string>>;
  disk: Disk;
  readonly processes = new Map<string, Process>();
  bootId = "boot-1";
  isDiskFull = false;
  /** Apps of which its agent has a report that it can't write down. */
  readonly unwritten = new Set<string>();
  clockOffsetMs = 0;
  /** Without power, or frozen: nothing runs, and its agent says and hears nothing. */
  isDown = false;
  /** Faults that are the host's own: when it last had one. */
  lastFaultAt = -1;
  /** Since when it has the disk that it has. */
  diskSince = -1;
  /** A process ended by itself. */
  onExit: (app: string, launchId: string) => void = () => {};
  /** A release takes the host with it. */
  onAffliction: (how: Affliction) => void = () => {};
  readonly #serving = new Map<string, Serving>();
  readonly #timeline: Timeline;
  readonly #releases: Releases;
  readonly #watcher: HostWatcher;
  readonly #switched = new Map<string, { readonly at: number; readonly course: Course }>();
  #launches = 0;
  #disks = 0;
  #boots = 1;

  constructor(id: MachineId, labels: Readonly<Record<string, string>>, timeline: Timeline, releases: Releases, watcher: HostWatcher) {
    this.id = id;
    this.labels = labels;
    this.#timeline = timeline;
    this.#releases = releases;
    this.#watcher = watcher;
    this.disk = this.#newDisk();
  }

  /** True time. */
  get now(): number {
    return this.#timeline.now;
  }

  serving(app: string): Serving {
    let serving = this.#serving.get(app);
    if (serving === undefined) this.#serving.set(app, (serving = new Serving()));
    return serving;
  }

  /** When that really was which its agent stamped; as far as its clock was not set since. */
  trueTime(stampedAt: number): number {
    return stampedAt - this.clockOffsetMs;
  }

  /** Of which anything ever ran here. */
  get apps(): Iterable<string> {
    return this.#serving.keys();
  }

  reboot(): void {
    this.lastFaultAt = this.#timeline.now;
    for (const launchId of [...this.processes.keys()]) this.#forget(launchId);
    this.#boots += 1;
    this.bootId = `boot-${this.#boots}`;
  }

  /** As after a reinstallation under the same name. */
  replaceDisk(): void {
    this.disk = this.#newDisk();
    this.unwritten.clear();
    this.diskSince = this.#timeline.now;
    this.#switched.clear();
    this.#serving.clear();
    this.reboot();
  }

  /** Sequence of the newest report that is still to be acknowledged, or to be written; 0: none is. */
  get newestPending(): number {
    return this.unwritten.size > 0 ? this.disk.nextSeq : (this.disk.reports.at(-1)?.reportSeq ?? 0);
  }

  hello(): MachineJoined {
    return { kind: "machine_joined", machine: this.id, instance: this.disk.instance, labels: this.labels, agentVersion: "0", hostname: this.id, os: "linux", arch: "x64" };
  }

  take(assignment: Assignment): void {
    this.#watcher.took(this.id, this.disk.assignment?.generation ?? 0, assignment);
    this.disk.assignment = assignment;
  }

  spool(picture: Picture, now: number): void {
    const { app, generation, phase, reason, runningVersion, runningArtifact, starts, pid, ports } = picture;
    this.#watcher.said(this.id, app, generation, phase);
    this.disk.reports.push({
      kind: "report_accepted",
      machine: this.id,
      app: app as AppName,
      instance: this.disk.instance,
      reportSeq: this.disk.nextSeq,
      observedAt: now as Instant,
      generation,
      phase,
      reason: reason === undefined ? null : { code: reason.code, message: reason.message },
      runningVersion,
      runningArtifact,
      starts,
      pid,
      ports,
    });
    this.disk.nextSeq += 1;
  }

  acknowledge(seq: number): void {
    this.#watcher.acknowledged(this.id, this.disk.instance, seq, this.disk.reports.filter(({ reportSeq }) => reportSeq <= seq));
    this.disk.reports = this.disk.reports.filter(({ reportSeq }) => reportSeq > seq);
    this.disk.nextSeq = Math.max(this.disk.nextSeq, seq + 1);
  }

  newLaunchId(app: string): string {
    this.#launches += 1;
    return `${app}.${this.#launches}`;
  }

  isCorrupt(app: string, artifact: string): boolean {
    const isCorrupt = this.#releases.isCorrupt(artifact, this.id);
    if (isCorrupt) this.serving(app).wentWrong("corrupt", artifact, this.#timeline.now);
    return isCorrupt;
  }

  switchTo(app: string, artifact: string | undefined): void {
    if (this.disk.links.get(app) === artifact) return;
    this.#noteTakingDown(app);
    if (![...this.processes.values()].some((process) => process.app === app)) this.serving(app).ended(this.#timeline.now);
    if (artifact === undefined) {
      this.disk.links.delete(app);
      this.#switched.delete(app);
      return;
    }
    this.disk.links.set(app, artifact);
    if (this.#releases.isFiles(artifact)) this.#switched.set(app, { at: this.#timeline.now, course: this.#releases.course(artifact, this.id) });
    this.#serveFiles(app, artifact);
    this.#watcher.ran(this.id, app, artifact);
  }

  /** Undefined: it could not be started. */
  start(launchId: string, release: Release): Workload | undefined {
    const known = this.processes.get(launchId);
    if (known !== undefined) return known.workload;
    const { app, artifact } = release;
    const course = this.#releases.course(artifact, this.id);
    const timeline = this.#timeline;
    if (!course.startsAtAll || !this.disk.releases.has(`${app}/${artifact}`)) {
      this.serving(app).wentWrong("start_failed", artifact, timeline.now);
      return undefined;
    }
    const workload: Workload = { launchId, pid: Number(launchId.slice(app.length + 1)), startTicks: "1", bootId: this.bootId };
    const cancels: Cancel[] = [];
    if (course.exitsAfterMs !== undefined) cancels.push(timeline.after(course.exitsAfterMs, () => this.#exit(launchId)));
    const { afflicts } = course;
    if (afflicts !== undefined) cancels.push(timeline.after(afflicts.afterMs, () => this.#afflict(app, artifact, afflicts.how)));
    this.processes.set(launchId, { workload, app, artifact, course, startedAt: timeline.now, cancels });
    this.serving(app).began(artifact, course, timeline.now);
    this.#watcher.ran(this.id, app, artifact);
    return workload;
  }

  stop(launchId: string): void {
    const app = this.processes.get(launchId)?.app;
    if (app !== undefined) this.#noteTakingDown(app);
    this.#forget(launchId);
  }

  /** What a probe sees now, and when it will see something else. Undefined: nothing that could be probed. */
  look(app: string, release: Release, workload: Workload | undefined): { readonly isHealthy: boolean; readonly nextMs: number | undefined } | undefined {
    const found = isProcess(release) ? (workload === undefined ? undefined : this.processes.get(workload.launchId)) : this.#filesOf(app, release.artifact);
    if (found === undefined) return undefined;
    const age = this.#timeline.now - found.startedAt;
    const at = found.course.health.findLastIndex(({ fromMs }) => fromMs <= age);
    const next = found.course.health[at + 1];
    return { isHealthy: found.course.health[at]?.isHealthy ?? false, nextMs: next === undefined ? undefined : next.fromMs - age };
  }

  /** The artifact of what runs, by app; of files, what is linked. */
  running(app: string): string | undefined {
    for (const process of this.processes.values()) if (process.app === app) return process.artifact;
    return undefined;
  }

  /** Its processes go, and its agent without a word. */
  protected powerOff(): void {
    this.lastFaultAt = this.#timeline.now;
    this.isDown = true;
    for (const launchId of [...this.processes.keys()]) this.#forget(launchId);
    // Files answer nothing while nothing runs that could.
    for (const serving of this.#serving.values()) serving.ended(this.#timeline.now);
  }

  /** Of files, what is linked is served as soon as there is power. */
  protected powerOn(): void {
    this.isDown = false;
    for (const [app, artifact] of this.disk.links) {
      const switched = this.#switched.get(app);
      if (switched === undefined) continue;
      this.#switched.set(app, { at: this.#timeline.now, course: switched.course });
      this.#serveFiles(app, artifact);
    }
  }

  #serveFiles(app: string, artifact: string): void {
    const switched = this.#switched.get(app);
    if (switched !== undefined && this.#releases.isFiles(artifact)) this.serving(app).began(artifact, switched.course, switched.at);
  }

  #filesOf(app: string, artifact: string): { readonly startedAt: number; readonly course: Course } | undefined {
    const switched = this.#switched.get(app);
    return switched === undefined || this.disk.links.get(app) !== artifact ? undefined : { startedAt: switched.at, course: switched.course };
  }

  #noteTakingDown(app: string): void {
    if (this.serving(app).current(this.#timeline.now) === undefined) return;
    this.#watcher.takesDown(this.id, app, this.disk.apps.get(app)?.goal?.generation ?? 0);
  }

  #afflict(app: string, artifact: string, how: Affliction): void {
    if (this.#releases.isTame) return;
    this.serving(app).wentWrong("took_the_host", artifact, this.#timeline.now);
    this.onAffliction(how);
  }

  #exit(launchId: string): void {
    const process = this.processes.get(launchId);
    if (process === undefined) return;
    this.serving(process.app).wentWrong("exited", process.artifact, this.#timeline.now);
    this.#forget(launchId);
    this.onExit(process.app, launchId);
  }

  #forget(launchId: string): void {
    const process = this.processes.get(launchId);
    if (process === undefined) return;
    for (const cancel of process.cancels) cancel();
    this.processes.delete(launchId);
    this.serving(process.app).ended(this.#timeline.now);
  }

  #newDisk(): Disk {
    this.#disks += 1;
    return { instance: `${this.id}-disk-${this.#disks}`, reports: [], nextSeq: 1, assignment: undefined, apps: new Map(), releases: new Set(), links: new Map() };
  }
}
