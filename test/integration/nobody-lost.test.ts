/**
 * Twenty connected agents, under a controller that is killed and starts again, and under a rotation of its certificate authority, with a rollout under way each time: none of them is lost.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DevFleet } from "../e2e/fleet.ts";
import { TestApp } from "../e2e/test-app.ts";
import { connected, until } from "./backup-fleet.ts";

const MACHINES = Array.from({ length: 20 }, (_, index) => `dev-${index}`);
const STEADY = { interval: "1s", rollout: { max_unavailable: "10" } } as const;
const HELD = { waves: "[{ size: 1, approve: true }, 100%]", max_unavailable: "5" } as const;

interface Authority {
  readonly pin: string;
  readonly dependants: readonly string[];
}

let fleet: DevFleet;
let shop: TestApp;
let bystander: TestApp;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  bystander = new TestApp(fleet, "bystander");
  for (const file of [shop.release("1", STEADY), bystander.release("1", STEADY)]) expect(await fleet.ended(await fleet.deploy(file))).toMatchObject({ phase: "succeeded" });
});
afterAll(() => fleet?.stop());

async function held(version: string): Promise<string> {
  const id = await fleet.deploy(shop.release(version, { rollout: HELD }));
  await until("the rollout waits for approval", async () => (await fleet.status(id)).waiting_on?.includes("approv") === true);
  return id;
}

async function goesOn(id: string): Promise<void> {
  expect((await fleet.muster(["approve", id])).code).toBe(0);
  expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded", counts: { healthy: MACHINES.length } });
}

it("a controller that is killed finds all of them again, and goes on with its rollout", async () => {
  const bystanders = await bystander.answers(MACHINES);
  const id = await held("2");
  const { controller } = fleet.file();
  fleet.kill(controller.pid);
  await until("another controller", () => fleet.file().controller.pid !== controller.pid);
  await connected(fleet);
  await goesOn(id);
  expect(await bystander.answers(MACHINES)).toEqual(bystanders);
});

it("a rotation of the authority renews all of them, and the old authority can be retired", async () => {
  const bystanders = await bystander.answers(MACHINES);
  const [before] = await fleet.json<readonly Authority[]>("ca", "show");
  const id = await held("3");
  expect(await fleet.json<readonly Authority[]>("ca", "rotate")).toHaveLength(2);
  await until("nobody depends on the old authority", async () => (await fleet.json<readonly Authority[]>("ca", "show"))[0]!.dependants.length === 0);
  const [only, ...others] = await fleet.json<readonly Authority[]>("ca", "retire");
  expect(others).toEqual([]);
  expect(only!.pin).not.toBe(before!.pin);
  await connected(fleet);
  await goesOn(id);
  expect(await bystander.answers(MACHINES)).toEqual(bystanders);

  // What was held only in memory until now has to hold over a restart of everybody.
  const { controller } = fleet.file();
  fleet.kill(controller.pid);
  await until("another controller", () => fleet.file().controller.pid !== controller.pid);
  await connected(fleet);
  // One that had asked in the moment of the kill asks again.
  await until("nobody is renewing any more", () => fleet.file().agents.every(({ dir }) => !readFileSync(join(dir, "identity/identity.json"), "utf8").includes('"next"')));
});
