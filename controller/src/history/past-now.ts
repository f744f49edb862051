/**
 * How the machines of a deployment were at a time after its end: what was decided about them since, whether they were heard, drained, and what they said. Beside what `Past` has, and written into its
 * tables, so that the same code tells of then and of now.
 *
 * Never says more than is known: where the steps that tell whether a machine was heard are in the archive, and further back than is looked, that is said to be not known.
 */
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import type { Database } from "better-sqlite3";
import { counted } from "@muster/proto/text.ts";
import type { Now } from "../engine/deployments-now.ts";
import { Slice } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { isEnded, type Target } from "../rollout/state.ts";
import type { Past } from "./past.ts";
import { presenceAt } from "./past-presence.ts";
import { isChanging, nowText, type Present, SAID, SAID_FROM, type Said } from "./present.ts";
import { Rows, type Source } from "./rows.ts";

/** What is asked of each machine: two look-ups or three, and a row that is written. */
const ROWS_A_MACHINE = 4;

export interface Then {
  readonly present: Present;
  /** Of these it is not known whether they were heard. */
  readonly unknown: ReadonlySet<string>;
}

/** Undefined: it had not ended, and its targets say how they were. `source`: of today. */
export async function presentAt(past: Past, source: Source, at: Instant): Promise<Then | undefined> {
  const { state } = past;
  if (state === undefined || !isEnded(state.phase)) return undefined;
  const touched = [...state.targets.values()].filter(({ attempts, state: stands }) => attempts > 0 && stands !== "removed");
  const beforeSeq = past.endSeq;
  await decideElsewhere(past, source, touched, beforeSeq);
  const presence = await presenceAt(source, touched.map(({ machine }) => machine), beforeSeq);
  const drained = "SELECT kind = 'machine_cordoned' AND data ->> 'drained' FROM journal WHERE machine = ? AND seq < ? AND kind IN ('machine_cordoned', 'machine_uncordoned') ORDER BY seq DESC LIMIT 1";
  const join = past.db.prepare(
    "INSERT OR REPLACE INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at, silent_since, drained) VALUES (@machine, '', '{}', '', '', '', '', 0, @silentSince, @drained)",
  );
  const slice = new Slice();
  const unknown = new Set<string>();
  for (const { machine } of touched) {
    const was = presence.get(machine);
    if (was === undefined) unknown.add(machine);
    join.run({ machine, silentSince: was === "silent" ? at : null, drained: Number(statement(source.db, drained).pluck().get(machine, beforeSeq) ?? 0) });
    await slice.took(ROWS_A_MACHINE);
  }
  const now = await countNow(past.db, state.id, unknown, slice);
  return { unknown, present: { nowOf: () => now, unsound: () => undefined, isOverdue: () => false, remedies: () => Promise.resolve({ rollback: false, rollbackTo: "", retry: false }) } };
}

export function unknownText(machines: number): string {
  return machines === 0 ? "" : `of ${counted(machines, "machine")} it is not known whether ${machines === 1 ? "it was" : "they were"} heard: those steps are in the archive`;
}

/** What other deployments of the app have told its machines since. */
async function decideElsewhere(past: Past, source: Source, touched: readonly Target[], beforeSeq: number): Promise<void> {
  const { id, app } = past.state!;
  const newest = new Map<string, { readonly seq: number; readonly by: string }>();
  // Of each, its own newest assignment is its generation.
  for (const { machine, generation } of touched) newest.set(machine, { seq: generation, by: id });
  const fromSeq = touched.reduce((least, { generation }) => Math.min(least, generation), beforeSeq);
  for await (const { seq, machine, deployment } of new Rows(source).assignmentsOf(app, fromSeq, beforeSeq)) {
    const known = newest.get(machine);
    if (known !== undefined && known.seq < seq) newest.set(machine, { seq, by: deployment });
  }
  const decide = past.db.prepare("UPDATE assignments SET deployment = ? WHERE machine = ? AND app = ?");
  const slice = new Slice();
  for (const [machine, { by }] of newest) {
    if (by !== id) decide.run(by, machine, app);
    await slice.took(1);
  }
}

const MACHINES_AT_ONCE = 200;
const SAID_NEXT = `
  SELECT t.machine, ${SAID} FROM (SELECT * FROM targets WHERE deployment = ? AND machine > ? ORDER BY machine LIMIT ${MACHINES_AT_ONCE}) t ${SAID_FROM} ORDER BY t.machine`;

/** Machines about which the deployment has decided last. Of whom it is not known whether they were heard, or what became of them, counts as neither healthy nor bad. */
async function countNow(db: Database, id: DeploymentId, unknown: ReadonlySet<string>, slice: Slice): Promise<Now> {
  const now = { machines: 0, healthy: 0, bad: 0 };
  for (let after = ""; ; ) {
    const rows = statement(db, SAID_NEXT).all(id, after) as (Said & { readonly machine: string })[];
    for (const said of rows) {
      if (said.attempts === 0 || said.state === "removed" || said.decided_by !== id) continue;
      now.machines += 1;
      const isSettled = said.state === "healthy" || said.state === "reverted";
      const text = nowText(said);
      if (isSettled && text === undefined && !unknown.has(said.machine)) now.healthy += 1;
      else if (isSettled && text !== undefined && said.is_drained !== 1 && !isChanging(said)) now.bad += 1;
    }
    await slice.took(2 * rows.length);
    if (rows.length < MACHINES_AT_ONCE) return now;
    after = rows.at(-1)!.machine;
  }
}
