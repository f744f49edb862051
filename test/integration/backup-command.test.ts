/**
 * `muster backup`, `backup check` and `restore` as a user runs them: what they print, how they end, and what they leave when something is wrong.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { BackupServiceClient } from "@muster/proto/gen/muster/v1/backup.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CANNOT_MOUNT, withMount } from "../e2e/bad-input.ts";
import { ControllerProcess } from "./controller-process.ts";

const MUSTER = resolve(import.meta.dirname, "../../controller/cli/bin/muster.js");
const DONE = 0;
const FAILED = 1;
const BAD_INPUT = 2;
const UNREACHABLE = 3;
const WARNING = /^muster: b\.tar holds the controller's keys and is not encrypted: .* say --passphrase-file FILE\n$/;

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let controller: ControllerProcess;
let cwd: string;
beforeAll(async () => {
  controller = await ControllerProcess.start();
});
afterAll(() => controller.stop());
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "muster-backup-command-"));
  writeFileSync(join(cwd, "passphrase"), "open sesame\n");
});
afterEach(() => rmSync(cwd, { recursive: true }));

function start(command: readonly string[]): ChildProcess {
  const [program, ...args] = command;
  return spawn(program!, args, { cwd, env: { ...process.env, NO_COLOR: "1", MUSTER_ADDRESS: controller.operators }, stdio: ["ignore", "pipe", "pipe"] });
}

async function run(command: readonly string[]): Promise<Ran> {
  const child = start(command);
  let out = "";
  let err = "";
  child.stdout!.setEncoding("latin1").on("data", (chunk: string) => (out += chunk));
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (err += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

const muster = (...words: readonly string[]): Promise<Ran> => run([process.execPath, MUSTER, ...words]);
/** What a test has not put there itself. */
const left = (): readonly string[] => readdirSync(cwd).filter((name) => name !== "passphrase").sort();

describe("muster backup", () => {
  test("says what it wrote, how to restore it, and that it is not encrypted", async () => {
    const { code, out, err } = await muster("backup", "b.tar");
    expect(code).toBe(DONE);
    expect(err).toMatch(WARNING);
    expect(out.replaceAll("\n", " ")).toMatch(/^b\.tar is whole: 0 machines, 0 deployments and 0 artifacts as of \S+ \S+; \d+ kB restore it with: muster restore b\.tar --dir DIR $/);
    expect((statSync(join(cwd, "b.tar")).mode & 0o777).toString(8)).toBe("600");
    expect(left()).toEqual(["b.tar"]);
  });

  test("encrypted it says nothing on stderr, and gives one document with -o json", async () => {
    const { code, out, err } = await muster("backup", "b.age", "--passphrase-file", "passphrase", "-o", "json");
    expect([code, err]).toEqual([DONE, ""]);
    expect(JSON.parse(out)).toEqual({
      file: "b.age",
      made_by: "0.1.0",
      created_at: expect.stringMatching(/Z$/) as string,
      encrypted: true,
      size_bytes: statSync(join(cwd, "b.age")).size,
      journal_seq: 0,
      machines: 0,
      deployments: 0,
      artifacts: 0,
      missing_artifacts: [],
      missing_archive: [],
      epoch: 0,
    });
  });

  test("to standard output is the same archive", async () => {
    const { code, out, err } = await muster("backup", "-");
    expect(code).toBe(DONE);
    expect(err).toMatch(/^muster: what was written holds the controller's keys/);
    writeFileSync(join(cwd, "b.tar"), out, "latin1");
    expect(await muster("backup", "check", "b.tar")).toMatchObject({ code: DONE, err: "" });
  });

  test("without a controller leaves what was there", async () => {
    writeFileSync(join(cwd, "b.tar"), "the one of yesterday");
    const { code, err } = await muster("backup", "b.tar", "--address", "unix:/nowhere");
    expect(code).toBe(UNREACHABLE);
    expect(err).toMatch(/^muster: cannot reach the controller at unix:\/nowhere/);
    expect(readFileSync(join(cwd, "b.tar"), "utf8")).toBe("the one of yesterday");
    expect(left()).toEqual(["b.tar"]);
  });

  test("that is interrupted leaves nothing", async () => {
    const child = start([process.execPath, MUSTER, "backup", "b.age", "--passphrase-file", "passphrase"]);
    // Encrypting begins with most of a second in scrypt, so it is there for long enough.
    while (!existsSync(join(cwd, "b.age.partial"))) await new Promise((done) => setTimeout(done, 5));
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([130, null]);
    expect(left()).toEqual([]);
  });
});

test("one backup is made at a time, and the second is refused, not queued", async () => {
  const client = new BackupServiceClient(controller.operators, credentials.createInsecure());
  const codeOf = async (): Promise<status> => {
    try {
      for await (const _ of client.backup({ withoutArtifacts: true })) continue;
      return status.OK;
    } catch (error) {
      return (error as ServiceError).code;
    }
  };
  expect((await Promise.all([codeOf(), codeOf()])).sort((one, other) => one - other)).toEqual([status.OK, status.FAILED_PRECONDITION]);
  expect(await codeOf()).toBe(status.OK);
  client.close();
});

test("muster restore says what came back, which epoch it has, and how to start it", async () => {
  await muster("backup", "b.age", "--passphrase-file", "passphrase");
  const { code, out, err } = await muster("restore", "b.age", "--dir", "new", "--passphrase-file", "passphrase");
  expect([code, err]).toEqual([DONE, ""]);
  expect(out.replaceAll("\n", " ")).toMatch(/^restored into new: 0 machines, .* Its epoch is 1: .* restore it with --epoch 2\. start it with: muster controller --dir new $/);
  const again = await muster("restore", "b.age", "--dir", "newer", "--passphrase-file", "passphrase", "--epoch", "7", "-o", "json");
  expect(JSON.parse(again.out)).toMatchObject({ file: "b.age", dir: "newer", epoch: 7 });
  expect(readFileSync(join(cwd, "newer/identity/epoch"), "utf8")).toBe("7\n");
});

describe("a backup that can't be restored", () => {
  const PASSPHRASE = ["--passphrase-file", "passphrase"];
  const change = (file: string, edit: (bytes: Buffer) => Buffer): void => writeFileSync(join(cwd, file), edit(readFileSync(join(cwd, file))));

  test.each<[string, readonly string[], () => void, RegExp]>([
    ["encrypted, without a passphrase", ["b.age"], () => {}, /b\.age is encrypted; say --passphrase-file FILE/],
    ["with a wrong passphrase", ["b.age", ...PASSPHRASE], () => writeFileSync(join(cwd, "passphrase"), "sesame\n"), /the passphrase does not open b\.age/],
    ["cut off", ["b.tar"], () => change("b.tar", (bytes) => bytes.subarray(0, 20_000)), /b\.tar is cut off at muster\.db; use another copy of it/],
    ["encrypted and cut off", ["b.age", ...PASSPHRASE], () => change("b.age", (bytes) => bytes.subarray(0, 20_000)), /b\.age is damaged or cut off, from byte \d+ on/],
    ["with a flipped bit", ["b.tar"], () => change("b.tar", (bytes) => bytes.with(30_000, bytes[30_000]! ^ 1) as Buffer), /muster\.db does not match its checksum/],
    ["encrypted, with a flipped bit", ["b.age", ...PASSPHRASE], () => change("b.age", (bytes) => bytes.with(30_000, bytes[30_000]! ^ 1) as Buffer), /b\.age is damaged, from byte \d+ on/],
    ["that is not there", ["nothing.tar"], () => {}, /could not read nothing\.tar: there is no such file or folder/],
    ["that is something else", ["passphrase"], () => {}, /passphrase is cut off at its first entry/],
  ])("%s", async (_, words, spoil, message) => {
    await muster("backup", "b.tar");
    await muster("backup", "b.age", ...PASSPHRASE);
    spoil();
    for (const command of [["backup", "check"], ["restore", "--dir", "new"]]) {
      const { code, out, err } = await muster(...command, ...words);
      expect([code, out]).toEqual([BAD_INPUT, ""]);
      expect(err).toMatch(message);
    }
    expect(left()).toEqual(["b.age", "b.tar"]);
  });

  test("where something is already", async () => {
    await muster("backup", "b.tar");
    mkdirSync(join(cwd, "home"));
    writeFileSync(join(cwd, "home/notes.txt"), "");
    const { code, err } = await muster("restore", "b.tar", "--dir", "home");
    expect(code).toBe(BAD_INPUT);
    expect(err).toBe("muster: home is not empty (notes.txt), and nothing is overwritten; move it away, for example to home.old, or choose another --dir\n");
    expect(readdirSync(join(cwd, "home"))).toEqual(["notes.txt"]);
  });
});

test.each<[readonly string[], string]>([
  [["backup"], "missing required argument 'file'"],
  [["restore", "b.tar"], "required option '--dir <dir>' not specified"],
  [["restore", "b.tar", "--dir", "new", "--epoch", "9000"], "not a whole number from 1 to 8191"],
  [["backup", "b.tar", "--passphrase-file", "nobody"], "nobody can't be read"],
  [["backup", "b.tar", "--passphrase-file", "empty"], "has to hold one line, the passphrase"],
])("muster %j is bad input, and nothing is written", async (words, message) => {
  writeFileSync(join(cwd, "empty"), "\n");
  const { code, err } = await muster(...words);
  expect(code).toBe(BAD_INPUT);
  expect(err).toContain(message);
  expect(left()).toEqual(["empty"]);
});

test("on a disk that is full nothing is left, and the message says so (needs root)", async () => {
  expect(CANNOT_MOUNT).toBeUndefined();
  await muster("backup", "b.tar");
  const disk = join(cwd, "disk");
  mkdirSync(disk);
  const onFullDisk = (...words: readonly string[]): readonly string[] =>
    withMount(`mount -t tmpfs -o size=64k tmpfs '${disk}'`, ["sh", "-c", `"$@"; code=$?; ls -A '${disk}'; exit $code`, "sh", process.execPath, MUSTER, ...words]);
  const written = await run(onFullDisk("backup", "disk/b.tar"));
  expect([written.code, written.out]).toEqual([FAILED, ""]);
  expect(written.err).toBe("muster: could not write disk/b.tar: the disk is full; free some space there, or choose another place\n");
  const restored = await run(onFullDisk("restore", "b.tar", "--dir", "disk/new"));
  expect([restored.code, restored.out]).toEqual([FAILED, ""]);
  expect(restored.err).toMatch(/^muster: could not .*: the disk is full; free some space there, or choose another place\n$/);
});
