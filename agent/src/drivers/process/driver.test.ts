import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { LaunchSpec, Outcome, ProcessDriver, Workload } from "../../runner/ports.ts";
import { createProcessDriver, type ProcessDriverOptions } from "./driver.ts";
import { minimalEnvironment } from "./environment.ts";
import { members } from "./identity.ts";
import { statOf } from "./proc.ts";

const logger = pino({ enabled: false });
const never = new AbortController().signal;
const NODE = process.execPath;
let dir: string;
let releaseDir: string;
let started: Workload[];
let drivers: (ProcessDriver & { close(): void })[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-driver-"));
  releaseDir = join(dir, "release");
  await mkdir(releaseDir);
  started = [];
  drivers = [];
});

afterEach(async () => {
  for (const workload of started) await newDriver().stop(workload, 0);
  for (const driver of drivers) driver.close();
  await rm(dir, { recursive: true, force: true });
});

/** Each is another agent as far as workloads are concerned: it is no parent of what the others started. */
function newDriver(options: Partial<ProcessDriverOptions> = {}): ProcessDriver {
  const driver = createProcessDriver({ dir, baseEnv: minimalEnvironment(process.env), logger, adoptedPollMs: 20, ...options });
  drivers.push(driver);
  return driver;
}

function spec(command: readonly string[], over: Partial<LaunchSpec> = {}): LaunchSpec {
  return { app: "shop", version: "1.2.3", launchId: randomUUID(), releaseDir, command, env: {}, ...over };
}

/** A script of shell; the shell itself stays the leader of the group. */
function shell(script: string, over: Partial<LaunchSpec> = {}): LaunchSpec {
  return spec(["sh", "-c", script], over);
}

async function start(driver: ProcessDriver, launch: LaunchSpec): Promise<Workload> {
  const outcome = await driver.start(launch);
  if (!outcome.ok) throw new Error(outcome.fault.message);
  started.push(outcome.value);
  return outcome.value;
}

function fault(outcome: Outcome<Workload>): string {
  return outcome.ok ? "ok" : `${outcome.fault.code} ${outcome.fault.retryable ? "retryable" : "final"}: ${outcome.fault.message}`;
}

function log(stream: "stdout" | "stderr"): Promise<string> {
  return readFile(join(dir, "apps/shop/logs", `${stream}.log`), "utf8");
}

async function waitForLog(text: string): Promise<string> {
  return vi.waitFor(async () => {
    const found = await log("stdout");
    expect(found).toContain(text);
    return found;
  }, 10_000);
}

describe("starting", () => {
  test("a workload runs in its release with a minimal environment and its output in files", async () => {
    process.env["MUSTER_TEST_SECRET"] = "leaked";
    const launch = shell("env; pwd; echo oops >&2; read line || echo no input", { env: { GREETING: "hello" } });
    const driver = newDriver();
    const exit = await driver.waitForExit(await start(driver, launch), never);
    delete process.env["MUSTER_TEST_SECRET"];
    expect(exit).toEqual({ code: 0, signal: null });
    const lines = (await log("stdout")).split("\n");
    expect(lines).toEqual(
      expect.arrayContaining(["GREETING=hello", "MUSTER_APP=shop", "MUSTER_VERSION=1.2.3", `MUSTER_LAUNCH_ID=${launch.launchId}`, releaseDir, "no input"]),
    );
    expect(lines).toContain(`PATH=${process.env["PATH"]}`);
    expect(lines.join()).not.toContain("leaked");
    expect(await log("stderr")).toBe("oops\n");
  });

  test("a second start adds to the output of the first", async () => {
    const driver = newDriver();
    for (const word of ["one", "two"]) await driver.waitForExit(await start(driver, shell(`echo ${word}`)), never);
    expect(await log("stdout")).toBe("one\ntwo\n");
  });

  test("a launch that runs already is not started twice", async () => {
    const launch = shell("sleep 60");
    const first = await start(newDriver(), launch);
    expect(await newDriver().start(launch)).toEqual({ ok: true, value: first });
  });

  test("a command with a slash is a file of the release", async () => {
    await mkdir(join(releaseDir, "bin"));
    await writeFile(join(releaseDir, "bin/run"), "#!/bin/sh\necho ran $1\n", { mode: 0o755 });
    const driver = newDriver();
    for (const program of ["./bin/run", "bin/run"]) await driver.waitForExit(await start(driver, spec([program, "it"])), never);
    expect(await log("stdout")).toBe("ran it\nran it\n");
  });

  test("a process that ends at once is still known by its identity, and its exit is told", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("exit 7"));
    expect(workload.startTicks).toMatch(/^\d+$/);
    expect(await driver.waitForExit(workload, never)).toEqual({ code: 7, signal: null });
    expect(await driver.waitForExit(workload, never)).toEqual({ code: 7, signal: null });
    expect(await driver.find(workload.launchId, workload)).toBeUndefined();
  });

  test("what cannot be started says why and what to do", async () => {
    await writeFile(join(releaseDir, "plain"), "#!/bin/sh\n", { mode: 0o644 });
    await writeFile(join(releaseDir, "odd"), "#!/no/such/interpreter\n", { mode: 0o755 });
    const driver = newDriver({ baseEnv: { PATH: "/bin" } });
    const faults = async (...commands: readonly string[][]): Promise<readonly string[]> =>
      Promise.all(commands.map(async (command) => fault(await driver.start(spec(command)))));
    expect(await faults(["no-such-program"], ["./missing"], ["./plain"], ["./odd"], [], ["x".repeat(3_000_000)], ["a\0b"])).toEqual([
      "start_failed final: no-such-program was not found in PATH: install it on this machine, or name a file of the release, such as ./server",
      "start_failed final: ./missing could not be started: the release has no such file",
      "start_failed final: ./plain may not be executed: make it executable (chmod +x) before the release is made",
      "start_failed final: ./odd could not be started: the interpreter named in its first line is not on this machine",
      "start_failed final: the release has no command",
      expect.stringMatching(/^start_failed final: x+ could not be started: .*(E2BIG|ENAMETOOLONG)/),
      expect.stringMatching(/^start_failed final: /),
    ]);
    for (const notThere of ["gone", "release/plain"]) {
      const outcome = await driver.start(spec(["sh"], { releaseDir: join(dir, notThere) }));
      expect(fault(outcome)).toBe(`start_failed final: sh could not be started: its directory ${join(dir, notThere)} is not there`);
    }
    const elsewhere = newDriver({ baseEnv: { PATH: releaseDir } });
    expect(fault(await elsewhere.start(spec(["plain"])))).toContain("plain was not found in PATH");
  });

  test("output files that cannot be opened are a fault worth another try", async () => {
    await mkdir(join(dir, "apps/shop/logs/stdout.log"), { recursive: true });
    expect(fault(await newDriver().start(shell("true")))).toMatch(/^io_error retryable: could not open the output files of shop/);
  });

  test("elsewhere than on Linux it says so", () => {
    expect(() => newDriver({ platform: "darwin" })).toThrow("the process driver needs Linux, and this is darwin: use the files driver here");
  });
});

describe("finding again", () => {
  test("a workload survives SIGKILL and SIGTERM of its agent, and is found by its record or by its launch id alone", async () => {
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      const launch = spec([NODE, "-e", `setInterval(() => console.log("alive after ${signal}"), 20)`]);
      const script = new URL("./driver-child.fixture.ts", import.meta.url).pathname;
      const agent = spawn(NODE, [script, dir, JSON.stringify(launch)], { stdio: ["ignore", "pipe", "inherit"] });
      const [line] = (await once(agent.stdout, "data")) as [Buffer];
      const { value: workload } = JSON.parse(line.toString("utf8")) as { value: Workload };
      started.push(workload);
      agent.kill(signal);
      await once(agent, "exit");
      const driver = newDriver();
      expect(await driver.find(launch.launchId, workload)).toEqual(workload);
      expect(await driver.find(launch.launchId, undefined)).toEqual(workload);
      await waitForLog(`alive after ${signal}`);

      const exit = driver.waitForExit(workload, never);
      await driver.stop(workload, 5_000);
      expect(await exit).toEqual({ code: null, signal: null });
      expect(await driver.find(launch.launchId, workload)).toBeUndefined();
    }
  });

  test("a record whose pid belongs to somebody else now is not believed, and nobody else is harmed", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("sleep 60"));
    const imposters: Workload[] = [
      { ...workload, launchId: randomUUID() },
      { ...workload, launchId: randomUUID(), startTicks: "1" },
      { ...workload, launchId: randomUUID(), bootId: randomUUID() },
      { ...workload, launchId: randomUUID(), pid: process.pid, startTicks: statOf(process.pid)!.startTicks },
    ];
    for (const imposter of imposters.slice(0, 3)) {
      expect(await driver.find(imposter.launchId, imposter)).toBeUndefined();
      expect(await driver.waitForExit(imposter, never)).toEqual({ code: null, signal: null });
      await driver.stop(imposter, 0);
    }
    expect(await driver.find(workload.launchId, { ...workload, startTicks: "1" })).toEqual(workload);
    expect(await driver.find(workload.launchId, { ...workload, bootId: "another" })).toEqual(workload);
    expect(await driver.find(workload.launchId, workload)).toEqual(workload);
  });

  test("a process without a launch id in its environment is known by its start alone, as those are that write over it", async () => {
    const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore", env: {} });
    const { bootId } = await start(newDriver(), shell("true"));
    const workload: Workload = { launchId: randomUUID(), pid: child.pid!, startTicks: statOf(child.pid!)!.startTicks, bootId };
    const driver = newDriver();
    expect(await driver.find(workload.launchId, workload)).toEqual(workload);
    expect(await driver.find(workload.launchId, { ...workload, startTicks: "1" })).toBeUndefined();
    await driver.stop(workload, 5_000);
    expect(statOf(workload.pid)?.state ?? "Z").toBe("Z");
  });

  test("a zombie counts as gone", async () => {
    const launchId = randomUUID();
    // What the shell becomes does not know of its child, and never asks for its end.
    const script = `MUSTER_LAUNCH_ID=${launchId} setsid sleep 0.05 & echo $!; exec sleep 60`;
    const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "inherit"], detached: true });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line.toString("utf8"));
    await vi.waitFor(() => expect(statOf(pid)!.state).toBe("Z"), 5_000);
    const { bootId } = await start(newDriver(), shell("true"));
    const workload: Workload = { launchId, pid, startTicks: statOf(pid)!.startTicks, bootId };
    const driver = newDriver();
    expect(await driver.find(launchId, workload)).toBeUndefined();
    expect(await driver.waitForExit(workload, never)).toEqual({ code: null, signal: null });
    await driver.stop(workload, 60_000);
    parent.kill("SIGKILL");
    await once(parent, "exit");
  });

  test("waiting for an end can be given up", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("sleep 60"));
    for (const waiting of [driver, newDriver()]) {
      const giveUp = new AbortController();
      const exit = waiting.waitForExit(workload, giveUp.signal);
      giveUp.abort(new Error("enough"));
      await expect(exit).rejects.toThrow("enough");
      await expect(waiting.waitForExit(workload, giveUp.signal)).rejects.toThrow("enough");
    }
  });

  test("the end of an adopted workload is noticed", async () => {
    const workload = await start(newDriver(), shell("sleep 0.1"));
    expect(await newDriver().waitForExit(workload, never)).toEqual({ code: null, signal: null });
  });
});

describe("stopping", () => {
  test("ends with SIGTERM what listens to it", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell('trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.01; done'));
    await waitForLog("up");
    await driver.stop(workload, 60_000);
    expect(await driver.waitForExit(workload, never)).toEqual({ code: 3, signal: null });
    expect(await log("stdout")).toBe("up\nbye\n");
  });

  test("kills after the time-out what does not listen", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell('trap "" TERM; echo up; while :; do sleep 0.01; done'));
    await waitForLog("up");
    await driver.stop(workload, 50);
    expect(await driver.waitForExit(workload, never)).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("ends children and grandchildren with their leader", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("(sleep 60 & sleep 60) & sleep 60 & echo up; wait"));
    await waitForLog("up");
    await vi.waitFor(() => expect(members(workload).length).toBeGreaterThanOrEqual(4), 5_000);
    await newDriver().stop(workload, 5_000);
    expect(members(workload)).toEqual([]);
  });

  test("ends children that outlived their leader, with or without a clean environment", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("sleep 60 & env -i sleep 60 & echo up"));
    await vi.waitFor(() => expect(statOf(workload.pid)).toBeUndefined(), 5_000);
    expect(members(workload)).toHaveLength(2);
    expect(await driver.find(workload.launchId, workload)).toMatchObject({ launchId: workload.launchId });
    await newDriver().stop(workload, 5_000);
    expect(members(workload)).toEqual([]);
  });

  test("is done for what a workload leaves behind before its exit is told, but not while somebody gives it time to end", async () => {
    const driver = newDriver({ leftoverStopTimeoutMs: 0 });
    const workload = await start(driver, shell("sleep 60 & exit 5"));
    expect(await driver.waitForExit(workload, never)).toEqual({ code: 5, signal: null });
    expect(members(workload)).toEqual([]);

    const slow = await start(driver, shell(`sh -c 'trap "sleep 0.2; echo drained; exit" TERM; echo up; while :; do sleep 0.01; done' & wait`));
    await waitForLog("up");
    const exit = driver.waitForExit(slow, never);
    await driver.stop(slow, 60_000);
    expect(await exit).toEqual({ code: null, signal: "SIGTERM" });
    expect(await log("stdout")).toContain("drained");
  });

  test("ends what has gone into a session of its own", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("setsid sleep 60 & echo up; wait"));
    await waitForLog("up");
    await vi.waitFor(() => expect(new Set(members(workload).map((member) => member.sessionId)).size).toBe(2), 5_000);
    await driver.stop(workload, 5_000);
    expect(members(workload)).toEqual([]);
  });

  test("ends a workload that somebody has halted", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell('trap "exit 4" TERM; echo up; while :; do sleep 0.01; done'));
    await waitForLog("up");
    process.kill(-workload.pid, "SIGSTOP");
    await driver.stop(workload, 60_000);
    expect(await driver.waitForExit(workload, never)).toEqual({ code: 4, signal: null });
  });

  test("of what is gone already resolves at once", async () => {
    const driver = newDriver();
    const workload = await start(driver, shell("true"));
    await driver.waitForExit(workload, never);
    await driver.stop(workload, 60_000);
  });

  test("leaves a group alone that has the number of one that is gone", async () => {
    const driver = newDriver();
    const other = await start(driver, shell("sleep 60"));
    await driver.stop({ ...other, launchId: randomUUID(), startTicks: String(BigInt(other.startTicks) - 1n) }, 0);
    expect(await driver.find(other.launchId, other)).toEqual(other);
  });
});

test("a workload's output is rotated while it runs, and it writes on", async () => {
  const driver = newDriver({ rotation: { fileBytesMax: 1000, checkIntervalMs: 20 } });
  await start(driver, spec([NODE, "-e", 'let n = 0; setInterval(() => console.log("line", ++n, "x".repeat(100)), 2)']));
  const logs = join(dir, "apps/shop/logs");
  await vi.waitFor(() => expect(existsSync(join(logs, "stdout.log.3"))).toBe(true), 10_000);
  expect(existsSync(join(logs, "stdout.log.4"))).toBe(false);
  const numbers = [3, 2, 1].flatMap((age) => readFileSync(join(logs, `stdout.log.${age}`), "utf8").match(/(?<=line )\d+/g) ?? []).map(Number);
  expect(numbers.length).toBeGreaterThan(10);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
});
