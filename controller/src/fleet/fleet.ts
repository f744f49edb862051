/**
 * Who is heard, and since when: kept in memory, asked with `now`, no I/O and no timers. Being heard is not journalled; falling silent and being heard again
 * is, by the engine.
 *
 *   connected ──session ends──▶ disconnected ──silent_after──▶ silent ──heard──▶ connected
 *       └───────────── nothing heard for silent_after ────────────▲
 *
 * Silence is measured in the time in which the controller looked on: a wall clock that is set, and a controller that is held up, make nobody silent and keep nobody from it. A machine that nothing was heard of since this controller began counts
 * from that moment, so that a restart of the controller makes nobody silent.
 */
import type { Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import type { RefusalCode } from "@muster/proto/refusal.ts";
import type { Attended } from "../rollout/moment.ts";

export type Presence = "connected" | "disconnected" | "silent";

/** When something was heard, on all of the controller's clocks. */
export interface HeardAt {
  readonly at: Instant;
  readonly attended: Attended;
  /** Time during which the controller looked on; never goes back. */
  readonly watchedMs: number;
}

/** What an agent was sent and does not believe. */
export interface AgentRefusal {
  readonly code: RefusalCode;
  /** What was sent, and why it is not believed. */
  readonly message: string;
}

export interface Restored {
  readonly id: MachineId;
  readonly silent_since: Instant | null;
}

/** For those that only ask. What changes a fleet goes through `World` (engine/world.ts), which keeps with it what follows from that. */
export type FleetView = Pick<Fleet, "silentAfterMs" | "size" | "isSilent" | "heardAt" | "isAlive" | "isHeardLately" | "present" | "presence" | "overdue" | "lacks" | "refusal">;

interface Heard {
  lastSeen: HeardAt;
  presenceSince: Instant;
  connected: boolean;
  /** Undefined: it has not said any since this controller began. */
  acknowledgedGeneration: number | undefined;
  refusal?: AgentRefusal & { readonly since: Instant };
}

export class Fleet {
  readonly silentAfterMs: number;
  /** Not silent; in the order in which they were last heard, so that the first is the first to be overdue. */
  readonly #heard = new Map<MachineId, Heard>();
  readonly #silent = new Map<MachineId, Heard>();

  constructor(silentAfterMs: number) {
    this.silentAfterMs = silentAfterMs;
  }

  /** The machines that the journal knows, and since when they are silent: at the start, and when a change of them came to nothing. What is known besides of them stays. */
  restore(machines: readonly Restored[], now: HeardAt): void {
    const known = new Map([...this.#heard, ...this.#silent]);
    this.#heard.clear();
    this.#silent.clear();
    const heard: [MachineId, Heard][] = [];
    for (const { id, silent_since: silentSince } of machines) {
      const lastSeen = silentSince === null ? now : { ...now, at: silentSince };
      const record: Heard = known.get(id) ?? { lastSeen, presenceSince: lastSeen.at, connected: false, acknowledgedGeneration: undefined };
      if (silentSince === null) heard.push([id, record]);
      else this.#silent.set(id, record);
    }
    heard.sort(([, a], [, b]) => a.lastSeen.watchedMs - b.lastSeen.watchedMs);
    for (const [id, record] of heard) this.#heard.set(id, record);
  }

  connected(machine: MachineId, now: HeardAt, generation: number): void {
    this.#silent.delete(machine);
    this.#heard.delete(machine);
    this.#heard.set(machine, { lastSeen: now, presenceSince: now.at, connected: true, acknowledgedGeneration: generation });
  }

  heard(machine: MachineId, now: HeardAt, generation?: Generation): void {
    const record = this.#heard.get(machine);
    if (record === undefined) return;
    record.lastSeen = now;
    if (generation !== undefined) record.acknowledgedGeneration = Math.max(record.acknowledgedGeneration ?? 0, generation);
    this.#heard.delete(machine);
    this.#heard.set(machine, record);
  }

  /** Undefined: it believes what it is told. */
  refuses(machine: MachineId, now: Instant, refusal: AgentRefusal | undefined): void {
    const record = this.#heard.get(machine);
    if (record === undefined) return;
    if (refusal === undefined) delete record.refusal;
    else record.refusal = { ...refusal, since: record.refusal?.code === refusal.code ? record.refusal.since : now };
  }

  /** Of one that is heard, and when it was first said. */
  refusal(machine: MachineId): (AgentRefusal & { readonly since: Instant }) | undefined {
    return this.#heard.get(machine)?.refusal;
  }

  disconnected(machine: MachineId, now: Instant): void {
    const record = this.#heard.get(machine) ?? this.#silent.get(machine);
    if (record === undefined || !record.connected) return;
    record.connected = false;
    record.presenceSince = now;
  }

  /** Those to be declared silent, at most so many; O(1) each. */
  overdue(watchedMs: number, most = Infinity): readonly MachineId[] {
    const overdue: MachineId[] = [];
    for (const [machine, { lastSeen }] of this.#heard) {
      if (watchedMs - lastSeen.watchedMs < this.silentAfterMs || overdue.length >= most) break;
      overdue.push(machine);
    }
    return overdue;
  }

  markSilent(machine: MachineId, now: Instant): void {
    const record = this.#heard.get(machine);
    if (record === undefined) return;
    this.#heard.delete(machine);
    this.#silent.set(machine, { ...record, connected: false, presenceSince: now });
  }

  /** It is no part of the fleet any more. */
  forget(machine: MachineId): void {
    this.#heard.delete(machine);
    this.#silent.delete(machine);
  }

  isSilent(machine: MachineId): boolean {
    return this.#silent.has(machine);
  }

  /** 0: never by this controller. */
  heardAt(machine: MachineId): Attended {
    return (this.#heard.get(machine)?.lastSeen.attended ?? 0) as Attended;
  }

  /** Its session is there, and it was heard lately: a live agent is. */
  isAlive(machine: MachineId, watchedMs: number): boolean {
    const record = this.#heard.get(machine);
    return record !== undefined && record.connected && this.isHeardLately(machine, watchedMs);
  }

  /** In the last half of the time after which it is declared silent. */
  isHeardLately(machine: MachineId, watchedMs: number): boolean {
    const record = this.#heard.get(machine);
    return record !== undefined && watchedMs - record.lastSeen.watchedMs <= this.silentAfterMs / 2;
  }

  /** Those that are not silent. */
  present(): IterableIterator<MachineId> {
    return this.#heard.keys();
  }

  get size(): number {
    return this.#heard.size + this.#silent.size;
  }

  /** It has not said that it has this generation of its assignment; what it said to an earlier controller is not known. */
  lacks(machine: MachineId, generation: Generation): boolean {
    const acknowledged = (this.#heard.get(machine) ?? this.#silent.get(machine))?.acknowledgedGeneration;
    return acknowledged !== undefined && acknowledged < generation;
  }

  presence(machine: MachineId): { readonly presence: Presence; readonly since: number; readonly lastSeenAt: number; readonly acknowledgedGeneration: number } {
    const silent = this.#silent.get(machine);
    const record = silent ?? this.#heard.get(machine);
    if (record === undefined) return { presence: "disconnected", since: 0, lastSeenAt: 0, acknowledgedGeneration: 0 };
    return {
      presence: silent !== undefined ? "silent" : record.connected ? "connected" : "disconnected",
      since: record.presenceSince,
      lastSeenAt: record.lastSeen.at,
      acknowledgedGeneration: record.acknowledgedGeneration ?? 0,
    };
  }
}
