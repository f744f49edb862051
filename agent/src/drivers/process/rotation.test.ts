import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { rotateIfLarge, startRotation } from "./rotation.ts";

const limits = { fileBytesMax: 100, rotatedKept: 3, checkIntervalMs: 10 };
let dir: string;
let logs: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-rotation-"));
  logs = join(dir, "apps/shop/logs");
  await mkdir(logs, { recursive: true });
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test("a file up to the limit stays as it is", async () => {
  await writeFile(join(logs, "stdout.log"), "x".repeat(100));
  await rotateIfLarge(logs, "stdout", limits);
  expect(await readdir(logs)).toEqual(["stdout.log"]);
});

test("a longer one is moved on, and three old ones are kept", async () => {
  for (const letter of ["a", "b", "c", "d", "e"]) {
    await appendFile(join(logs, "stdout.log"), letter.repeat(150));
    await rotateIfLarge(logs, "stdout", limits);
  }
  expect((await readdir(logs)).sort()).toEqual(["stdout.log", "stdout.log.1", "stdout.log.2", "stdout.log.3"]);
  expect((await stat(join(logs, "stdout.log"))).size).toBe(0);
  for (const [age, letter] of [[1, "e"], [2, "d"], [3, "c"]] as const) {
    expect(await readFile(join(logs, `stdout.log.${age}`), "utf8")).toBe(letter.repeat(150));
  }
});

test("of a file far beyond the limit the newest is kept", async () => {
  await writeFile(join(logs, "stderr.log"), `${"old".repeat(100)}${"n".repeat(100)}`);
  await rotateIfLarge(logs, "stderr", limits);
  expect(await readFile(join(logs, "stderr.log.1"), "utf8")).toBe("n".repeat(100));
});

test("the files of all apps are looked at, and what is no app is left alone", async () => {
  await writeFile(join(logs, "stdout.log"), "x".repeat(101));
  await mkdir(join(dir, "apps/other/logs"), { recursive: true });
  await writeFile(join(dir, "apps/other/logs/stderr.log"), "x".repeat(101));
  await mkdir(join(dir, "apps/.odd/logs"), { recursive: true });
  await writeFile(join(dir, "apps/.odd/logs/stdout.log"), "x".repeat(101));
  const rotation = startRotation(dir, limits, pino({ enabled: false }));
  await vi.waitFor(async () => {
    expect(await readdir(logs)).toContain("stdout.log.1");
    expect(await readdir(join(dir, "apps/other/logs"))).toContain("stderr.log.1");
  }, 5_000);
  rotation.stop();
  expect(await readdir(join(dir, "apps/.odd/logs"))).toEqual(["stdout.log"]);
});
