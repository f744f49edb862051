/**
 * Targets of one deployment that are in certain states, wave by wave and some at a time: by their index, so that no statement looks at more than a page of them.
 */
import type { Database } from "better-sqlite3";
import type { DeploymentId } from "@muster/proto/ids.ts";
import type { Steps } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import type { TargetState } from "../rollout/state.ts";

export const TARGETS_AT_ONCE = 200;
/** Each is joined to its assignment and to what its machine says. */
export const ROWS_A_TARGET = 3;

/** For FROM: the next targets of `@id` in a wave and a state, after a machine. */
export const TARGET_PAGE = `(SELECT * FROM targets WHERE deployment = @id AND wave = @wave AND state = @state AND machine > @after ORDER BY machine LIMIT ${TARGETS_AT_ONCE})`;

/** Of each row that is asked for. */
export interface InWave {
  readonly machine: string;
  readonly position: number;
  /** It is among those that are wanted. A page has the others, too, so that it can be gone on from. */
  readonly holds: number | null;
}

export interface Question<Row extends InWave, Found> {
  /** Rows of `TARGET_PAGE`, in its order, all of them. */
  readonly sql: string;
  readonly given: Readonly<Record<string, unknown>>;
  /** Undefined: it is not wanted. */
  readonly select: (row: Row) => Found | undefined;
}

/** `take`: given what was found in a wave, in the order of its targets; true: that is enough. */
export function* inWaves<Row extends InWave, Found>(
  db: Database,
  id: DeploymentId,
  states: readonly TargetState[],
  { sql, given, select }: Question<Row, Found>,
  take: (found: readonly Found[]) => boolean,
): Steps<void> {
  const waves = statement(db, "SELECT wave FROM waves WHERE deployment = ? ORDER BY wave").pluck().all(id) as number[];
  for (const wave of waves) {
    const found: { readonly position: number; readonly value: Found }[] = [];
    for (const state of states) {
      for (let after = ""; ; ) {
        const rows = statement(db, sql).all({ ...given, id, wave, state, after }) as Row[];
        for (const row of rows) {
          const value = row.holds === 1 ? select(row) : undefined;
          if (value !== undefined) found.push({ position: row.position, value });
        }
        yield 1 + rows.length * ROWS_A_TARGET;
        if (rows.length < TARGETS_AT_ONCE) break;
        after = rows.at(-1)!.machine;
      }
    }
    found.sort((a, b) => a.position - b.position);
    if (take(found.map(({ value }) => value))) return;
  }
}
