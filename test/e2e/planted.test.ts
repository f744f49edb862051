/**
 * What a controller does with a bug of its own, and what a kill at the worst moment of archiving leaves: on one fleet whose controller has both planted in it (planted.ts).
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import { comes, DevFleet, type FleetEvent } from "./fleet.ts";
import { ask, TestApp } from "./test-app.ts";

const MACHINES = ["dev-0", "dev-1", "dev-2"];
const CANARY = "dev-0";
const ALL_AT_ONCE = { waves: "[100%]", max_unavailable: "100%" } as const;

let fleet: DevFleet;
let shop: TestApp;
/** The app whose rollouts meet the bug. */
let cursed: TestApp;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length, preload: join(import.meta.dirname, "planted.ts") });
  shop = new TestApp(fleet, "shop");
  cursed = new TestApp(fleet, "cursed");
  await Promise.all([succeeds(shop, "1"), succeeds(cursed, "1")]);
});

afterAll(() => fleet?.stop());

it("a bug in one app's rollout pauses that one, with what can be done; all else goes on, also in a controller that starts with it", async () => {
  const id = await stuckInCanary("2");
  setBug(true);
  cursed.turnHealthy("2", CANARY);
  const paused = await fleet.until(id, ({ phase }) => phase === "paused");
  expect(paused.reason).toMatchObject({ code: "internal", message: expect.stringMatching(/^a fault of the controller itself stopped it \(.*2 and 2 are 5\); every other deployment goes on\. Resume it, roll it back or abort it/) });
  expect(unwrapped((await fleet.muster(["why", id])).stdout)).toContain("a fault of the controller itself stopped it");
  // What the machine said is in, though its rollout could not take it.
  expect(await phaseOn(CANARY)).toBe("healthy");
  await succeeds(shop, "2");
  expect(await fleet.muster(["resume", id])).toMatchObject({ code: 2, stderr: expect.stringMatching(/can't be resumed: a fault of the controller itself stops it/) });

  await fleet.withoutController(async () => {});
  expect(await fleet.status(id)).toMatchObject({ phase: "paused", reason: { code: "internal" } });
  await succeeds(shop, "3");

  setBug(false);
  expect(await fleet.follow("resume", id).end()).toMatchObject({ code: 0, status: { phase: "succeeded", counts: { healthy: 3 } } });
  expect(cursed.starts().filter(({ version }) => version === "2").map(({ machine }) => machine).sort()).toEqual(MACHINES);
});

it("a rollout whose bug is met first by a controller that starts is paused, and can be aborted for as long as the bug is there", async () => {
  const id = await stuckInCanary("3");
  await fleet.withoutController(async () => {
    setBug(true);
    cursed.turnHealthy("3", CANARY);
  });
  expect(await fleet.until(id, ({ phase }) => phase === "paused")).toMatchObject({ reason: { code: "internal" } });
  await succeeds(shop, "4");
  expect(await fleet.muster(["abort", id])).toMatchObject({ code: 0 });
  expect(await fleet.status(id)).toMatchObject({ phase: "aborted", counts: { healthy: 1, pending: 2 } });
  setBug(false);
  await succeeds(cursed, "4");
  expect(await Promise.all(MACHINES.map(async (machine) => (await ask(cursed.port(machine))).version))).toEqual(["4", "4", "4"]);
});

it("a controller that is killed while it archives loses nothing of the past and doubles nothing", async () => {
  const before = await past();
  const upTo = before.events.at(-1)!.seq;
  expect(before.events.map(({ seq }) => seq)).toEqual(before.events.map((_, index) => index + 1));
  expect(await archivedSteps()).toBe(0);

  let rule = 60;
  for (const step of ["appended", "compared", "indexed"]) {
    const diesAfter = join(fleet.root, "dies-after");
    const { pid } = fleet.file().controller;
    writeFileSync(diesAfter, step);
    await fleet.muster(["retention", "set", "--steps", `${(rule += 1)}s`]);
    await comes(() => !existsSync(diesAfter) && fleet.file().controller.pid !== pid);
    await fleet.whole();
    expect((await fleet.events()).slice(0, upTo)).toEqual(before.events);
  }
  const left = await archivedSteps();
  expect(left).toBeGreaterThan(0);

  await fleet.json("retention", "set", "--steps", `${(rule += 1)}s`);
  await comes(async () => (await fleet.events()).filter(({ kind }) => kind === "targets_archived").length > 0);
  expect(await archivedSteps()).toBeGreaterThan(100);
  const after = await past();
  expect({ ...after, events: after.events.slice(0, upTo) }).toEqual(before);
  const seqs = after.events.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  await succeeds(shop, "5");
});

/** Deploys a version of the cursed app whose first machine does not become healthy until it is told to. */
async function stuckInCanary(version: string): Promise<string> {
  cursed.turnUnhealthy(version, CANARY);
  const id = await fleet.deploy(cursed.release(version));
  await comes(() => cursed.starts().some((start) => start.version === version));
  return id;
}

function setBug(isThere: boolean): void {
  if (isThere) writeFileSync(join(fleet.root, "broken"), cursed.name);
  else rmSync(join(fleet.root, "broken"));
}

async function phaseOn(machine: string): Promise<string | null | undefined> {
  return (await fleet.machine(machine)).apps.find(({ app }) => app === cursed.name)?.phase;
}

/** All that is told of the first deployments. */
async function past(): Promise<{ readonly events: readonly FleetEvent[]; readonly told: readonly string[] }> {
  const status = await fleet.status("d-1");
  const middle = new Date((Date.parse(status.started_at!) + Date.parse(status.ended_at!)) / 2).toISOString();
  const questions = [["why", "d-1"], ["why", CANARY, "d-3"], ["replay", "d-3", "--speed", "max"], ["status", "d-1", "--at", middle], ["list"], ["releases"]];
  const told: string[] = [];
  for (const question of questions) {
    const { code, stdout, stderr } = await fleet.muster(question);
    expect(code, stderr).toBe(0);
    // Columns are as wide as the ages in them.
    told.push(unwrapped(stdout).replaceAll(/\d+[smh]+ ago/g, "a while ago"));
  }
  const { phase, outcome, counts } = status;
  return { events: await fleet.events(), told: [...told, JSON.stringify({ phase, outcome, counts })] };
}

async function archivedSteps(): Promise<number> {
  return (await fleet.json<{ archived: { steps: number } }>("retention", "show")).archived.steps;
}

async function succeeds(app: TestApp, version: string): Promise<void> {
  const { code, status } = await fleet.follow("deploy", "-f", app.release(version, { rollout: ALL_AT_ONCE })).end();
  expect([code, status.phase], JSON.stringify(status)).toEqual([0, "succeeded"]);
}

/** Without its line breaks. */
function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
