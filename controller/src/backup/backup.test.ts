/**
 * Backups of real directories with a real database: made, checked, written, restored, and each way in which one can be bad.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Instant } from "@muster/proto/ids.ts";
import type { BackupSummary } from "@muster/proto/backup-job.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { takeHome } from "../home.ts";
import { Journal } from "../journal/journal.ts";
import { JOURNAL_VERSION } from "../journal/schema.ts";
import { gather, inPieces, NEVER, Place, tree } from "./backup.fixture.ts";
import { checkBackup } from "./check-backup.ts";
import { refuseHalfRestored } from "./half-restored.ts";
import { makeBackup } from "./make-backup.ts";
import { openSource } from "./read-backup.ts";
import { restoreBackup } from "./restore-backup.ts";
import { endOfArchive, headerOf, paddingOf } from "./tar.ts";
import { writeBackup } from "./write-backup.ts";

let place: Place;
let file: string;
let target: string;

beforeEach(() => {
  place = new Place();
  file = place.path("b.tar");
  target = place.path("restored");
});

afterEach(() => place[Symbol.dispose]());

const onProgress = (): void => undefined;
const common = (passphrase?: string) => ({ passphrase, onProgress, signal: NEVER });
const check = async (passphrase?: string): Promise<BackupSummary> => checkBackup({ ...common(passphrase), source: await openSource(file) });
const restore = async (options: { readonly passphrase?: string; readonly epoch?: number; readonly dir?: string } = {}): Promise<BackupSummary> =>
  restoreBackup({ ...common(options.passphrase), source: await openSource(file), dir: options.dir ?? target, epoch: options.epoch });
const save = async (bytes?: Buffer, passphrase?: string): Promise<BackupSummary> => writeBackup(file, { ...common(passphrase), bytes: inPieces(bytes ?? (await place.archive()), 10_000) });

describe("a backup", () => {
  test("holds the database as it is, keys, ports and artifacts, and nothing of the run", async () => {
    await save();
    expect(execFileSync("tar", ["tf", file], { encoding: "utf8" }).trim().split("\n")).toEqual([
      "muster-backup.json",
      "muster.db",
      "identity/ca/key.pem",
      "nats/jwt/account.jwt",
      "ports.json",
      ...place.artifacts.flatMap((digest) => [`artifacts/${digest}/manifest`, `artifacts/${digest}/pack`]),
      "SHA256SUMS",
    ]);
    mkdirSync(place.path("by-hand"));
    execFileSync("tar", ["xf", file, "-C", place.path("by-hand")]);
    execFileSync("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: place.path("by-hand") });
  });

  test("says what is in it", async () => {
    const summary = { madeBy: "0.1.0", createdAt: 1_700_000_000_000, isEncrypted: false, journalSeq: 5, machines: 3, deployments: 0, artifacts: 2, missingArtifacts: [], missingArchive: [], epoch: 0 };
    expect(await save()).toEqual({ ...summary, sizeBytes: statSync(file).size });
    expect(await check()).toEqual({ ...summary, sizeBytes: statSync(file).size });
  });

  test("without artifacts says which are missing", async () => {
    const { artifacts, missingArtifacts } = await save(await place.archive(false));
    expect([artifacts, missingArtifacts.map(({ digest }) => digest)]).toEqual([0, place.artifacts]);
  });

  test("leaves out an artifact that goes while it is made", async () => {
    const [gone] = place.artifacts;
    const backup = await makeBackup({ dir: place.dir, withArtifacts: true, now: () => 1, signal: NEVER });
    rmSync(join(place.dir, "artifacts", gone!), { recursive: true });
    const bytes = await gather(backup.pieces);
    await backup.close();
    expect(await save(bytes)).toMatchObject({ artifacts: 1, missingArtifacts: [{ digest: gone, releases: [] }] });
  });

  test("holds the archive of the journal as long as the database knows it, and names a file of it that is gone", async () => {
    const { journal } = place;
    place.steps(3);
    await journal.snapshots.take(1 as Instant);
    await journal.archive.moveOldest(journal.lastSeq, () => []);
    const backup = await makeBackup({ dir: place.dir, withArtifacts: true, now: () => 1, signal: NEVER });
    // Another frame comes after the copy of the database.
    place.steps(2);
    await journal.snapshots.take(1 as Instant);
    await journal.archive.moveOldest(journal.lastSeq, () => []);
    const bytes = await gather(backup.pieces);
    await backup.close();
    expect(await save(bytes)).toMatchObject({ missingArchive: [] });
    await restore();
    const restored = Journal.open(join(target, "muster.db"));
    expect([...restored.read({ fromSeq: 1 })].map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([restored.archive.extent().rows, restored.archive.lastSeq]).toEqual([2, 7]);
    restored.close();
    rmSync(join(place.dir, "archive"), { recursive: true });
    expect(await save(await place.archive())).toMatchObject({ missingArchive: ["1970-01.jsonl.zst"] });
  });

  test("is of one moment while rows are written", async () => {
    place.joins(5_000);
    const before = place.journal.lastSeq;
    const backup = makeBackup({ dir: place.dir, withArtifacts: false, now: () => 1, signal: NEVER });
    let isMade = false;
    void backup.then(() => (isMade = true));
    while (!isMade) {
      place.joins(1);
      await new Promise(setImmediate);
    }
    expect(place.journal.lastSeq).toBeGreaterThan(before);
    const made = await backup;
    const { machines, journalSeq } = await save(await gather(made.pieces));
    await made.close();
    // Each row but those of the two artifacts is a machine that joined.
    expect(machines).toBe(journalSeq - place.artifacts.length);
    expect(journalSeq).toBeGreaterThanOrEqual(before);
  });

  test("does not hold what was deleted", async () => {
    place.journal.db.exec("CREATE TABLE own_secrets (secret TEXT)");
    place.journal.db.prepare("INSERT INTO own_secrets VALUES (?)").run("forget-me".repeat(100));
    place.journal.db.exec("DELETE FROM own_secrets");
    expect((await place.archive()).includes("forget-me")).toBe(false);
  });

  test("leaves no copy of the database behind, also when it is given up", async () => {
    const given = new AbortController();
    const made = makeBackup({ dir: place.dir, withArtifacts: true, now: () => 1, signal: given.signal });
    given.abort();
    await made.then((backup) => backup.close(), () => undefined);
    expect(readdirSync(place.dir)).not.toContain(".backup");
  });

  test("is written whole and checked or not at all, and only its owner can read it", async () => {
    await save();
    expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
    const before = readFileSync(file);
    const archive = await place.archive();
    await expect(save(archive.subarray(0, 50_000))).rejects.toMatchObject({ code: "truncated" });
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(place.root).sort()).toEqual(["b.tar", "controller"]);
  });
});

describe("a restored controller", () => {
  test("has everything that the backup has, for nobody else to read, and a later epoch", async () => {
    await save();
    expect(await restore()).toMatchObject({ epoch: 1, machines: 3 });
    const restored = tree(target);
    expect(Object.keys(restored).sort()).toEqual(
      ["artifacts", ...place.artifacts.flatMap((digest) => [`artifacts/${digest}`, `artifacts/${digest}/manifest`, `artifacts/${digest}/pack`]), ".writable", "controller.lock", "identity", "identity/ca", "identity/ca/key.pem", "identity/epoch", "muster.db", "nats", "nats/jwt", "nats/jwt/account.jwt", "ports.json"].sort(),
    );
    expect(restored["identity/ca/key.pem"]).toBe("600 the key of the CA");
    expect(restored["identity/epoch"]).toBe("600 1\n");
    expect(restored["identity"]).toBe("700/");
    expect((statSync(target).mode & 0o777).toString(8)).toBe("700");
    const journal = Journal.open(join(target, "muster.db"));
    expect([...journal.read({ fromSeq: 1 })]).toEqual([...place.journal.read({ fromSeq: 1 })]);
    journal.close();
    takeHome(target).release();
    expect(() => refuseHalfRestored(target)).not.toThrow();
  });

  test("is of an epoch that was asked for, or the one after its backup's", async () => {
    place.writes("identity/epoch", "3\n");
    await save();
    expect(await restore()).toMatchObject({ epoch: 4 });
    expect(await restore({ dir: place.path("again"), epoch: 5 })).toMatchObject({ epoch: 5 });
    await expect(restore({ dir: place.path("older"), epoch: 3 })).rejects.toMatchObject({ code: "bad_epoch" });
    expect(existsSync(place.path("older"))).toBe(false);
  });

  test("comes into a directory that is there and empty", async () => {
    await save();
    mkdirSync(target);
    await restore();
    expect(existsSync(join(target, "muster.db"))).toBe(true);
  });

  test("comes from an encrypted backup with its passphrase alone", async () => {
    await save(undefined, "open sesame");
    expect(readFileSync(file).includes("the key of the CA")).toBe(false);
    await expect(restore()).rejects.toMatchObject({ code: "passphrase_needed", message: expect.stringContaining("--passphrase-file") as string });
    await expect(restore({ passphrase: "sesame" })).rejects.toMatchObject({ code: "wrong_passphrase" });
    expect(existsSync(target)).toBe(false);
    expect(await restore({ passphrase: "open sesame" })).toMatchObject({ isEncrypted: true, machines: 3 });
  });

  test("never takes the place of another one", async () => {
    await save();
    const before = tree(place.dir);
    await expect(restore({ dir: place.dir })).rejects.toMatchObject({ code: "not_empty", message: expect.stringContaining("move it away") as string });
    expect(tree(place.dir)).toEqual(before);
  });

  test("does not come where a controller runs", async () => {
    await save();
    const home = takeHome(target);
    await expect(restore()).rejects.toMatchObject({ code: "in_use" });
    home.release();
    await restore();
  });
});

describe("a backup that is bad is refused, and nothing is left behind", () => {
  async function refused(code: string, message: RegExp): Promise<void> {
    const expected = { code, message: expect.stringMatching(message) as string };
    await expect(check()).rejects.toMatchObject(expected);
    await expect(restore()).rejects.toMatchObject(expected);
    expect(existsSync(target)).toBe(false);
    mkdirSync(target);
    await expect(restore()).rejects.toMatchObject(expected);
    expect(readdirSync(target)).toEqual([]);
    rmSync(target, { recursive: true });
  }

  test("one that was cut off anywhere", async () => {
    const bytes = await place.archive();
    for (const size of [0, 1, 511, 512, 5_000, bytes.length - 5_000, bytes.length - 1024, bytes.length - 512, bytes.length - 1]) {
      writeFileSync(file, bytes.subarray(0, size));
      await refused("truncated", /b\.tar is cut off at /);
    }
  });

  test("one with a flipped bit, in a header, a content, a gap, the checksums or the end", async () => {
    const bytes = await place.archive();
    const inside = ["muster-backup.json", "formatVersion", "SQLite format", "identity/ca/key.pem", "the key of the CA", "SHA256SUMS", `  ports.json`].map((text) => bytes.indexOf(text));
    const gap = bytes.indexOf("the key of the CA") + 100;
    for (const at of [0, 300, gap, ...inside, bytes.length - 1000, bytes.length - 1]) {
      expect(at).toBeGreaterThanOrEqual(0);
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      writeFileSync(file, changed);
      await refused("damaged", /b\.tar is damaged, or no backup: .*use another copy/);
    }
  });

  test("one of a newer version", async () => {
    writeFileSync(file, archiveOf({ "muster-backup.json": JSON.stringify({ formatVersion: 2, madeBy: "9.0.0", andMore: [] }) }));
    await refused("newer", /made by a newer Muster \(9\.0\.0/);
  });

  test("one whose journal is of a newer version", async () => {
    place.journal.db.prepare("INSERT INTO meta (key, value) VALUES ('journal_version', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value").run(String(JOURNAL_VERSION + 1));
    await expect(place.archive()).rejects.toMatchObject({ code: "newer" });
  });

  test("one whose entries would leave the directory", async () => {
    const bytes = await place.archive();
    const at = bytes.indexOf("identity/ca/key.pem");
    const evil = headerOf("identity/ca/key.pem", 17, 1_700_000_000_000);
    evil.write("../../../ca/key.pem", 0, "ascii");
    let sum = 8 * 0x20;
    for (const [index, byte] of evil.entries()) if (index < 148 || index >= 156) sum += byte;
    evil.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
    writeFileSync(file, Buffer.concat([bytes.subarray(0, at), evil, bytes.subarray(at + 512)]));
    await refused("damaged", /can't be read/);
  });

  test("something else", async () => {
    writeFileSync(file, "SQLite format 3\0".repeat(100));
    await refused("damaged", /does not begin as a backup does/);
    await expect(openSource(place.path("nothing"))).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a restore that is killed", () => {
  test("leaves a directory in which no controller starts, and that the same restore completes", async () => {
    await save();
    const whole = place.path("whole");
    await restore({ dir: whole });
    // As it is between any two of its steps: some moved into place, some not.
    for (const moved of [[], ["muster.db"], ["muster.db", "identity", "nats"]]) {
      const dir = place.path(`killed-${moved.length}`);
      mkdirSync(join(dir, ".restoring"), { recursive: true });
      for (const name of ["muster.db", "identity", "nats", "ports.json"]) cpSync(join(whole, name), join(dir, moved.includes(name) ? "." : ".restoring", name), { recursive: true });
      expect(() => refuseHalfRestored(dir)).toThrow(/was not finished; run the same muster restore again/);
      await restore({ dir });
      expect(Object.keys(tree(dir)).sort()).toEqual(Object.keys(tree(whole)).sort());
      expect(() => refuseHalfRestored(dir)).not.toThrow();
    }
  });

  test("at any moment, by kill -9", async () => {
    await save();
    const whole = place.path("whole");
    await restore({ dir: whole });
    const program = fileURLToPath(new URL("main.ts", import.meta.url));
    for (const delayMs of [0, 5, 10, 20, 40, 80]) {
      const dir = place.path(`k-${delayMs}`);
      const child = spawn(process.execPath, [program], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
      child.send({ kind: "restore", file, dir });
      while (!existsSync(dir) && child.exitCode === null) await new Promise((done) => setTimeout(done, 1));
      await new Promise((done) => setTimeout(done, delayMs));
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      const isWhole = existsSync(join(dir, "muster.db")) && !existsSync(join(dir, ".restoring"));
      if (!isWhole) await restore({ dir });
      // SQLite's own lock, and the journal of it that a kill may leave.
      const { "controller.lock": _, "controller.lock-journal": __, ...killed } = tree(dir);
      expect(tree(whole)).toMatchObject(killed);
    }
  });
});

/** With its checksums left out. */
function archiveOf(files: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(files).flatMap(([name, content]) => [headerOf(name, content.length, 0), Buffer.from(content), paddingOf(content.length)]);
  return Buffer.concat([...entries, endOfArchive()]);
}

