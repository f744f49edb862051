/**
 * Secrets from `muster secret set` to the workload, with a release that fails on the way: they reach the machines that run the release, and stand nowhere else.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask } from "./test-app.ts";
import { DevFleet } from "./fleet.ts";

const FIRST = 'planted "first" sècret';
const SECOND = "planted-second-secret";
const KEY = "-----BEGIN PLANTED KEY-----\nplanted/key+line==\n-----END PLANTED KEY-----\n";
const PLANTED = [FIRST, SECOND, KEY, "planted/key+line=="];
const UNUSED = "planted-but-for-nobody";

const SERVER = `
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
const { PORT, DB_PASSWORD, MUSTER_SECRETS_DIR, FAILS } = process.env;
const key = readFileSync(MUSTER_SECRETS_DIR + "/tls/server.key", "utf8");
if (FAILS === "yes") {
  console.error("Error: cannot log in with " + DB_PASSWORD);
  process.exit(3);
}
createServer((_, response) => response.end(JSON.stringify({ password: DB_PASSWORD, key, sees: Object.keys(process.env) }))).listen(Number(PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
`;

let fleet: DevFleet;
beforeAll(async () => {
  fleet = await DevFleet.start({ agents: 3, args: ["--log-level", "trace"] });
});
afterAll(() => fleet.stop());

function release(version: string, { fails = "no", targets = "index in (0,1)", secret = "db-password" } = {}): string {
  const yaml = `
app: shop
version: "${version}"
artifact: ./files
run:
  command: [node, server.mjs]
  ports: { http: auto }
  env: { PORT: "\${ports.http}", FAILS: "${fails}", DB_PASSWORD: { secret: ${secret} } }
  files: [{ path: tls/server.key, secret: tls-key, mode: "0400" }]
health:
  - { http: "http://127.0.0.1:\${ports.http}/", interval: 100ms, healthy_after: 1 }
  - { exec: [sh, -c, 'test -n "$DB_PASSWORD" || { echo "no password"; exit 1; }'], interval: 100ms, healthy_after: 1, timeout: 5s }
rollout:
  targets: ${targets}
  waves: ["100%"]
  max_unavailable: "100%"
  min_healthy_time: 300ms
  healthy_deadline: 20s
  progress_deadline: 1m
`;
  return fleet.release(`shop-${version}`, yaml, { "server.mjs": SERVER, "version.txt": version });
}

const set = (name: string, value: string): ReturnType<DevFleet["muster"]> => fleet.muster(["secret", "set", name, "--exact"], { input: value });

async function answerOf(machine: string): Promise<{ readonly password: string; readonly key: string; readonly sees: readonly string[] }> {
  const { apps } = await fleet.machine(machine);
  return (await ask(apps[0]!.ports["http"]!)) as never;
}

/** As it is, and as JSON, base64, hex and URLs write it. */
function forms(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  // Inside of something longer base64 begins in one of three ways.
  const shifted = [0, 1, 2].map((offset) => bytes.subarray(offset, offset + Math.floor((bytes.length - offset) / 3) * 3).toString("base64"));
  return [value, JSON.stringify(value).slice(1, -1), bytes.toString("hex"), encodeURIComponent(value), bytes.toString("latin1"), ...shifted];
}

function holds(content: Buffer | string): boolean {
  const bytes = Buffer.from(content);
  return [...PLANTED, UNUSED].flatMap(forms).some((form) => bytes.includes(form));
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

test("a release with an unknown secret is refused before anything is sent, and says what to do", async () => {
  const { code, stderr } = await fleet.muster(["deploy", "-f", release("0", { secret: "nope" })]);
  expect([code, stderr]).toEqual([2, "muster: there is no secret nope; make it with: muster secret set nope\n"]);
});

test("workloads get the secrets of their release; a failed upgrade brings the older ones back, and a machine that comes later gets them too", async () => {
  await set("db-password", FIRST);
  await set("tls-key", KEY);
  await set("unused", UNUSED);
  expect((await fleet.ended(await fleet.deploy(release("1")))).phase).toBe("succeeded");
  expect(await answerOf("dev-0")).toMatchObject({ password: FIRST, key: KEY });
  expect((await answerOf("dev-1")).sees).toContain("DB_PASSWORD");

  await set("db-password", SECOND);
  const bad = await fleet.ended(await fleet.deploy(release("2", { fails: "yes" })));
  expect(bad.phase).toBe("rolled_back");
  const told = JSON.stringify(await fleet.events());
  expect(told).toContain("Error: cannot log in with [secret]");
  expect(await answerOf("dev-0")).toMatchObject({ password: FIRST, key: KEY });

  expect((await fleet.ended(await fleet.deploy(release("3")))).phase).toBe("succeeded");
  expect(await answerOf("dev-1")).toMatchObject({ password: SECOND, key: KEY });
  expect((await fleet.ended(await fleet.deploy(release("3", { targets: "index in (0,1,2)" })))).phase).toBe("succeeded");
  expect(await answerOf("dev-2")).toMatchObject({ password: SECOND, key: KEY });
});

test("after a power cut everything comes back with its secrets", async () => {
  await fleet.killAll();
  await fleet.up();
  await fleet.whole();
  expect(await answerOf("dev-0")).toMatchObject({ password: SECOND });
});

test("no value stands in a log, the database, the journal, an answer, or a file that is not the machine's own store of secrets", async () => {
  const everything = filesBelow(fleet.dir);
  const where = everything.filter((path) => holds(readFileSync(path))).map((path) => relative(fleet.dir, path));
  const store = /^agents\/dev-[012]\/apps\/shop\/secrets\/(releases\/3\/values\.json|(releases\/3\/files|current)\/tls\/server\.key)$/;
  // What a workload printed is its own.
  const output = /^agents\/dev-[01]\/apps\/shop\/logs\/stderr\.log$/;
  expect(where.filter((path) => !store.test(path) && !output.test(path))).toEqual([]);
  const stored = where.filter((path) => store.test(path));
  expect(stored).toHaveLength(9);
  for (const path of stored) expect((statSync(join(fleet.dir, path)).mode & 0o777).toString(8), path).toMatch(/^[46]00$/);
  expect(everything.some((path) => path.endsWith("logs/dev-0.log"))).toBe(true);
  expect(everything.some((path) => path.endsWith("muster.db"))).toBe(true);

  const commands = ["status", "list", "events", "why dev-0", "why d-2", "releases", "diff shop 1 2", "machine dev-0", "machines", "secret list", "replay d-2"];
  const answers = await Promise.all(commands.flatMap((command) => [command, `${command} -o json`]).map((command) => fleet.muster(command.split(" "))));
  answers.push(await fleet.muster(["plan", "-f", release("4"), "--all", "-o", "json"]));
  for (const { code, stdout, stderr } of answers) {
    expect(holds(stdout) || holds(stderr)).toBe(false);
    expect([0, 10]).toContain(code);
  }
  expect(answers.some(({ stdout }) => stdout.includes("db-password"))).toBe(true);
});

test("no credential stands anywhere but where it is kept: not in a log, the database, or another's directory", async () => {
  const user = await fleet.json<{ readonly token: string; readonly pin: string }>("user", "create", "anna", "--role", "viewer");
  const token = await fleet.json<{ readonly token: string }>("token", "create");
  const login = await fleet.muster(["login", fleet.file().controller.grpc, "--ca", `sha256:${user.pin.replace(/^sha256:/, "")}`, "--token-file", "-"], { input: user.token, env: { HOME: join(fleet.root, "home") } });
  expect(login.code, login.stderr).toBe(0);
  const kept = /(^|\/)(identity\/|join-token$|nats\/(server|key)[^/]*$)/;
  const files = filesBelow(fleet.dir).map((path) => ({ path: relative(fleet.dir, path), content: readFileSync(path, "latin1") }));
  const keys = files.filter(({ path }) => kept.test(path)).flatMap(({ content }) => privateParts(content));
  expect(keys.length).toBeGreaterThan(20);
  const planted = [...keys, user.token.split(".").at(-1)!, token.token.split(".").at(-1)!, readFileSync(join(fleet.dir, "join-token"), "utf8").trim().split(".").at(-1)!];
  const found = files.filter(({ path, content }) => !kept.test(path) && planted.some((value) => content.includes(value))).map(({ path }) => path);
  expect(found).toEqual([]);
});

/** Seeds of nkeys, and lines of PEM that are of private keys, also where JSON holds them. */
function privateParts(content: string): readonly string[] {
  const seeds = content.match(/\bS[UAOCX][A-Z2-7]{56}\b/g) ?? [];
  const pems = [...content.matchAll(/-----BEGIN (?:EC )?PRIVATE KEY-----([^-]*)-----END/g)].flatMap(([, body = ""]) => body.split(/\s|\\n/).filter((line) => line.length >= 40));
  return [...seeds, ...pems];
}

test("no command line shows a value, and only the workloads' own environments hold one", () => {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch {
      return Buffer.alloc(0);
    }
  };
  expect(pids.filter((pid) => holds(read(`/proc/${pid}/cmdline`)))).toEqual([]);
  const holding = pids.filter((pid) => holds(read(`/proc/${pid}/environ`)));
  expect(holding.length).toBeGreaterThan(0);
  for (const pid of holding) expect(readlinkSync(`/proc/${pid}/cwd`)).toContain("/apps/shop/releases/");
});

test("a secret that is needed is not removed", async () => {
  const { code, stderr } = await fleet.muster(["secret", "rm", "db-password"]);
  expect(code).toBe(2);
  expect(stderr).toContain("db-password is needed by shop@");
  expect((await fleet.muster(["secret", "rm", "unused"])).code).toBe(0);
});
