/**
 * One seed, from an empty journal to its end: first the phase of safety, in which everything may go wrong, then that of liveness, in which nothing does any more and
 * everything must come to an end, and to rest; and then what every fleet must be able to do (exam.ts).
 */
import { createHash, type Hash } from "node:crypto";
import { Caretaker } from "./caretaker.ts";
import { examine, rest } from "./exam.ts";
import { checkReplay } from "./invariants.ts";
import { checkConverged, restless } from "./settled.ts";
import { Store } from "./store.ts";
import { type Invariant, Violation } from "./violation.ts";
import { World } from "./world.ts";

export interface Outcome {
  readonly seed: number;
  readonly violation: Violation | undefined;
  /** Of virtual time. */
  readonly virtualMs: number;
  readonly steps: number;
  readonly rows: number;
  /** Of every message, fault and row of the journal; only when asked for. */
  readonly digest: string | undefined;
}

export interface RunOptions {
  readonly say?: (line: string) => void;
  readonly digest?: boolean;
  /** Not judged. */
  readonly except?: ReadonlySet<Invariant>;
}

/** Virtual time in which everything must have come to rest. */
const LIVENESS_MS_MAX = 6 * 3_600_000;
const LOOK_MS = 5_000;

export async function run(seed: number, { say, digest = false, except = new Set() }: RunOptions = {}): Promise<Outcome> {
  const hash = digest ? createHash("sha256") : undefined;
  const world = new World(seed, { say: sayer(say, hash), except });
  let violation: Violation | undefined;
  try {
    await safety(world, world.shape.safetyMs);
    await liveness(world);
    await settle(world);
    const replayed = new Store();
    checkReplay(world.store.journal, replayed.journal);
    replayed.close();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    if (!except.has(error.invariant)) violation = error;
  }
  world.controller.engine?.stop();
  const rows = world.store.journal.lastSeq;
  world.store.close();
  return { seed, violation, virtualMs: world.timeline.now, steps: world.timeline.steps, rows, digest: hash?.digest("hex") };
}

async function safety(world: World, forMs: number): Promise<void> {
  while ((world.timeline.nextAt ?? Infinity) <= forMs) await world.step();
}

/** Until everything has ended. */
export async function liveness(world: World): Promise<void> {
  world.calm();
  const end = world.timeline.now + LIVENESS_MS_MAX;
  const caretaker = new Caretaker(world);
  let isTidy = false;
  let lookAt = world.timeline.now;
  for (;;) {
    if (world.timeline.now >= lookAt) {
      lookAt = world.timeline.now + LOOK_MS;
      const found = restless(world);
      if (found === undefined && isTidy) return;
      if (found !== undefined && world.timeline.now > end) throw new Violation(found.invariant, `${LIVENESS_MS_MAX / 3_600_000} hours after the last fault ${found.what}`);
      if (!isTidy) isTidy = world.desk.tidy(world.machines.keys());
      caretaker.look();
    }
    await world.step();
  }
}

/** Everything rests where it should, stays there, and is able to move on. */
export async function settle(world: World): Promise<void> {
  world.checks.audit(world.controller);
  checkConverged(world);
  await rest(world, world.shape.restMs);
  await examine(world);
  await liveness(world);
  world.checks.audit(world.controller);
  checkConverged(world);
}

function sayer(say: RunOptions["say"], hash: Hash | undefined): RunOptions["say"] {
  if (say === undefined && hash === undefined) return undefined;
  return (line) => {
    hash?.update(line).update("\n");
    say?.(line);
  };
}
