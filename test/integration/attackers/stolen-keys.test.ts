/**
 * Somebody who has taken what is the controller's: NATS with all its accounts, the database, or the key that assignments are signed with. A real fleet, and what each of them can't do with it.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { IdentityStore } from "@muster/agent/identity/identity-store.ts";
import { AssignmentKeys } from "@muster/controller/src/identity/assignment-key.ts";
import { AssignmentSigner } from "@muster/controller/src/identity/assignment-signer.ts";
import { readEpoch } from "@muster/controller/src/identity/epoch.ts";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import { NatsClient } from "@muster/controller/src/nats/nats-client.ts";
import { openNatsAuthority } from "@muster/controller/src/nats/nats-authority.ts";
import { keySourceOf } from "@muster/controller/src/secrets/master-key.ts";
import { SecretStore } from "@muster/controller/src/secrets/secret-store.ts";
import type { SyncResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { CONTROLLER_NAME } from "@muster/proto/identity.ts";
import { parseJoinToken } from "@muster/proto/join-token.ts";
import { assignmentSubject } from "@muster/proto/subjects.ts";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DevFleet } from "../../e2e/fleet.ts";
import { TestApp } from "../../e2e/test-app.ts";
import { agentClient, joinAs } from "../member.ts";

const MACHINES = ["dev-0", "dev-1"];
const SECRET = "planted-in-the-database";
const MUSTER_AGENT = resolve(import.meta.dirname, "../../../agent/bin/muster-agent.js");
const logger = pino({ level: "silent" });

let fleet: DevFleet;
let shop: TestApp;
let controllerDir: string;
/** As whoever runs NATS may: says anything to anybody. */
let nats: NatsClient;
/** Each is newer than those before it. */
let forgedTimes = 0;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length, args: ["--log-level", "debug"] });
  controllerDir = join(fleet.dir, "controller");
  shop = new TestApp(fleet, "shop");
  expect(await fleet.ended(await fleet.deploy(shop.release("1")))).toMatchObject({ phase: "succeeded" });
  const { current } = identityOf("dev-0");
  const authority = openNatsAuthority({ dir: join(controllerDir, "identity/nats"), now: Date.now });
  nats = new NatsClient({ url: fleet.file().nats.url, answer: authority.answerAs("CONTROL"), trusted: () => ({ ca: current.authorities, servername: CONTROLLER_NAME }), logger });
  await nats.firstConnected;
}, 120_000);
afterAll(async () => {
  await nats?.close();
  await fleet?.stop();
});

function dirOf(machine: string): string {
  return fleet.file().agents.find(({ id }) => id === machine)!.dir;
}

async function runs(...args: readonly string[]): Promise<void> {
  const ran = await fleet.muster(args);
  if (ran.code !== 0) throw new Error(`muster ${args.join(" ")} exited with ${ran.code}: ${ran.stderr}`);
}

function identityOf(machine: string) {
  const found = new IdentityStore(dirOf(machine)).load();
  if (found.kind !== "identity") throw new Error(found.kind);
  return found.identity;
}

/** What the controller says to a machine now, as NATS carries it. */
async function envelopeFor(machine: string): Promise<Envelope> {
  const client = agentClient(fleet.file().controller, identityOf(machine).current);
  const { envelope } = await new Promise<SyncResponse>((resolve, reject) => client.sync({ machine }, (error, response) => (error === null ? resolve(response) : reject(error))));
  client.close();
  return envelope!;
}

function tell(machine: string, envelope: Envelope): void {
  nats.publish(assignmentSubject(machine), Envelope.encode(envelope).finish());
}

function assignmentIn(envelope: Envelope): Assignment {
  return SignedAssignment.decode(envelope.payload).assignment!;
}

/** The code of what the machine says that it refuses now. */
async function refusalOf(machine: string): Promise<string | undefined> {
  const { refusal } = await fleet.json<{ readonly refusal: { readonly code: string } | null }>("machine", machine);
  return refusal?.code;
}

const logOf = (machine: string): string => readFileSync(join(fleet.dir, "logs", `${machine}.log`), "utf8");
const versions = async (): Promise<readonly string[]> => Object.values(await shop.answers(MACHINES)).map(({ version }) => version);
const patience = { timeout: 20_000, interval: 100 };

describe("full control of NATS", () => {
  test("makes no machine act: an envelope that is changed, another's, or from before is refused, and what was held back is fetched", async () => {
    const [before, others] = [await envelopeFor("dev-0"), await envelopeFor("dev-1")];
    expect(await fleet.ended(await fleet.deploy(shop.release("2")))).toMatchObject({ phase: "succeeded" });
    const starts = shop.starts().length;

    tell("dev-0", before);
    await vi.waitFor(() => expect(logOf("dev-0")).toContain('"code":"older_generation"'), patience);
    tell("dev-0", others);
    await vi.waitFor(async () => expect(await refusalOf("dev-0")).toBe("wrong_audience"), patience);
    const payload = Buffer.from(before.payload);
    payload[payload.length - 1]! ^= 1;
    tell("dev-0", { ...before, payload });
    await vi.waitFor(async () => expect(await refusalOf("dev-0")).toBe("bad_signature"), patience);
    tell("dev-0", { ...before, signatures: [] });
    await vi.waitFor(async () => expect(await refusalOf("dev-0")).toBe("unknown_key"), patience);
    nats.publish(assignmentSubject("dev-0"), Buffer.from("nonsense"));
    await vi.waitFor(async () => expect(await refusalOf("dev-0")).toBe("unreadable"), patience);

    expect([await versions(), shop.starts().length]).toEqual([["2", "2"], starts]);
  });
});

describe("the key that assignments are signed with", () => {
  const evils: Readonly<Record<string, (release: Release) => Release>> = {
    "without a signature": (release) => ({ ...release, version: "evil", signed: undefined }),
    "with a signature of something else": (release) => ({ ...release, version: "evil" }),
    "with other files under the same name": (release) => ({ ...release, artifact: "0".repeat(64) }),
    "with another command under the same name": (release) => ({ ...release, driver: { $case: "process", value: { command: ["touch", "owned"], env: {}, stopTimeoutMs: 1_000 } } }),
  };

  beforeAll(async () => {
    for (const name of ["anna", "ci"]) await runs("key", "create", name);
    await runs("trust", "init", "--key", "anna.pub");
    await runs("trust", "app", "shop", "--key", "ci.pub");
    await runs("trust", "sign", "--key", "anna.key");
    const { status } = spawnSync(process.execPath, [MUSTER_AGENT, "trust", "pin", join(fleet.root, "trust.json"), "--dir", dirOf("dev-0")]);
    expect(status).toBe(0);
    const { id } = await fleet.json<{ readonly id: string }>("deploy", "-f", shop.release("3"), "--sign-key", "ci.key");
    expect(await fleet.ended(id)).toMatchObject({ phase: "succeeded" });
  });

  test.each(Object.keys(evils))("runs nothing on a machine whose trust root asks for a publisher's signature: %s", async (kind) => {
    const starts = shop.starts().length;
    const said = logOf("dev-0").length;
    const assignment = assignmentIn(await envelopeFor("dev-0"));
    // Newer than all that was said, so that the agent believes that its controller wants it.
    forgedTimes += 1;
    const generation = assignment.generation + 1_000 * forgedTimes;
    const apps = assignment.apps.map((app) => (app.goal?.$case === "run" ? { ...app, generation, goal: { $case: "run" as const, value: evils[kind]!(app.goal.value) } } : app));
    const signer = new AssignmentSigner(AssignmentKeys.open(controllerDir, Date.now), readEpoch(controllerDir), Date.now, (same) => same);
    tell("dev-0", signer.assignment({ ...assignment, generation, apps }));
    await vi.waitFor(() => expect(logOf("dev-0").slice(said)).toMatch(/"code":"(unsigned_release|bad_signature)"/), patience);
    expect([await versions(), shop.starts().length]).toEqual([["3", "3"], starts]);
  });
});

describe("the database without the keys", () => {
  test("holds nothing to log in, to join, to sign or to read secrets with", async () => {
    expect((await fleet.muster(["secret", "set", "planted"], { input: SECRET })).code).toBe(0);
    const { token } = await fleet.json<{ readonly token: string }>("token", "create");
    const user = await fleet.json<{ readonly token: string }>("user", "create", "anna", "--role", "admin");
    const stolen = join(fleet.root, "stolen");
    mkdirSync(stolen);
    for (const name of ["muster.db", "muster.db-wal", "muster.db-shm"]) cpSync(join(controllerDir, name), join(stolen, name));

    const joinToken = parseJoinToken(token)!;
    const bytes = Buffer.concat(["muster.db", "muster.db-wal"].map((name) => readFileSync(join(stolen, name)))).toString("latin1");
    expect(bytes).toContain(joinToken.id);
    const identity = identityOf("dev-0");
    for (const planted of [SECRET, joinToken.secret, user.token, user.token.split(".").at(-1)!, identity.current.keys.nats, "PRIVATE KEY"]) expect(bytes).not.toContain(planted);
    expect(bytes).not.toMatch(/\bS[UAO][A-Z2-7]{56}\b/);

    const { db } = Journal.open(join(stolen, "muster.db"));
    const source = (dir: string) => keySourceOf({ dir, keyFile: undefined, credentialsDir: undefined });
    expect(() => SecretStore.open(db, source(stolen))).toThrow(/are encrypted with the key/);
    SecretStore.open(Journal.open(":memory:").db, source(stolen));
    expect(() => SecretStore.open(db, source(stolen))).toThrow(/are encrypted with the key/);

    const { hash } = db.prepare("SELECT hex(secret_hash) AS hash FROM join_tokens WHERE id = ?").get(joinToken.id) as { hash: string };
    for (const secret of [hash, hash.toLowerCase(), Buffer.from(hash, "hex").toString("base64url")]) {
      await expect(joinAs(fleet.file().controller, { ...joinToken, secret }, "thief")).rejects.toThrow("the token was not accepted");
    }
    db.close();
  });
});
