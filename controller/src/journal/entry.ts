/**
 * Every kind of row that the journal can hold: each accepted command and each change of state. All tables are projections of these, and of nothing else.
 * Heartbeats, connections that come back quickly, probe samples and log lines are not journalled.
 */
import type { AppName, DeploymentId, Digest, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Labels } from "@muster/proto/selector.ts";
import type { Strategy } from "../plan/strategy.ts";
import type { RolloutChange } from "../rollout/change.ts";
import type { AgentPhase, RolloutReason } from "../rollout/state.ts";

export type Entry =
  | MachineJoined
  | { readonly kind: "machine_silent"; readonly machine: MachineId }
  | { readonly kind: "machine_heard"; readonly machine: MachineId }
  | {
      readonly kind: "artifact_stored";
      readonly artifact: Digest;
      readonly fileCount: number;
      readonly sizeBytes: number;
      readonly packBytes: number;
    }
  | { readonly kind: "release_created"; readonly id: ReleaseId; readonly app: AppName; readonly release: Release }
  | {
      readonly kind: "deployment_submitted";
      readonly deployment: DeploymentId;
      readonly app: AppName;
      readonly release: ReleaseId;
      readonly strategy: Strategy;
    }
  | {
      readonly kind: "command_accepted";
      readonly deployment: DeploymentId;
      readonly command: "pause" | "resume" | "abort" | "rollback";
      /** As the operator gave it; may be empty. */
      readonly reason: string;
    }
  | ReportAccepted
  | RolloutEntry;

/** A machine said hello for the first time, or says something else about itself than before. */
export interface MachineJoined {
  readonly kind: "machine_joined";
  readonly machine: MachineId;
  readonly instance: string;
  readonly labels: Labels;
  readonly agentVersion: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
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

export type RolloutEntry = RolloutChange & { readonly deployment: DeploymentId; readonly app: AppName };

export type EntryKind = Entry["kind"];

/** An entry as it stands in the journal. */
export interface JournalRow {
  readonly seq: number;
  readonly at: Instant;
  readonly entry: Entry;
}
