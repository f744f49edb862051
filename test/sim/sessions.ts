/**
 * The sessions of agents, by the rules of the real ones (controller/src/report/agent-api.ts): at most one a machine, a second agent under a name is refused while the first
 * speaks, and reports are acknowledged only when the engine has them on disk. docs/contributing.md says why these are not the real ones.
 */
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import type { MachineJoined, ReportAccepted } from "@muster/controller/src/journal/entry.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Timeline } from "./clock.ts";
import type { AgentEnd, ControllerSide, Turning } from "./life.ts";
import { HEARTBEAT_MS } from "./link.ts";
import type { Network, Stream } from "./network.ts";

interface Session {
  readonly stream: Stream;
  readonly link: AgentEnd;
  readonly instance: string;
  heardAt: number;
}

interface SessionsOptions {
  readonly controller: Turning;
  readonly timeline: Timeline;
  readonly network: Network;
  /** An assignment was asked for. */
  readonly onAssignment: (assignment: Assignment) => void;
  /** Whether its credentials are good: not those of a machine that was removed. */
  readonly isAdmitted: (machine: MachineId) => boolean;
  /** Something arrived from the machine, and was read. */
  readonly onHeard: (machine: MachineId) => void;
}

export class Sessions implements ControllerSide {
  readonly #options: SessionsOptions;
  readonly #live = new Map<MachineId, Session>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#options.controller.isUp;
  }

  /** The controller has died: its connections end. */
  endAll(): void {
    for (const { stream, link } of this.#live.values()) this.#hangUp(stream, link);
    this.#live.clear();
  }

  hello(stream: Stream, link: AgentEnd, said: MachineJoined, generation: number, newestReport: number): void | Promise<void> {
    return this.#options.controller.whenTurning(() => this.#hello(stream, link, said, generation, newestReport));
  }

  heartbeat(stream: Stream, generation: number): void | Promise<void> {
    const { controller, network } = this.#options;
    return controller.whenTurning(() => {
      const session = this.#sessionOf(stream);
      if (session === undefined) return;
      const newest = controller.ask((engine) => engine.heartbeat(stream.machine, generation as Generation));
      if (newest !== undefined) network.send(stream, "toMachine", () => session.link.heartbeatAck(stream, newest));
    });
  }

  report(stream: Stream, reports: readonly ReportAccepted[]): void | Promise<void> {
    const { controller, network } = this.#options;
    return controller.whenTurning(async () => {
      const session = this.#sessionOf(stream);
      const last = reports.at(-1);
      if (session === undefined || last === undefined) return;
      const { life } = controller;
      const answer = await controller.await((engine) => engine.report(reports));
      if (life !== controller.life) return;
      if (answer === undefined) return this.#refuse(session);
      network.send(stream, "toMachine", () => session.link.acknowledge(stream, last.reportSeq));
    });
  }

  sync(machine: MachineId, answer: (assignment: Assignment | undefined) => void): void | Promise<void> {
    const { controller, onAssignment } = this.#options;
    return controller.whenTurning(() => {
      const assignment = controller.ask((engine) => engine.assignmentFor(machine));
      if (assignment !== undefined) onAssignment(assignment);
      answer(assignment);
    });
  }

  ended(stream: Stream): void | Promise<void> {
    return this.#options.controller.whenTurning(() => this.#ended(stream));
  }

  /** Its credentials have been revoked. */
  cutOff(machine: MachineId): void {
    const session = this.#live.get(machine);
    if (session !== undefined) this.#refuse(session);
  }

  async #hello(stream: Stream, link: AgentEnd, said: MachineJoined, generation: number, newestReport: number): Promise<void> {
    const { network, timeline, controller, isAdmitted, onHeard } = this.#options;
    const { machine, instance } = said;
    if (!isAdmitted(machine)) {
      network.send(stream, "toMachine", () => link.end(stream));
      return;
    }
    const other = this.#live.get(machine);
    if (other !== undefined) {
      if (timeline.now - other.heardAt < 3 * HEARTBEAT_MS && other.instance !== instance) {
        network.send(stream, "toMachine", () => link.end(stream, true));
        return;
      }
      this.#hangUp(other.stream, other.link);
    }
    const session: Session = { stream, link, instance, heardAt: timeline.now };
    this.#live.set(machine, session);
    onHeard(machine);
    const { life } = controller;
    const answer = await controller.await((engine) => engine.hello(said, generation, newestReport));
    if (life !== controller.life) return;
    if (answer === undefined) return this.#refuse(session);
    if (this.#live.get(machine) !== session) {
      if (!this.#live.has(machine)) controller.ask((engine) => engine.sessionEnded(machine));
      return;
    }
    const newest = controller.ask((engine) => engine.heartbeat(machine, generation as Generation));
    if (newest !== undefined) network.send(stream, "toMachine", () => link.welcome(stream, newest, answer.value));
  }

  #ended(stream: Stream): void {
    if (this.#live.get(stream.machine)?.stream !== stream) return;
    this.#live.delete(stream.machine);
    this.#options.controller.ask((engine) => engine.sessionEnded(stream.machine));
  }

  #sessionOf(stream: Stream): Session | undefined {
    const session = this.#live.get(stream.machine);
    if (session?.stream !== stream) return undefined;
    session.heardAt = this.#options.timeline.now;
    this.#options.onHeard(stream.machine);
    return session;
  }

  #refuse({ stream, link }: Session): void {
    this.#ended(stream);
    this.#hangUp(stream, link);
  }

  #hangUp(stream: Stream, link: AgentEnd): void {
    stream.isBroken.toController = true;
    this.#options.network.send(stream, "toMachine", () => link.end(stream));
  }
}
