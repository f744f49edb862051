import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { diskFault } from "./disk-fault.ts";
import { syncEach, syncTree, writeDurably } from "./durable.ts";

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "muster-durable-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test("a tree is flushed by one command and, where there is none, file by file", async () => {
  const dir = await tempDir();
  await mkdir(join(dir, "a"));
  await writeFile(join(dir, "a/b"), "x");
  await symlink("nowhere", join(dir, "a/link"));
  await syncTree(dir);
  await syncEach(dir);
  await expect(syncEach(join(dir, "missing"))).rejects.toThrow("ENOENT");
  await expect(syncTree(join(dir, "missing"))).rejects.toThrow("ENOENT");
});

test("a file is replaced whole, and no draft is left", async () => {
  const dir = await tempDir();
  await writeDurably(join(dir, "f"), Buffer.from("long text"));
  await writeDurably(join(dir, "f"), Buffer.from("short"));
  expect(await readFile(join(dir, "f"), "utf8")).toBe("short");
  expect(await readdir(dir)).toEqual(["f"]);
});

test("a full disk and every other fault of the disk are told apart, and a bug is thrown on", () => {
  const fault = (code: string): unknown => diskFault(Object.assign(new Error(`${code}: told by the system`), { code, errno: -1, syscall: "write" }), "write it", "/srv/agent");
  expect([fault("ENOSPC"), fault("EDQUOT"), fault("EROFS"), fault("EIO"), fault("ENAMETOOLONG")]).toEqual([
    { code: "disk_full", message: "could not write it: no space left on the disk of /srv/agent; free some space there", retryable: true },
    { code: "disk_full", message: "could not write it: the quota of the disk of /srv/agent is used up; free some space there, or raise the quota", retryable: true },
    { code: "io_error", message: "could not write it: the disk of /srv/agent is mounted read-only; see that the agent can write there", retryable: true },
    { code: "io_error", message: "could not write it: the disk of /srv/agent reports an input/output error; see to the disk, of which the system's log says more", retryable: true },
    { code: "io_error", message: "could not write it: ENAMETOOLONG: told by the system", retryable: true },
  ]);
  expect(() => diskFault(new TypeError("a bug"), "write it", "/srv/agent")).toThrow("a bug");
});
