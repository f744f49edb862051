/**
 * Machines that nothing is heard of: how they come back, and that they take their places from the first.
 */
import type { Generation, MachineId } from "@muster/proto/ids.ts";
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

test("a machine whose session has outlived its silence is heard again by its next heartbeat, and has its turn", async () => {
  const world = new World();
  await world.join("m1", "m2");
  world.pass(20_000, "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  expect(world.state(id, "m1")).toBe("unreachable");
  world.engine.heartbeat("m1" as MachineId, 0 as Generation);
  await new Promise(setImmediate);
  expect(world.state(id, "m1")).toBe("updating");
});

test("a report is a sign of life, too", async () => {
  const world = new World();
  await world.join("m1", "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  world.pass(20_000, "m2");
  expect(world.state(id, "m1")).toBe("unreachable");
  await world.say("m1", "healthy");
  expect(world.state(id, "m1")).toBe("healthy");
});

test("machines that are silent when a rollout begins take their places from its first start", async () => {
  const world = new World();
  await world.join("m1", "m2", "m3", "m4");
  world.pass(20_000, "m1", "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  expect([world.state(id, "m1"), world.state(id, "m2")]).toEqual(["updating", "pending"]);
});

test("a controller that was held up declares nobody silent before all had time to speak again", async () => {
  const world = new World();
  await world.join("m1", "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2), maxUnreachable: count(1) });
  // No timer fires in that time.
  world.clock.elapsed += 60_000;
  world.pass(2000, "m1");
  expect([world.state(id, "m1"), world.state(id, "m2")]).toEqual(["updating", "updating"]);
  world.pass(20_000, "m1");
  expect([world.state(id, "m1"), world.state(id, "m2")]).toEqual(["updating", "unreachable"]);
});

test("a machine whose hello can't be written down on a full disk is heard all the same", async () => {
  const world = new World();
  await world.join("m1");
  world.pass(14_000);
  world.journal.db.pragma(`max_page_count = ${world.journal.db.pragma("page_count", { simple: true }) as number}`);
  const changed = { kind: "machine_joined", machine: "m1" as MachineId, instance: "another", labels: {}, agentVersion: "1", hostname: "x".repeat(100_000), os: "linux", arch: "x64" } as const;
  await expect(world.engine.hello(changed, 0)).rejects.toThrow(/free some space/);
  world.journal.db.pragma("max_page_count = 100000");
  world.pass(10_000);
  expect(world.fleet.presence("m1" as MachineId).presence).not.toBe("silent");
});

test("a machine whose reports can't be written down on a full disk is heard all the same", async () => {
  const world = new World();
  await world.join("m1");
  world.pass(14_000);
  world.journal.db.pragma(`max_page_count = ${world.journal.db.pragma("page_count", { simple: true }) as number}`);
  const report = { kind: "report_accepted", machine: "m1" as MachineId, app: "app" as never, instance: "i-m1", reportSeq: 1, observedAt: world.clock.now(), generation: 1, phase: "failed", reason: { code: "exited", message: "x".repeat(100_000) }, runningVersion: "", runningArtifact: "", starts: 0, pid: 0, ports: {} } as const;
  await expect(world.engine.report([report])).rejects.toThrow(/free some space/);
  world.journal.db.pragma("max_page_count = 100000");
  world.pass(10_000);
  expect(world.fleet.presence("m1" as MachineId).presence).not.toBe("silent");
});

test("a machine that died while the controller was held up has not been heard by what it had said before", async () => {
  const world = new World();
  await world.join("m1", "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
  for (const name of ["m1", "m2"]) await world.say(name, "probing");
  // No timer fires in that time; m1 becomes healthy and dies.
  world.clock.elapsed += 40_000;
  world.clock.advance(0);
  await world.say("m1", "healthy");
  world.engine.heartbeat("m1" as MachineId, 0 as Generation);
  await world.say("m2", "healthy");
  world.pass(10_000, "m2");
  expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", expect.stringContaining("(1 of 2 so far)")]);
  world.pass(10_000, "m2");
  expect([world.state(id, "m1"), world.state(id, "m2")]).toEqual(["unreachable", "healthy"]);
});

test("what came while the controller was held up is read before anything follows from a part of it", async () => {
  const world = new World();
  await world.join("m1", "m2");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  // No timer fires in that time.
  world.clock.elapsed += 40_000;
  world.clock.advance(0);
  await world.say("m1", "healthy");
  for (const machine of ["m1", "m2"]) world.engine.heartbeat(machine as MachineId, 0 as Generation);
  expect(world.state(id, "m2")).toBe("pending");
  await world.say("m1", "failed");
  world.pass(2000, "m1", "m2");
  expect([world.state(id, "m2"), world.phase(id)]).toEqual(["pending", "rolling_back"]);
});

test("the audit finds a machine that is silent and not lost", async () => {
  const world = new World();
  await world.join("m1", "m2");
  expect(world.engine.audit()).toBeUndefined();
  world.fleet.markSilent("m1" as MachineId, world.clock.now());
  expect(world.engine.audit()).toMatch(/^m1: memory .*"isSilent":true,"isLost":false/);
});
