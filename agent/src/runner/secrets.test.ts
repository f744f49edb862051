/** Secrets on their way through an agent: from what came sealed to the workload, and nowhere else. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { afterEach, beforeEach, expect, it } from "vitest";
import { processRelease, remove, run } from "../machine/hand-driven.fixture.ts";
import { makeKey, sealed, type TestKey } from "../secrets/sealing.fixture.ts";
import { createSecretStore } from "../secrets/secret-store.ts";
import type { SealingKeyPair } from "../secrets/open.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

let world: FakeWorld;
let key: TestKey;
let keys: SealingKeyPair[];
let asked: number;

beforeEach(async () => {
  world = new FakeWorld();
  key = await makeKey("k1");
  keys = [key];
  asked = 0;
  world.secrets = createSecretStore({ dir: world.dir, machineId: "m-1", sealingKeys: () => keys, onUnopened: () => (asked += 1) });
});
afterEach(() => world.remove());

const release = (version: string): Release => processRelease(version, { secrets: { env: { DB_PASSWORD: "db" }, files: [] } });
const until = (generation: number, phase: string): Promise<void> => world.clock.until(() => world.saw("web", generation, phase));
const passwords = (): readonly (string | undefined)[] => [...world.living.values()].map(({ spec }) => spec.env["DB_PASSWORD"]);

async function running(version: string, password: string, generation: number) {
  const agent = world.agent();
  await agent.start();
  agent.offer(assignment(generation, await sealed(run(generation, release(version)), { db: password }, key)));
  await until(generation, "HEALTHY");
  return agent;
}

it("a workload is started with the secrets of its release, also after a reboot without a network", async () => {
  await running("1", "first-password", 1);
  expect(passwords()).toEqual(["first-password"]);
  world.reboot();
  keys = [];
  const again = world.agent();
  await again.start();
  await world.clock.until(() => world.running.length === 1);
  expect(passwords()).toEqual(["first-password"]);
});

it("a release whose secrets don't open touches nothing that runs, asks again, and goes on when they come sealed to a key that this machine has", async () => {
  const agent = await running("1", "first-password", 1);
  const renewed = await makeKey("k2");
  const goal = run(2, release("2"));
  agent.offer(assignment(2, await sealed(goal, { db: "second-password" }, await makeKey("k0"))));
  await world.clock.until(() => asked > 1);
  expect(world.running).toEqual(["web@1"]);
  expect(world.saw("web", 2, "ACTIVATING")).toBe(false);
  keys = [renewed, key];
  agent.offer(assignment(2, await sealed(goal, { db: "second-password" }, renewed)));
  await until(2, "HEALTHY");
  expect(passwords()).toEqual(["second-password"]);
});

it("a release whose secrets never come fails at its deadline, and says so", async () => {
  const agent = await running("1", "first-password", 1);
  agent.offer(assignment(2, await sealed(run(2, release("2")), { db: "x" }, await makeKey("k9"))));
  await until(2, "REVERTED");
  expect(world.last?.reason).toMatchObject({ code: "secret_unavailable", message: expect.stringContaining("db") as string });
  expect(world.deeds).toEqual(["start web@1"]);
});

it("a release that is taken back runs with the secrets that it had", async () => {
  const agent = await running("1", "first-password", 1);
  world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "down" }] });
  agent.offer(assignment(2, await sealed(run(2, release("2"), { confirmed: false }), { db: "second-password" }, key)));
  await until(2, "REVERTED");
  expect(passwords()).toEqual(["first-password"]);
});

it("nothing but the store of secrets holds a value, and all of it goes with the app", async () => {
  const agent = await running("1", "first-password", 1);
  agent.offer(assignment(2, await sealed(run(2, release("2")), { db: "second-password" }, key)));
  await until(2, "HEALTHY");
  await world.clock.until(() => !existsSync(join(world.dir, "apps/web/secrets/releases/1")));
  const holding = readdirSync(world.dir, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(world.dir, name)).isFile())
    .filter((name) => holds(readFileSync(join(world.dir, name), "utf8")));
  expect(holding).toEqual(["apps/web/secrets/releases/2/values.json"]);
  expect(holds(JSON.stringify(world.reports))).toBe(false);
  expect(readFileSync(join(world.dir, "apps/web/state.json"), "utf8")).not.toContain("ciphertext");
  agent.offer(assignment(3, remove(3)));
  await until(3, "REMOVED");
  expect(existsSync(join(world.dir, "apps/web/secrets"))).toBe(false);
});

function holds(text: string): boolean {
  return ["first-password", "second-password"].some((value) => text.includes(value) || text.includes(Buffer.from(value).toString("base64")));
}
