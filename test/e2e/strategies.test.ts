/**
 * Strategies on real agents: named waves, gates that people and servers open, budgets over several apps, cordons, machines that join late, and ways back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";

import { DevFleet, isAlive, type Status } from "./fleet.ts";
import { TestApp } from "./test-app.ts";

const MUSTER_AGENT = resolve(import.meta.dirname, "../../agent/bin/muster-agent.js");
const MACHINES = ["dev-0", "dev-1", "dev-2", "dev-3"];
const LATE = "late-1";
const ALL_AT_ONCE = { waves: "[100%]", max_unavailable: "100%" } as const;

let fleet: DevFleet;
let shop: TestApp;
let mail: TestApp;
/** Started by hand; not the fleet's. */
let late: ChildProcess | undefined;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
  mail = new TestApp(fleet, "mail");
  await succeeds(shop.release("1", { rollout: ALL_AT_ONCE }));
});

afterAll(async () => {
  late?.kill("SIGKILL");
  // Its workloads outlive it, and no fleet ends them.
  for (const { machine, pid } of [...(shop?.starts() ?? []), ...(mail?.starts() ?? [])]) if (machine === LATE && isAlive(pid)) process.kill(pid, "SIGKILL");
  await fleet?.stop();
});

it("a wave by name soaks and is approved before the others have their turn", async () => {
  const id = await fleet.deploy(shop.release("2", { rollout: { waves: "[{ targets: index=2, soak: 1s, approve: true }, 100%]" } }));
  const waiting = await until(id, ({ phase }) => phase === "awaiting_approval");
  expect(waiting).toMatchObject({ waiting_on: "somebody to approve wave 1", counts: { healthy: 1, pending: 3 } });
  expect(runs("2")).toEqual(["dev-2"]);

  const early = await fleet.muster(["approve", id, "--wave", "2"]);
  expect(early).toMatchObject({ code: 2, stderr: expect.stringContaining("waits for the approval of wave 1, not of wave 2") });
  await fleet.json("approve", id, "--reason", "prices checked");
  expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded", counts: { healthy: 4 } });
  const opened = (await fleet.events(id)).filter(({ kind }) => kind === "gate_opened").map(({ data }) => data["said"]);
  expect(opened).toEqual(["", expect.stringContaining("prices checked")]);
});

it("a webhook is told how far it has come, and what it stops is taken back", async () => {
  const asked: unknown[] = [];
  const server = await listening(createServer((request, response) => {
    void request.toArray().then((parts) => {
      asked.push(JSON.parse(Buffer.concat(parts as Buffer[]).toString()));
      response.end(asked.length === 1 ? "wait" : '{"decision":"stop","reason":"carts are empty"}');
    });
  }));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/gate`;
    const waves = `[{ size: 1, gates: [{ webhook: { url: "${url}", retry_interval: 1s } }] }, 100%]`;
    const id = await fleet.deploy(shop.release("3", { rollout: { waves } }));
    const status = await fleet.ended(id);
    expect(status).toMatchObject({ phase: "rolled_back", counts: { reverted: 1, pending: 3 }, reason: { code: "gate_stopped" } });
    expect(status.reason?.message).toMatch(/^the webhook gate of wave 1 stopped it: .* said stop: carts are empty$/);
    const question = { deployment: id, app: "shop", version: "3", wave: 1, waves: 2, counts: { healthy: 1, pending: 3 } };
    expect(asked).toMatchObject([{ ...question, attempt: 1 }, { ...question, attempt: 2 }]);
    await expectEverywhere("2", MACHINES);
  } finally {
    server.close();
  }
});

it("the budget of a group holds over two apps at once", async () => {
  await fleet.json("budget", "set", "role=web", "1");
  const ids = await Promise.all([fleet.deploy(shop.release("4", { rollout: ALL_AT_ONCE })), fleet.deploy(mail.release("1", { rollout: ALL_AT_ONCE }))]);
  for (const id of ids) expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded", counts: { healthy: 4 } });
  await fleet.json("budget", "rm", "role=web");

  const underWay = new Set<string>();
  let most = 0;
  let turns = 0;
  for (const { kind, machine, deployment_id: id } of await fleet.events()) {
    if (!ids.includes(id ?? "") || machine === null) continue;
    if (kind === "target_assigned") turns += 1;
    if (kind === "target_assigned") underWay.add(machine);
    if (kind === "target_changed") underWay.delete(machine);
    most = Math.max(most, underWay.size);
  }
  expect([turns, most]).toEqual([8, 1]);
});

it("a cordoned machine is passed over, and catches up when it is uncordoned", async () => {
  await fleet.json("cordon", "dev-1", "--reason", "new disk");
  const id = await succeeds(shop.release("5"));
  expect(await fleet.status(id)).toMatchObject({ counts: { healthy: 3, skipped: 1 } });
  expect(runs("5")).toEqual(["dev-0", "dev-2", "dev-3"]);

  await fleet.json("uncordon", "dev-1");
  expect(await until(id, ({ counts }) => counts["healthy"] === 4)).toMatchObject({ phase: "succeeded" });
  await expectEverywhere("5", MACHINES);
});

it("a machine that joins late gets the release that succeeded last, and not one that was taken back since", async () => {
  const bad = shop.release("6", { behaviour: "exits" });
  expect(await fleet.ended(await fleet.deploy(bad))).toMatchObject({ phase: "rolled_back" });

  const log = openSync(join(fleet.root, `${LATE}.log`), "a");
  const args = ["--controller", fleet.file().controller.grpc, "--token-file", await fleet.tokenFile(), "--dir", join(fleet.root, LATE), "--id", LATE, "--label", "role=web", "--label", "zone=a"];
  late = spawn(process.execPath, [MUSTER_AGENT, ...args], { stdio: ["ignore", log, log] });
  await comes(async () => (await runningOn(LATE)) === "5");
  expect(shop.starts().filter(({ machine }) => machine === LATE).map(({ version }) => version)).toEqual(["5"]);
});

it("rollback --to brings an older release back, as a deployment of its own", async () => {
  const newest = await succeeds(shop.release("7"));
  const again = await fleet.json<Status>("rollback", newest, "--to", "5", "--reason", "wrong prices");
  expect(again.id).not.toBe(newest);
  expect(await fleet.ended(again.id)).toMatchObject({ phase: "succeeded", version: "5", counts: { healthy: 5 } });
  await expectEverywhere("5", [...MACHINES, LATE]);
  expect(await fleet.muster(["rollback", newest, "--to", "9"])).toMatchObject({ code: 4, stderr: expect.stringContaining("there is no release shop@9") });
});

it("a retry is for the machines that failed, and for no others", async () => {
  const isBroken = join(fleet.root, "broken-dev-2");
  writeFileSync(isBroken, "");
  const id = await fleet.deploy(fleet.release("cron", brokenWhile("broken-"), { "run.sh": "exec sleep 1000000\n" }));
  const paused = await until(id, ({ phase, counts }) => phase === "paused" && counts["updating"] === 0);
  expect(paused).toMatchObject({ counts: { failed: 1, healthy: 3 }, reason: { code: "never_healthy" }, waiting_on: "an operator to resume, retry, roll back or abort it" });

  rmSync(isBroken);
  await fleet.json("retry", id, "--reason", "disk was full");
  const status = await fleet.ended(id);
  expect(status).toMatchObject({ phase: "succeeded", counts: { healthy: 4 } });
  expect(status.targets!.map(({ machine, attempts }) => `${machine} ${attempts}`).sort()).toEqual(["dev-0 1", "dev-1 1", "dev-2 2", "dev-3 1"]);
});

/** An app that is not well on a machine while a file with the machine's name lies in the test's folder. */
function brokenWhile(prefix: string): string {
  return [
    "app: cron",
    "version: 1",
    "artifact: ./files",
    "run:",
    "  command: [sh, run.sh]",
    "health:",
    `  - exec: [test, "!", -e, "${join(fleet.root, prefix)}\${machine.id}"]`,
    "    interval: 100ms",
    "    healthy_after: 1",
    "rollout:",
    "  targets: env=dev",
    "  waves: [100%]",
    "  max_unavailable: 100%",
    "  min_healthy_time: 300ms",
    "  healthy_deadline: 3s",
    "  on_failure: pause",
    "",
  ].join("\n");
}

async function succeeds(file: string): Promise<string> {
  const id = await fleet.deploy(file);
  expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded" });
  return id;
}

/** On which machines a version has been started, by name. */
function runs(version: string): readonly string[] {
  return [...new Set(shop.starts().filter((start) => start.version === version).map(({ machine }) => machine))].sort();
}

async function runningOn(machine: string): Promise<string | undefined> {
  const found = await fleet.machine(machine).catch(() => undefined);
  const app = found?.apps.find((each) => each.app === "shop");
  return app?.phase === "healthy" ? (app.running_version ?? undefined) : undefined;
}

async function expectEverywhere(version: string, machines: readonly string[]): Promise<void> {
  const answers = await shop.answers(machines);
  expect(machines.map((machine) => `${machine} ${answers[machine]!.version}`)).toEqual(machines.map((machine) => `${machine} ${version}`));
}

async function until(id: string, holds: (status: Status) => boolean): Promise<Status> {
  let status = await fleet.status(id);
  await comes(async () => holds((status = await fleet.status(id)))).catch(() => {
    throw new Error(`it did not come to that within 30 s: ${JSON.stringify(status)}`);
  });
  return status;
}

async function comes(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(100)) if (await holds()) return;
  throw new Error("it did not come to that within 30 s");
}

function listening(server: Server): Promise<Server> {
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}
