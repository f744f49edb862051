/**
 * Whether an app serves on a machine: the one place that knows (ADR 23). It is derived from what was assigned to the machine and what the machine answered,
 * whichever rollout assigned it and whatever became of that.
 *
 *     absent ──assigned──▶ changing ──healthy, reverted──▶ available        changing, available ──lost, drained──▶ down ──healthy again──▶ available, ──heard again──▶ as it was
 *        ▲                  │  ▲ ◀──assigned, begins anew─────┘               changing ──unhealthy, failed, overdue──▶ down
 *        └──removed─────────┘  └──assigned, goes back── down
 *
 * Pure. Never knows about rollouts, waves or time. O(1) for each question and each event.
 */
import type { AppName, DeploymentId, Generation, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { type AgentPhase, FINAL_ANSWERS, type Purpose } from "./state.ts";

export type Availability = "absent" | "available" | "changing" | "down";

/** `isFailing`: down by its own word, be it that it has stopped what ran and nothing came of that in its time. `isGoingBack`: changing, and its agent says that it goes back by itself. */
export interface MachineAvailability {
  readonly is: Availability;
  readonly isFailing?: boolean;
  readonly isGoingBack?: boolean;
  /** That it was assigned last; null: the app is to be removed. Default: not known. */
  readonly release?: ReleaseId | null;
}

/** What ran before does not any more. */
const STOPPED: readonly AgentPhase[] = ["activating", "probing", "reverting", "removing"];

/** The newest decision about an app on a machine, whichever deployment made it. */
export interface Assigned {
  readonly generation: Generation;
  readonly deployment: DeploymentId;
  /** Null: the app is to be removed. */
  readonly release: ReleaseId | null;
}

interface Entry extends Assigned {
  /** Of the newest answer that is about `generation`; undefined: there is none yet. */
  phase: AgentPhase | undefined;
  /** It had its time to answer. */
  isOverdue: boolean;
}

interface Machine {
  isLost: boolean;
  isDrained: boolean;
  readonly apps: Map<AppName, Entry>;
  /** Of its apps, so many are changing, or down, by their answers. */
  changing: number;
  down: number;
}

export class Availabilities {
  readonly #machines = new Map<MachineId, Machine>();

  of(machine: MachineId, app: AppName): Availability {
    const known = this.#machines.get(machine);
    if (known === undefined) return "absent";
    if (known.isLost) return "down";
    const entry = known.apps.get(app);
    if (known.isDrained) return entry !== undefined && isStopping(entry) ? "changing" : "down";
    return entry === undefined ? "absent" : answered(entry);
  }

  /** As a rollout of the app notes it. */
  noted(machine: MachineId, app: AppName): MachineAvailability {
    const answer = this.answerOf(machine, app);
    const assigned = this.assignedTo(machine, app);
    const isOut = this.isLost(machine) || this.isDrained(machine);
    const hangs = this.isOverdue(machine, app) && answer !== undefined && STOPPED.includes(answer);
    return { is: this.of(machine, app), isFailing: !isOut && (answer === "unhealthy" || answer === "failed" || hangs), isGoingBack: answer === "reverting", ...(assigned === undefined ? {} : { release: assigned.release }) };
  }

  /** As far as any app is concerned; a machine that is changing is not at rest, whatever else is wrong with it. */
  ofMachine(machine: MachineId): Exclude<Availability, "absent"> {
    const known = this.#machines.get(machine);
    if (known === undefined) return "available";
    if (known.isLost) return "down";
    if (known.isDrained) return known.changing > 0 && [...known.apps.values()].some(isStopping) ? "changing" : "down";
    return known.changing > 0 ? "changing" : known.down > 0 ? "down" : "available";
  }

  assignedTo(machine: MachineId, app: AppName): Assigned | undefined {
    return this.#machines.get(machine)?.apps.get(app);
  }

  /** The newest answer about what is assigned now; undefined: there is none yet. */
  answerOf(machine: MachineId, app: AppName): AgentPhase | undefined {
    return this.#machines.get(machine)?.apps.get(app)?.phase;
  }

  /** It has not given a final answer yet, lost or not. */
  isChanging(machine: MachineId, app: AppName): boolean {
    const entry = this.#machines.get(machine)?.apps.get(app);
    return entry !== undefined && answered(entry) === "changing";
  }

  /** It had its time to answer, and has not answered. */
  isOverdue(machine: MachineId, app: AppName): boolean {
    return this.#machines.get(machine)?.apps.get(app)?.isOverdue === true;
  }

  appsOf(machine: MachineId): Iterable<AppName> {
    return this.#machines.get(machine)?.apps.keys() ?? [];
  }

  isLost(machine: MachineId): boolean {
    return this.#machines.get(machine)?.isLost === true;
  }

  isDrained(machine: MachineId): boolean {
    return this.#machines.get(machine)?.isDrained === true;
  }

  assigned(machine: MachineId, app: AppName, assigned: Assigned): void {
    this.#put(machine, app, { ...assigned, phase: undefined, isOverdue: false });
  }

  /** What an agent says about an app. An answer to an older assignment is none to this one; whoever had answered this one and speaks of an older one now has lost it, as after a crash. */
  reported(machine: MachineId, app: AppName, generation: Generation, phase: AgentPhase): void {
    const entry = this.#machines.get(machine)?.apps.get(app);
    if (entry === undefined) return;
    if (entry.generation !== generation) {
      if (entry.phase !== undefined) this.#put(machine, app, { ...entry, phase: undefined, isOverdue: entry.isOverdue && entry.phase !== "reverting" });
      return;
    }
    // Its time begins anew when it has answered after all, begins to go back, or goes back no more.
    const isNews = isFinal(entry, phase) || (phase === "reverting") !== (entry.phase === "reverting");
    this.#put(machine, app, { ...entry, phase, isOverdue: entry.isOverdue && !isNews });
  }

  /** It has not given a final answer in its time. Says whether that is so. */
  overdue(machine: MachineId, app: AppName, generation: Generation): boolean {
    const entry = this.#machines.get(machine)?.apps.get(app);
    if (entry?.generation !== generation || answered(entry) !== "changing") return false;
    this.#put(machine, app, { ...entry, isOverdue: true });
    return true;
  }

  /** Whoever is heard again has its time to answer anew. */
  lost(machine: MachineId, isLost: boolean): void {
    const known = this.#machine(machine);
    known.isLost = isLost;
    if (isLost) return;
    for (const [app, entry] of known.apps) if (entry.isOverdue) this.#put(machine, app, { ...entry, isOverdue: false });
  }

  drained(machine: MachineId, isDrained: boolean): void {
    this.#machine(machine).isDrained = isDrained;
  }

  /** It is no part of the fleet any more. */
  forget(machine: MachineId): void {
    this.#machines.delete(machine);
  }

  clear(): void {
    this.#machines.clear();
  }

  #put(machine: MachineId, app: AppName, entry: Entry): void {
    const known = this.#machine(machine);
    const before = known.apps.get(app);
    if (before !== undefined) count(known, before, -1);
    known.apps.set(app, entry);
    count(known, entry, 1);
  }

  #machine(machine: MachineId): Machine {
    let known = this.#machines.get(machine);
    if (known === undefined) {
      known = { isLost: false, isDrained: false, apps: new Map(), changing: 0, down: 0 };
      this.#machines.set(machine, known);
    }
    return known;
  }
}

function count(machine: Machine, entry: Entry, by: 1 | -1): void {
  const is = answered(entry);
  if (is === "changing") machine.changing += by;
  else if (is === "down") machine.down += by;
}

function isFinal({ release }: Assigned, phase: AgentPhase): boolean {
  return FINAL_ANSWERS.includes(phase) || (phase === "removed" && release === null);
}

/** Being drained: until it says that it has stopped the app it is on its way, as with any other change. */
function isStopping(entry: Entry): boolean {
  return entry.phase !== "removed" && answered(entry) === "changing";
}

function answered({ release, phase, isOverdue }: Entry): Availability {
  switch (phase) {
    case "healthy":
    case "reverted":
      return "available";
    case "unhealthy":
    case "failed":
      return "down";
    case "removed":
      return release === null ? "absent" : isOverdue ? "down" : "changing";
    case undefined:
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
    case "reverting":
    case "removing":
      return isOverdue ? "down" : "changing";
  }
}

/** Of a group of machines of which at most `max` may be unavailable at once. */
export interface Occupied {
  readonly max: number;
  /** Of the others in the group. */
  readonly changing: number;
  readonly down: number;
}

/**
 * Whether one more, which serves now, may start to change. One place is always left beside those that are down, so that a dead machine never holds a rollout for
 * ever; none beside those that are changing, since a change comes to an end.
 */
export function hasRoom({ max, changing, down }: Occupied): boolean {
  return changing < Math.max(1, max - down);
}

/** A group of machines of which only `max` may be unavailable at once, over all rollouts; 0 is nobody at all, but going back always has a place. */
export interface Group {
  readonly max: number;
  readonly changing: ReadonlySet<MachineId>;
  readonly down: ReadonlySet<MachineId>;
  /** Those that are down and not in `down`. Default 0. */
  readonly downElsewhere?: number;
}

/** A machine that is unavailable already costs its group nothing more. */
export function groupHasRoom({ max, changing, down, downElsewhere = 0 }: Group, machine: MachineId, purpose: Purpose): boolean {
  if (max === 0 && purpose === "update") return false;
  return changing.has(machine) || down.has(machine) || hasRoom({ max, changing: changing.size, down: down.size + downElsewhere });
}
