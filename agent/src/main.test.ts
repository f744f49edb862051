import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ServerCredentials } from "@grpc/grpc-js";
import { TestAuthority } from "./identity/authority.fixture.ts";
import { IdentityStore } from "./identity/identity-store.ts";
import { FakeController, until } from "./link/controller.fixture.ts";
import { type TestArtifact, type TestServer, makeArtifact, serve } from "./pull/artifact.fixture.ts";

const BIN = join(import.meta.dirname, "../bin/muster-agent.js");

const server = (version: string): string => `
  import { createServer } from "node:http";
  console.log("serving", process.env.NAME);
  createServer((_, response) => response.end(${JSON.stringify(version)})).listen(Number(process.env.PORT), "127.0.0.1");
`;

let dir: string;
let controller: FakeController;
let artifacts: TestServer;
let good: TestArtifact;
let better: TestArtifact;
let bad: TestArtifact;
const agents: ChildProcess[] = [];
const pids = new Set<number>();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-agent-"));
  controller = new FakeController();
  const authority = await TestAuthority.make();
  const { key, certificate } = await authority.controller();
  controller.credentials = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }]);
  await controller.listen();
  new IdentityStore(dir).save({ machine: "m-1", controller: `127.0.0.1:${controller.port}`, current: await authority.machine("m-1") });
  good = makeArtifact({ "server.mjs": server("1.0") });
  better = makeArtifact({ "server.mjs": server("1.1") });
  bad = makeArtifact({ "server.mjs": 'console.error("no luck"); process.exit(3);' });
  artifacts = await serve(good, better, bad);
  controller.welcome = { artifactUrl: artifacts.url };
});
afterEach(async () => {
  for (const agent of agents.splice(0)) await end(agent, "SIGKILL");
  for (const { pid } of controller.reports) if (pid > 0) pids.add(pid);
  for (const pid of pids) if (isAlive(pid)) process.kill(-pid, "SIGKILL");
  pids.clear();
  controller.close();
  await artifacts.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Its log goes to a file for which there is no room. */
function startWithoutLog(): void {
  const full = openSync("/dev/full", "w");
  agents.push(spawn(process.execPath, [BIN, "--dir", dir, "--id", "m-1"], { stdio: ["pipe", full, full] }));
  closeSync(full);
}

function start(...more: string[]): ChildProcess & { readonly words: string[] } {
  const args = ["--dir", dir, "--id", "m-1", ...more];
  const agent = spawn(process.execPath, [BIN, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const words: string[] = [];
  agent.stderr.on("data", (data: Buffer) => words.push(data.toString()));
  agents.push(agent);
  return Object.assign(agent, { words });
}

async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (agent.exitCode === null && agent.signalCode === null) {
    agent.kill(signal);
    await once(agent, "exit");
  }
  return agent.exitCode;
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function assign(generation: number, { digest }: TestArtifact, version: string, confirmed = true): void {
  const release: Release = {
    app: "web",
    version,
    artifact: digest,
    driver: { $case: "process", value: { command: ["node", "server.mjs"], env: { PORT: "${ports.http}", NAME: "${machine.id}-${labels.zone}" }, stopTimeoutMs: 5_000 } },
    ports: { http: 0 },
    health: [
      {
        check: { $case: "http", value: { url: "http://127.0.0.1:${ports.http}/" } },
        intervalMs: 50,
        timeoutMs: 1_000,
        healthyAfter: 1,
        unhealthyAfter: 3,
      },
    ],
    secrets: undefined,
  };
  const goal: AppAssignment = { app: "web", generation, deploymentId: "d-1", goal: { $case: "run", value: release }, minHealthyTimeMs: 200, healthyDeadlineMs: 15_000, labels: { zone: "a" }, secrets: undefined, confirmed, lastGoodVersion: "" };
  controller.assignment = { machine: "m-1", generation, apps: [goal] };
}

const reported = (generation: number, phase: string) =>
  controller.reports.findLast((report) => report.generation === generation && report.phase === `APP_PHASE_${phase}`);

async function deployed(generation: number, artifact: TestArtifact, version: string, confirmed = true) {
  assign(generation, artifact, version, confirmed);
  await until(() => reported(generation, "HEALTHY") !== undefined);
  const report = reported(generation, "HEALTHY")!;
  const body = await (await fetch(`http://127.0.0.1:${report.ports.http}/`)).text();
  expect(body).toBe(version);
  return report;
}

describe("the agent", () => {
  it("deploys, upgrades on the same port, and takes a bad release back", async () => {
    start();
    const first = await deployed(1, good, "1.0");
    const second = await deployed(2, better, "1.1");
    expect(second.ports).toEqual(first.ports);
    expect(isAlive(first.pid)).toBe(false);
    assign(3, bad, "1.2", false);
    await until(() => reported(3, "REVERTED") !== undefined);
    const reverted = reported(3, "REVERTED")!;
    expect(reverted).toMatchObject({ runningVersion: "1.1", reason: { code: "exited" } });
    expect(reverted.reason?.message).toMatch(/^exited with code 3, 4 times in .*s; last output: "no luck"; back on 1\.1$/);
    expect(await (await fetch(`http://127.0.0.1:${reverted.ports.http}/`)).text()).toBe("1.1");
  });

  it("goes on where its log cannot be written", async () => {
    startWithoutLog();
    await deployed(1, good, "1.0");
    await deployed(2, better, "1.1");
    expect(agents[0]).toMatchObject({ exitCode: null, signalCode: null });
  });

  it("that is killed leaves its workload running, and finds it again", async () => {
    const { pid, starts } = await (start(), deployed(1, good, "1.0"));
    await end(agents[0]!, "SIGKILL");
    expect(isAlive(pid)).toBe(true);
    start();
    await until(() => controller.hellos.length === 2);
    const second = await deployed(2, good, "1.0");
    expect(second).toMatchObject({ pid, starts: starts - 1 });
  });

  it("that is killed and starts without a controller takes a release back that was not confirmed and died meanwhile", async () => {
    const agent = start();
    await deployed(1, good, "1.0");
    const { pid, ports } = await deployed(2, better, "1.1", false);
    await end(agent, "SIGKILL");
    controller.close();
    process.kill(pid, "SIGKILL");
    await until(() => !isAlive(pid));
    start();
    const answer = (): Promise<string> => fetch(`http://127.0.0.1:${ports.http}/`).then((response) => response.text()).catch(() => "");
    let answered = "";
    for (; answered === ""; answered = await answer()) await sleep(20);
    expect(answered).toBe("1.0");
  });

  it("ends with 0 on SIGTERM and SIGINT, and its workload goes on", async () => {
    start();
    const { pid } = await deployed(1, good, "1.0");
    expect(await end(agents[0]!, "SIGTERM")).toBe(0);
    const second = start();
    await until(() => controller.hellos.length === 2);
    expect(await end(second, "SIGINT")).toBe(0);
    expect(isAlive(pid)).toBe(true);
  });

  it("stops its workloads and ends with 0 when stdin ends and it was told to stop with its parent", async () => {
    const agent = start("--stop-with-parent");
    const { pid } = await deployed(1, good, "1.0");
    agent.stdin?.end();
    const [code] = (await once(agent, "exit")) as [number];
    expect(code).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  it("refuses a directory that another agent uses, and names that agent", async () => {
    const first = start();
    await until(() => controller.hellos.length === 1);
    const second = start();
    const [code] = (await once(second, "exit")) as [number];
    expect(code).toBe(2);
    expect(second.words.join("")).toContain(`another agent, with pid ${first.pid}, uses ${dir}`);
  });

  it("refuses a directory that cannot be used, and names it", async () => {
    writeFileSync(join(dir, "file"), "");
    const agent = start("--dir", join(dir, "file", "below"));
    const [code] = (await once(agent, "exit")) as [number];
    expect(code).toBe(2);
    expect(agent.words.join("")).toMatch(/^muster-agent: the directory .*file\/below cannot be used: /);
  });

  it("refuses bad input with one line", async () => {
    const agent = start("--label", "oops");
    const [code] = (await once(agent, "exit")) as [number];
    expect(code).toBe(2);
    expect(agent.words.join("")).toBe('muster-agent: --label "oops" is not KEY=VALUE (for example role=web)\n');
  });

  it("says how to join when it has not, and whose the directory is when it is another machine's", async () => {
    const stranger = start("--dir", join(dir, "new"));
    expect(await once(stranger, "exit")).toEqual([2, null]);
    expect(stranger.words.join("")).toContain("this machine has not joined a fleet: make a token on the controller's side with muster token create");
    const other = start("--id", "m-2");
    expect(await once(other, "exit")).toEqual([2, null]);
    expect(other.words.join("")).toContain("this directory belongs to the machine m-1, not to m-2");
  });

  it("uses no keys that others can read", async () => {
    chmodSync(join(dir, "identity"), 0o755);
    const agent = start();
    expect(await once(agent, "exit")).toEqual([2, null]);
    expect(agent.words.join("")).toMatch(/others can read .*identity, and it holds this machine's keys/);
  });

  it("says nothing to whoever has another authority's certificate", async () => {
    const { key, certificate } = await (await TestAuthority.make()).controller();
    const impostor = new FakeController();
    impostor.credentials = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }]);
    await impostor.listen();
    const agent = start("--controller", `127.0.0.1:${impostor.port}`);
    await until(() => agent.words.some((words) => words.includes("controller not reached")));
    expect(impostor.hellos).toEqual([]);
    impostor.close();
  });
});

it("ends when the program that started it on another Node is killed", async () => {
  const starter = `
    const child = require("node:child_process").spawn(process.execPath, process.argv.slice(1), { stdio: ["ignore", "ignore", "ignore"], env: { ...process.env, MUSTER_AGENT_STARTER: String(process.pid) } });
    console.log(child.pid);
    setInterval(() => {}, 1000);
  `;
  const old = spawn(process.execPath, ["-e", starter, BIN, "--dir", dir, "--id", "m-1"], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(old.stdout, "data")) as [Buffer];
  const agent = Number(line.toString());
  try {
    await until(() => controller.hellos.length === 1);
    old.kill("SIGKILL");
    await until(() => !isAlive(agent));
  } finally {
    if (isAlive(agent)) process.kill(agent, "SIGKILL");
  }
});
