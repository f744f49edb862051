/** A release that is taken back while machines are to be heard is given to nobody by the tail of another deployment of it. */
import { expect, test } from "vitest";
import { WIDE } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const ZONE_A = { role: "web", zone: "a" };
const by = { by: "anna", reason: "" };

test.each(["at once", "after a jump of the clock", "after a start"])("%s", async (when) => {
  const world = new World();
  const all = ["a", "b", "c"];
  await world.joinAs(ZONE_A, "a", "b");
  await world.joinAs({ role: "web", zone: "b" }, "c");
  world.deploy("1", WIDE);
  await world.settle(...all);
  world.pass(4000, ...all);
  const second = world.deploy("2", { ...WIDE, targets: "zone=a" });
  await world.settle(...all);
  world.pass(4000, ...all);
  const third = world.deploy("2", WIDE);
  await world.settle(...all);
  world.pass(4000, ...all);
  expect([world.phase(second), world.phase(third)]).toEqual(["succeeded", "succeeded"]);
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  await world.joinAs(ZONE_A, "n");
  world.pass(2000, ...all, "n");
  expect(world.state(third, "n")).toBe("pending");
  if (when === "after a jump of the clock") world.clock.wall += 60_000;
  if (when === "after a start") world.startEngine({ isHeard: false });
  expect(world.command(second, "rollback")).toMatchObject({ ok: true });
  expect(world.engine.orders.endFreeze("f-1", "anna").ok).toBe(true);
  world.pass(5000, ...all, "n");
  expect([world.wanted("a"), world.wanted("n")]).not.toContain("2");
});
