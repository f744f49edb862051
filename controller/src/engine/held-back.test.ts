/** What a person orders while machines are to be heard first, after a start, a stop or a clock that jumped, is followed by all that would have followed otherwise, afterwards. */
import { describe, expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const ZONE_A = { role: "web", zone: "a" };

type When = "at once" | "after a jump of the clock" | "after a start";
const WHENS: readonly When[] = ["at once", "after a jump of the clock", "after a start"];

function isToBeHeard(world: World, when: When): void {
  if (when === "after a jump of the clock") world.clock.wall += 60_000;
  if (when === "after a start") world.startEngine({ isHeard: false });
}

describe.each(WHENS)("%s", (when) => {
  test("a rollback that a deployment took the place of goes on when that is aborted, and the next one begins after it", async () => {
    const all = [...NAMES, "e"];
    const world = await onOne(all);
    const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
    for (const name of NAMES) {
      await world.say(name, "healthy");
      world.pass(2000, ...all);
    }
    await world.say("a", "unhealthy");
    expect(world.phase(second)).toBe("rolling_back");
    const third = world.deploy("3", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onConflict: "supersede" });
    const fourth = world.deploy("4", { targets: "role=web" });
    world.pass(2000, ...all);
    isToBeHeard(world, when);
    expect(world.command(third, "abort")).toMatchObject({ ok: true });
    await work(world, all, 60);
    expect(world.phase(fourth)).toBe("succeeded");
  });

  test("a machine that waited for what becomes of a deployment gets what stands when that is aborted", async () => {
    const all = ["a", "b", "c", "e"];
    const world = await onOne(all);
    world.pass(20_000, "a", "b", "e"); // c is away while 2 succeeds
    const second = world.deploy("2", WIDE);
    await world.settle("a", "b", "e");
    world.pass(4000, "a", "b", "e");
    const third = world.deploy("3", { waves: [{ ...wave(count(1)), gates: [{ kind: "approval" }] }, ALL], maxUnavailable: count(9) });
    await world.settle("a");
    await world.join("c");
    world.pass(4000, ...all);
    expect([world.phase(second), ...["a", "b", "c"].map((name) => world.wanted(name))]).toEqual(["succeeded", "3", "2", "1"]);
    isToBeHeard(world, when);
    expect(world.command(third, "abort").ok).toBe(true);
    world.pass(120_000, ...all);
    expect([world.wanted("c"), world.phase(third)]).toEqual(["2", "aborted"]);
  });

  test("a machine that joins where a release is being taken back does not get it", async () => {
    const world = new World();
    const all = ["a", "b", "c", "d", "e"];
    await world.joinAs(ZONE_A, "a", "b");
    await world.joinAs({ role: "web", zone: "b" }, "c", "d", "e");
    world.deploy("1", WIDE);
    await world.settle(...all);
    world.pass(4000, ...all);
    const second = world.deploy("2", { ...WIDE, targets: "zone=a", maxUnavailable: count(1) });
    await world.settle(...all);
    world.pass(4000, ...all);
    world.deploy("2", { ...WIDE, targets: "role=web" });
    await world.settle(...all);
    world.pass(4000, ...all);
    isToBeHeard(world, when);
    expect(world.command(second, "rollback")).toMatchObject({ ok: true });
    world.pass(3000, ...all);
    expect(world.phase(second)).toBe("rolling_back");
    await world.joinAs(ZONE_A, "n");
    world.pass(3000, ...all, "n");
    expect(world.wanted("n")).not.toBe("2");
  });
});
