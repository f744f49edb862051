/**
 * Every kind of row that the journal can hold: each accepted command and each change of state. The tables of schema.ts are projections of these, and of nothing else.
 * Heartbeats, connections that come back quickly, probe samples and log lines are not journalled.
 */
import type { AppName, DeploymentId, Digest, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { RolloutChange, Stamp } from "../rollout/change.ts";
import type { AgentPhase, RolloutReason } from "../rollout/state.ts";

export type Entry =
  | MachineJoined
  | AgentChanged
  | MachineLabelled
  | MachineRemoved
  | { readonly kind: "machine_silent"; readonly machine: MachineId }
  | { readonly kind: "machine_heard"; readonly machine: MachineId }
  | {
      readonly kind: "artifact_stored";
      readonly artifact: Digest;
      readonly fileCount: number;
      readonly sizeBytes: number;
      readonly packBytes: number;
    }
  | ReleaseCreated
  /** Somebody else has signed it too, or somebody at all: `signed` is the whole envelope from now on. */
  | { readonly kind: "release_signed"; readonly id: ReleaseId; readonly app: AppName; readonly signed: string }
  | {
      readonly kind: "deployment_submitted";
      readonly deployment: DeploymentId;
      readonly app: AppName;
      readonly release: ReleaseId;
      readonly strategy: Strategy;
      /** Who submitted it; may be empty. */
      readonly by: string;
      /** What it came from when it was not a file: the rollback of another to an older release. */
      readonly note: string;
      /** The release that it takes back: that of the deployment that it is a rollback of. Absent: none. */
      readonly takesBack?: ReleaseId;
    }
  | CommandAccepted
  | MachineCordoned
  | { readonly kind: "machine_uncordoned"; readonly machine: MachineId; readonly by: string; readonly reason: string }
  /** Its credentials count no more. */
  | { readonly kind: "machine_revoked"; readonly machine: MachineId; readonly by: string; readonly reason: string }
  | AssignmentRenewed
  | { readonly kind: "budget_set"; readonly selector: string; readonly maxUnavailable: number; readonly by: string }
  | { readonly kind: "budget_removed"; readonly selector: string; readonly by: string }
  | FreezeAdded
  | { readonly kind: "freeze_ended"; readonly freeze: string; readonly by: string }
  | RetentionSet
  /** Retention took them from the store. */
  | { readonly kind: "artifact_removed"; readonly artifact: Digest }
  | ReportAccepted
  | TargetsArchived
  | RolloutEntry;

export interface ReleaseCreated {
  readonly kind: "release_created";
  readonly id: ReleaseId;
  readonly app: AppName;
  readonly release: Release;
  /** Version by name of the secrets that it names, taken when it was made; absent when it names none. Never a value. */
  readonly secrets?: Readonly<Record<string, number>>;
}

/** An operator steers a rollout. */
export interface CommandAccepted {
  readonly kind: "command_accepted";
  readonly deployment: DeploymentId;
  readonly command: "pause" | "resume" | "abort" | "rollback" | "approve" | "promote" | "retry" | "set_max_unavailable";
  /** What the command says more: the wave, `all`, the number. May be empty. */
  readonly detail: string;
  /** As the operator gave them; may be empty. */
  readonly reason: string;
  readonly by: string;
}

/** Rollouts keep away from the machine. */
export interface MachineCordoned {
  readonly kind: "machine_cordoned";
  readonly machine: MachineId;
  readonly by: string;
  readonly reason: string;
  /** What runs there is stopped, too. */
  readonly drained: boolean;
}

/**
 * An app is to be stopped since its machine is drained, or to run again since that has ended. A drained machine is told to remove whatever is assigned to it. The sequence of the row is the assignment's
 * new generation.
 */
export interface AssignmentRenewed {
  readonly kind: "assignment_renewed";
  readonly machine: MachineId;
  readonly app: AppName;
  /** What is assigned from now on, where what was assigned is not good there (never confirmed, taken back, or failed): the release that is, or null when there is none. Absent: what is assigned stays. */
  readonly release?: ReleaseId | null;
  /** Nothing was good there: it is what stands for machines like it, or nothing until their turn comes. Default false. */
  readonly asLate?: boolean;
}

/** A time in which nothing new is started. */
export interface FreezeAdded {
  readonly kind: "freeze_added";
  /** `f-1`, `f-2`, … */
  readonly freeze: string;
  readonly from: Instant;
  /** Null: until it is ended. */
  readonly until: Instant | null;
  readonly reason: string;
  readonly by: string;
}

/** What an agent says of itself and its machine. */
export interface Introduction {
  readonly machine: MachineId;
  readonly instance: string;
  readonly agentVersion: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
}

/**
 * A machine said hello for the first time, or for the first time since one of its name was removed. Up to version 2 of the journal, also one that said something else
 * about itself than before, its labels among it.
 */
export interface MachineJoined extends Introduction {
  readonly kind: "machine_joined";
  readonly labels: Labels;
}

/** A machine's agent says something else about itself than before. Labels are none of its business any more. */
export interface AgentChanged extends Introduction {
  readonly kind: "agent_changed";
}

/** An operator gave a machine other labels. */
export interface MachineLabelled {
  readonly kind: "machine_labelled";
  readonly machine: MachineId;
  /** All that it has from now on. */
  readonly labels: Labels;
  readonly by: string;
}

/** A machine is no part of the fleet any more. One that joins later under its name is a new one. */
export interface MachineRemoved {
  readonly kind: "machine_removed";
  readonly machine: MachineId;
  readonly by: string;
  readonly reason: string;
  /** Deployments under way with whose release it was lost, and ended ones whose release it had not had for long when it was heard no more, or was not well any more. Absent: none. */
  readonly lostWith?: readonly DeploymentId[];
  /** By app, the version that runs there as it had said in answer to what it was assigned last; empty: nothing. Absent: it had said so of none. */
  readonly runs?: Readonly<Record<AppName, string>>;
}

export interface RetentionSet {
  readonly kind: "retention_set";
  readonly keep: number;
  readonly keepForMs: number;
  /** After it the steps of deployments, and what agents said, go from the database to the archive. */
  readonly stepsForMs: number;
  readonly by: string;
}

/** Targets of a deployment that ended long ago are counts from now on: those of machines up to this one, in the order of their names; or the machines that it left out are. */
export interface TargetsArchived {
  readonly kind: "targets_archived";
  readonly deployment: DeploymentId;
  readonly app: AppName;
  /** Empty: of none. */
  readonly upTo: MachineId | "";
  /** Of the machines that it left out, those that stay by their names. Default: all that still do. */
  readonly kept?: readonly MachineId[];
}

export interface ReportAccepted {
  readonly kind: "report_accepted";
  readonly machine: MachineId;
  readonly app: AppName;
  readonly instance: string;
  /** The agent's own sequence. */
  readonly reportSeq: number;
  readonly observedAt: Instant;
  readonly generation: number;
  readonly phase: AgentPhase;
  readonly reason: RolloutReason | null;
  readonly runningVersion: string;
  readonly runningArtifact: string;
  readonly starts: number;
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
}

/** Every kind once, or it does not compile. */
const ROLLOUT_KINDS: Readonly<Record<RolloutChange["kind"], true>> = {
  start_approved: true,
  rollout_started: true,
  wave_started: true,
  wave_finished: true,
  target_assigned: true,
  target_changed: true,
  target_let_go: true,
  targets_retried: true,
  targets_excused: true,
  targets_left: true,
  target_joined: true,
  failures_acknowledged: true,
  held: true,
  promoted: true,
  max_unavailable_changed: true,
  gate_reached: true,
  gate_asked: true,
  gate_answered: true,
  gate_opened: true,
  gate_stopped: true,
  alarm_asked: true,
  alarm_answered: true,
  phase_changed: true,
};

export function isRolloutEntry(entry: Entry): entry is RolloutEntry {
  return Object.hasOwn(ROLLOUT_KINDS, entry.kind);
}

/** Nothing is new by it, and nothing follows from it but the next question. */
export function isRepeat(entry: Entry): boolean {
  return "repeats" in entry && entry.repeats === true;
}

export type RolloutEntry = RolloutChange & { readonly deployment: DeploymentId; readonly app: AppName };

export type EntryKind = Entry["kind"];

/** An entry as it stands in the journal. */
export interface JournalRow extends Stamp {
  readonly entry: Entry;
}
