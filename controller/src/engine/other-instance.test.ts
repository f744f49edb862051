/** Another instance of a machine's agent speaks in between, by a hello that was long on its way say: what the one that lives has said is forgotten with it, and must be said again. */
import type { MachineId } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const SEQ = 7;

/** a has said by its report SEQ that it is healthy. */
async function healthy() {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  const generation = world.generation("a");
  await world.saySeq("a", "healthy", generation, SEQ);
  const hello = (instance: string, newestPending = 0): Promise<number> =>
    world.engine.hello({ kind: "machine_joined", machine: "a" as MachineId, instance, labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, generation, newestPending);
  return { world, id, generation, hello };
}

test("whose hello is followed by one of the agent that lives: that one has all to say again, and what it says then counts", async () => {
  const { world, id, generation, hello } = await healthy();
  expect(await hello("i-a")).toBe(SEQ);
  await hello("i-other");
  expect(await hello("i-a")).toBe(0);
  expect(world.state(id, "a")).toBe("updating");
  await world.saySeq("a", "healthy", generation, SEQ + 1);
  await world.say("b", "healthy");
  world.pass(2000, "a", "b");
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["healthy", "succeeded"]);
  expect(await hello("i-a")).toBe(SEQ + 1);
});

test("and a report whose acknowledgement was lost is owed, and taken a second time", async () => {
  const { world, id, generation, hello } = await healthy();
  await hello("i-other");
  await hello("i-a", SEQ);
  await world.say("b", "healthy");
  world.pass(2000, "a", "b");
  expect(world.engine.waitingOn(id)).toContain("a to be healthy");
  await world.saySeq("a", "healthy", generation, SEQ);
  world.pass(2000, "a", "b");
  expect([world.state(id, "a"), world.phase(id)]).toEqual(["healthy", "succeeded"]);
});
