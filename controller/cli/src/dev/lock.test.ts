import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireLock, type Lock } from "./lock.ts";
import { identify } from "./process-identity.ts";

describe("the lock of a dev directory", () => {
  let dir: string;
  let path: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "muster-lock-"));
    path = join(dir, "dev.lock");
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function acquired(): Lock {
    const result = acquireLock(path);
    if (result.kind === "held") throw new Error(`held by ${result.pid}`);
    return result.lock;
  }

  it("is held by one at a time, and names its holder", () => {
    const lock = acquired();
    expect(acquireLock(path)).toEqual({ kind: "held", pid: process.pid });
    lock.release();
    acquired().release();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is taken over from a process that has ended, though its pid lives again, with the children that still run", async () => {
    const child = spawn("sleep", ["60"]);
    const running = { name: "dev-0", ...identify(child.pid!)! };
    const ended = { name: "dev-1", pid: process.pid, startedAt: "earlier boot/1" };
    writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: "earlier boot/1", children: [running, ended] }));
    const result = acquireLock(path);
    expect(result).toMatchObject({ kind: "acquired", orphans: [running] });
    child.kill();
    await once(child, "exit");
  });

  it("is taken over when a full disk left half a file", () => {
    writeFileSync(path, '{"pid":');
    expect(acquireLock(path)).toMatchObject({ kind: "acquired", orphans: [] });
  });

  it("remembers nothing more once released", () => {
    const lock = acquired();
    lock.release();
    lock.remember([]);
    expect(readdirSync(dir)).toEqual([]);
  });
});
