/**
 * What was ordered, and what the controller says that it did about it: read off the journal row by row, as an operator reads `muster events`. Nothing here is a judgement; the
 * checks hold these words against the hosts.
 *
 * This file alone knows how the engine words its rows.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import { isRolloutEntry, type JournalRow, type RolloutEntry } from "@muster/controller/src/journal/entry.ts";
import type { Gate, Size, Strategy } from "@muster/controller/src/plan/strategy.ts";

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

export interface Wave {
  readonly machines: MachineId[];
  readonly gates: readonly Gate[];
  readonly openGates: Set<number>;
  readonly at: number | null;
  readonly afterMs: number;
  readonly maxFailures: number;
  readonly maxUnreachable: number | null;
  readonly successThreshold: number | null;
  finishedAt: number | undefined;
}

/** What a person ordered of a deployment. */
export interface Act {
  readonly at: number;
  readonly what: "submit" | "pause" | "resume" | "abort" | "rollback" | "retry" | "approve" | "promote" | "set_max_unavailable";
  readonly detail: string;
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
  waves: Wave[];
  /** Those that came later, and what it decided about each. */
  readonly late: Set<MachineId>;
  readonly firstDecisions: Map<MachineId, Decision>;
  readonly lastDecisions: Map<MachineId, Decision>;
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
  /** A person last meddled with it: drained, uncordoned, labelled. */
  touchedAt: number;
}

export const ENDED: readonly Phase[] = ["succeeded", "rolled_back", "failed", "aborted", "superseded"];

export class Record {
  readonly deployments = new Map<DeploymentId, Deployment>();
  readonly machines = new Map<MachineId, Known>();
  readonly budgets = new Map<string, { readonly max: number; readonly setAt: number }>();
  /** In the controller's wall time, as they were ordered. */
  readonly freezes = new Map<string, { readonly from: number; until: number; readonly setAt: number }>();
  /** `machine/app` to the newest decision about it, and when a person last renewed it (drained, uncordoned). */
  readonly newest = new Map<string, Decision>();
  readonly renewed = new Map<string, number>();
  readonly #artifacts = new Map<string, string>();

  take({ seq, entry }: JournalRow, now: number): void {
    if (isRolloutEntry(entry)) return this.#takeChange(this.deployments.get(entry.deployment)!, entry, seq, now);
    switch (entry.kind) {
      case "machine_joined":
        this.machines.set(entry.machine, { machine: entry.machine, labels: entry.labels, joinedAt: now, cordonedAt: undefined, isDrained: false, touchedAt: now });
        return;
      case "machine_labelled":
        Object.assign(this.machines.get(entry.machine)!, { labels: entry.labels, touchedAt: now });
        return;
      case "machine_removed":
        this.machines.delete(entry.machine);
        for (const key of [...this.newest.keys()]) if (key.startsWith(`${entry.machine}/`)) this.newest.delete(key);
        return;
      case "machine_cordoned":
        Object.assign(this.machines.get(entry.machine)!, { cordonedAt: now, isDrained: entry.drained, touchedAt: now });
        return;
      case "machine_uncordoned":
        Object.assign(this.machines.get(entry.machine)!, { cordonedAt: undefined, isDrained: false, touchedAt: now });
        return;
      case "assignment_renewed":
        this.renewed.set(`${entry.machine}/${entry.app}`, now);
        return;
      case "budget_set":
        this.budgets.set(entry.selector, { max: entry.maxUnavailable, setAt: now });
        return;
      case "budget_removed":
        this.budgets.delete(entry.selector);
        return;
      case "freeze_added":
        this.freezes.set(entry.freeze, { from: entry.from, until: entry.until ?? Infinity, setAt: now });
        return;
      case "freeze_ended":
        this.freezes.delete(entry.freeze);
        return;
      case "release_created":
        this.#artifacts.set(entry.id, entry.release.artifact);
        return;
      case "deployment_submitted":
        this.deployments.set(entry.deployment, {
          id: entry.deployment,
          app: entry.app,
          artifact: this.#artifacts.get(entry.release)!,
          strategy: entry.strategy,
          submittedAt: now,
          acts: [{ at: now, what: "submit", detail: "" }],
          phase: "pending",
          phaseSince: now,
          reason: undefined,
          startedAt: undefined,
          rollingSince: now,
          waves: [],
          late: new Set(),
          firstDecisions: new Map(),
          lastDecisions: new Map(),
          labels: new Map(),
          windows: [{ at: now, size: entry.strategy.maxUnavailable }],
        });
        return;
      case "command_accepted":
        this.#takeCommand(this.deployments.get(entry.deployment)!, entry.command, entry.detail, now);
        return;
      default:
        return;
    }
  }

  /** Of those that have a plan, all that it may ever touch. */
  machinesOf({ waves, late }: Deployment): MachineId[] {
    return [...new Set([...waves.flatMap(({ machines }) => machines), ...late])];
  }

  waveOf({ waves }: Deployment, machine: MachineId): number {
    const index = waves.findIndex(({ machines }) => machines.includes(machine));
    return index < 0 ? waves.length - 1 : index;
  }

  /** A person did this to the deployment, at that moment or after it. */
  hasOrdered({ acts }: Deployment, what: readonly Act["what"][], since: number): boolean {
    return acts.some((act) => act.at >= since && what.includes(act.what));
  }

  /** How many of its machines may be out of service at once; the most of what was asked for between two moments. */
  windowOf(deployment: Deployment, from: number): number {
    const of = this.machinesOf(deployment).length;
    const applied = deployment.windows.filter(({ at }, index) => at >= from || (deployment.windows[index + 1]?.at ?? Infinity) >= from);
    return Math.max(1, ...applied.map(({ size }) => roundedDown(size, of)));
  }

  #takeCommand(deployment: Deployment, what: Act["what"], detail: string, now: number): void {
    deployment.acts.push({ at: now, what, detail });
    if (what !== "set_max_unavailable") return;
    const percent = /^(.*)%$/.exec(detail)?.[1];
    deployment.windows.push({ at: now, size: percent === undefined ? { kind: "count", count: Number(detail) } : { kind: "percent", percent: Number(percent) } });
  }

  #takeChange(deployment: Deployment, entry: RolloutEntry, seq: number, now: number): void {
    switch (entry.kind) {
      case "rollout_started":
        Object.assign(deployment, { phase: "rolling", phaseSince: now, startedAt: now, rollingSince: now });
        deployment.waves = entry.plan.waves.map(({ targets, gates, at, afterMs, maxFailures, maxUnreachable, successThreshold }) => ({
          machines: targets.map(({ machine }) => machine),
          gates,
          openGates: new Set(),
          at,
          afterMs,
          maxFailures,
          maxUnreachable,
          successThreshold,
          finishedAt: undefined,
        }));
        return;
      case "wave_finished":
        deployment.waves[entry.wave]!.finishedAt = now;
        return;
      case "gate_opened":
        deployment.waves[entry.wave]!.openGates.add(entry.gate);
        return;
      case "gate_reached":
        deployment.waves[entry.wave]!.openGates.delete(entry.gate);
        return;
      case "target_joined":
        deployment.late.add(entry.target.machine);
        return;
      case "target_assigned":
        this.#decide(deployment, entry.machine, entry.release === null ? undefined : this.#artifacts.get(entry.release), entry.purpose === "update", seq, now);
        return;
      case "phase_changed":
        Object.assign(deployment, { phase: entry.phase, phaseSince: now, reason: entry.reason ?? undefined });
        if (entry.phase === "rolling") deployment.rollingSince = now;
        return;
      default:
        return;
    }
  }

  #decide(deployment: Deployment, machine: MachineId, artifact: string | undefined, isUpdate: boolean, generation: number, at: number): void {
    const { app, id } = deployment;
    const decision: Decision = { at, generation, machine, app, deployment: id, artifact, isUpdate };
    if (!deployment.firstDecisions.has(machine)) deployment.firstDecisions.set(machine, decision);
    if (!deployment.labels.has(machine)) deployment.labels.set(machine, this.machines.get(machine)?.labels ?? {});
    deployment.lastDecisions.set(machine, decision);
    this.newest.set(`${machine}/${app}`, decision);
  }
}

function roundedDown(size: Size, of: number): number {
  return size.kind === "count" ? size.count : Math.floor((of * size.percent + 1e-6) / 100);
}
