/**
 * Releases that this machine can't run, and disks that fill up under a fleet: a rollout ends with the right reason, every machine goes on with what it
 * had, and once there is room again everything goes on by itself.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, statfsSync, symlinkSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CANNOT_MOUNT, EXIT, lastSeq, namesIn, settle } from "./bad-input.ts";
import { DevFleet } from "./fleet.ts";

const SERVER = `require("node:http").createServer((_, answer) => answer.end(process.env.MUSTER_VERSION)).listen(process.env.PORT, "127.0.0.1");`;

interface Shape {
  readonly version: string;
  readonly command?: string;
  readonly port?: string;
  readonly env?: string;
  readonly healthyDeadline?: string;
  readonly progressDeadline?: string;
}

function yaml({ version, command = "[node, server.js]", port = "auto", env = "", healthyDeadline = "20s", progressDeadline = "2m" }: Shape): string {
  return `app: web
version: ${version}
artifact: ./files
run:
  command: ${command}
  ports: { http: ${port} }
  env: { PORT: "\${ports.http}"${env} }
health: [{ http: "http://127.0.0.1:\${ports.http}/", interval: 100ms, healthy_after: 1 }]
rollout: { targets: role=web, waves: [100%], max_unavailable: 100%, min_healthy_time: 200ms, healthy_deadline: ${healthyDeadline}, progress_deadline: ${progressDeadline} }
`;
}

/** What each machine runs: what its agent said, and what `current` names. */
async function running(fleet: DevFleet): Promise<readonly unknown[]> {
  return Promise.all(
    fleet.file().agents.map(async ({ id, dir }) => {
      const app = (await fleet.machine(id)).apps.find((each) => each.app === "web");
      return { id, version: app?.running_version, current: basename(readlinkSync(join(dir, "apps/web/current"))) };
    }),
  );
}

function deploy(fleet: DevFleet, shape: Shape, files: Readonly<Record<string, string | Buffer>> = { "server.js": SERVER }) {
  return fleet.muster(["deploy", "-f", fleet.release(`web-${shape.version}`, yaml(shape), files), "--watch"]);
}

async function newest(fleet: DevFleet) {
  const [deployment] = await fleet.json<readonly { readonly id: string }[]>("list");
  return fleet.status(deployment!.id);
}

describe("a release that can't be run here", () => {
  let fleet: DevFleet;
  let taken: Server;
  let port: number;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((listening) => taken.listen(0, "127.0.0.1", listening));
    port = (taken.address() as AddressInfo).port;
    fleet = await DevFleet.start({ agents: 2 });
    expect((await deploy(fleet, { version: "good" })).code).toBe(0);
  });
  afterAll(async () => {
    taken.close();
    await fleet.stop();
  });

  test.each<readonly [kind: string, shape: () => Shape, code: string, says: RegExp]>([
    ["whose port is in use", () => ({ version: "port", port: String(port) }), "port_in_use", /port \d+ \(http\) is taken by another process/],
    ["whose program is not on the machine", () => ({ version: "program", command: "[no-such-program]" }), "start_failed", /no-such-program was not found in PATH.*install it on this machine, or name a file of the release/],
    ["whose program is not in its files", () => ({ version: "file", command: "[./nope]" }), "start_failed", /\.\/nope could not be started: the release has no such file/],
    ["whose program may not be executed", () => ({ version: "mode", command: "[./server.js]" }), "start_failed", /\.\/server\.js may not be executed: make it executable \(chmod \+x\)/],
    ["that asks for a label that the machine has not", () => ({ version: "label", env: ', RACK: "${labels.rack}"' }), "unresolved_name", /\$\{labels\.rack\} has no value on this machine/],
  ])("%s is taken back with exit code 1 and its reason", async (_, shape, code, says) => {
    const before = await running(fleet);
    const ran = await deploy(fleet, shape());
    expect(ran.stdout).toMatch(says);
    expect(ran.code).toBe(EXIT.failed);
    const status = await newest(fleet);
    expect(status.phase).toBe("rolled_back");
    expect(status.reason).toMatchObject({ code, message: expect.stringMatching(says) });
    await settle(fleet);
    expect(await running(fleet)).toEqual(before);
    for (const { dir } of fleet.file().agents) expect(namesIn(join(dir, "apps/web/staging"))).toEqual([]);
  });
});

/** A disk of its own for one folder, which may be filled to the last byte. */
class SmallDisk {
  readonly dir = mkdtempSync(join(tmpdir(), "muster-disk-"));

  constructor(size: string) {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", this.dir]);
  }

  /** Leaves so many bytes free. */
  fill(leaveBytes = 0): void {
    this.free();
    const { bavail, bsize } = statfsSync(this.dir);
    const bytes = Math.max(0, bavail * bsize - leaveBytes);
    execFileSync("fallocate", ["-l", String(bytes), join(this.dir, "filling")]);
  }

  free(): void {
    rmSync(join(this.dir, "filling"), { force: true });
  }

  remove(): void {
    execFileSync("umount", ["--lazy", this.dir]);
    rmSync(this.dir, { recursive: true });
  }
}

function onSmallDisk(name: string, body: () => Promise<void>): void {
  test(name, async ({ skip }) => {
    if (CANNOT_MOUNT !== undefined) skip(CANNOT_MOUNT);
    await body();
  });
}

describe("a disk that fills up", () => {
  let fleet: DevFleet;
  let controllerDisk: SmallDisk;
  let agentDisk: SmallDisk;
  beforeAll(async () => {
    if (CANNOT_MOUNT !== undefined) return;
    controllerDisk = new SmallDisk("16m");
    agentDisk = new SmallDisk("16m");
    fleet = DevFleet.create({ agents: 2 });
    mkdirSync(join(fleet.dir, "agents"), { recursive: true });
    symlinkSync(controllerDisk.dir, join(fleet.dir, "controller"));
    symlinkSync(agentDisk.dir, join(fleet.dir, "agents/dev-1"));
    await fleet.up();
    expect((await deploy(fleet, { version: "good" })).code).toBe(0);
  });
  afterAll(async () => {
    if (CANNOT_MOUNT !== undefined) return;
    await fleet.stop();
    controllerDisk.remove();
    agentDisk.remove();
  });

  onSmallDisk("under the controller refuses an artifact that finds no room, keeps nothing of it, and takes it once there is room", async () => {
    await settle(fleet);
    const before = { seq: await lastSeq(fleet), artifacts: namesIn(join(fleet.dir, "controller/artifacts")) };
    controllerDisk.fill(1024 * 1024);
    const files = { "server.js": SERVER, blob: randomBytes(3 * 1024 * 1024) };
    const refused = await deploy(fleet, { version: "large" }, files);
    expect(refused.stderr).toMatch(/^muster: could not store an artifact in .*\/artifacts: the disk is full\n$/);
    expect(refused.code).toBe(EXIT.failed);
    expect({ seq: await lastSeq(fleet), artifacts: namesIn(join(fleet.dir, "controller/artifacts")) }).toEqual(before);
    controllerDisk.free();
    expect((await deploy(fleet, { version: "large" }, files)).code).toBe(0);
  });

  onSmallDisk("under the journal refuses a deployment whole, loses no report, and goes on once there is room", async () => {
    await settle(fleet);
    const before = await lastSeq(fleet);
    // What is written needs a little of the disk first: it is refused when nothing at all is left.
    controllerDisk.fill();
    const file = fleet.release("web-journal", yaml({ version: "journal" }), { "server.js": SERVER });
    let refused = await fleet.muster(["deploy", "-f", file]);
    for (let rows = before; refused.code === 0 && rows < before + 2_000; rows = await lastSeq(fleet)) refused = await fleet.muster(["deploy", "-f", file]);
    expect(refused.stderr).toMatch(/^muster: cannot write the journal: database or disk is full; free some space on its disk\n$/);
    expect(refused.code).toBe(EXIT.failed);
    const deployments = await fleet.json<readonly { readonly id: string }[]>("list");
    controllerDisk.free();
    await sleep(1_500);
    expect(await fleet.json<readonly { readonly id: string }[]>("list")).toHaveLength(deployments.length);
    expect((await deploy(fleet, { version: "journal" })).code).toBe(0);
  });

  onSmallDisk("under an agent has the rollout taken back for that reason, and the agent goes on with what it ran", async () => {
    await settle(fleet);
    const before = await running(fleet);
    agentDisk.fill(256 * 1024);
    const files = { "server.js": SERVER, blob: randomBytes(2 * 1024 * 1024) };
    const ran = await deploy(fleet, { version: "heavy", healthyDeadline: "5s" }, files);
    expect(ran.stdout).toMatch(/dev-1: .*the release needs \d\.\d MiB of disk, and \d\.\d MiB are free at \S+; free some space there; still on journal/);
    expect(ran.code).toBe(EXIT.failed);
    const status = await newest(fleet);
    expect([status.phase, status.reason?.code]).toEqual(["rolled_back", "disk_full"]);
    await settle(fleet);
    expect(await running(fleet)).toEqual(before);
    expect(namesIn(join(agentDisk.dir, "apps/web/staging"))).toEqual([]);
    agentDisk.free();
    expect((await deploy(fleet, { version: "heavy2" }, files)).code).toBe(0);
  });

  onSmallDisk("to the last byte under an agent leaves its machine on what it ran, until there is room", async () => {
    await settle(fleet);
    const before = await running(fleet);
    agentDisk.fill();
    const ran = await deploy(fleet, { version: "full", healthyDeadline: "5s", progressDeadline: "10s" }, { "server.js": SERVER, blob: randomBytes(64 * 1024) });
    expect(ran.code).toBe(EXIT.failed);
    // Said in a report where there is room for one, and else in heartbeats.
    expect((await newest(fleet)).reason?.message).toMatch(/no space left on the disk of \S+; free some space there|MiB are free at \S+; free some space there/);
    expect(await running(fleet)).toEqual(before);
    agentDisk.free();
    expect((await deploy(fleet, { version: "after" })).code).toBe(0);
  });
});
