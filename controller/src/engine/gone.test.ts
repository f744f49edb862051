/** Machines that leave a rollout, by a person or by a program that removes the dead, hide nothing of the release. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const SOAK = { ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] } as never;

test.each(["stays away", "comes back under its name, as a new host"])("a release that kills its host 10s after it was healthy, which is removed 10s later, and %s, does not pass its canary", async (how) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 300_000, healthyDeadlineMs: 60_000 });
  const taken = new Map<string, number>();
  const killed: string[] = [];
  let gone = new Set<string>();
  for (let at = 0; at < 1_200_000; at += 1000) {
    for (const name of NAMES) {
      const since = taken.get(name);
      if (!gone.has(name) && since === undefined && world.wanted(name) === "2") taken.set(name, at);
      else if (since !== undefined && at === since + 3000) await world.say(name, "healthy");
      else if (since !== undefined && at === since + 13_000) killed.push(name);
      else if (since !== undefined && at === since + 23_000) {
        world.remove(name);
        gone.add(name);
        taken.delete(name);
      }
    }
    if (how.startsWith("comes back") && at % 60_000 === 59_000) {
      for (const name of gone) await world.loseDisk(name);
      gone = new Set();
    }
    world.pass(1000, ...NAMES.filter((name) => !gone.has(name) && !(taken.has(name) && at >= taken.get(name)! + 13_000)));
  }
  expect([killed.length, world.phase(id) === "succeeded"]).toEqual([1, false]);
});

test("machines that fail and are removed for it stay counted, also after a restart", async () => {
  const world = new World();
  await world.join(...NAMES);
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), maxFailures: count(1), onFailure: "pause" });
  for (const name of ["a", "b"]) {
    await world.say(name, "failed");
    world.remove(name);
    world.startEngine();
  }
  expect([world.phase(id), world.wanted("d")]).toEqual(["paused", undefined]);
});

test.each(["removes", "drains"] as const)("a program that %s dead machines leads no release that kills its hosts through the fleet; a person may go on", async (how) => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", { waves: [ALL], maxUnavailable: count(99) });
  await world.settle(...NAMES);
  const id = world.deploy("2", { waves: [SOAK, ALL], maxUnavailable: count(2), progressDeadlineMs: 300_000, healthyDeadlineMs: 60_000 });
  await world.say("a", "healthy");
  world.pass(3000, ...NAMES);
  // A machine that is drained is still watched for silence, and one that is removed is not.
  world.pass(how === "removes" ? 9000 : 20_000, ...NAMES.slice(1));
  if (how === "removes") world.remove("a");
  else world.engine.orders.cordon("a" as never, { drain: true, force: true }, { by: "hook", reason: "dead" });
  world.startEngine();
  world.pass(100_000, ...NAMES.slice(1));
  expect([world.phase(id), NAMES.filter((name) => world.wanted(name) === "2")]).toEqual(["rolling", []]);
  expect(world.waitingOn(id)).toBe(`somebody to go on without it (muster promote ${id}) or to take it back: 1 machine took the release and was lost after it, which may be its fault: a, drained or removed since`);
  world.command(id, "promote");
  expect(NAMES.filter((name) => world.wanted(name) === "2")).toEqual(["b"]);
});

test("a machine that is heard when it is removed says nothing of the release", async () => {
  const world = new World();
  await world.join(...NAMES);
  const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(10) });
  await world.say("a", "healthy");
  world.remove("a");
  world.remove("b");
  expect([world.phase(id), world.wanted("c")]).toEqual(["rolling", "2"]);
});
