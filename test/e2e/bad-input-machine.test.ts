/**
 * Machines on which a controller, an agent or a dev fleet can't start: ports, folders, disks, programs. Each says why and how to go on, ends, and leaves
 * nothing running.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { AGENT, type BadInput, CANNOT_MOUNT, describeBadInput, EXIT, IS_ROOT, MUSTER, withMount, withReadOnly } from "./bad-input.ts";

/** Somebody else's, for as long as the tests run. */
let taken: Server;
let port: number;
beforeAll(async () => {
  taken = createServer();
  await new Promise<void>((listening) => taken.listen(0, "127.0.0.1", listening));
  port = (taken.address() as AddressInfo).port;
});
afterAll(() => taken.close());

const CONTROLLER = [...MUSTER, "controller"] as const;
const DEV = [...MUSTER, "dev", "--agents", "1"] as const;
const agentIn = (dir: string): readonly string[] => [...AGENT, "--controller", "127.0.0.1:1", "--id", "spare", "--dir", dir];

/** In each of these the three kinds of program say the same in their own words. */
interface Programs {
  readonly controller: RegExp;
  readonly dev: RegExp;
  readonly agent: RegExp;
}

function forEach(kind: string, prepare: (dir: string, command: readonly string[]) => readonly string[], says: Programs, missing?: string): readonly BadInput[] {
  const row = (who: string, command: (dir: string) => readonly string[], words: RegExp): BadInput => ({
    kind: `${kind} for ${who}`,
    command: (at) => prepare(join(at, "dir"), command(join(at, "dir"))),
    exit: EXIT.badInput,
    says: words,
    missing,
  });
  return [
    row("a controller", (dir) => [...CONTROLLER, "--dir", dir], says.controller),
    row("a dev fleet", (dir) => [...DEV, "--dir", dir], says.dev),
    row("an agent", agentIn, says.agent),
  ];
}

function fileAt(path: string, command: readonly string[]): readonly string[] {
  writeFileSync(path, "");
  return command;
}

/** Root is let through by permissions, and gets a disk that is read-only in place of them. */
function readOnlyAt(dir: string, command: readonly string[]): readonly string[] {
  mkdirSync(dir);
  if (IS_ROOT) return withReadOnly(dir, command);
  chmodSync(dir, 0o555);
  return command;
}

function portTaken(option: string): BadInput {
  return {
    kind: `a port in use for ${option}`,
    command: (at) => [...CONTROLLER, "--log-level", "error", "--dir", join(at, "dir"), option, String(port)],
    exit: EXIT.badInput,
    says: new RegExp(String.raw`^muster controller: port \d+ on 127\.0\.0\.1 is in use by another program; free it, or choose another with ${option}\n$`),
  };
}

/** Where the controller looks for it, and what PATH adds. */
function natsServers(): readonly string[] {
  const dirs = ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/bin", ...(process.env["PATH"] ?? "").split(":")];
  return [...new Set(dirs.map((dir) => join(dir, "nats-server")))].filter((path) => existsSync(path));
}

const TABLE: readonly BadInput[] = [
  portTaken("--grpc-port"),
  portTaken("--http-port"),
  portTaken("--nats-port"),
  ...forEach("a file where the folder should be", fileAt, {
    controller: /^muster controller: the directory <at>\/dir can't be used: a file is in its place, or in the place of a folder above it; choose another with --dir\n$/,
    dev: /^muster: <at>\/dir can't be used as a directory for the fleet: .*\n$/,
    agent: /^muster-agent: the directory <at>\/dir cannot be used: .*; give another with --dir\n$/,
  }),
  ...forEach(
    "a folder that is read-only",
    readOnlyAt,
    {
      controller: /^muster controller: the directory <at>\/dir can't be used: (?:the disk is read-only|there is no permission to write it); choose another with --dir\n$/,
      dev: /^muster: <at>\/dir can't be used as a directory for the fleet: (?:EROFS|EACCES): .*\n$/,
      agent: /^muster-agent: the directory <at>\/dir cannot be used: (?:EROFS|EACCES): .*; give another with --dir\n$/,
    },
    IS_ROOT ? CANNOT_MOUNT : undefined,
  ),
  ...forEach(
    "a disk that is full",
    (dir, command) => {
      mkdirSync(dir);
      return withMount(`mount -t tmpfs -o size=4k tmpfs '${dir}' && head -c 4096 /dev/zero > '${dir}/full'`, command);
    },
    {
      controller: /^muster controller: the directory <at>\/dir can't be used: the disk is full; choose another with --dir\n$/,
      dev: /^muster: <at>\/dir can't be used as a directory for the fleet: ENOSPC: no space left on device, .*\n$/,
      // It writes nothing before it has joined.
      agent: /^muster-agent: this machine has not joined a fleet: .*\n$/,
    },
    CANNOT_MOUNT,
  ),
  {
    kind: "a folder that another controller uses",
    command: (_, fleet) => [...CONTROLLER, "--dir", join(fleet.dir, "controller")],
    exit: EXIT.badInput,
    says: /^muster controller: another controller uses the directory .*\/fleet\/controller; stop it, or choose another with --dir\n$/,
  },
  {
    kind: "a folder that another dev fleet uses",
    command: (_, fleet) => [...DEV, "--dir", fleet.dir],
    exit: EXIT.badInput,
    says: /^muster: .*\/fleet is in use by another muster dev, pid \d+; stop that one, or choose another --dir\n$/,
  },
  {
    kind: "a folder that another agent uses",
    command: (_, fleet) => [...AGENT, "--dir", fleet.file().agents[0]!.dir],
    exit: EXIT.badInput,
    says: /^muster-agent: another agent, with pid \d+, uses .*\/agents\/dev-0: end it, or give this one another --dir\n$/,
  },
  {
    kind: "a journal that is none",
    command: (at) => {
      mkdirSync(join(at, "dir"));
      writeFileSync(join(at, "dir", "muster.db"), "hello".repeat(1000));
      return [...CONTROLLER, "--dir", join(at, "dir")];
    },
    exit: EXIT.badInput,
    says: /^muster controller: cannot open the journal <at>\/dir\/muster\.db: file is not a database; bring back a copy of it, or move it away to begin with an empty one\n$/,
  },
  {
    kind: "a machine without nats-server",
    command: (at) => {
      const hidden = natsServers().map((path) => `mount --bind /dev/null '${path}'`);
      return withMount(["true", ...hidden].join(" && "), [...CONTROLLER, "--dir", join(at, "dir")]);
    },
    exit: EXIT.badInput,
    says: /^muster controller: nats-server is not installed on this machine: run `apt-get install nats-server` as root, or put a newer one on PATH\n$/,
    missing: CANNOT_MOUNT,
  },
  {
    kind: "a dev fleet on a machine without nats-server",
    command: (at) => {
      const hidden = natsServers().map((path) => `mount --bind /dev/null '${path}'`);
      return withMount(["true", ...hidden].join(" && "), [...DEV, "--dir", join(at, "dir")]);
    },
    exit: EXIT.badInput,
    says: /^muster: nats-server is not installed on this machine: run `apt-get install nats-server` as root, or put a newer one on PATH\n$/,
    missing: CANNOT_MOUNT,
  },
  {
    kind: "a disk for temporary files that is full",
    command: (at, fleet) => {
      for (const dir of ["dist", "tmp"]) mkdirSync(join(at, dir));
      execFileSync("dd", ["if=/dev/urandom", `of=${join(at, "dist", "blob")}`, "bs=1M", "count=1"], { stdio: "ignore" });
      const push = [...MUSTER, "artifact", "push", "dist", "--address", `unix:${fleet.file().controller.socket}`];
      return withMount(`mount -t tmpfs -o size=256k tmpfs '${join(at, "tmp")}' && export TMPDIR='${join(at, "tmp")}'`, push);
    },
    exit: EXIT.failed,
    says: /^muster: <at>\/tmp\/muster-pack-\w+: no space is left for the packed files; free some, or set TMPDIR to a larger disk\n$/,
    missing: CANNOT_MOUNT,
  },
  {
    kind: "a folder for temporary files that is not there",
    command: (at, fleet) => {
      mkdirSync(join(at, "dist"));
      writeFileSync(join(at, "dist", "a"), "a");
      return ["/usr/bin/env", "TMPDIR=/no/such/folder", ...MUSTER, "artifact", "push", "dist", "--address", `unix:${fleet.file().controller.socket}`];
    },
    exit: EXIT.failed,
    says: /^muster: cannot make a scratch directory in \/no\/such\/folder: ENOENT: .*\. Set TMPDIR to a directory with room\n$/,
  },
];

describeBadInput("a machine", TABLE);
