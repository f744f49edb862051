/**
 * The names of machines that a deployment left out, since they ran its release already. A pipeline that submits the same file again and again would leave a list of the fleet behind each time, so they become a count when the deployment is over.
 *
 * Always holds: the two newest deployments to a selector that left a machine out keep its name as long as it runs that release or may go back to it, since that is what was decided about it last (engine/decisions.ts): two, as the newest may be taken back.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { IS_OVER } from "./archived-targets.ts";
import type { TargetsArchived } from "./entry.ts";
import { stands } from "./standing.ts";
import { statement } from "./statement.ts";

const NAMES_AT_ONCE = 500;
const KEPT_BY = 2;

/** What deployments of these left out is one story. */
interface Group {
  readonly app: AppName;
  readonly selector: string;
  readonly release: ReleaseId;
}

interface List {
  readonly unchanged: string;
  readonly startSeq: number;
  readonly isTakenBack: 0 | 1;
  readonly stands: 0 | 1;
  readonly isOver: 0 | 1;
}

const GROUPS = "SELECT DISTINCT app, selector, release FROM deployments WHERE ended_attended < ? AND unchanged <> '[]'";
const NEWEST_FIRST = "SELECT id FROM deployments WHERE app = @app AND selector = @selector AND release = @release AND start_seq IS NOT NULL AND unchanged <> '[]' ORDER BY start_seq DESC";
const LIST = `SELECT d.unchanged, d.start_seq AS startSeq, d.back_seq IS NOT NULL AS isTakenBack, ${stands("d")} AS stands, coalesce(${IS_OVER}, 0) AS isOver FROM deployments d WHERE d.id = @id`;

/** Of these names: machines that are where a deployment that began then has left them, or may go back to that. One of the same name that has joined since is another machine. */
const STILL_THERE = `SELECT u.value FROM json_each(@names) u JOIN machines m ON m.id = u.value JOIN assignments a ON a.machine = u.value AND a.app = @app
  WHERE m.joined_seq < @startSeq AND (a.release = @release OR a.last_good = @release) ORDER BY u.key`;

/** Deployments that ended before that moment of attended time and whose names are not all needed any more. Made in steps of a few milliseconds; each yields what is to be written before the next, or nothing. */
export function* staleNames(db: Database, before: number): Generator<TargetsArchived | undefined, void, undefined> {
  for (const group of statement(db, GROUPS).all(before) as Group[]) yield* staleOf(db, group, before);
}

function* staleOf(db: Database, group: Group, before: number): Generator<TargetsArchived | undefined, void, undefined> {
  /** By how many newer ones each name is kept: by all, and by those that stand. */
  const kept = { all: new Map<MachineId, number>(), standing: new Map<MachineId, number>() };
  for (const id of statement(db, NEWEST_FIRST).pluck().all(group) as DeploymentId[]) {
    const list = statement(db, LIST).get({ id, before }) as List;
    const names = JSON.parse(list.unchanged) as readonly MachineId[];
    const newer = list.stands === 1 ? kept.standing : kept.all;
    let stay = names;
    if (list.isOver === 1) {
      stay = list.isTakenBack === 1 ? [] : (yield* stillThere(db, group, list, names)).filter((name) => (newer.get(name) ?? 0) < KEPT_BY);
      if (stay.length < names.length) yield { kind: "targets_archived", deployment: id, app: group.app, upTo: "", kept: stay };
    }
    yield undefined;
    if (list.isTakenBack === 1) continue;
    for (const name of stay) {
      add(kept.all, name);
      if (list.stands === 1) add(kept.standing, name);
    }
  }
}

function* stillThere(db: Database, { app, release }: Group, { startSeq }: List, names: readonly MachineId[]): Generator<undefined, MachineId[], undefined> {
  const found: MachineId[] = [];
  for (let from = 0; from < names.length; from += NAMES_AT_ONCE) {
    found.push(...(statement(db, STILL_THERE).pluck().all({ app, release, startSeq, names: JSON.stringify(names.slice(from, from + NAMES_AT_ONCE)) }) as MachineId[]));
    yield undefined;
  }
  return found;
}

function add(counts: Map<MachineId, number>, name: MachineId): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
