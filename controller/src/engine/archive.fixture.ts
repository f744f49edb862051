/** What tests of the archive begin with: a fleet whose old steps go there when a test says so. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { World } from "./world.fixture.ts";

export const MINUTE_MS = 60_000;

/** Its journal is on a file, and steps stay for five minutes; `archive` says when what is older goes to the archive. */
export async function archivingWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "muster-archived-"));
  const world = new World(join(folder, "muster.db"));
  onTestFinished(() => {
    world.engine.stop();
    world.journal.close();
    rmSync(folder, { recursive: true });
  });
  world.engine.archiving.stop();
  await world.engine.retention.set({ keep: 20, keepForMs: 90 * 86_400_000, stepsForMs: 5 * MINUTE_MS }, "anna");
  return world;
}

/** The newest row of all stays: here it is one about somebody else. Returns the last row that is in the archive. */
export async function archive(world: World): Promise<number> {
  world.engine.orders.setBudget("role=nobody", 1, "anna");
  await world.engine.archiving.sweep();
  return world.journal.archive.lastSeq;
}
