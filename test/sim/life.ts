/**
 * What the parts of an agent need of it and of the world around it, and what the two ends of the link need of each other.
 */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { Picture } from "@muster/agent/machine/picture.ts";
import type { MachineJoined, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import type { Cancel, Timeline } from "./clock.ts";
import type { Host } from "./host.ts";
import type { Network, Stream } from "./network.ts";
import type { Random } from "./random.ts";
import type { Turn } from "./slot.ts";

/** What an agent can say. Each is called when the message arrives. */
export interface ControllerSide {
  /** Down: whatever arrives is lost. */
  readonly isUp: boolean;
  hello(stream: Stream, link: AgentEnd, said: MachineJoined, generation: number, newestPending: number): void | Promise<unknown>;
  heartbeat(stream: Stream, generation: number, newestPending: number): void | Promise<unknown>;
  report(stream: Stream, reports: readonly ReportAccepted[]): void | Promise<unknown>;
  /** `answer` is called when the controller comes to it. */
  sync(machine: MachineId, answer: (assignment: Assignment | undefined) => void): void | Promise<unknown>;
  ended(stream: Stream): void | Promise<unknown>;
}

/** The agent's end of a session, as the controller speaks to it. */
export interface AgentEnd {
  welcome(stream: Stream, generation: number, acknowledgedSeq: number): void;
  heartbeatAck(stream: Stream, generation: number): void;
  acknowledge(stream: Stream, seq: number): void;
  end(stream: Stream, asSecond?: boolean): void;
}

/** The process of the controller, as its sessions see it: an engine that may be dead or stopped. */
export interface Turning {
  readonly isUp: boolean;
  /** Counts starts. */
  readonly life: number;
  ask<T>(question: (engine: Engine) => T): T | undefined;
  await<T>(question: (engine: Engine) => Promise<T>): Promise<{ readonly value: T } | undefined>;
  /** Now, or when it goes on. */
  whenTurning(act: () => void | Promise<void>): void | Promise<void>;
}

/** All that agents share. */
export interface Surroundings {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly network: Network;
  readonly controller: ControllerSide;
  /** Chances of a fault in one step; zero in the end. */
  readonly faults: { agentDies: number; stepFails: number; readonly stepSlow: number };
}

/** One life of an agent, as its parts see it. */
export interface Life {
  /** The controller was. `paceMs`: after so long at most it should have been; 0: it was away before. */
  heard(paceMs: number): void;
  readonly machine: Host;
  readonly random: Random;
  readonly network: Network;
  readonly controller: ControllerSide;
  readonly turn: Turn;
  readonly isAlive: boolean;
  readonly generation: number;
  readonly now: number;
  after(delayMs: number, act: () => unknown): Cancel;
  diesNow(): boolean;
  stumbles(): boolean;
  /** What it does now takes long. */
  isSlow(): boolean;
  hasUrl(): void;
  canFetch(): boolean;
  offer(assignment: Assignment): void;
  /** Reports again how each app is. */
  sayAgain(): void;
  spool(picture: Picture): void;
}
