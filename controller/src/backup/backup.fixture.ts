/** For tests alone: a controller's directory with something in it, and backups of it. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { Journal } from "../journal/journal.ts";
import { makeBackup } from "./make-backup.ts";
import { attendedAlways } from "../rollout/moment.ts";

export const NEVER = new AbortController().signal;

/** A folder of the test's own; everything of it is below. */
export class Place implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "muster-backup-test-"));
  readonly dir = join(this.root, "controller");
  readonly journal: Journal;
  /** In the order of their digests. */
  readonly artifacts: readonly string[];

  constructor() {
    mkdirSync(this.dir);
    this.journal = Journal.open(join(this.dir, "muster.db"));
    this.joins(3);
    this.artifacts = ["one", "two"].map((content) => this.#artifact(content)).sort();
    this.writes("ports.json", '{"grpc":1,"http":2}\n');
    this.writes("identity/ca/key.pem", "the key of the CA");
    this.writes("nats/jwt/account.jwt", "an account");
    this.writes("nats/nats-server.pid", "1");
    this.writes("nats/nats-server.log", "x".repeat(1000));
    this.writes("controller.json", "{}");
  }

  /** So many machines, written to the journal. */
  joins(count: number): void {
    const { journal } = this;
    journal.transaction(() => {
      for (let index = 0; index < count; index += 1) {
        const machine = `m-${journal.lastSeq + 1}` as MachineId;
        journal.append({ kind: "machine_joined", machine, instance: "i-1", labels: {}, agentVersion: "", hostname: "", os: "", arch: "" }, attendedAlways(1 as Instant));
      }
    });
  }

  /** So many rows that can be archived. */
  steps(count: number): void {
    const { journal } = this;
    journal.transaction(() => {
      for (let index = 0; index < count; index += 1) journal.append({ kind: index % 2 === 0 ? "machine_silent" : "machine_heard", machine: "m-1" as MachineId }, attendedAlways(1 as Instant));
    });
  }

  path(name: string): string {
    return join(this.root, name);
  }

  /** Into the controller's directory. */
  writes(name: string, content: string | Buffer): void {
    mkdirSync(dirname(join(this.dir, name)), { recursive: true });
    writeFileSync(join(this.dir, name), content, { mode: 0o600 });
  }

  async archive(withArtifacts = true): Promise<Buffer> {
    const backup = await makeBackup({ dir: this.dir, withArtifacts, now: () => 1_700_000_000_000, signal: NEVER });
    try {
      return await gather(backup.pieces);
    } finally {
      await backup.close();
    }
  }

  [Symbol.dispose](): void {
    this.journal.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  #artifact(content: string): string {
    const digest = createHash("sha256").update(content).digest("hex");
    this.writes(`artifacts/${digest}/manifest`, `manifest of ${content}`);
    this.writes(`artifacts/${digest}/pack`, content.repeat(100_000));
    this.journal.transaction(() => this.journal.append({ kind: "artifact_stored", artifact: digest as never, fileCount: 1, sizeBytes: 1, packBytes: 1 }, attendedAlways(1 as Instant)));
    return digest;
  }
}

/** Every file below a folder, as `name → mode in octal and content`. */
export function tree(folder: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const mode = (statSync(path).mode & 0o777).toString(8);
    found[path.slice(folder.length + 1)] = entry.isDirectory() ? `${mode}/` : `${mode} ${readFileSync(path, "latin1")}`;
  }
  return found;
}

export async function gather(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
