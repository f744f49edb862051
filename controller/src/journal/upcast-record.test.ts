/** A snapshot that an older version wrote fills the tables of today, whatever they have learnt to keep since. */
import { expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { createJournalTables, PROJECTION_TABLES, recreateProjections } from "./schema.ts";
import { upcastRecord } from "./upcast-record.ts";

/** What no record of the first version was without. This list stays as it is: a column that comes later is not in those records. */
const FIRST: Readonly<Record<string, string>> = {
  machines: "id instance labels agentVersion hostname os arch firstSeenAt drained",
  machine_apps: "machine app generation phase runningVersion runningArtifact starts pid ports since",
  assignments: "machine app generation deployment minHealthyTimeMs healthyDeadlineMs progressDeadlineMs labels decidedSeq",
  artifacts: "digest fileCount sizeBytes packBytes storedAt",
  releases: "id app artifact release secrets createdAt",
  deployments: "number id app release strategy selector phase submittedAt progressAttended wave maxUnavailable unchanged notes submittedBy lanes alarms startApproved promoted",
  waves: "deployment wave members gates afterMs maxFailures changedAt changedAttended",
  targets: "deployment machine wave position lane state generation since sinceAttended attempts onTrial",
  archived_targets: "deployment wave state count",
  budgets: "selector maxUnavailable setBy",
  freezes: "number fromAt reason setBy",
  retention: "only keep keepForMs stepsForMs",
};

const db = openDatabase(":memory:");
createJournalTables(db);
recreateProjections(db);

// Of a table that came later they have none.
test.each(PROJECTION_TABLES.filter((table) => table in FIRST))("of %s a record of the first version has a value for each column that must have one", (table) => {
  const columns = db.pragma(`table_info(${table})`) as readonly { readonly name: string; readonly notnull: 0 | 1; readonly pk: number }[];
  const needed = columns.filter(({ notnull, pk }) => notnull === 1 || pk > 0).map(({ name }) => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));
  const known = Object.keys(upcastRecord(1, { of: table }));
  expect(needed.filter((field) => !known.includes(field) && !FIRST[table]?.split(" ").includes(field))).toEqual([]);
});
