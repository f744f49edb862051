/** What is advised is what would be carried out, and what would lead nowhere is refused. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const WIDE_BACK = { ...WIDE, onFailure: "rollback" } as const;

test("a rollback to files that retention has removed is refused, and not advised", async () => {
  const world = new World();
  await world.join("a", "b");
  const artifactOf = (version: string) => version.repeat(64);
  const ids = [];
  for (const version of ["1", "2", "3"]) {
    const artifact = artifactOf(version);
    world.engine.operators.recordArtifact({ kind: "artifact_stored", artifact: artifact as never, fileCount: 1, sizeBytes: 1, packBytes: 1 });
    ids.push(world.deploy(version, WIDE, { artifact }));
    await world.settle("a", "b");
    world.pass(4000, "a", "b");
  }
  const removed = world.engine.retention.set({ keep: 1, keepForMs: 1000, stepsForMs: 30 * 86_400_000 }, "anna");
  world.pass(10_000, "a", "b");
  expect(await removed).toEqual(["app@1"]);
  expect(world.command(ids[2]!, "rollback")).toMatchObject({ ok: true });
  await world.settle("a", "b");
  world.pass(4000, "a", "b");
  expect([world.phase(ids[2]!), world.wanted("a")]).toEqual(["rolled_back", "2"]);
  expect(await world.engine.remedies(ids[1]!)).toEqual({ rollback: false, rollbackTo: "", retry: false });
  const message = `${ids[1]} can't be rolled back: 2 machines ran app@1 before it, and the files of app@1 were removed by retention; deploy the release that is to run there from its deployment file`;
  expect(world.command(ids[1]!, "rollback")).toMatchObject({ ok: false, refusal: { message } });
  expect([world.wanted("a"), world.wanted("b")]).toEqual(["2", "2"]);
});

test("a window is not changed where no machine can take the release any more", async () => {
  const world = new World();
  await world.join("a", "b");
  const first = world.deploy("1", WIDE);
  await world.settle("a", "b");
  world.pass(4000, "a", "b");
  expect(world.steer(first, { kind: "set_max_unavailable", size: count(1) })).toMatchObject({ ok: true });
  const second = world.deploy("2", WIDE);
  await world.settle("a", "b");
  world.pass(4000, "a", "b");
  const message = `${first} can't be changed: it has succeeded, and machines that come late get ${second} (app@2), not this one; change that instead`;
  expect(world.steer(first, { kind: "set_max_unavailable", size: count(2) })).toMatchObject({ ok: false, refusal: { message } });
  expect(world.steer(second, { kind: "set_max_unavailable", size: count(2) })).toMatchObject({ ok: true });
});

test("whoever could not go back to the same release is not taken back to it once more", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", WIDE);
  await world.settle("a", "b");
  world.pass(4000, "a", "b");
  await world.say("a", "unhealthy");
  const again = world.deploy("1", WIDE_BACK);
  await world.say("a", "failed");
  expect(world.phase(again)).toBe("rolling_back");
  await world.say("a", "failed");
  world.pass(4000, "a", "b");
  expect(world.phase(again)).toBe("failed");
  expect(await world.engine.remedies(again)).toEqual({ rollback: false, rollbackTo: "", retry: false });
  expect(world.command(again, "rollback")).toMatchObject({ ok: false, refusal: { message: expect.stringContaining("its machines ran app@1 before it, too; deploy the release that is to run there") } });
});
