import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { minimalEnvironment } from "./environment.ts";
import { allStats, birthOf, currentBootId, environmentValue, parseStat, statOf } from "./proc.ts";

test("a command's name may hold blanks, parentheses and line ends", () => {
  const rest = `S 7 42 43 ${Array.from({ length: 15 }, (_, index) => 100 + index).join(" ")} 987654321012345678 1 2 3`;
  for (const name of ["node", "a b", ") S 1 1 1 (", "x)", "\n) R 9"]) {
    expect(parseStat(`42 (${name}) ${rest}`), name).toEqual({
      pid: 42,
      state: "S",
      parentPid: 7,
      groupId: 42,
      sessionId: 43,
      startTicks: "987654321012345678",
    });
  }
  expect(parseStat("")).toBeUndefined();
  expect(parseStat("42 (cut off) S 1")).toBeUndefined();
});

test("a real process with an odd name is read right", async () => {
  const dir = await mkdtemp(join(tmpdir(), "muster-proc-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const program = join(dir, "a) Z (b");
  await copyFile("/bin/sleep", program);
  const child = spawn(program, ["60"], { detached: true, stdio: "ignore", env: { MARK: "a=b" } });
  const pid = child.pid!;
  expect(statOf(pid)).toMatchObject({ pid, parentPid: process.pid, groupId: pid, sessionId: pid });
  expect(allStats().filter((stat) => stat.pid === pid)).toHaveLength(1);
  expect(environmentValue(pid, "MARK")).toBe("a=b");
  expect(environmentValue(pid, "ARK")).toBeUndefined();
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(statOf(pid)).toBeUndefined();
  expect(environmentValue(pid, "MARK")).toBeUndefined();
});

test("a process whose end nobody has asked for yet has ended", async () => {
  const parent = spawn("sh", ["-c", "sleep 0 & exec sleep 60"], { stdio: "ignore" });
  onTestFinished(() => void parent.kill("SIGKILL"));
  const zombie = () => allStats().find(({ parentPid, state }) => parentPid === parent.pid && state === "Z");
  await vi.waitFor(() => expect(zombie()).toBeDefined(), 10_000);
  expect(birthOf(zombie()!.pid)).toBeUndefined();
  expect(birthOf(parent.pid!)).toBe(`${currentBootId()}/${statOf(parent.pid!)!.startTicks}`);
});

test("a boot has a name", () => {
  expect(currentBootId()).toMatch(/^[0-9a-f-]{36}$/);
});

test("of the agent's environment only what finds programs is passed on", () => {
  expect(minimalEnvironment({ PATH: "/bin", HOME: "/root", LANG: "", NATS_SECRET: "x" })).toEqual({ PATH: "/bin", HOME: "/root" });
  expect(minimalEnvironment({})["PATH"]).toContain("/usr/bin");
});
