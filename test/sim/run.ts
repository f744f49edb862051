/**
 * One seed, from an empty journal to its end: first the phase of safety, in which everything may go wrong, then that of liveness, in which nothing does any more and
 * everything must come to an end.
 */
import { createHash, type Hash } from "node:crypto";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import { Caretaker } from "./caretaker.ts";
import { Random } from "./random.ts";
import { checkConverged, checkReplay, restless } from "./settled.ts";
import { Violation } from "./violation.ts";
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
}

const SAFETY_MS = { least: 120_000, most: 900_000 };
/** Virtual time in which everything must have come to rest. */
const LIVENESS_MS_MAX = 6 * 3_600_000;
const LOOK_MS = 5_000;

type Statement = ReturnType<Journal["db"]["prepare"]>;

let emptyJournal: Buffer | undefined;

/** A copy of an empty journal: cheaper than making its tables. */
export function openJournal(): Journal {
  if (emptyJournal === undefined) {
    const made = Journal.open(":memory:");
    emptyJournal = made.db.serialize();
    made.close();
  }
  // SQLite opens bytes as it opens a path.
  const journal = Journal.open(emptyJournal as unknown as string);
  keepStatements(journal.db);
  return journal;
}

/** Each new engine asks the same questions: they are prepared once. A statement that plucks is another one. */
function keepStatements(db: Journal["db"]): void {
  const prepare = db.prepare.bind(db);
  const kept = new Map<string, Statement>();
  db.prepare = ((sql: string) => {
    const known = kept.get(sql);
    if (known !== undefined && !known.busy) return known;
    const statement: Statement = prepare(sql);
    let plucked: Statement | undefined;
    statement.pluck = () => (plucked ??= prepare(sql).pluck());
    kept.set(sql, statement);
    return statement;
  }) as typeof db.prepare;
}

export async function run(seed: number, { say, digest = false }: RunOptions = {}): Promise<Outcome> {
  const journal = openJournal();
  const hash = digest ? createHash("sha256") : undefined;
  const world = new World(seed, journal, { say: sayer(say, hash) });
  let violation: Violation | undefined;
  try {
    await safety(world, new Random(seed, "run").whole(SAFETY_MS.least, SAFETY_MS.most));
    await liveness(world);
    world.checks.audit(world.controller.engine);
    checkConverged(world);
    const replayed = openJournal();
    checkReplay(journal, replayed);
    replayed.close();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  world.controller.engine?.stop();
  const rows = journal.lastSeq;
  journal.close();
  return { seed, violation, virtualMs: world.timeline.now, steps: world.timeline.steps, rows, digest: hash?.digest("hex") };
}

async function safety(world: World, forMs: number): Promise<void> {
  while ((world.timeline.nextAt ?? Infinity) <= forMs) await world.step();
}

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
      isTidy = world.controller.ask((engine) => {
        if (!isTidy) caretaker.tidy(engine);
        caretaker.look(engine);
        return true;
      }) ?? isTidy;
    }
    await world.step();
  }
}

function sayer(say: RunOptions["say"], hash: Hash | undefined): RunOptions["say"] {
  if (say === undefined && hash === undefined) return undefined;
  return (line) => {
    hash?.update(line).update("\n");
    say?.(line);
  };
}
