/**
 * What was ordered, and what the controller says that it did about it: read off the journal row by row, as an operator reads `muster events`. Nothing here is a judgement; the
 * checks hold these words against the hosts.
 *
 * This file alone knows how the engine words its rows.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, selects } from "@muster/proto/selector.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import type { Size, Strategy } from "@muster/controller/src/plan/strategy.ts";
import { type ByKind, dispatch } from "../rows.ts";
import { roundedDown } from "./rounding.ts";
import { type AskedWave, askedWaves } from "./waves.ts";

export type Phase = "pending" | "rolling" | "paused" | "rolling_back" | "succeeded" | "rolled_back" | "failed" | "aborted" | "superseded";

/** A machine is to run a release of an app from now on, or nothing. */
export interface Decision {
  readonly at: number;
  readonly generation: number;
  readonly machine: MachineId;
  readonly app: string;
  readonly deployment: DeploymentId;
  /** Undefined: the app is to be removed. */
  readonly artifact: string | undefined;
  readonly isUpdate: boolean;
}

/** Of the plan: who is in it. All that is asked of it is the file's. */
export interface Wave extends AskedWave {
  readonly machines: readonly MachineId[];
  /** Of these, whoever said that it ran the release already, beside others to which it was new. */
  readonly onTrial: ReadonlySet<MachineId>;
  readonly openGates: Set<number>;
  begunAt: number | undefined;
  finishedAt: number | undefined;
}

/** What a person ordered of a deployment. */
export interface Act {
  readonly at: number;
  readonly what: "submit" | "pause" | "resume" | "abort" | "rollback" | "retry" | "approve" | "promote" | "set_max_unavailable";
  /** Of a retry of one that has failed: AFTER_THE_END. Of a resume of one that a person had paused: AFTER_A_PAUSE. */
  readonly detail: string;
}

export const AFTER_THE_END = "after the end";
export const AFTER_A_PAUSE = "after a pause";

export interface Excused {
  /** Machines that had said that it failed there, of which generation. */
  readonly failing: ReadonlyMap<MachineId, number>;
  /** Some had not said how it went. */
  readonly isUnclear: boolean;
}

export interface Deployment {
  readonly id: DeploymentId;
  readonly app: string;
  readonly artifact: string;
  readonly strategy: Strategy;
  readonly submittedAt: number;
  readonly acts: Act[];
  phase: Phase;
  phaseSince: number;
  reason: { readonly code: string; readonly message: string } | undefined;
  startedAt: number | undefined;
  /** That it went on after a pause or began. */
  rollingSince: number;
  /** That it was taken up again after it had failed; undefined: never. */
  retriedAt: number | undefined;
  /** Machines that had said last, when it failed, that its release is well there. */
  wellAtEnd: ReadonlySet<MachineId>;
  /** What a person who resumed it last, in spite of what is broken, knew of; undefined: nobody has. */
  excused: Excused | undefined;
  /** That it began to go back last, whatever ended that. */
  backSince: number | undefined;
  waves: readonly Wave[];
  /** What they have otherwise than the file asks for. */
  wavesFault: string | undefined;
  /** Those that came later, and what it decided about each. */
  readonly late: Set<MachineId>;
  readonly firstDecisions: Map<MachineId, Decision>;
  readonly lastDecisions: Map<MachineId, Decision>;
  /** The last that gave it the release. */
  readonly lastUpdates: Map<MachineId, Decision>;
  /** Labels of its machines when it first decided about them. */
  readonly labels: Map<MachineId, Labels>;
  readonly windows: { readonly at: number; readonly size: Size }[];
}

export interface Known {
  readonly machine: MachineId;
  labels: Labels;
  joinedAt: number;
  cordonedAt: number | undefined;
  isDrained: boolean;
  /** When a person drained it last, ended by now or not; -1: never. */
  drainedAt: number;
  /** When a person ended its last drain; -1: never. */
  undrainedAt: number;
  /** A person last meddled with it: drained, uncordoned, labelled. */
  touchedAt: number;
}

export const ENDED: readonly Phase[] = ["succeeded", "rolled_back", "failed", "aborted", "superseded"];

const FAILINGS: readonly string[] = ["unhealthy", "failed", "reverting", "reverted"];
const FINAL: readonly string[] = ["healthy", ...FAILINGS, "removed"];

export class Record {
  readonly deployments = new Map<DeploymentId, Deployment>();
  /** Deployments that a person asked for as a way back to an older release. */
  readonly waysBack = new Set<DeploymentId>();
  /** Machines that were not heard any more when a person took them out, removed or drained, and when they had joined. */
  readonly goneUnheard = new Map<MachineId, number>();
  readonly machines = new Map<MachineId, Known>();
  readonly budgets = new Map<string, { readonly max: number; readonly setAt: number }>();
  /** In the controller's wall time, as they were ordered. */
  readonly freezes = new Map<string, { readonly from: number; until: number; readonly setAt: number }>();
  /** `machine/app` to the newest decision about it, and when a person last renewed it (drained, uncordoned). */
  readonly newest = new Map<string, Decision>();
  readonly renewed = new Map<string, number>();
  /** Of the generation of an assignment, the last that a host has said of how it went. */
  readonly answers = new Map<number, string>();
  /** Of such a generation: since when the host, which had said how it went, says that it is at it again, and owes another answer. */
  readonly owedSince = new Map<number, number>();
  /** `machine/app` to the newest assignment, which a drain renews, and to what its agent has said last, of whichever. */
  readonly #assigned = new Map<string, number>();
  readonly #said = new Map<string, { readonly generation: number; readonly phase: string; readonly instance: string; readonly at: number }>();
  readonly #silent = new Set<MachineId>();
  /** When a machine of that name joined last, there or not. */
  readonly joinedAt = new Map<MachineId, number>();
  /** When a machine of that name was removed last; another may have joined since. */
  readonly #removedAt = new Map<MachineId, number>();
  readonly #artifacts = new Map<string, string>();
  /** True time of the row that is being read. */
  #now = 0;
  readonly #handlers: ByKind = {
    machine_joined: ({ machine, labels }) => {
      this.joinedAt.set(machine, this.#now);
      this.machines.set(machine, { machine, labels, joinedAt: this.#now, cordonedAt: undefined, isDrained: false, drainedAt: -1, undrainedAt: -1, touchedAt: this.#now });
    },
    machine_labelled: ({ machine, labels }) => void Object.assign(this.machines.get(machine)!, { labels, touchedAt: this.#now }),
    machine_removed: ({ machine }) => {
      this.#removedAt.set(machine, this.#now);
      this.machines.delete(machine);
      this.#silent.delete(machine);
      for (const key of [...this.newest.keys()]) if (key.startsWith(`${machine}/`)) this.newest.delete(key);
    },
    machine_cordoned: ({ machine, drained }) => void Object.assign(this.machines.get(machine)!, { cordonedAt: this.#now, isDrained: drained, touchedAt: this.#now, ...(drained ? { drainedAt: this.#now } : {}) }),
    machine_uncordoned: ({ machine }) => {
      const known = this.machines.get(machine)!;
      Object.assign(known, { cordonedAt: undefined, isDrained: false, touchedAt: this.#now, ...(known.isDrained ? { undrainedAt: this.#now } : {}) });
    },
    // Another disk, which remembers nothing of what was said.
    agent_changed: ({ machine, instance }) => {
      for (const [key, said] of this.#said) if (key.startsWith(`${machine}/`) && said.instance !== instance) this.#said.delete(key);
    },
    machine_silent: ({ machine }) => void this.#silent.add(machine),
    machine_heard: ({ machine }) => void this.#silent.delete(machine),
    assignment_renewed: ({ machine, app, release }, seq) => {
      const key = `${machine}/${app}`;
      this.#assigned.set(key, seq);
      this.renewed.set(key, this.#now);
      const newest = this.newest.get(key);
      // A drain has given back what was confirmed there.
      if (release !== undefined && newest !== undefined) this.newest.set(key, { ...newest, artifact: release === null ? undefined : this.#artifacts.get(release), isUpdate: false });
    },
    budget_set: ({ selector, maxUnavailable }) => void this.budgets.set(selector, { max: maxUnavailable, setAt: this.#now }),
    budget_removed: ({ selector }) => void this.budgets.delete(selector),
    freeze_added: ({ freeze, from, until }) => void this.freezes.set(freeze, { from, until: until ?? Infinity, setAt: this.#now }),
    freeze_ended: ({ freeze }) => void this.freezes.delete(freeze),
    release_created: ({ id, release }) => void this.#artifacts.set(id, release.artifact),
    deployment_submitted: ({ deployment, app, release, strategy }) => this.#submit(deployment, app, this.#artifacts.get(release)!, strategy),
    command_accepted: ({ deployment, command, detail }) => this.#takeCommand(this.deployments.get(deployment)!, command, detail),
    rollout_started: ({ deployment, plan }) => {
      const started = this.deployments.get(deployment)!;
      const { waves, wavesFault } = this.#wavesOf(started, plan.waves.map(({ targets }) => targets.map(({ machine }) => machine)));
      // A machine belongs to where it was when the plan was made.
      for (const { machines } of waves) for (const machine of machines) started.labels.set(machine, this.machines.get(machine)?.labels ?? {});
      Object.assign(started, { waves, wavesFault, phase: "rolling", phaseSince: this.#now, startedAt: this.#now, rollingSince: this.#now });
    },
    wave_started: ({ deployment, wave }) => {
      this.deployments.get(deployment)!.waves[wave]!.begunAt = this.#now;
    },
    wave_finished: ({ deployment, wave }) => {
      this.deployments.get(deployment)!.waves[wave]!.finishedAt = this.#now;
    },
    gate_opened: ({ deployment, wave, gate }) => void this.deployments.get(deployment)!.waves[wave]!.openGates.add(gate),
    gate_reached: ({ deployment, wave, gate }) => void this.deployments.get(deployment)!.waves[wave]!.openGates.delete(gate),
    report_accepted: ({ machine, app, generation, phase, instance }) => {
      this.#said.set(`${machine}/${app}`, { generation, phase, instance, at: this.#now });
      const newest = this.#assigned.get(`${machine}/${app}`);
      // It has lost what it had answered to, as after a power cut.
      if (newest !== undefined && generation < newest && this.answers.has(newest) && !this.owedSince.has(newest)) this.owedSince.set(newest, this.#now);
      if (!FINAL.includes(phase)) {
        if (this.answers.has(generation) && !this.owedSince.has(generation)) this.owedSince.set(generation, this.#now);
        return;
      }
      this.answers.set(generation, phase);
      this.owedSince.delete(generation);
    },
    target_joined: ({ deployment, target }) => void this.deployments.get(deployment)!.late.add(target.machine),
    target_assigned: ({ deployment, machine, release, purpose }, seq) => this.#decide(this.deployments.get(deployment)!, machine, release === null ? undefined : this.#artifacts.get(release), purpose === "update", seq),
    phase_changed: ({ deployment, phase, reason }) => {
      const changed = this.deployments.get(deployment)!;
      Object.assign(changed, { phase, phaseSince: this.#now, reason: reason ?? undefined });
      if (phase === "rolling") changed.rollingSince = this.#now;
      if (phase === "failed") changed.wellAtEnd = new Set([...changed.lastUpdates.values()].flatMap(({ machine, generation }) => (this.answers.get(generation) === "healthy" ? [machine] : [])));
      if (phase === "rolling_back") changed.backSince = this.#now;
    },
  };

  take(row: JournalRow, now: number): void {
    this.#now = now;
    dispatch(this.#handlers, row);
  }

  /** Of those that have a plan, all that it may ever touch. */
  machinesOf({ waves, late }: Deployment): MachineId[] {
    return [...new Set([...waves.flatMap(({ machines }) => machines), ...late])];
  }

  /** When the machine that the deployment has decided about was removed; Infinity: it was not. Whatever its host does then it does as another machine. */
  goneAt({ lastDecisions }: Deployment, machine: MachineId): number {
    const removedAt = this.#removedAt.get(machine) ?? -1;
    return removedAt >= (lastDecisions.get(machine)?.at ?? Infinity) ? removedAt : Infinity;
  }

  /** It is in the fleet and not cordoned, and nobody has drained, uncordoned or labelled it after that moment. What a person did in that very moment came first. */
  isUntouchedSince(machine: MachineId, at: number): boolean {
    const known = this.machines.get(machine);
    return known !== undefined && known.cordonedAt === undefined && known.touchedAt <= at;
  }

  /** When it took in what the machine had to say of the app last; -1: it never did. */
  lastSaidAt(machine: MachineId, app: string): number {
    return this.#said.get(`${machine}/${app}`)?.at ?? -1;
  }

  /** By what the controller has written down, of which `silence_found` judges whether it is right. What it heard last may have died with it before that was written. */
  isCalledSilent(machine: MachineId): boolean {
    return this.#silent.has(machine);
  }

  waveOf({ waves }: Deployment, machine: MachineId): number {
    const index = waves.findIndex(({ machines }) => machines.includes(machine));
    return index < 0 ? waves.length - 1 : index;
  }

  /** A person did this to the deployment, at that moment or after it. */
  hasOrdered({ acts }: Deployment, what: readonly Act["what"][], since: number): boolean {
    return acts.some((act) => act.at >= since && what.includes(act.what));
  }

  /** A person goes on with it in spite of what is broken, which who ends a pause of a person's own does not say. */
  isExcused({ acts }: Deployment, what: readonly Act["what"][]): boolean {
    return acts.some((act) => what.includes(act.what) && act.detail !== AFTER_A_PAUSE);
  }

  /** A newer deployment of the app that has begun, is to change the machine, and has not decided about it yet. */
  heirOf({ app, backSince = Infinity }: Deployment, machine: MachineId, phases: readonly Phase[]): Deployment | undefined {
    const labels = this.machines.get(machine)?.labels ?? {};
    return [...this.deployments.values()].find((other) => other.app === app && (other.startedAt ?? 0) >= backSince && phases.includes(other.phase) && !other.firstDecisions.has(machine) && this.machinesOf(other).includes(machine) && selects(checkedSelector(other.strategy.targets), labels));
  }

  /** How many of its machines may be out of service at once; the most of what was asked for between two moments. */
  windowOf(deployment: Deployment, from: number): number {
    const of = this.machinesOf(deployment).length;
    const applied = deployment.windows.filter(({ at }, index) => at >= from || (deployment.windows[index + 1]?.at ?? Infinity) >= from);
    return Math.max(1, ...applied.map(({ size }) => roundedDown(size, of)));
  }

  #submit(id: DeploymentId, app: string, artifact: string, strategy: Strategy): void {
    const at = this.#now;
    this.deployments.set(id, {
      id,
      app,
      artifact,
      strategy,
      submittedAt: at,
      acts: [{ at, what: "submit", detail: "" }],
      phase: "pending",
      phaseSince: at,
      reason: undefined,
      startedAt: undefined,
      rollingSince: at,
      retriedAt: undefined,
      wellAtEnd: new Set(),
      excused: undefined,
      backSince: undefined,
      waves: [],
      wavesFault: undefined,
      late: new Set(),
      firstDecisions: new Map(),
      lastDecisions: new Map(),
      lastUpdates: new Map(),
      labels: new Map(),
      windows: [{ at, size: strategy.maxUnavailable }],
    });
  }

  #takeCommand(deployment: Deployment, what: Act["what"], detail: string): void {
    const now = this.#now;
    const isComeback = what === "retry" && deployment.phase === "failed";
    if (isComeback) deployment.retriedAt = now;
    const wasPaused = what === "resume" && deployment.phase === "paused" && deployment.acts.some((act) => act.what === "pause" && act.at === deployment.phaseSince);
    deployment.acts.push({ at: now, what, detail: isComeback ? AFTER_THE_END : wasPaused ? AFTER_A_PAUSE : detail });
    if (what === "resume" && !wasPaused) deployment.excused = this.#excusedIn(deployment);
    if (what !== "set_max_unavailable") return;
    const percent = /^(.*)%$/.exec(detail)?.[1];
    deployment.windows.push({ at: now, size: percent === undefined ? { kind: "count", count: Number(detail) } : { kind: "percent", percent: Number(percent) } });
  }

  #excusedIn({ lastUpdates }: Deployment): Excused {
    const updates = [...lastUpdates.values()];
    const failing = updates.filter(({ generation }) => FAILINGS.includes(this.answers.get(generation) ?? ""));
    return { failing: new Map(failing.map(({ machine, generation }) => [machine, generation])), isUnclear: updates.some(({ generation }) => !this.answers.has(generation) || this.owedSince.has(generation)) };
  }

  #decide(deployment: Deployment, machine: MachineId, artifact: string | undefined, isUpdate: boolean, generation: number): void {
    const { app, id } = deployment;
    const at = this.#now;
    const decision: Decision = { at, generation, machine, app, deployment: id, artifact, isUpdate };
    if (!deployment.firstDecisions.has(machine)) deployment.firstDecisions.set(machine, decision);
    if (!deployment.labels.has(machine)) deployment.labels.set(machine, this.machines.get(machine)?.labels ?? {});
    deployment.lastDecisions.set(machine, decision);
    if (isUpdate) deployment.lastUpdates.set(machine, decision);
    this.newest.set(`${machine}/${app}`, decision);
    this.#assigned.set(`${machine}/${app}`, generation);
  }

  #wavesOf({ app, artifact, strategy }: Deployment, planned: readonly (readonly MachineId[])[]): { readonly waves: readonly Wave[]; readonly wavesFault: string | undefined } {
    const all = planned.flat();
    const running = all.filter((machine) => this.#saysThatItRuns(machine, app, artifact));
    // Where it is new to nobody, all of them show it.
    const onTrial = new Set(running.length < all.length ? running : []);
    const newTo = (machines: readonly MachineId[]) => machines.filter((machine) => !onTrial.has(machine)).map((machine) => ({ machine, labels: this.machines.get(machine)?.labels ?? {} }));
    const { waves: asked, fault } = askedWaves(strategy, planned.map(newTo));
    const waves = planned.map((machines, index) => ({ ...asked[index]!, machines, onTrial: new Set(machines.filter((machine) => onTrial.has(machine))), openGates: new Set<number>(), begunAt: undefined, finishedAt: undefined }));
    const behind = planned.slice(1).flat().filter((machine) => onTrial.has(machine));
    return { waves, wavesFault: behind.length === 0 ? fault : `${behind.join(", ")} run it already, and are not in the first wave` };
  }

  /** Its agent has said so last, of what is assigned there now, and is heard: such a one the plan has only when the release was never confirmed there. */
  #saysThatItRuns(machine: MachineId, app: string, artifact: string): boolean {
    const key = `${machine}/${app}`;
    const said = this.#said.get(key);
    return this.newest.get(key)?.artifact === artifact && said?.generation === this.#assigned.get(key) && said?.phase === "healthy" && !this.#silent.has(machine);
  }
}
