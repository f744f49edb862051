/** A rollback that fails is still one: it is no rollout that could go on, and what it had not told yet goes back when there is room. */
import { describe, expect, test } from "vitest";
import { loadRollout } from "../journal/load.ts";
import { wentBack as wentBackInTables } from "../journal/standing.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { type RolloutPhase, wentBack } from "../rollout/state.ts";
import { NAMES, onOne, work } from "./on-one.fixture.ts";

/** a serves 2; b goes back from it by itself, for longer than progress_deadline, and has the only place in the window. */
async function failedBeforeItTold() {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(1), progressDeadlineMs: 30_000 });
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  await world.say("b", "reverting");
  expect(world.phase(id)).toBe("rolling_back");
  world.pass(35_000, ...NAMES);
  const state = () => loadRollout(world.journal, id)!;
  expect([state().phase, world.wanted("a")]).toEqual(["failed", "2"]);
  return { world, id, state };
}

test("says who was going back, is not retried, and goes on when there is room", async () => {
  const { world, id, state } = await failedBeforeItTold();
  expect(state().reason?.message).toContain("the rollback made no progress for 30s (progress_deadline): b runs");
  expect(world.command(id, "retry")).toMatchObject({ refusal: { message: expect.stringContaining("it was being rolled back; roll it back again") as string } });
  await world.say("b", "reverted");
  await work(world, ["a", "b"]);
  expect(NAMES.map((name) => world.state(id, name))).toEqual(["reverted", "reverted", "pending", "pending"]);
});

test("goes on after a start of the controller, too", async () => {
  const { world } = await failedBeforeItTold();
  world.startEngine();
  await world.say("b", "reverted");
  await work(world, ["b"]);
  expect(world.wanted("a")).toBe("1");
});

test("is asked to go back again, and does", async () => {
  const { world, id } = await failedBeforeItTold();
  expect(world.command(id, "rollback")).toMatchObject({ ok: true });
  await world.say("b", "reverted");
  await work(world, ["a", "b"]);
  expect([world.phase(id), world.wanted("a")]).toEqual(["rolled_back", "1"]);
});

describe("whether a deployment has gone back", () => {
  const PHASES: readonly RolloutPhase[] = ["pending", "rolling", "paused", "succeeded", "rolling_back", "rolled_back", "failed", "aborted", "superseded"];

  test.each(PHASES.flatMap((phase) => [true, false].map((beganBack) => ({ phase, beganBack }))))("is the same in memory and in the tables: $phase, begun $beganBack", async ({ phase, beganBack }) => {
    const { world, id } = await failedBeforeItTold();
    world.journal.db.prepare("UPDATE deployments SET phase = ?, back_seq = ? WHERE id = ?").run(phase, beganBack ? 1 : null, id);
    const inTables = world.journal.db.prepare(`SELECT ${wentBackInTables("d")} FROM deployments d WHERE id = ?`).pluck().get(id);
    expect(wentBack({ phase, beganBack })).toBe(inTables === 1);
  });
});
