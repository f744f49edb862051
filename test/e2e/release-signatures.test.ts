/**
 * Signed releases on real agents: publishers' keys, a trust root that is pinned on the machines, and a controller that can't make them run what nobody has signed.
 */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";

import { DevFleet } from "./fleet.ts";
import { TestApp } from "./test-app.ts";

const MUSTER_AGENT = resolve(import.meta.dirname, "../../agent/bin/muster-agent.js");
const MACHINES = ["dev-0", "dev-1"];
const ROLLOUT = { waves: "[100%]", max_unavailable: "100%" } as const;
const TRUST = "trust.json";

let fleet: DevFleet;
let shop: TestApp;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  await succeeds("deploy", "-f", shop.release("1", { rollout: ROLLOUT }));
  for (const name of ["anna", "ben", "ci"]) await runs("key", "create", name);
  await runs("trust", "init", "-f", TRUST, "--key", "anna.pub", "--key", "ben.pub");
  await runs("trust", "app", "shop", "-f", TRUST, "--key", "ci.pub");
  await runs("trust", "sign", "-f", TRUST, "--key", "anna.key");
  await runs("trust", "sign", "-f", TRUST, "--key", "ben.key");
});
afterAll(() => fleet?.stop());

it("machines that have pinned a trust root run nothing unsigned, though their controller asks for no signatures", async () => {
  for (const dir of dirs()) expect(agent("trust", "pin", join(fleet.root, TRUST), "--dir", dir)).toMatchObject({ status: 0 });
  const status = await ends("deploy", "-f", shop.release("2", { rollout: ROLLOUT }));
  expect(status.phase).not.toBe("succeeded");
  const reasons = status.targets?.map(({ reason }) => reason?.code);
  expect(reasons).toContain("unsigned_release");
  expect(await versions()).toEqual(["1", "1"]);
});

it("a signed release runs, and its signature is in what the controller keeps", async () => {
  await succeeds("deploy", "-f", shop.release("3", { rollout: ROLLOUT }), "--sign-key", "ci.key");
  expect(await versions()).toEqual(["3", "3"]);
});

it("a signature by somebody else, or of other files, is refused by the machines", async () => {
  const byAnna = await ends("deploy", "-f", shop.release("4", { rollout: ROLLOUT }), "--sign-key", "anna.key");
  expect(byAnna.targets?.map(({ reason }) => reason?.code)).toContain("unsigned_release");
  await runs("release", "sign", "-f", shop.release("5", { rollout: ROLLOUT }), "--key", "ci.key");
  const other = await fleet.muster(["deploy", "-f", shop.release("5", { rollout: ROLLOUT, files: { "evil.sh": "true" } }), "--signature", "shop-5.sig.json"]);
  expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining("the signature is not of this shop@5") as string });
  expect(await versions()).toEqual(["3", "3"]);
});

it("once it is published, the controller refuses what the machines would, and passes new versions on to them", async () => {
  await runs("trust", "publish", "-f", TRUST);
  const unsigned = await fleet.muster(["deploy", "-f", shop.release("6", { rollout: ROLLOUT })]);
  expect(unsigned).toMatchObject({ code: 2, stderr: expect.stringContaining("is not signed; sign it with: muster release sign") as string });

  await runs("trust", "app", "shop", "-f", TRUST, "--floor", "3");
  await runs("trust", "edit", "-f", TRUST, "--threshold", "1");
  const early = await fleet.muster(["trust", "publish", "-f", TRUST]);
  expect(early).toMatchObject({ code: 2, stderr: expect.stringContaining("needs 2 signatures of anna, ben of version 1") as string });
  for (const owner of ["anna.key", "ben.key"]) await runs("trust", "sign", "-f", TRUST, "--key", owner);
  await runs("trust", "publish", "-f", TRUST);
  for (const dir of dirs()) {
    const shown = (): string => agent("trust", "show", "--dir", dir).stdout;
    const end = Date.now() + 30_000;
    while (!shown().startsWith("trust root 2,") && Date.now() < end) await sleep(200);
    expect(shown()).toContain("shop  1 signature of ci, nothing below 3");
  }
  const back = await fleet.muster(["rollback", (await fleet.json<readonly { readonly id: string }[]>("list", "--app", "shop"))[0]!.id, "--to", "1"]);
  expect(back).toMatchObject({ code: 2, stderr: expect.stringContaining("no shop below 3") as string });
  await succeeds("deploy", "-f", shop.release("6", { rollout: ROLLOUT }), "--sign-key", "ci.key");
  expect(await versions()).toEqual(["6", "6"]);
});

it("a machine that joins pins it before it is a member, and one that comes again keeps what it has pinned", async () => {
  const dir = join(fleet.root, "late");
  const { token, address } = await fleet.json<{ readonly token: string; readonly address: string }>("token", "create", "--uses", "2");
  const joins = (...more: readonly string[]) => spawnSync(process.execPath, [MUSTER_AGENT, "join", "--controller", address, "--dir", dir, ...more], { encoding: "utf8", input: token });
  expect(joins("--id", "late")).toMatchObject({ status: 0, stderr: expect.stringContaining("trust root 2 pinned") as string });
  expect(agent("trust", "show", "--dir", dir).stdout).toContain("shop  1 signature of ci, nothing below 3");
  expect(joins("--id", "later", "--again")).toMatchObject({ status: 0, stderr: expect.stringContaining("was pinned before stays (version 2)") as string });
});

function dirs(): readonly string[] {
  return fleet.file().agents.map(({ dir }) => dir);
}

function agent(...args: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(process.execPath, [MUSTER_AGENT, ...args], { encoding: "utf8" });
}

async function runs(...args: readonly string[]): Promise<void> {
  const ran = await fleet.muster(args);
  if (ran.code !== 0) throw new Error(`muster ${args.join(" ")} exited with ${ran.code}: ${ran.stderr}`);
}

async function ends(...deploy: readonly string[]) {
  const { id } = await fleet.json<{ readonly id: string }>(...deploy);
  return fleet.ended(id);
}

async function succeeds(...deploy: readonly string[]): Promise<void> {
  expect(await ends(...deploy)).toMatchObject({ phase: "succeeded" });
}

async function versions(): Promise<readonly string[]> {
  return Object.values(await shop.answers(MACHINES)).map(({ version }) => version);
}
