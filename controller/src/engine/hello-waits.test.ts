/** A hello waits for its transaction, and reports and heartbeats of the machine come before it: what it owes afterwards is what it has still to say, and nothing that is stored. */
import { expect, test } from "vitest";
import type { AppName, Generation, MachineId } from "@muster/proto/ids.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const A = "a" as MachineId;
const SOAKED = { waves: [soak(10_000), ALL], maxUnavailable: count(9), offline: { kind: "wait", forMs: null } } as const;

const report = (world: World, reportSeq: number): Promise<void> =>
  world.engine.report([{ kind: "report_accepted", machine: A, app: "app" as AppName, instance: "i-a", reportSeq, observedAt: world.clock.now(), generation: world.generation("a"), phase: "healthy", reason: null, runningVersion: "2", runningArtifact: "a".repeat(64), starts: 1, pid: 1, ports: {} }]);

const hello = (world: World, newestPending: number, agentVersion: string): Promise<number> =>
  world.engine.hello({ kind: "machine_joined", labels: { role: "web" }, agentVersion, hostname: "h", os: "linux", arch: "x64", machine: A, instance: "i-a" }, world.generation("a"), newestPending);

test.each([
  ["is another version", "1", false],
  ["was silent", "0", true],
  ["is as before", "0", false],
])("its report waits to be written, and then its hello, which names that report (the agent %s)", async (_, agentVersion, wasSilent) => {
  const world = await onOne();
  const id = world.deploy("2", SOAKED);
  if (wasSilent) world.pass(20_000, ...NAMES.filter((name) => name !== "a"));
  const reported = report(world, 50);
  const stored = hello(world, 50, agentVersion);
  await reported;
  // The agent is told what is stored, and sends the rest.
  if ((await stored) < 50) await report(world, 50);
  for (let round = 0; round < 20; round += 1) {
    world.pass(2000, ...NAMES);
    await work(world, NAMES.filter((name) => name !== "a"), 1);
  }
  expect([world.phase(id), world.waitingOn(id)]).toEqual(["succeeded", undefined]);
});

test("a heartbeat names a newer report meanwhile: it is waited for", async () => {
  const world = await onOne();
  const id = world.deploy("2", SOAKED);
  await report(world, 50);
  const said = hello(world, 0, "1");
  // It has failed since, and keeps that report.
  world.engine.heartbeat(A, world.generation("a") as Generation, { owed: 51 });
  await said;
  world.pass(30_000, ...NAMES);
  expect([world.phase(id), world.state(id, "b"), world.waitingOn(id)]).toEqual(["rolling", "pending", "reports of a to come in"]);
});

test("it is removed meanwhile: nobody waits for it", async () => {
  const world = await onOne();
  const id = world.deploy("2", SOAKED);
  await report(world, 50);
  const said = hello(world, 51, "1");
  world.remove("a");
  await expect(said).rejects.toThrow("there is no machine a any more");
  await world.join("a");
  await work(world, NAMES, 20);
  world.pass(30_000, ...NAMES);
  await work(world, NAMES, 4);
  expect([world.phase(id), world.waitingOn(id), world.bugs]).toEqual([expect.stringMatching(/^(succeeded|rolling)$/), expect.not.stringContaining("reports of"), []]);
});
