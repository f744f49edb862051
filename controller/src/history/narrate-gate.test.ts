/** What is told of a gate for which nothing had come true, and of a time in which nobody looked. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { ALL, count, soak, wave } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

let scene: Scene;
beforeEach(async () => {
  scene = new Scene();
  await scene.join("m-1", "m-2", "m-3");
  scene.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
});
afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

/** m-1 is healthy, and is to be watched for 20 s. */
async function soaking(): Promise<DeploymentId> {
  const id = scene.deploy("2", { waves: [wave(count(1), { gates: [soak(20_000)] }), ALL], maxUnavailable: count(3) });
  await scene.tell("m-1", "healthy", "2");
  return id;
}

async function told(id: DeploymentId): Promise<string> {
  return (await scene.whyDeployment(id)).split("\n").filter((line) => / (gate_opened|held): /.test(line)).map((line) => line.trim()).join("\n");
}

test("a soak that somebody cut short is told with who did so", async () => {
  const id = await soaking();
  scene.elapse(5000, "m-1", "m-2", "m-3");
  scene.steer(id, { kind: "promote", all: false }, { reason: "urgent" });
  expect(await told(id)).toBe("5s gate_opened: went on without the soak of wave 1 after 5s: anna promoted it: urgent");
});

test("a soak in which nobody was watched, since its machine was lost and somebody went on without it, is not over but left out", async () => {
  const id = await soaking();
  scene.elapse(30_000, "m-2", "m-3");
  scene.steer(id, { kind: "promote", all: false }, { reason: "m-1 is in repair" });
  scene.elapse(40_000, "m-2", "m-3");
  expect(await told(id)).toMatch(/gate_opened: went on without the soak of wave 1: anna promoted it: m-1 is in repair$/);
});

test("a soak through which a machine ran is over", async () => {
  const id = await soaking();
  scene.elapse(25_000, "m-1", "m-2", "m-3");
  expect(await told(id)).toMatch(/gate_opened: waited 2\ds for the soak of wave 1 to be over$/);
});

test("a soak is told as long as it was watched: the time in which the controller was away is none of it", async () => {
  const id = await soaking();
  scene.elapse(5000, "m-1", "m-2", "m-3");
  scene.engine.stop();
  scene.clock.advance(23_000);
  scene.startEngine();
  scene.elapse(18_000, "m-1", "m-2", "m-3");
  expect(await told(id)).toMatch(/gate_opened: waited 2[01]s for the soak of wave 1 to be over$/);
});

const ended = async (id: DeploymentId): Promise<readonly string[]> => (await scene.whyDeployment(id)).split("\n").filter((line) => line.includes(" hold_ended: ")).map((line) => line.replace(/^.* hold_ended: /, ""));

test("a soak that ends with the loss of its machine was not over", async () => {
  const lost = await soaking();
  scene.elapse(30_000, "m-2", "m-3");
  expect(await ended(lost)).toEqual([expect.stringMatching(/^stopped waiting for the soak of wave 1 to be over after 1?\ds$/)]);
});

test("nor was one in which somebody paused the rollout", async () => {
  const id = await soaking();
  scene.elapse(5000, "m-1", "m-2", "m-3");
  scene.steer(id, { kind: "pause" });
  expect(await ended(id)).toEqual(["stopped waiting for the soak of wave 1 to be over after 5s"]);
});

test("that the controller was away is told, to whoever asks about a machine, too; and nothing of it where it looked on", async () => {
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(3), healthyDeadlineMs: 60_000 });
  scene.elapse(3000, "m-1", "m-2", "m-3");
  scene.engine.stop();
  scene.clock.advance(23_000);
  scene.startEngine();
  scene.elapse(1000, "m-1", "m-2", "m-3");
  await scene.tell("m-1", "healthy", "2");
  const absences = (text: string): readonly string[] => text.split("\n").filter((line) => line.includes(" absence: ")).map((line) => line.trim());
  expect(absences(await scene.whyDeployment(id))).toEqual([expect.stringMatching(/^27s absence: the controller was away or held up for 2[34]s since the step before: no deadline and no soak ran$/)]);
  expect(absences(await scene.whyMachine("m-1", id))).toEqual([expect.stringContaining("absence: the controller was away or held up for 2")]);
  expect(absences(await scene.whyDeployment("d-1" as DeploymentId))).toEqual([]);
});

test("a wait for a machine that came back is told without until when it would have been waited for, and what would have followed", async () => {
  const id = scene.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(3), offline: { kind: "wait", forMs: 600_000 }, maxUnreachable: count(0), maxFailures: count(3) });
  await scene.tell("m-1", "pulling", "1");
  await scene.tell("m-2", "healthy", "2");
  scene.elapse(60_000, "m-2", "m-3");
  expect(scene.waitingOn(id)).toContain(", until ");
  await scene.join("m-1");
  await scene.tell("m-1", "healthy", "2");
  expect((await scene.whyDeployment(id)).split("\n").filter((line) => line.includes("hold_ended")).map((line) => line.trim().replace(/^\S+ /, ""))).toEqual(["hold_ended: waited 45s for m-1 to be heard from (offline: wait:10m)"]);
});
