/**
 * What the journal says, kept by simpler rules than the engine's own: a second opinion, built from the rows alone, that the checks are made against.
 */
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { type Labels, parseSelector, type Selector } from "@muster/proto/selector.ts";
import { isRolloutEntry, type JournalRow, type RolloutEntry } from "@muster/controller/src/journal/entry.ts";
import type { LaneLabel, PlannedTarget, PlannedWave } from "@muster/controller/src/plan/plan.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { RolloutPhase, TargetState } from "@muster/controller/src/rollout/state.ts";

export interface ModelTarget {
  readonly machine: MachineId;
  readonly wave: number;
  readonly lane: readonly string[];
  state: TargetState;
  /** It was told something. */
  wasTold: boolean;
}

export interface ModelGate {
  isOpen: boolean;
  reachedAt: number;
  /** Answers since it was reached. */
  go: number;
  stop: number;
}

export interface ModelAlarm {
  /** In a row. */
  active: number;
  silent: number;
  /** Said that all is well since the rollout goes forward, or is silent and may be. */
  wasQuiet: boolean;
}

export interface ModelWave {
  readonly plan: PlannedWave;
  readonly targets: ModelTarget[];
  readonly gates: readonly ModelGate[];
  acknowledgedFailures: number;
  acknowledgedUnreachable: number;
  finishedAt: number | undefined;
  changedAt: number;
  /** Of its targets. */
  changes: number;
  waitedOut: boolean;
}

export interface ModelRollout {
  readonly id: DeploymentId;
  readonly app: string;
  readonly strategy: Strategy;
  phase: RolloutPhase;
  alarms: readonly ModelAlarm[];
  waves: ModelWave[];
  readonly targets: Map<MachineId, ModelTarget>;
  lanes: readonly LaneLabel[];
  maxUnavailable: number;
  wave: number;
  startedAt: number;
  /** Rises with each that begins. */
  startOrder: number;
  endedAt: number;
  /** Somebody has said that it may begin. */
  isStartApproved: boolean;
  isPromoted: boolean;
  /** The row before allowed one thing to be skipped. */
  maySkip: boolean;
}

export interface ModelMachine {
  labels: Labels;
  isSilent: boolean;
  isCordoned: boolean;
  isDrained: boolean;
  /** Apps that are not well. */
  readonly sick: Set<string>;
  /** Apps that it was told something about, and the newest generation that it was told; 0: none. */
  readonly told: Set<string>;
  newest: number;
}

export interface ModelFreeze {
  readonly from: number;
  until: number;
}

const ENDED: readonly RolloutPhase[] = ["succeeded", "rolled_back", "failed", "aborted", "superseded"];

export class Model {
  readonly rollouts = new Map<DeploymentId, ModelRollout>();
  /** Those that have not ended. */
  readonly open = new Set<ModelRollout>();
  readonly machines = new Map<MachineId, ModelMachine>();
  readonly budgets = new Map<string, { readonly selector: Selector; readonly max: number }>();
  readonly freezes = new Map<string, ModelFreeze>();
  /** `machine/app` to every artifact that it was ever told to run. */
  readonly named = new Map<string, Set<string>>();
  /** The newest generation of each machine, of those that were removed under the same name too. */
  readonly generations = new Map<MachineId, number>();
  /** Those that have been removed at some time; others of their name may have joined since. */
  readonly removed = new Set<MachineId>();
  readonly #artifacts = new Map<string, string>();

  take(row: JournalRow): void {
    const { seq, at, entry } = row;
    if (isRolloutEntry(entry)) {
      this.#takeChange(this.of(entry.deployment), entry, row);
      return;
    }
    switch (entry.kind) {
      case "machine_joined": {
        const { machine, labels } = entry;
        this.machines.set(machine, { labels, isSilent: false, isCordoned: false, isDrained: false, sick: new Set(), told: new Set(), newest: 0 });
        return;
      }
      case "agent_changed":
        return;
      case "machine_labelled":
        this.machines.get(entry.machine)!.labels = entry.labels;
        return;
      case "machine_removed":
        this.machines.delete(entry.machine);
        this.removed.add(entry.machine);
        for (const rollout of this.rollouts.values()) leave(rollout, entry.machine, at);
        return;
      case "machine_silent":
      case "machine_heard":
        this.machines.get(entry.machine)!.isSilent = entry.kind === "machine_silent";
        return;
      case "machine_cordoned":
        Object.assign(this.machines.get(entry.machine)!, { isCordoned: true, isDrained: entry.drained });
        return;
      case "machine_uncordoned":
        Object.assign(this.machines.get(entry.machine)!, { isCordoned: false, isDrained: false });
        return;
      case "assignment_renewed":
        this.#tell(entry.machine, entry.app, seq);
        return;
      case "budget_set": {
        const parsed = parseSelector(entry.selector);
        if (!parsed.ok) throw new Error(parsed.message);
        this.budgets.set(entry.selector, { selector: parsed.selector, max: entry.maxUnavailable });
        return;
      }
      case "budget_removed":
        this.budgets.delete(entry.selector);
        return;
      case "freeze_added":
        this.freezes.set(entry.freeze, { from: entry.from, until: entry.until ?? Infinity });
        return;
      case "freeze_ended":
        this.freezes.get(entry.freeze)!.until = Math.min(this.freezes.get(entry.freeze)!.until, at);
        return;
      case "report_accepted": {
        const { sick } = this.machines.get(entry.machine)!;
        if (entry.phase === "unhealthy" || entry.phase === "failed") sick.add(entry.app);
        else sick.delete(entry.app);
        return;
      }
      case "release_created":
        this.#artifacts.set(entry.id, entry.release.artifact);
        return;
      case "deployment_submitted": {
        const { deployment: id, app, strategy } = entry;
        const rollout: ModelRollout = {
          id, app, strategy,
          phase: "pending",
          alarms: strategy.alarms.map(newAlarm),
          waves: [],
          targets: new Map(),
          lanes: [],
          maxUnavailable: 1,
          wave: 0,
          startedAt: 0,
          startOrder: 0,
          endedAt: 0,
          isStartApproved: false,
          isPromoted: false,
          maySkip: false,
        };
        this.rollouts.set(id, rollout);
        this.open.add(rollout);
        return;
      }
      case "release_signed":
      case "artifact_stored":
      case "artifact_removed":
      case "retention_set":
      case "targets_archived":
        return;
      case "command_accepted":
        this.of(entry.deployment).maySkip = entry.command === "approve" || entry.command === "promote";
        return;
    }
  }

  of(id: DeploymentId): ModelRollout {
    return this.rollouts.get(id)!;
  }

  #tell(machine: MachineId, app: string, generation: number): void {
    this.generations.set(machine, generation);
    const known = this.machines.get(machine)!;
    known.newest = generation;
    known.told.add(app);
  }

  #takeChange(rollout: ModelRollout, entry: RolloutEntry, { seq, at }: JournalRow): void {
    switch (entry.kind) {
      case "start_approved":
        rollout.isStartApproved = true;
        rollout.maySkip = false;
        return;
      case "rollout_started":
        rollout.phase = "rolling";
        rollout.startedAt = at;
        rollout.startOrder = seq;
        rollout.maxUnavailable = entry.plan.maxUnavailable;
        rollout.lanes = entry.plan.lanes;
        rollout.waves = entry.plan.waves.map((plan, index) => newWave(rollout, plan, index, at));
        return;
      case "wave_started":
        rollout.wave = entry.wave;
        rollout.maySkip = false;
        return;
      case "wave_finished":
        rollout.waves[entry.wave]!.finishedAt = at;
        return;
      case "target_assigned": {
        const artifact = entry.release === null ? undefined : this.#artifacts.get(entry.release);
        if (artifact !== undefined) {
          const key = `${entry.machine}/${entry.app}`;
          if (!this.named.has(key)) this.named.set(key, new Set());
          this.named.get(key)!.add(artifact);
        }
        this.#tell(entry.machine, entry.app, seq);
        rollout.targets.get(entry.machine)!.wasTold = true;
        enter(rollout, entry.machine, entry.state, at);
        return;
      }
      case "target_changed":
        enter(rollout, entry.machine, entry.state, at);
        return;
      case "target_joined": {
        if (rollout.waves.length === 0) rollout.waves.push(newWave(rollout, EMPTY_WAVE, 0, at));
        const before = rollout.targets.get(entry.target.machine);
        if (before !== undefined) {
          const { targets } = rollout.waves[before.wave]!;
          targets[targets.indexOf(before)] = newTarget(rollout, entry.target, before.wave);
          return;
        }
        const last = rollout.waves.length - 1;
        rollout.waves[last]!.targets.push(newTarget(rollout, entry.target, last));
        return;
      }
      case "failures_acknowledged":
        Object.assign(rollout.waves[entry.wave]!, { acknowledgedFailures: entry.failures, acknowledgedUnreachable: entry.unreachable });
        return;
      case "offline_passed":
        rollout.waves[entry.wave]!.waitedOut = true;
        return;
      case "promoted":
        rollout.isPromoted = true;
        return;
      case "max_unavailable_changed":
        rollout.maxUnavailable = entry.maxUnavailable;
        return;
      case "gate_reached":
        Object.assign(rollout.waves[entry.wave]!.gates[entry.gate]!, { isOpen: false, reachedAt: at, go: 0, stop: 0 });
        return;
      case "gate_answered": {
        const gate = rollout.waves[entry.wave]!.gates[entry.gate]!;
        if (entry.verdict === "go") gate.go += 1;
        if (entry.verdict === "stop") gate.stop += 1;
        return;
      }
      case "gate_opened":
        rollout.waves[entry.wave]!.gates[entry.gate]!.isOpen = true;
        rollout.maySkip = false;
        return;
      case "alarm_answered": {
        const alarm = rollout.alarms[entry.alarm]!;
        const { retries, onSilence } = rollout.strategy.alarms[entry.alarm]!;
        if (entry.verdict === "go") alarm.active = 0;
        if (entry.verdict === "stop") alarm.active += 1;
        alarm.silent = entry.verdict === "silent" ? alarm.silent + 1 : 0;
        if (entry.verdict === "go" || (alarm.silent > retries && onSilence === "go")) alarm.wasQuiet = true;
        return;
      }
      case "phase_changed":
        if (entry.phase === "rolling") rollout.alarms = rollout.alarms.map(newAlarm);
        rollout.phase = entry.phase;
        if (hasEnded(entry.phase)) {
          this.open.delete(rollout);
          rollout.endedAt = at;
        } else this.open.add(rollout);
        return;
      case "held":
      case "deadline_extended":
      case "gate_asked":
      case "gate_stopped":
      case "alarm_asked":
        return;
    }
  }
}

const EMPTY_WAVE: PlannedWave = { members: "100%", targets: [], gates: [], at: null, afterMs: 0, maxFailures: 0, maxUnreachable: null, successThreshold: null };

function newAlarm(): ModelAlarm {
  return { active: 0, silent: 0, wasQuiet: false };
}

function newWave(rollout: ModelRollout, plan: PlannedWave, index: number, at: Instant): ModelWave {
  return {
    plan,
    targets: plan.targets.map((target) => newTarget(rollout, target, index)),
    gates: plan.gates.map(() => ({ isOpen: false, reachedAt: 0, go: 0, stop: 0 })),
    acknowledgedFailures: 0,
    acknowledgedUnreachable: 0,
    finishedAt: undefined,
    changedAt: at,
    changes: 0,
    waitedOut: false,
  };
}

function newTarget(rollout: ModelRollout, { machine, lane }: PlannedTarget, wave: number): ModelTarget {
  const target: ModelTarget = { machine, wave, lane: lane.split("/"), state: "pending", wasTold: false };
  rollout.targets.set(machine, target);
  return target;
}

function enter(rollout: ModelRollout, machine: MachineId, state: TargetState, at: number): void {
  const target = rollout.targets.get(machine)!;
  target.state = state;
  const wave = rollout.waves[target.wave]!;
  // Who need not be waited for does not change the wave by going on, and who leaves the fleet says nothing of it.
  if (state !== "removed" && (wave.plan.successThreshold === null || !["pending", "updating", "healthy"].includes(state))) wave.changedAt = at;
  wave.changes += 1;
}

/** A rollout that has ended and can be taken up again is told of the removal by no row of its own. */
function leave(rollout: ModelRollout, machine: MachineId, at: number): void {
  const target = rollout.targets.get(machine);
  if (target === undefined || target.state === "removed" || !["succeeded", "failed", "aborted"].includes(rollout.phase)) return;
  enter(rollout, machine, "removed", at);
  const wave = rollout.waves[target.wave]!;
  wave.acknowledgedFailures = Math.min(wave.acknowledgedFailures, countOf(wave, "failed"));
  wave.acknowledgedUnreachable = Math.min(wave.acknowledgedUnreachable, countOf(wave, "unreachable"));
}

export function moves({ state }: ModelTarget): boolean {
  return state === "updating" || state === "reverting";
}

export function countOf(wave: ModelWave, state: TargetState): number {
  let count = 0;
  for (const target of wave.targets) if (target.state === state) count += 1;
  return count;
}

export function hasEnded(phase: RolloutPhase): boolean {
  return ENDED.includes(phase);
}
