import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Clock } from "../context.ts";
import type { DevFile } from "./dev-file.ts";
import type { DevEvent } from "./events.ts";
import { DevFleet } from "./fleet.ts";
import { groupsBelow, identify } from "./process-identity.ts";
import type { Programs } from "./programs.ts";

const fake = (name: string): readonly string[] => [process.execPath, fileURLToPath(new URL(`fakes/${name}.ts`, import.meta.url))];
const programs: Programs = { controller: fake("controller"), agent: fake("agent") };
const clock: Clock = { now: () => Date.now(), sleep: async (durationMs) => void (await sleep(durationMs)) };

/** A fleet is five processes to start and to stop, and the machine may be busy with other tests. */
const PATIENCE_MS = 60_000;

describe("a dev fleet", { timeout: PATIENCE_MS }, () => {
  let dir: string;
  let events: DevEvent[];
  let fleet: DevFleet | undefined;
  beforeEach(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), "muster-dev-")));
    events = [];
  });
  afterEach(async () => {
    await fleet?.stop();
    fleet = undefined;
    rmSync(dir, { recursive: true });
  }, PATIENCE_MS);

  const start = (agentCount: number, others: Partial<Programs> = {}, signal = new AbortController().signal): Promise<DevFleet> =>
    DevFleet.start(
      { dir, agentCount, controllerArguments: [], programs: { ...programs, ...others }, env: process.env, clock, onEvent: (event) => events.push(event) },
      signal,
    );
  const devFile = (): DevFile => JSON.parse(readFileSync(join(dir, "dev.json"), "utf8")) as DevFile;
  const said = (name: DevEvent["event"]): readonly DevEvent[] => events.filter(({ event }) => event === name);
  const patience = { timeout: PATIENCE_MS / 2, interval: 50 };

  it("writes dev.json before it says ready, and leaves no process and no dev.json behind when it stops", async () => {
    fleet = await start(2);
    const { controller, agents } = devFile();
    expect(agents).toMatchObject([
      { id: "dev-0", dir: join(dir, "agents", "dev-0"), labels: { env: "dev", index: "0", zone: "a", role: "web" } },
      { id: "dev-1", labels: { index: "1", zone: "b" } },
    ]);
    expect(said("ready")).toEqual([{ event: "ready", ...devFile() }]);
    expect(groupsBelow(dir)).toHaveLength(2);
    await fleet.stop();
    expect([controller.pid, ...agents.map(({ pid }) => pid!)].map(identify)).toEqual([undefined, undefined, undefined]);
    expect(groupsBelow(dir)).toEqual([]);
    expect(existsSync(join(dir, "dev.json"))).toBe(false);
    expect(events.at(-1)).toEqual({ event: "stopped" });
  });

  it("refuses a directory that another holds, naming its pid", async () => {
    fleet = await start(1);
    await expect(start(1)).rejects.toMatchObject({ exit: 2, message: expect.stringContaining(`pid ${process.pid}`) });
  });

  it("starts a killed agent and a killed controller again and keeps dev.json true", async () => {
    fleet = await start(1);
    const before = devFile();
    process.kill(before.agents[0]!.pid!, "SIGKILL");
    await vi.waitFor(() => expect(devFile().agents[0]!.pid).not.toBeOneOf([null, before.agents[0]!.pid]), patience);
    process.kill(before.controller.pid, "SIGKILL");
    await vi.waitFor(() => expect(devFile().controller.pid).not.toBe(before.controller.pid), patience);
    expect(said("child_restarting")[0]).toMatchObject({ name: "dev-0", ended: "was ended by SIGKILL", delayMs: 500 });
  });

  it("leaves an agent away that was asked to go, says how to bring it back, and stops its workload at the end", async () => {
    fleet = await start(1);
    process.kill(devFile().agents[0]!.pid!, "SIGTERM");
    await vi.waitFor(() => expect(said("agent_away")).toHaveLength(1), patience);
    expect(devFile().agents[0]!.pid).toBeNull();
    expect(said("agent_away")[0]).toMatchObject({ id: "dev-0", command: expect.stringContaining(`--controller ${devFile().controller.grpc} --token-file ${join(dir, "join-token")} --dir`) });
    expect(groupsBelow(dir)).toHaveLength(1);
    await fleet.stop();
    expect(groupsBelow(dir)).toEqual([]);
  });

  it("ends with the controller's own words when it refuses its input, and holds the directory no more", async () => {
    const refusing = [...programs.controller, "--refuse", "port 4222 is in use"];
    await expect(start(1, { controller: refusing })).rejects.toMatchObject({ exit: 2, message: "port 4222 is in use" });
    fleet = await start(1);
  });

  it("stops what it has started when it is interrupted before it is ready", async () => {
    const interruption = new AbortController();
    const silent = [process.execPath, "-e", "process.stdin.resume().on('end', () => process.exit(0))", "--"];
    const starting = start(1, { agent: silent }, interruption.signal);
    await vi.waitFor(() => expect(said("controller_ready")).toHaveLength(1), patience);
    interruption.abort("SIGINT");
    await expect(starting).rejects.toBe("SIGINT");
    expect(events.at(-1)).toEqual({ event: "stopped" });
  });

  it("keeps to the first agents when fewer are wanted, and says who stays off", async () => {
    fleet = await start(3);
    await fleet.stop();
    fleet = await start(1);
    expect(said("agents_off")).toEqual([{ event: "agents_off", ids: ["dev-1", "dev-2"] }]);
    expect(devFile().agents.map(({ id }) => id)).toEqual(["dev-0"]);
  });

  it("leaves nothing running when its holder is killed, and whoever comes next waits for that", async () => {
    const holder = spawn(process.execPath, [fileURLToPath(new URL("fakes/holder.ts", import.meta.url)), dir, process.env["PATH"]!]);
    await vi.waitFor(() => expect(existsSync(join(dir, "dev.json"))).toBe(true), patience);
    const { controller, agents } = devFile();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    fleet = await start(2);
    expect([controller.pid, ...agents.map(({ pid }) => pid!)].map(identify)).toEqual([undefined, undefined, undefined]);
    expect(devFile().controller.pid).not.toBe(controller.pid);
    expect(groupsBelow(dir)).toHaveLength(2);
  });

  it("kills everything at once when it is told to, workloads too", async () => {
    fleet = await start(2);
    const { controller, agents } = devFile();
    fleet.kill();
    const pids = [controller.pid, ...agents.map(({ pid }) => pid!)];
    await vi.waitFor(() => expect([...pids.map(identify), ...groupsBelow(dir)]).toEqual([undefined, undefined, undefined]), patience);
  });
});
