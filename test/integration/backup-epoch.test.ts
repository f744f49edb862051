/**
 * A controller comes back from a backup that is older than what its agents know: they follow it all the same, from where they are to what it says.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DevFleet, isAlive } from "../e2e/fleet.ts";
import { type Answer, TestApp } from "../e2e/test-app.ts";
import { loseAndRestore, until } from "./backup-fleet.ts";

const MACHINES = ["dev-0", "dev-1", "dev-2", "dev-3"];

let fleet: DevFleet;
let shop: TestApp;
let bystander: TestApp;
let bystanders: Readonly<Record<string, Answer>>;
let backup: string;

beforeEach(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  bystander = new TestApp(fleet, "bystander");
  backup = join(fleet.root, "controller.tar");
  for (const file of [shop.release("1"), bystander.release("1")]) await succeeds(file);
  bystanders = await bystander.answers(MACHINES);
});

afterEach(() => fleet.stop());

describe("a controller restored from a backup that was made while a rollout was under way", () => {
  it("brings that rollout to its end when it had ended meanwhile, and restarts nobody", async () => {
    const id = await fleet.deploy(shop.release("2", { rollout: { waves: "[100%]", max_unavailable: `${MACHINES.length}`, min_healthy_time: "15s" } }));
    await until("every machine has started it", () => shop.starts().filter(({ version }) => version === "2").length === MACHINES.length);
    await backUp();
    expect(await fleet.status(id)).toMatchObject({ phase: "rolling" });
    expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded" });
    const running = await shop.answers(MACHINES);

    await loseAndRestore(fleet, backup);

    expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded", counts: { healthy: MACHINES.length } });
    expect(await shop.answers(MACHINES)).toEqual(running);
    await expectBystandersUntouched();
  });

  it("takes machines to what it says when they had gone on to other releases, and then its rollout ends", async () => {
    const id = await fleet.deploy(shop.release("2", { rollout: { waves: "[{ size: 1, approve: true }, 100%]" } }));
    const [first] = await waitsForApproval(id);
    await backUp();
    expect((await fleet.muster(["approve", id])).code).toBe(0);
    expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded" });
    await succeeds(shop.release("3"));
    await succeeds(new TestApp(fleet, "unheard-of").release("1"));

    await loseAndRestore(fleet, backup);

    await waitsForApproval(id);
    await run((machine) => (machine === first ? "2" : "1"));
    expect((await fleet.muster(["approve", id])).code).toBe(0);
    expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded", counts: { healthy: MACHINES.length } });
    await run(() => "2");
    await expectBystandersUntouched();
    // And it is in charge: what it decides from now on is carried out, though its journal is shorter than the lost one.
    await succeeds(shop.release("4"));
    await run(() => "4");
  });
});

it("agents lose nothing when the files of releases are not in the backup, and get them once they are pushed again", async () => {
  await backUp("--without-artifacts");
  await succeeds(shop.release("2"));
  // What an agent has kept it needs not fetch.
  for (const { dir } of fleet.file().agents) {
    const shopDir = join(dir, "apps/shop");
    const kept = readdirSync(join(shopDir, "releases")).filter((name) => !name.startsWith(basename(readlinkSync(join(shopDir, "current")))));
    expect(kept).not.toEqual([]);
    for (const name of kept) rmSync(join(shopDir, "releases", name), { recursive: true });
  }

  await loseAndRestore(fleet, backup);

  await expectBystandersUntouched();
  const log = readFileSync(join(fleet.dir, "logs/controller.log"), "utf8");
  expect(log).toContain("artifacts are missing: push them again with muster artifact push");
  for (const { version } of Object.values(await shop.answers(MACHINES))) expect(version).toBe("2");
  expect((await fleet.muster(["artifact", "push", join(fleet.root, "shop-1/files")])).code).toBe(0);
  await run(() => "1");
});

async function succeeds(file: string): Promise<void> {
  expect(await fleet.ended(await fleet.deploy(file))).toMatchObject({ phase: "succeeded" });
}

async function backUp(...options: readonly string[]): Promise<void> {
  const { code, stderr } = await fleet.muster(["backup", backup, ...options]);
  expect([code, stderr]).toEqual([0, expect.stringContaining("is not encrypted")]);
}

/** Returns those that had their turn. */
async function waitsForApproval(id: string): Promise<readonly string[]> {
  await until("the rollout waits for approval", async () => (await fleet.status(id)).waiting_on?.includes("approv") === true);
  return (await fleet.status(id)).targets!.filter(({ state }) => state === "healthy").map(({ machine }) => machine);
}

async function run(version: (machine: string) => string): Promise<void> {
  await until("each machine runs what it should", async () => {
    const answers = await shop.answers(MACHINES).catch(() => ({}));
    return MACHINES.every((machine) => (answers as Readonly<Record<string, Answer>>)[machine]?.version === version(machine));
  });
}

async function expectBystandersUntouched(): Promise<void> {
  expect(await bystander.answers(MACHINES)).toEqual(bystanders);
  expect(bystander.starts()).toHaveLength(MACHINES.length);
  for (const { pid } of Object.values(bystanders)) expect(isAlive(pid)).toBe(true);
}
