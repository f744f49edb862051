import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeLock } from "./lock.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const living = new Map([
  [10, "100"],
  [11, "110"],
]);
const take = (pid: number) => takeLock({ dir, pid, birthOf: (each) => living.get(each) });

describe("the lock of an agent's directory", () => {
  it("is held by one agent at a time, and names it", () => {
    const first = take(10);
    expect(first.ok).toBe(true);
    expect(take(11)).toEqual({ ok: false, holderPid: 10 });
    if (first.ok) first.release();
    expect(take(11).ok).toBe(true);
    expect(readdirSync(dir)).toEqual(["agent.lock"]);
  });

  it.each([
    ["whose process is gone", "99 5"],
    ["whose pid is somebody else's by now", "10 99"],
    ["that names nobody", "nobody"],
  ])("%s is taken over", (_, text) => {
    symlinkSync(text, join(dir, "agent.lock"));
    const lock = take(10);
    expect(lock.ok).toBe(true);
    if (lock.ok) lock.release();
    symlinkSync(text, join(dir, "agent.lock"));
    expect(take(11).ok).toBe(true);
    expect(take(10)).toEqual({ ok: false, holderPid: 11 });
    expect(readdirSync(dir)).toEqual(["agent.lock"]);
  });

  it("is taken where a file of its name is in the way", () => {
    writeFileSync(join(dir, "agent.lock"), "10 100\n");
    expect(take(10).ok).toBe(true);
    expect(take(11)).toEqual({ ok: false, holderPid: 10 });
    expect(readdirSync(dir)).toEqual(["agent.lock"]);
  });

  it("is not released by one that does not hold it any more", () => {
    const first = take(10);
    rmSync(join(dir, "agent.lock"));
    symlinkSync("11 110", join(dir, "agent.lock"));
    if (first.ok) first.release();
    expect(take(10)).toEqual({ ok: false, holderPid: 11 });
  });

  it("cannot be taken where nothing can be written", () => {
    expect(() => takeLock({ dir: join(dir, "none"), pid: 10, birthOf: () => "1" })).toThrow("ENOENT");
  });
});
