/** What runs on a machine that joins again is what it goes back to, unless that was taken back from machines like it. */
import { expect, test } from "vitest";
import { WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

async function zones() {
  const world = new World();
  await world.joinAs({ role: "web", zone: "p" }, "p1", "p2");
  await world.joinAs({ role: "web", zone: "q" }, "q1", "q2");
  const all = ["p1", "p2", "q1", "q2"];
  world.deploy("0", { ...WIDE, targets: "role=web" });
  await world.settle(...all);
  world.pass(2000, ...all);
  world.deploy("1", { ...WIDE, targets: "zone=p" });
  await work(world, all);
  return { world, all };
}
async function again(world: World, all: string[]) {
  const rest = all.filter((name) => name !== "p1");
  expect(world.wanted("p1")).toBe("1");
  const before = world.generation("p1");
  world.remove("p1");
  const third = world.deploy("3", { ...WIDE, targets: "role=web" });
  for (const name of rest) await world.say(name, "healthy");
  world.pass(2000, ...rest);
  expect(world.phase(third)).toBe("succeeded");
  await world.engine.hello({ kind: "machine_joined", labels: { role: "web", zone: "p" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64", machine: "p1" as never, instance: "i-p1" }, 0, 9999);
  await world.saySeq("p1", "healthy", before, 9999, "app", "1");
  world.pass(3000, ...all);
  expect(world.wanted("p1")).toBe("3");
  await world.saySeq("p1", "healthy", world.generation("p1"), 10000, "app", "3");
  world.pass(3000, ...all);
  world.command(third, "rollback");
  world.pass(3000, ...all);
  return third;
}
test("a machine that joins again goes back to what was found there", async () => {
  const { world, all } = await zones();
  await again(world, all);
  expect(world.wanted("p1")).toBe("1");
});
test("also when that was taken back from other machines", async () => {
  const { world, all } = await zones();
  const other = world.deploy("1", { ...WIDE, targets: "zone=q" });
  await work(world, all);
  world.command(other, "rollback");
  await work(world, all);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "1", "0", "0"]);
  await again(world, all);
  expect(world.wanted("p1")).toBe("1");
});
test("also when a rollback --to took it back, and was taken back itself", async () => {
  const { world, all } = await zones();
  const back = world.engine.operators.rollbackTo("d-2" as never, "0", by);
  if (!back.ok) throw new Error(back.refusal.message);
  await work(world, all);
  expect(world.wanted("p1")).toBe("0");
  world.command(back.value.deployment as never, "rollback");
  await work(world, all);
  expect(all.map((name) => world.wanted(name))).toEqual(["1", "1", "0", "0"]);
  await again(world, all);
  expect(world.wanted("p1")).toBe("1");
});
