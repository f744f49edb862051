/** Whether a deployment has gone back is asked in memory and in the tables: both say the same. */
import { expect, test } from "vitest";
import { wentBack as wentBackInTables } from "../journal/standing.ts";
import { type RolloutPhase, wentBack } from "../rollout/state.ts";
import { onOne, WIDE } from "./on-one.fixture.ts";

const PHASES: readonly RolloutPhase[] = ["pending", "rolling", "paused", "succeeded", "rolling_back", "rolled_back", "failed", "aborted", "superseded"];

test.each(PHASES.flatMap((phase) => [true, false].map((beganBack) => ({ phase, beganBack }))))("$phase, begun: $beganBack", async ({ phase, beganBack }) => {
  const world = await onOne();
  const id = world.deploy("2", WIDE);
  world.journal.db.prepare("UPDATE deployments SET phase = ?, back_seq = ? WHERE id = ?").run(phase, beganBack ? 1 : null, id);
  const inTables = world.journal.db.prepare(`SELECT ${wentBackInTables("d")} FROM deployments d WHERE id = ?`).pluck().get(id);
  expect(wentBack({ phase, beganBack })).toBe(inTables === 1);
});
