/**
 * A controller whose journal went back: agents believe nothing that is older than what they have, and say so; with its epoch raised they follow it, without
 * touching what runs as it should.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DevFleet, type Machine } from "./fleet.ts";
import { TestApp } from "./test-app.ts";

const MACHINES = ["dev-0", "dev-1"];

let fleet: DevFleet;
let shop: TestApp;

beforeEach(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  expect(await fleet.ended(await fleet.deploy(shop.release("1")))).toMatchObject({ phase: "succeeded" });
});
afterEach(() => fleet.stop());

it("after a restore with its epoch raised, agents take what it says anew, and no workload is started again", async () => {
  const before = await shop.answers(MACHINES);
  await fleet.killAll();
  raiseEpoch();
  await fleet.up();
  await until(async () => (await machines()).every(isUpToDate));
  expect(epochsOnDisk()).toEqual([1, 1]);
  expect(await shop.answers(MACHINES)).toEqual(before);
  expect(shop.starts()).toHaveLength(MACHINES.length);
  expect(await fleet.ended(await fleet.deploy(shop.release("2")))).toMatchObject({ phase: "succeeded", counts: { healthy: 2 } });
});

it("whose journal is older than what agents have is not followed and told why, until its epoch is raised", async () => {
  await fleet.killAll();
  const copy = join(fleet.root, "copy");
  copyJournal(controllerDir(), copy);
  await fleet.up();
  expect(await fleet.ended(await fleet.deploy(shop.release("2")))).toMatchObject({ phase: "succeeded" });
  const running = await shop.answers(MACHINES);

  await fleet.killAll();
  copyJournal(copy, controllerDir());
  await fleet.up();
  await until(async () => (await machines()).every(({ refusal }) => refusal?.code === "older_generation"));
  expect(await said("machine", "dev-0")).toMatch(/the agent has a newer one.* refuses the assignment that came from the controller is of generation \d+, and \d+ was taken before/);
  expect(await said("why", "dev-0")).toContain("dev-0 does not believe what it is sent");
  expect(await shop.answers(MACHINES)).toEqual(running);

  await fleet.killAll();
  raiseEpoch();
  await fleet.up();
  await until(async () => Object.values(await shop.answers(MACHINES)).every(({ version }) => version === "1"));
  await until(async () => (await machines()).every((machine) => isUpToDate(machine) && machine.refusal === null));
});

/** Without its line breaks. */
async function said(...args: readonly string[]): Promise<string> {
  return (await fleet.muster(args)).stdout.replaceAll(/\s+/g, " ");
}

function machines(): Promise<readonly (Machine & { readonly refusal: { readonly code: string } | null })[]> {
  return fleet.json("machines");
}

function isUpToDate({ state, assigned_generation: assigned, acknowledged_generation: acknowledged, apps }: Machine): boolean {
  return state === "connected" && acknowledged === assigned && apps.every(({ phase }) => phase === "healthy");
}

/** As restoring does. */
function raiseEpoch(): void {
  writeFileSync(join(controllerDir(), "identity", "epoch"), "1\n", { mode: 0o600 });
}

function copyJournal(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).filter((each) => each.startsWith("muster.db"))) cpSync(join(from, name), join(to, name));
}

function controllerDir(): string {
  return join(fleet.dir, "controller");
}

function epochsOnDisk(): readonly number[] {
  return fleet.file().agents.map(({ dir }) => {
    const { value } = JSON.parse(readFileSync(join(dir, "trust", "highest.json"), "utf8")) as { readonly value: { readonly generation: number } };
    return Math.floor(value.generation / 2 ** 40);
  });
}

async function until(isMet: () => Promise<boolean>): Promise<void> {
  while (!(await isMet().catch(() => false))) await sleep(100);
}
