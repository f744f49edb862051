/**
 * Whether a release stands where a promotion wants to have seen it, and has stood for its soak: on the machines that a selector selects now, whichever deployment gave it to them, and by what is so there now.
 *
 * Since when it stands is read from the tables: when each of its machines said something new of the app last, or was heard again after a silence. A machine that did so counts as one on which it did not
 * stand before. That never opens too early, and holds over restarts and transactions that fail. The journal is not asked: what it knew may be in the archive.
 *
 * O(machines of the app) in memory for each answer, which is kept for a moment, since it is asked for with every commit while a promotion waits. Which machines these are is read when that may have changed. Since when it stands is
 * read when the soak begins, and from when it should be over: one query for the machines that said something since the end.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { AppName, DeploymentId, Instant, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { checkedSelector, selects, whereText } from "@muster/proto/selector.ts";
import { roundedDown } from "../plan/size.ts";
import type { Size } from "../plan/strategy.ts";
import type { Promotion } from "../plan/strategy.ts";
import { type Attended, dueAt, later, type Moment } from "../rollout/moment.ts";
import { timeText } from "../rollout/words.ts";
import { LOOK_MS } from "./attendance.ts";
import type { Clock } from "./clock.ts";
import { add, type Counts, isHealthy, isUnsound, NOBODY, type Now, withLeft } from "./deployments-now.ts";
import type { Facts, Forerunner } from "./facts.ts";
import { ofRollout, type Quarantine, RolloutBug } from "./own-bug.ts";
import type { World } from "./world.ts";

/** How long an answer is kept, at least: until each of those that wait has had its look. */
const KEPT_MS = 1000;
/** Between two looks, on the monotonic clock, where an older answer is there: of many promotions that wait, each is looked at in a turn of its own. */
const LOOK_GAP_MS = 100;
/** Nobody has asked for it since then: it has begun, or was aborted. */
const FORGOTTEN_MS = 60_000;
/** Selectors of which it is kept whom they select: more than there are stages from staging to production. */
const SELECTED_MAX = 20;

/** What is missing. `until`: when to look again though nothing happens. */
export interface Missing {
  readonly message: string;
  readonly until: Instant;
}

/** How the release is there now, and does not stand otherwise. */
interface Look {
  readonly missing: string | undefined;
  /** On which it is healthy. */
  readonly healthy: readonly MachineId[];
  readonly counts: Now;
  /** So many may be bad. */
  readonly allowed: number;
}

/** Machines that a selector selects of those that are to run something of an app. */
interface Selected {
  /** Of the fleet and what is assigned of the app. */
  readonly version: string;
  readonly machines: readonly MachineId[];
}

interface Kept {
  readonly look: Look;
  /** Since when it stands was read for this look. */
  isRead: boolean;
  /** On the monotonic clock. */
  readonly at: number;
  /** The transaction in which it was made, and the newest row of the journal then. */
  readonly moment: Moment;
  readonly seq: number;
}

export class Promotions {
  readonly #facts: Facts;
  readonly #world: World;
  readonly #clock: Clock;
  readonly #quarantine: Quarantine;
  readonly #newestSeq: () => number;
  readonly #kept = new Map<string, Kept>();
  readonly #selected = new Map<string, Selected>();
  /** When somebody looked last, on the monotonic clock. */
  #lookedAt = -Infinity;
  #decides = false;
  /** Since when it stood, when that was read last; no earlier than so. */
  readonly #since = new Map<string, Attended>();

  /** `newestSeq`: of the journal, by which it is seen whether anything may be other than it was. */
  constructor(facts: Facts, world: World, clock: Clock, quarantine: Quarantine, newestSeq: () => number) {
    this.#facts = facts;
    this.#world = world;
    this.#clock = clock;
    this.#quarantine = quarantine;
    this.#newestSeq = newestSeq;
  }

  /** Within `ask`, what was found before this transaction, or before its newest row, is looked at anew: what decides is how the release stands now. */
  deciding<T>(ask: () => T): T {
    this.#decides = true;
    try {
      return ask();
    } finally {
      this.#decides = false;
    }
  }

  /** A transaction has failed: what was found in it never was. */
  forgetAll(): void {
    this.#kept.clear();
    this.#since.clear();
  }

  /** Undefined: it stands, has stood for the soak, and each of its machines was heard after that. `found` has succeeded so long ago. */
  missing({ deploymentOf: app, targets, soakMs }: Promotion, found: Forerunner & { readonly ended_attended: Attended }, now: Moment): Missing | undefined {
    const where = whereText(targets);
    const kept = this.#looked(app, found, targets, now);
    const { look } = kept;
    const key = `${found.id} ${targets}`;
    if (look.missing !== undefined) {
      this.#since.delete(key);
      return { message: look.missing, until: later(now, this.#isOld(kept) ? LOOK_GAP_MS : KEPT_MS).at };
    }
    let since = this.#since.get(key);
    if (since === undefined || (now.attended >= since + soakMs && !kept.isRead)) {
      kept.isRead = true;
      since = this.#stoodSince(app, found.ended_attended, look);
      this.#since.set(key, since);
    }
    if (now.attended < since + soakMs) {
      const until = dueAt({ at: now.at, attended: since }, soakMs, now);
      return { message: stoodText(found, where, soakMs, until), until };
    }
    const over = since + soakMs;
    const unheard = look.healthy.find((machine) => this.#world.heardAt(machine) < over);
    return unheard === undefined ? undefined : { message: `${unheard} to be heard after ${found.release} has stood on ${where} for ${durationText(soakMs)}`, until: later(now, LOOK_MS).at };
  }

  #looked(app: AppName, { id, release }: Forerunner, targets: string, moment: Moment): Kept {
    const key = `${id} ${targets}`;
    const now = this.#clock.monotonicMs();
    const kept = this.#kept.get(key);
    if (kept !== undefined && (this.#decides ? kept.moment === moment && kept.seq === this.#newestSeq() : !this.#isOld(kept) || now - this.#lookedAt < LOOK_GAP_MS)) return kept;
    const look = this.#look(app, release, targets, this.#maxFailuresOf(id));
    this.#lookedAt = now;
    for (const [old, { at }] of this.#kept) {
      if (now - at < FORGOTTEN_MS) continue;
      this.#kept.delete(old);
      this.#since.delete(old);
    }
    const fresh: Kept = { look, isRead: false, at: now, moment, seq: this.#newestSeq() };
    this.#kept.set(key, fresh);
    return fresh;
  }

  #isOld({ at }: Kept): boolean {
    return this.#clock.monotonicMs() - at >= Math.max(KEPT_MS, LOOK_GAP_MS * this.#kept.size);
  }

  /** Undefined: it is not known. What the promotion waits for is broken then, and the promotion is not. */
  #maxFailuresOf(id: DeploymentId): Size | undefined {
    try {
      return ofRollout(id, () => this.#facts.deployment(id)?.strategy.maxFailures);
    } catch (error) {
      if (!(error instanceof RolloutBug)) throw error;
      this.#quarantine.put(id, error);
      return undefined;
    }
  }

  #look(app: AppName, release: ReleaseId, targets: string, maxFailures: Size | undefined): Look {
    const counts: Counts = { ...NOBODY };
    const healthy: MachineId[] = [];
    let machines = 0;
    let drained = 0;
    for (const machine of this.#machinesOf(app, targets)) {
      const standing = this.#world.standingOf(machine, app);
      if (standing === undefined || standing.assigned.release === null) continue;
      machines += 1;
      if (standing.assigned.release !== release) continue;
      add(counts, standing, 1);
      if (isHealthy(standing)) healthy.push(machine);
      else if (standing.isExcused) drained += 1;
      // On its way: it does not stand there yet, or not any more.
      else if (standing.is === "changing" || standing.startsAgain) counts.bad += 1;
    }
    const left = this.#facts.leftWith(app, release).get(targets) ?? 0;
    const allowed = maxFailures === undefined ? 0 : roundedDown(maxFailures, machines - drained);
    return { missing: missingText(release, whereText(targets), { machines, drained, left, allowed }, counts), healthy, counts: vouching(counts, drained, left), allowed };
  }

  #machinesOf(app: AppName, targets: string): readonly MachineId[] {
    const key = `${app} ${targets}`;
    const version = this.#world.planningVersion(app);
    const known = this.#selected.get(key);
    if (known?.version === version) return known.machines;
    const matches = checkedSelector(targets);
    const machines = this.#facts.machinesOf(app).flatMap(({ machine, labels }) => (selects(matches, labels) ? [machine] : []));
    this.#selected.delete(key);
    if (this.#selected.size >= SELECTED_MAX) this.#selected.delete(this.#selected.keys().next().value!);
    this.#selected.set(key, { version, machines });
    return machines;
  }

  /** As many of its machines as may be bad count as bad at any time before now: those that said something last. */
  #stoodSince(app: AppName, ended: Attended, { healthy, counts, allowed }: Look): Attended {
    const changed = this.#facts.changedAfter(app, ended);
    const since = healthy.map((machine) => changed.get(machine) ?? ended).sort((a, b) => b - a);
    let bad = 0;
    while (bad < since.length && !isUnsound({ machines: counts.machines, healthy: counts.healthy - bad - 1, bad: counts.bad + bad + 1 }, allowed)) bad += 1;
    return since[bad] ?? ended;
  }
}

/** A machine that is drained is nobody's fault, and vouches for nothing: neither it nor a share of it counts. */
function vouching(counts: Now, drained: number, left: number): Now {
  return withLeft({ ...counts, machines: counts.machines - drained }, left);
}

interface Around {
  /** That should run the app, whichever release. */
  readonly machines: number;
  /** Of those that should run this release. */
  readonly drained: number;
  readonly left: number;
  readonly allowed: number;
}

function missingText(release: ReleaseId, where: string, { machines, drained, left, allowed }: Around, counts: Now): string | undefined {
  const { machines: have, healthy } = counts;
  if (have === 0) return `${release} to be what ${where} should run: none of ${machines} should by now`;
  if (isUnsound({ machines, healthy: have, bad: machines - have }, allowed)) return `${release} to be what ${where} should run: ${have} of ${machines} should by now`;
  // Where nobody runs it, nobody is bad either, and it does not stand.
  if (healthy > 0 && !isUnsound(vouching(counts, drained, left), allowed)) return undefined;
  return `${release} to be healthy on ${where}: ${healthy} of ${have} are now${drained === 0 ? "" : `, ${drained} drained`}${left === 0 ? "" : `, and ${left} that failed or were lost with it are gone`}`;
}

export function stoodText({ id, release }: Pick<Forerunner, "id" | "release">, where: string, soakMs: number, until: Instant): string {
  return `${id} (${release} on ${where}) to have stood for ${durationText(soakMs)}, at ${timeText(until)}`;
}
