/**
 * Whether machines were heard at a time: by the last step before it in which one fell silent or was heard again, else by the first one after it, or by how the machine is today. Of a time
 * whose steps are in the archive only a stretch of those is searched, as for whatever was said before.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { ArchivedRow } from "../journal/archive.ts";
import { Slice, turn } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { FRAMES_BACK_MAX, type Source } from "./rows.ts";

export type Presence = "heard" | "silent";

const ROWS_A_MACHINE = 2;

/** As the partial index has it. */
const IS_PRESENCE = "kind IN ('machine_silent', 'machine_heard')";
const LAST = `SELECT kind FROM journal WHERE machine = ? AND seq < ? AND ${IS_PRESENCE} ORDER BY seq DESC LIMIT 1`;
const NEXT = `SELECT kind FROM journal WHERE machine = ? AND seq >= ? AND ${IS_PRESENCE} ORDER BY seq LIMIT 1`;
const TODAY = "SELECT CASE WHEN silent_since IS NULL THEN 'machine_heard' ELSE 'machine_silent' END FROM machines WHERE id = ?";

/** Of the state before the sequence; machines of which it is not known are missing. */
export async function presenceAt({ db, archive }: Source, machines: readonly MachineId[], beforeSeq: number): Promise<ReadonlyMap<string, Presence>> {
  const found = new Map<string, Presence>();
  const missing = new Set<string>();
  const slice = new Slice();
  // Rows that can be archived are all in the database from here on.
  const isAfterArchive = beforeSeq > archive.lastSeq;
  for (const machine of machines) {
    const ask = (sql: string, ...given: readonly unknown[]): unknown => statement(db, sql).pluck().get(machine, ...given);
    const last = ask(LAST, beforeSeq);
    const next = last === undefined && isAfterArchive ? ask(NEXT, beforeSeq) : undefined;
    const was = last ?? (next === undefined ? (isAfterArchive ? ask(TODAY) : undefined) : opposite(next));
    if (was !== undefined) found.set(machine, was === "machine_silent" ? "silent" : "heard");
    else missing.add(machine);
    await slice.took(ROWS_A_MACHINE);
  }
  if (missing.size === 0) return found;
  let frames = 0;
  for (const rows of archive.backFrom(beforeSeq)) {
    if (missing.size === 0 || frames === FRAMES_BACK_MAX) return found;
    frames += 1;
    for (const row of rows) if (isPresence(row) && row.machine !== null && missing.delete(row.machine)) found.set(row.machine, row.kind === "machine_silent" ? "silent" : "heard");
    await turn();
  }
  // All of it was searched: they never fell silent before.
  for (const machine of missing) found.set(machine, "heard");
  return found;
}

function isPresence({ kind }: ArchivedRow): boolean {
  return kind === "machine_silent" || kind === "machine_heard";
}

function opposite(kind: unknown): string {
  return kind === "machine_silent" ? "machine_heard" : "machine_silent";
}
