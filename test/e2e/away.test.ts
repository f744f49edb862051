/**
 * Machines that are away while deployments happen, and machines that come back after a reboot without a network.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { openSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { type DevAgent, DevFleet, isAlive } from "./fleet.ts";
import { type Answer, ask, TestApp } from "./test-app.ts";

const MUSTER_AGENT = resolve(import.meta.dirname, "../../agent/bin/muster-agent.js");
const MACHINES = ["dev-0", "dev-1", "dev-2"];
const AWAY = "dev-1";

let fleet: DevFleet;
let shop: TestApp;
/** Started by hand; not the fleet's. */
let agents: ChildProcess[] = [];

beforeEach(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length, args: ["--silent-after", "2s"] });
  shop = new TestApp(fleet, "shop");
  expect(await fleet.ended(await fleet.deploy(shop.release("1")))).toMatchObject({ phase: "succeeded" });
});

afterEach(async () => {
  for (const agent of agents) agent.kill("SIGKILL");
  agents = [];
  await fleet.stop();
});

describe("an agent that is away while deployments happen ends on the newest when it is back, without going through those between", () => {
  it("ended by SIGTERM and started again", async () => {
    const agent = awayAgent();
    const before = await answerOf(AWAY);
    process.kill(agent.pid, "SIGTERM");
    await until(() => !isAlive(agent.pid));
    await deployWithout(["2", "3", "4"], before);
    startAgent(agent);
    await expectNewest("4", before);
  });

  it("held by SIGSTOP and let go on", async () => {
    const agent = awayAgent();
    const before = await answerOf(AWAY);
    process.kill(agent.pid, "SIGSTOP");
    try {
      await deployWithout(["2", "3", "4"], before);
    } finally {
      process.kill(agent.pid, "SIGCONT");
    }
    await expectNewest("4", before);
  });

  it("ended by SIGTERM, with the newest deployment taken back meanwhile", async () => {
    const agent = awayAgent();
    const before = await answerOf(AWAY);
    process.kill(agent.pid, "SIGTERM");
    await until(() => !isAlive(agent.pid));
    await deployWithout(["2"], before);
    const bad = shop.release("3", { behaviour: "never_healthy", rollout: { healthy_deadline: "3s" } });
    expect(await fleet.ended(await fleet.deploy(bad))).toMatchObject({ phase: "rolled_back" });
    startAgent(agent);
    await expectNewest("2", before);
  });
});

it("the first machine of a rollout holds nobody up by falling silent, and takes the release when it is back", async () => {
  const canary = fleet.file().agents[0]!;
  process.kill(canary.pid, "SIGSTOP");
  try {
    // Nobody has noticed yet that it is silent: it gets its turn, alone in the first wave.
    const id = await fleet.deploy(shop.release("2"));
    const status = await fleet.ended(id);
    expect(status).toMatchObject({ phase: "succeeded", counts: { healthy: MACHINES.length - 1, unreachable: 1 } });
    expect(status.targets!.find(({ machine }) => machine === canary.id)).toMatchObject({ wave: 1, state: "unreachable" });
  } finally {
    process.kill(canary.pid, "SIGCONT");
  }
  await until(() => answerOf(canary.id).then(({ version }) => version === "2", () => false));
});

describe("a machine that reboots without a network", () => {
  it("starts its last good release again", async () => {
    const agent = awayAgent();
    const before = await answerOf(AWAY);
    const port = shop.port(AWAY);
    await fleet.killAll();
    endAll(shop.starts());

    startAgent(agent);
    const back = await answered(port);
    expect(back).toEqual({ version: "1", machine: AWAY, pid: expect.any(Number) });
    expect(back.pid).not.toBe(before.pid);
    expect(shop.starts().filter(({ machine }) => machine === AWAY)).toHaveLength(2);
  });

  it("starts its last good release again when it was in the middle of a bad one", async () => {
    const agent = awayAgent();
    const port = shop.port(AWAY);
    const bad = shop.release("2", { behaviour: "never_healthy", rollout: { waves: "[100%]", max_unavailable: "3", healthy_deadline: "4s" } });
    await fleet.deploy(bad);
    await until(() => shop.starts().some(({ machine, version }) => machine === AWAY && version === "2"));
    await fleet.killAll();
    endAll(shop.starts());

    startAgent(agent);
    await until(async () => (await answered(port)).version === "1");
    expect(shop.starts().filter(({ machine }) => machine === AWAY).at(-1)).toMatchObject({ version: "1" });
  });
});

function endAll(processes: readonly { readonly pid: number }[]): void {
  for (const { pid } of processes) if (isAlive(pid)) process.kill(pid, "SIGKILL");
}

function awayAgent(): DevAgent {
  return fleet.file().agents.find(({ id }) => id === AWAY)!;
}

/** As somebody would by hand: with no parent that it ends with. */
function startAgent({ id, dir }: DevAgent): void {
  const args = ["--dir", dir, "--id", id];
  const log = openSync(join(fleet.root, "agent-by-hand.log"), "a");
  agents.push(spawn(process.execPath, [MUSTER_AGENT, ...args], { stdio: ["ignore", log, log] }));
}

/** Each succeeds on the other machines; the workload of the one that is away goes on all the while. */
async function deployWithout(versions: readonly string[], before: Answer): Promise<void> {
  await until(async () => (await fleet.machine(AWAY)).state === "silent");
  for (const version of versions) {
    const status = await fleet.ended(await fleet.deploy(shop.release(version)));
    expect(status).toMatchObject({ phase: "succeeded" });
    expect(status.targets!.map(({ machine, state }) => `${machine} ${state}`).sort()).toEqual(["dev-0 healthy", `${AWAY} unreachable`, "dev-2 healthy"]);
    expect(await answerOf(AWAY)).toEqual(before);
  }
}

async function expectNewest(version: string, before: Answer): Promise<void> {
  await until(async () => {
    const { apps } = await fleet.machine(AWAY);
    return apps.some((app) => app.running_version === version && app.phase === "healthy");
  });
  expect(await answerOf(AWAY)).toMatchObject({ version });
  const starts = shop.starts().filter(({ machine }) => machine === AWAY);
  expect(starts.map((start) => start.version)).toEqual([before.version, version]);
}

async function answerOf(machine: string): Promise<Answer> {
  return (await shop.answers([machine]))[machine]!;
}

async function answered(port: number): Promise<Answer> {
  let answer: Answer | undefined;
  await until(async () => (answer = await ask(port).catch(() => undefined)) !== undefined);
  return answer!;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(100)) if (await holds()) return;
  throw new Error("it did not come to that within 30 s");
}
