/** Who has the release of a deployment that has ended, though nothing more is to come there by it, is named by the outcome, and by why. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const soak = (size: number) => ({ ...wave(count(size)), gates: [{ kind: "soak" as const, forMs: 600_000 }] });
const NAMES = ["a", "b", "c", "d"];

async function sceneOf(...names: readonly string[]): Promise<Scene> {
  const scene = new Scene();
  for (const name of names) await scene.joinAs({ role: "web", zone: name }, name);
  return scene;
}

/** Each does what it was told. */
async function obey(scene: Scene, ...names: readonly string[]): Promise<void> {
  for (const name of names) await scene.tell(name, scene.wanted(name) === "remove" ? "removed" : "healthy", scene.wanted(name) === "remove" ? "" : scene.wanted(name));
  scene.pass(2000, ...names);
}

const outcome = async (scene: Scene, id: DeploymentId): Promise<string> => (await viewsOf(scene).one(id))!.outcome;
const why = async (scene: Scene, id: DeploymentId): Promise<string> => (await scene.whyDeployment(id)).split("\n")[0]!;

/** 2 is confirmed on a alone; 1, which is what the others go back to, is deployed to all once more. */
async function oneOnceMore(): Promise<{ readonly scene: Scene; readonly id: DeploymentId }> {
  const scene = await sceneOf(...NAMES);
  scene.deploy("1", WIDE);
  await obey(scene, ...NAMES);
  const second = scene.deploy("2", { ...WIDE, waves: [wave(count(1)), { ...ALL, gates: [{ kind: "soak" as const, forMs: 600_000 }] }] });
  await obey(scene, "a");
  await obey(scene, ...NAMES);
  scene.command(second, "abort");
  const id = scene.deploy("1", WIDE);
  await obey(scene, ...NAMES);
  expect(scene.phase(id)).toBe("succeeded");
  return { scene, id };
}

test("a rollback names the machines that went back to the very release that it took back", async () => {
  const { scene, id } = await oneOnceMore();
  expect(scene.command(id, "rollback").ok).toBe(true);
  await obey(scene, ...NAMES);
  expect([scene.phase(id), NAMES.map((name) => scene.wanted(name))]).toEqual(["rolled_back", ["2", "1", "1", "1"]]);
  const said = "b, c and d still run 1, which is also what they go back to";
  expect(await outcome(scene, id)).toBe(`rolled back; ${said}`);
  expect(await why(scene, id)).toBe(`${id} (app@1) was rolled back: anna rolled it back; ${said}.`);
  const next = scene.deploy("3", { ...WIDE, targets: "role=web,zone!=d" });
  await obey(scene, ...NAMES);
  expect(scene.phase(next)).toBe("succeeded");
  expect(await outcome(scene, id)).toBe("rolled back; d still runs 1, which is also what it goes back to");
});

test.each([false, true])("a rollback names the machines that it had never come to, and that have the release from before it, unless they say that they went back (%s)", async (isBack) => {
  const scene = await sceneOf(...NAMES);
  scene.deploy("1", WIDE);
  await obey(scene, ...NAMES);
  const heard = NAMES.slice(0, 3);
  const second = scene.deploy("2", { ...WIDE, maxFailures: count(1) });
  await obey(scene, ...heard);
  if (isBack) await scene.tell("d", "reverted", "1");
  else await obey(scene, "d");
  scene.pass(30_000, ...heard);
  scene.command(second, "rollback");
  await obey(scene, ...heard);
  const again = scene.deploy("2", WIDE);
  await obey(scene, ...heard);
  scene.pass(30_000, ...heard);
  await obey(scene, ...heard);
  scene.command(again, "rollback");
  await obey(scene, ...heard);
  expect([scene.phase(again), ...NAMES.map((name) => scene.wanted(name))]).toEqual(["rolled_back", "1", "1", "1", "2"]);
  expect(await outcome(scene, again)).toBe(isBack ? "rolled back" : "rolled back; d had 2 before it, and was told nothing by it");
  expect((await why(scene, again)).includes("d had 2 before it")).toBe(!isBack);
  // The older rollback is still to come to it.
  scene.pass(2000, ...NAMES);
  await obey(scene, ...NAMES);
  expect([scene.wanted("d"), await outcome(scene, again)]).toEqual(["1", "rolled back"]);
});

test("nor does it say that one which is lost will stop running that", async () => {
  const { scene, id } = await oneOnceMore();
  scene.pass(30_000, "a", "b", "c");
  scene.command(id, "rollback");
  await obey(scene, "a", "b", "c");
  expect(await outcome(scene, id)).toBe("rolled back, except 1 unreachable: d may still run 1, which is also what it goes back to; b and c still run 1, which is also what they go back to");
  expect(await why(scene, id)).toMatch(/was rolled back, except 1 unreachable: d may still run 1, which is also what it goes back to; b and c still run 1, which is also what they go back to\. The reason: /);
  await scene.join("d");
  scene.pass(2000, ...NAMES);
  await obey(scene, "d", "a", "b", "c");
  expect(await outcome(scene, id)).toBe("rolled back; b, c and d still run 1, which is also what they go back to");
});

test("a rollback names the machines that had the release before it, and keep it", async () => {
  const scene = await sceneOf("a", "b");
  scene.deploy("1", { ...WIDE, targets: "zone=a" });
  await obey(scene, "a");
  scene.pass(2000, "a", "b");
  const id = scene.deploy("1", WIDE);
  await obey(scene, "b");
  scene.pass(2000, "a", "b");
  scene.command(id, "rollback");
  await obey(scene, "b");
  scene.pass(2000, "a", "b");
  expect(await outcome(scene, id)).toBe("rolled back; a had 1 before it, and keeps that");
  expect(await why(scene, id)).toBe(`${id} (app@1) was rolled back: anna rolled it back; a had 1 before it, and keeps that.`);
});

test("one that something took the place of names the machines that run its release still, unconfirmed", async () => {
  const scene = await sceneOf("a", "b");
  scene.deploy("1", WIDE);
  await obey(scene, "a", "b");
  const id = scene.deploy("2", { ...WIDE, waves: [soak(1), ALL] });
  await obey(scene, "a");
  scene.deploy("3", { ...WIDE, targets: "zone=b", onConflict: "supersede" });
  await obey(scene, "b");
  scene.pass(2000, "a", "b");
  expect(await outcome(scene, id)).toBe("superseded; a still runs 2, which was never confirmed there");
  expect(await why(scene, id)).toBe(`${id} (app@2) gave way to a newer deployment: d-3 (app@3) took its place; a still runs 2, which was never confirmed there.`);
});

/** The first release that there is has failed on its canary, and is paused. */
async function canaryFailed(): Promise<{ readonly scene: Scene; readonly id: DeploymentId }> {
  const scene = await sceneOf("a", "b");
  const id = scene.deploy("1", { ...WIDE, waves: [soak(1), ALL], onFailure: "pause" });
  await scene.tell("a", "failed", "1");
  scene.pass(2000, "a", "b");
  expect(scene.phase(id)).toBe("paused");
  return { scene, id };
}

test("one that something took the place of names the machines that failed with its release, and have nothing else", async () => {
  const { scene, id } = await canaryFailed();
  const second = scene.deploy("2", { ...WIDE, targets: "zone=b", onConflict: "supersede" });
  await obey(scene, "b");
  scene.pass(2000, "a", "b");
  expect([scene.phase(id), scene.phase(second), scene.wanted("a")]).toEqual(["superseded", "succeeded", "1"]);
  expect(await outcome(scene, id)).toBe("superseded; a failed with 1, and did not go back");
  expect(await why(scene, id)).toBe(`${id} (app@1) gave way to a newer deployment: ${second} (app@2) took its place; a failed with 1, and did not go back.`);
  await scene.tell("a", "healthy", "1");
  expect(await outcome(scene, id)).toBe("superseded; a still runs 1, which was never confirmed there");
  scene.deploy("2", WIDE);
  await obey(scene, "a", "b");
  expect(await outcome(scene, id)).toBe("superseded");
});

test("so does one that was aborted", async () => {
  const { scene, id } = await canaryFailed();
  scene.command(id, "abort");
  expect(await outcome(scene, id)).toBe("aborted; a failed with 1, and did not go back");
  expect(await why(scene, id)).toMatch(/ was aborted: .*; a failed with 1, and did not go back\.$/);
});

test("and one that failed, and takes nothing back", async () => {
  const scene = await sceneOf("a", "b", "c");
  const id = scene.deploy("1", { ...WIDE, waves: [{ ...wave(count(2)), maxFailures: count(1) }, ALL], onFailure: "abort" });
  await scene.tell("a", "failed", "");
  await scene.tell("b", "failed", "");
  scene.pass(2000, "a", "b", "c");
  expect(scene.phase(id)).toBe("failed");
  expect(await outcome(scene, id)).toBe("failed; a and b failed with 1, and did not go back");
  expect(await why(scene, id)).toMatch(/ failed: .*; a and b failed with 1, and did not go back\.$/);
});

test("a machine that failed without an answer is not said to have stayed as it is", async () => {
  const scene = await sceneOf("a", "b");
  const id = scene.deploy("1", { ...WIDE, waves: [soak(1), ALL], onFailure: "pause" });
  await scene.tell("a", "probing", "1");
  for (let passed = 0; passed < 600 && scene.state(id, "a") !== "failed"; passed += 1) scene.pass(2000, "a", "b");
  expect(scene.state(id, "a")).toBe("failed");
  scene.command(id, "abort");
  expect(await outcome(scene, id)).toBe("aborted; a failed with 1, and has not said that it went back");
});

test("of a machine that went back by itself nothing is said: it runs what it ran before", async () => {
  const scene = await sceneOf("a", "b");
  scene.deploy("1", WIDE);
  await obey(scene, "a", "b");
  const id = scene.deploy("2", { ...WIDE, waves: [soak(1), ALL], onFailure: "pause" });
  await scene.tell("a", "reverted", "1");
  scene.command(id, "abort");
  expect([scene.state(id, "a"), await outcome(scene, id)]).toEqual(["failed", "aborted"]);
});

test("an aborted rollback names the machines that could not go back", async () => {
  const scene = await sceneOf("a", "b", "c");
  scene.deploy("1", WIDE);
  await obey(scene, "a", "b", "c");
  const id = scene.deploy("2", WIDE);
  await obey(scene, "a", "b", "c");
  scene.steer(id, { kind: "set_max_unavailable", size: count(1) });
  scene.command(id, "rollback");
  const told = (): string => ["a", "b", "c"].find((name) => scene.state(id, name) === "reverting")!;
  await obey(scene, told());
  const stuck = told();
  await scene.tell(stuck, "failed", "");
  scene.command(id, "abort");
  expect(scene.phase(id)).toBe("aborted");
  expect(await outcome(scene, id)).toContain(`; ${stuck} could not go back`);
  expect(await why(scene, id)).toContain(`; ${stuck} could not go back`);
});

test("a rollback that takes nobody else down does not say that the others go back", async () => {
  const scene = await sceneOf(...NAMES);
  scene.deploy("1", WIDE);
  await obey(scene, ...NAMES);
  const id = scene.deploy("2", { ...WIDE, waves: [{ ...ALL, maxFailures: count(1) }] });
  await obey(scene, ...NAMES);
  scene.steer(id, { kind: "set_max_unavailable", size: count(1) });
  scene.command(id, "rollback");
  const told = (): string => NAMES.find((name) => scene.state(id, name) === "reverting")!;
  await obey(scene, told());
  for (let stuck = 0; stuck < 2; stuck += 1) await scene.tell(told(), "failed", "");
  scene.pass(2000, ...NAMES);
  const left = NAMES.filter((name) => scene.state(id, name) === "healthy");
  expect([scene.phase(id), left.length]).toEqual(["aborted", 1]);
  expect(await outcome(scene, id)).toMatch(/^aborted; 1 machine kept 2; [a-d] and [a-d] could not go back$/);
  expect(await why(scene, id)).toContain(`${left[0]} keeps 2, since going back might take it down as well`);
});

test("of many all are counted, and some are named, in the order of the waves", async () => {
  const names = Array.from({ length: 250 }, (_, index) => `m-${100 + index}`);
  const scene = await sceneOf(...names);
  const wide = { waves: [ALL], maxUnavailable: count(999) };
  scene.deploy("1", { ...wide, targets: "role=web,zone!=m-349" });
  await obey(scene, ...names.slice(0, -1));
  scene.pass(2000, ...names);
  const id = scene.deploy("1", wide);
  await obey(scene, names.at(-1)!);
  scene.pass(2000, ...names);
  scene.command(id, "rollback");
  await obey(scene, names.at(-1)!);
  scene.pass(2000, ...names);
  expect(await outcome(scene, id)).toBe("rolled back; m-100, m-101, m-102 and 246 more had 1 before it, and keep that");
});
