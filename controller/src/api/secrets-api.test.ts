import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ListSecretsResponse, type RemoveSecretResponse, SecretsServiceClient, SecretsServiceService, type SetSecretRequest, type SetSecretResponse } from "@muster/proto/gen/muster/v1/secrets.ts";
import pino from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { World } from "../engine/world.fixture.ts";
import type { SecretKeeper } from "../engine/secrets.ts";
import { serveOpenly } from "../grpc/open.fixture.ts";
import { SecretStore } from "../secrets/secret-store.ts";
import { secretsApi } from "./secrets-api.ts";

let dir: string;
let world: World;
let store: SecretStore;
let server: Awaited<ReturnType<typeof serveOpenly>>;
let client: SecretsServiceClient;
let logged: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-secrets-api-"));
  logged = "";
  const lazily: SecretKeeper = {
    newest: (name) => store.newest(name),
    has: (name, version) => store.has(name, version),
    admits: (name, app) => store.admits(name, app),
    isText: (name, version) => store.isText(name, version),
  };
  world = new World(":memory:", lazily);
  store = SecretStore.open(world.journal.db, { kind: "own", path: join(dir, "key") });
  const logger = pino({ level: "trace" }, { write: (line: string) => void (logged += line) });
  server = await serveOpenly([{ definition: SecretsServiceService, implementation: secretsApi({ journal: world.journal, store, now: () => 7, logger }) }]);
  client = new SecretsServiceClient(server.address, credentials.createInsecure());
  await world.join("m-1");
});
afterEach(() => {
  client.close();
  server.close();
  world.engine.stop();
  rmSync(dir, { recursive: true, force: true });
});

function ask<T>(call: (answer: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> {
  return new Promise((resolve, reject) => call((error, response) => (error === null ? resolve(response) : reject(error))));
}

async function refused<T>(answer: Promise<T>): Promise<readonly [string | undefined, string]> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason as ServiceError,
  );
  return [status[error?.code ?? 0], error?.details ?? "granted"];
}

const setWhole = (request: SetSecretRequest) => ask<SetSecretResponse>((answer) => client.setSecret(request, answer));
const set = (name: string, value: string, apps = "") => setWhole({ name, value: Buffer.from(value), apps, by: "anna" });
const rm = (name: string, force = false) => ask<RemoveSecretResponse>((answer) => client.removeSecret({ name, force, by: "anna" }, answer));

it("sets and lists secrets with who needs which version, and neither answers nor logs a value", async () => {
  await set("db", "hunter-2-hunter");
  world.deploy("1", {}, { secrets: { env: { A: "db" }, files: [] } });
  const { secret } = await set("db", "hunter-3-hunter", "app");
  const shown = {
    name: "db",
    apps: "app",
    versions: [
      { version: 1, sizeBytes: 15, setAt: 7, setBy: "anna", neededBy: ["app@1"] },
      { version: 2, sizeBytes: 15, setAt: 7, setBy: "anna", neededBy: [] },
    ],
  };
  expect(secret).toEqual(shown);
  const { secrets } = await ask<ListSecretsResponse>((answer) => client.listSecrets({}, answer));
  expect(secrets).toEqual([shown]);
  await set("db", "hunter-4-hunter");
  expect(store.get("db")?.versions.map(({ version }) => version)).toEqual([1, 3]);
  expect(logged).toContain('"secret":"db","version":3');
  expect(logged).not.toContain("hunter");
});

it("refuses what is no secret, without saying what it was", async () => {
  const setting = (change: object) => refused(setWhole({ name: "db", value: Buffer.from("hunter"), apps: "", by: "", ...change }));
  expect(await setting({ name: "DB" })).toEqual(["INVALID_ARGUMENT", '"DB" is not a secret\'s name: 1 to 63 of a-z, 0-9 and -, with no - at either end']);
  expect(await setting({ value: Buffer.alloc(0) })).toEqual(["INVALID_ARGUMENT", "the value of db is empty"]);
  expect(await setting({ value: Buffer.alloc(64 * 1024 + 1) })).toEqual(["INVALID_ARGUMENT", "the value of db has 65537 bytes; at most 65536 are allowed"]);
  expect(await setting({ apps: "Shop" })).toEqual(["INVALID_ARGUMENT", '"Shop" are not apps: names of apps, with * for any characters, separated by commas; at most 32']);
  expect(await setting({ by: "x".repeat(129) })).toEqual(["INVALID_ARGUMENT", "a name has at most 128 characters"]);
  expect(store.list()).toEqual([]);
  expect(logged).toBe("");
});

it("removes a secret, but not one that a release needs, unless forced", async () => {
  await set("db", "x");
  await set("other", "x");
  world.deploy("1", {}, { secrets: { env: { A: "db" }, files: [] } });
  expect(await rm("other")).toEqual({ neededBy: [] });
  expect(await refused(rm("other"))).toEqual(["NOT_FOUND", "there is no secret other"]);
  expect(await refused(rm("db"))).toEqual([
    "FAILED_PRECONDITION",
    "db is needed by app@1: deploy without it first; --force removes it all the same, and no further machine gets those releases",
  ]);
  expect(await rm("db", true)).toEqual({ neededBy: ["app@1"] });
  expect(store.value("db", 1)).toBeUndefined();
});
