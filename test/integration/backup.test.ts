/**
 * A controller is backed up while a rollout is under way, is lost, and comes back: what it knew then goes on, its agents come back, and nobody restarts what may run on.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DevFleet, isAlive } from "../e2e/fleet.ts";
import { TestApp } from "../e2e/test-app.ts";
import { loseAndRestore, until } from "./backup-fleet.ts";

const MACHINES = Array.from({ length: 20 }, (_, index) => `dev-${index}`);

let fleet: DevFleet;
let shop: TestApp;
let bystander: TestApp;

beforeEach(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  bystander = new TestApp(fleet, "bystander");
  for (const file of [shop.release("1", { interval: "1s", rollout: { max_unavailable: "10" } }), bystander.release("1", { interval: "1s", rollout: { max_unavailable: "10" } })]) expect(await fleet.ended(await fleet.deploy(file))).toMatchObject({ phase: "succeeded" });
});

afterEach(() => fleet.stop());

it("a controller restored from a backup of a moment ago has its agents back, its rollout goes on, and no workload was touched", async () => {
  const bystanders = await bystander.answers(MACHINES);
  const id = await fleet.deploy(shop.release("2", { rollout: { waves: "[{ size: 1, approve: true }, 100%]", max_unavailable: "5" } }));
  await waitsForApproval(id);
  const passphraseFile = join(fleet.root, "passphrase");
  const backup = join(fleet.root, "controller.age");
  writeFileSync(passphraseFile, "open sesame\n");
  expect(await fleet.json("backup", backup, "--passphrase-file", passphraseFile)).toMatchObject({ encrypted: true, machines: MACHINES.length, deployments: 3, artifacts: 2, missing_artifacts: [] });
  expect(readFileSync(backup, "latin1")).toMatch(/^age-encryption\.org\/v1\n/);
  const before = shop.starts().length;

  await loseAndRestore(fleet, backup, ["--passphrase-file", passphraseFile]);

  await waitsForApproval(id);
  expect(shop.starts()).toHaveLength(before);
  expect((await fleet.muster(["approve", id])).code).toBe(0);
  const status = await fleet.ended(id);
  expect(status).toMatchObject({ phase: "succeeded", counts: { healthy: MACHINES.length } });
  expect(shop.starts().filter(({ version }) => version === "2").map(({ machine }) => machine).sort()).toEqual(MACHINES.toSorted());
  expect(await bystander.answers(MACHINES)).toEqual(bystanders);
  for (const { pid } of Object.values(bystanders)) expect(isAlive(pid)).toBe(true);
});

async function waitsForApproval(id: string): Promise<void> {
  await until("the rollout waits for approval", async () => (await fleet.status(id)).waiting_on?.includes("approv") === true);
}
