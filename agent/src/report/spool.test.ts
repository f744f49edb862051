import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NewReport, type Spool, openSpool } from "./spool.ts";

let dir: string;
let damage: string[];
let instances: number;
const opened: Spool[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-spool-"));
  damage = [];
  instances = 0;
});
afterEach(() => {
  for (const spool of opened.splice(0)) spool.close();
  rmSync(dir, { recursive: true });
});

function open(reportsMax?: number): Spool {
  const spool = openSpool({
    dir,
    newInstanceId: () => `instance-${(instances += 1)}`,
    now: () => 1_000,
    onDamage: (what) => damage.push(what),
    ...(reportsMax === undefined ? {} : { reportsMax }),
  });
  opened.push(spool);
  return spool;
}

function report(app: string, generation = 1): NewReport {
  const reason = { code: "exited", message: `exited with code 1; last output: "über\n${app}"` };
  return { app, generation, phase: AppPhase.HEALTHY, reason, runningVersion: "1.0", runningArtifact: "", starts: 1, pid: 7, ports: { http: 80 } };
}

const seqs = (spool: Spool, after = 0): number[] => spool.after(after, 100_000).map(({ seq }) => seq);
const file = (): string => join(dir, "spool.jsonl");

describe("the spool", () => {
  it("numbers reports from 1 and gives them back after it was opened again", () => {
    const first = open();
    for (const app of ["a", "b", "c"]) first.append(report(app));
    const second = open();
    expect(second.after(1, 10)).toEqual([
      { ...report("b"), seq: 2, observedAt: 1_000 },
      { ...report("c"), seq: 3, observedAt: 1_000 },
    ]);
    expect(second.append(report("d")).seq).toBe(4);
    expect(second.instanceId).toBe(first.instanceId);
  });

  it("forgets what is acknowledged, and never gives a sequence out again", () => {
    const spool = open();
    for (let count = 0; count < 2_000; count += 1) spool.append(report("a", count));
    spool.acknowledge(2_000);
    expect([seqs(spool), spool.newestPendingSeq]).toEqual([[], 0]);
    expect(readFileSync(file(), "utf8").length).toBeLessThan(200);
    expect(open().append(report("a")).seq).toBe(2_001);
  });

  it("names a report that it cannot write as one that is still to come, until it can", () => {
    let isFull = false;
    const spool = openSpool({
      dir,
      newInstanceId: () => "instance-1",
      now: () => {
        if (isFull) throw new Error("ENOSPC: no space left on device, write");
        return 1_000;
      },
      onDamage: () => {},
    });
    opened.push(spool);
    for (const app of ["a", "b"]) spool.append(report(app));
    spool.acknowledge(2);
    isFull = true;
    for (const app of ["a", "b", "a"]) expect(() => spool.append(report(app))).toThrow("ENOSPC");
    expect([seqs(spool), spool.newestPendingSeq]).toEqual([[], 3]);
    isFull = false;
    spool.append(report("a"));
    expect([seqs(spool), spool.newestPendingSeq]).toEqual([[3], 4]);
    spool.append(report("b"));
    spool.acknowledge(4);
    expect(spool.newestPendingSeq).toBe(0);
  });

  it("knows up to which report it was acknowledged last, which may be less than before", () => {
    const spool = open();
    for (const app of ["a", "b"]) spool.append(report(app));
    expect(spool.acknowledgedSeq).toBe(0);
    spool.acknowledge(2);
    expect(spool.acknowledgedSeq).toBe(2);
    spool.acknowledge(0);
    expect([spool.acknowledgedSeq, spool.append(report("a")).seq]).toEqual([0, 3]);
  });

  it("knows up to which report the controller may have heard of it", () => {
    const spool = open();
    for (const app of ["a", "b", "c"]) spool.append(report(app));
    expect(spool.sentSeq).toBe(0);
    spool.after(0, 2);
    expect(spool.sentSeq).toBe(2);
    spool.after(0, 1);
    expect(spool.sentSeq).toBe(2);
    // Another life may have sent what is found, or another spool what the controller has under these numbers.
    expect(open().sentSeq).toBe(0);
    spool.acknowledge(3);
    expect(spool.sentSeq).toBe(3);
  });

  it("goes on after what the controller knows", () => {
    const spool = open();
    spool.acknowledge(41);
    expect(spool.append(report("a")).seq).toBe(42);
  });

  it("keeps the newest report of each app, with its sequence, when it holds too many", () => {
    const spool = open(5);
    for (const app of ["a", "b", "a", "a", "c", "a"]) spool.append(report(app));
    expect(spool.after(0, 10).map(({ seq, app }) => `${seq}${app}`)).toEqual(["2b", "5c", "6a"]);
    expect(spool.append(report("a")).seq).toBe(7);
    expect(seqs(open(5))).toEqual([2, 5, 6, 7]);
  });

  it("gives batches that follow each other", () => {
    const spool = open();
    for (let count = 0; count < 10; count += 1) spool.append(report("a"));
    expect(spool.after(3, 4).map(({ seq }) => seq)).toEqual([4, 5, 6, 7]);
    expect(spool.after(10, 4)).toEqual([]);
  });

  it("tells its listener of each report", () => {
    const spool = open();
    let count = 0;
    spool.onAppend(() => (count += 1));
    spool.append(report("a"));
    expect(count).toBe(1);
  });
});

describe("a spool whose file was cut off", () => {
  it("at any byte of its last report holds all before it, and goes on with the same sequence", () => {
    const spool = open();
    for (const app of ["a", "b"]) spool.append(report(app));
    const before = readFileSync(file()).length;
    spool.append(report("c"));
    const whole = readFileSync(file());
    for (let size = before; size < whole.length; size += 1) {
      writeFileSync(file(), whole.subarray(0, size));
      const cut = open();
      expect(seqs(cut), `cut to ${size} bytes`).toEqual([1, 2]);
      expect(cut.append(report("d")).seq).toBe(3);
      expect(seqs(open())).toEqual([1, 2, 3]);
      for (const each of opened.splice(0)) each.close();
    }
  });

  it("at any byte at all holds a beginning of what was written, or begins anew under another instance", () => {
    const spool = open();
    for (const app of ["a", "b", "c"]) spool.append(report(app));
    const whole = readFileSync(file());
    const headerBytes = whole.indexOf("\n") + 1;
    for (let size = 0; size < whole.length; size += 1) {
      writeFileSync(file(), whole.subarray(0, size));
      const cut = open();
      expect([1, 2, 3].slice(0, seqs(cut).length)).toEqual(seqs(cut));
      expect(cut.instanceId === "instance-1").toBe(size >= headerBytes);
      cut.append(report("z"));
      for (const each of opened.splice(0)) each.close();
    }
  });

  it("says what is lost", () => {
    open().append(report("a"));
    truncateSync(file(), readFileSync(file()).length - 5);
    open();
    expect(damage).toEqual(["the spool ended in the middle of a report that was never finished"]);
  });
});

describe("a spool whose file was damaged", () => {
  it("leaves out a report whose checksum is wrong, and keeps the others", () => {
    const spool = open();
    for (const app of ["a", "b", "c"]) spool.append(report(app));
    writeFileSync(file(), readFileSync(file(), "utf8").replace('"app":"b"', '"app":"x"'));
    const read = open();
    expect(seqs(read)).toEqual([1, 3]);
    expect(damage).toEqual(["1 reports in the spool cannot be read"]);
    read.append(report("d"));
    expect(seqs(open())).toEqual([1, 3, 4]);
  });

  it("is set aside when nothing of it can be read, so that sequences begin again under another instance", () => {
    open().append(report("a"));
    writeFileSync(file(), "\0\0\0\0");
    const read = open();
    expect(read.instanceId).not.toBe("instance-1");
    expect(read.append(report("a")).seq).toBe(1);
    expect(readdirSync(dir).sort()).toEqual(["spool.jsonl", "spool.jsonl.corrupt"]);
  });
});
