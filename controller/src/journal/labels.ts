/** The labels of a machine, in the journal's tables. */
import type { Database } from "better-sqlite3";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Labels } from "@muster/proto/selector.ts";
import { statement } from "./statement.ts";

/** Of one that is in the fleet no more: none. */
export function labelsOf(db: Database, machine: MachineId): Labels {
  return JSON.parse((statement(db, "SELECT labels FROM machines WHERE id = ?").pluck().get(machine) ?? "{}") as string) as Labels;
}
