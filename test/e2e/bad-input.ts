/**
 * What every kind of bad input has in common: a command that is run in a folder of its own, the words and the exit code that it must end with,
 * and a picture of the fleet before and after, which must be the same.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { EventsServiceClient } from "@muster/proto/gen/muster/v1/events.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DevFleet, type Ran } from "./fleet.ts";

const ROOT = resolve(import.meta.dirname, "../..");
export const MUSTER = [process.execPath, join(ROOT, "controller/cli/bin/muster.js")] as const;
export const AGENT = [process.execPath, join(ROOT, "agent/bin/muster-agent.js")] as const;
export const IS_ROOT = process.getuid?.() === 0;
/** The journal has settled when nothing was added for so long. */
const SETTLED_MS = 1_000;
/** The guardian of a nats-server ends a moment after it. */
const LEAVING_MS = 5_000;
/** Written by who runs, taken away by who ends. */
const RECORDS: ReadonlySet<string> = new Set(["controller.json", "dev.json", "dev.lock", "agent.lock"]);

export const EXIT = { failed: 1, badInput: 2, unreachable: 3, notFound: 4 } as const;

/** One kind of bad input. */
export interface BadInput {
  /** Completes "… is refused". */
  readonly kind: string;
  /** Makes what is bad in `at`, an empty folder that is also the command's working directory; returns the arguments of `muster`, or a whole command line. */
  readonly command: (at: string, fleet: DevFleet) => readonly string[] | Promise<readonly string[]>;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly exit: number;
  /** All of stderr, where `at` is written `<at>`. */
  readonly says: RegExp;
  /** What must be right on this machine for it: a reason to skip it, or undefined. */
  readonly missing?: string | undefined;
}

/** Of everything that a refused input must not change. */
interface Picture {
  readonly lastSeq: number;
  readonly artifacts: readonly string[];
  /** Paths below the agents' apps: releases, staging, and where `current` points. */
  readonly agents: readonly string[];
  /** What is left in the folder for temporary files. */
  readonly temporary: readonly string[];
}

/** Commands for which `muster` is not the program begin with the path of one. */
function isWhole([first]: readonly string[]): boolean {
  return first?.startsWith("/") ?? false;
}

/** Runs the whole table against one fleet, in its order. */
export function describeBadInput(title: string, table: readonly BadInput[], prepare: (fleet: DevFleet) => Promise<void> = async () => undefined): void {
  describe(title, () => {
    let fleet: DevFleet;
    beforeAll(async () => {
      fleet = await DevFleet.start({ agents: 2 });
      mkdirSync(join(fleet.root, "tmp"));
      await prepare(fleet);
      await settle(fleet);
    });
    afterAll(async () => fleet.stop());

    for (const [index, row] of table.entries()) {
      test(`${row.kind} is refused with exit code ${row.exit}, and leaves nothing behind`, async ({ skip }) => {
        if (row.missing !== undefined) skip(row.missing);
        const at = join(fleet.root, `case-${index}`);
        mkdirSync(at);
        const before = await pictureOf(fleet);
        const ran = await runRow(row, at, fleet);
        expect(ran.stderr.replaceAll(at, "<at>")).toMatch(row.says);
        expect(ran.stderr).not.toMatch(/^ {4}at /m); // a stack is nothing that a user can act on
        expect(ran.code).toBe(row.exit);
        expect(await leftBehind(at)).toEqual([]);
        expect(await pictureOf(fleet)).toEqual(before);
      });
    }
  });
}

async function runRow(row: BadInput, at: string, fleet: DevFleet): Promise<Ran> {
  const command = await row.command(at, fleet);
  const env = { TMPDIR: join(fleet.root, "tmp"), ...row.env };
  const { input } = row;
  if (!isWhole(command)) return fleet.muster(command, { cwd: at, env, ...(input === undefined ? {} : { input }) });
  return run(command, { cwd: at, env });
}

/** Runs a command line to its end. */
function run(command: readonly string[], options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }): Promise<Ran> {
  const [program, ...args] = command;
  const { MUSTER_ADDRESS: _, ...env } = process.env;
  const child = spawn(program!, args, { cwd: options.cwd, env: { ...env, NO_COLOR: "1", ...options.env }, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  return new Promise((done) => child.once("close", (code) => done({ code, stdout, stderr })));
}

export async function pictureOf(fleet: DevFleet): Promise<Picture> {
  const agents = fleet.file().agents.flatMap(({ dir }) => filesOfAgent(dir));
  return { lastSeq: await lastSeq(fleet), artifacts: namesIn(join(fleet.dir, "controller/artifacts")), agents, temporary: namesIn(join(fleet.root, "tmp")) };
}

function filesOfAgent(dir: string): readonly string[] {
  return namesIn(join(dir, "apps")).flatMap((app) => {
    const at = join(dir, "apps", app);
    const current = existsSync(join(at, "current")) ? [`${at}/current → ${readlinkSync(join(at, "current"))}`] : [];
    return [...current, ...["releases", "staging"].flatMap((name) => namesIn(join(at, name)).map((child) => `${at}/${name}/${child}`))];
  });
}

export function namesIn(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir).toSorted() : [];
}

/** Every accepted command and every change is in the journal, so a sequence that has not risen says that nothing was done. */
export async function lastSeq(fleet: DevFleet): Promise<number> {
  const client = new EventsServiceClient(`unix:${fleet.file().controller.socket}`, credentials.createInsecure());
  try {
    let seq = 0;
    for await (const { events } of client.readEvents({ fromSeq: 1, follow: false, deploymentId: "" }) as AsyncIterable<{ events: readonly { seq: number }[] }>) {
      seq = events.at(-1)?.seq ?? seq;
    }
    return seq;
  } finally {
    client.close();
  }
}

/** Agents have said all that they had to say. */
export async function settle(fleet: DevFleet): Promise<void> {
  for (let before = -1, now = await lastSeq(fleet); now !== before; ) {
    await sleep(SETTLED_MS);
    [before, now] = [now, await lastSeq(fleet)];
  }
}

/**
 * A command line that sees a read-only disk at `dir`, which is there already: a mount of its own when root, to whom permissions mean nothing.
 * It ends with the command.
 */
export function withReadOnly(dir: string, command: readonly string[]): readonly string[] {
  return withMount(`mount -t tmpfs -o ro tmpfs ${quoted(dir)}`, command);
}

/** A command line for which the mounts are as the shell commands make them, and for nobody else. */
export function withMount(mount: string, command: readonly string[]): readonly string[] {
  return ["/usr/bin/env", "unshare", "--mount", "sh", "-c", `${mount} && exec "$@"`, "sh", ...command];
}

/** A command line to which permissions mean something, though it is run by root. */
export function asOrdinary(command: readonly string[]): readonly string[] {
  if (!IS_ROOT) return command;
  const without = "-dac_override,-dac_read_search";
  return ["/usr/bin/env", "setpriv", `--bounding-set=${without}`, `--inh-caps=${without}`, ...command];
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}

/** Why disks can't be mounted here; undefined: they can. */
export const CANNOT_MOUNT: string | undefined = !IS_ROOT ? "mounting a disk takes root" : mayMount() ? undefined : "this machine lets not even root mount a disk";

function mayMount(): boolean {
  return spawnSync("/usr/bin/env", ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" }).status === 0;
}

/** Processes whose command line names the folder, and files by which one says that it runs there. Ends when there are none, or when they stay. */
async function leftBehind(at: string): Promise<readonly string[]> {
  for (const end = Date.now() + LEAVING_MS; ; await sleep(50)) {
    const running = readdirSync("/proc").flatMap((pid) => commandLine(pid)).filter((line) => line.includes(`${at}/`));
    const records = readdirSync(at, { recursive: true, encoding: "utf8" }).filter((path) => RECORDS.has(basename(path)));
    if (running.length + records.length === 0 || Date.now() > end) return [...running, ...records];
  }
}

function commandLine(pid: string): readonly string[] {
  try {
    return [readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")];
  } catch {
    return []; // no process, or one that has ended meanwhile
  }
}
