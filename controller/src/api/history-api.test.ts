/** HistoryService over a real connection. */
import { credentials, status } from "@grpc/grpc-js";
import pino from "pino";
import { afterEach, beforeEach, expect, test, onTestFinished } from "vitest";
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { DeploymentPhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { HistoryServiceClient, HistoryServiceService, type ListReleasesResponse, type ReplayResponse, type WhyRequest, type WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import type { Manifest } from "@muster/proto/manifest.ts";
import { artifactOf } from "../artifacts/artifact.fixture.ts";
import { Fleet } from "../fleet/fleet.ts";
import { serveOpenly } from "../grpc/open.fixture.ts";
import { Scene } from "../history/history.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { deploymentAt } from "./deployment-at.ts";
import { historyApi } from "./history-api.ts";
import { DeploymentViews } from "./views.ts";
import { attendedAlways } from "../rollout/moment.ts";

let fleet: Fleet;
let scene: Scene;
let server: Awaited<ReturnType<typeof serveOpenly>>;
let client: HistoryServiceClient;
let manifests: Map<string, Manifest>;
let id: DeploymentId;

const revoked = new Set<MachineId>();

beforeEach(async () => {
  revoked.clear();
  scene = new Scene();
  manifests = new Map();
  await scene.join("a", "b");
  id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  scene.elapse(1000);
  await scene.tell("a", "healthy", "1");
  scene.elapse(1000);
  await scene.tell("b", "healthy", "1");
  const logger = pino({ level: "silent" });
  const { journal, engine, clock } = scene;
  fleet = new Fleet(15_000);
  const views = new DeploymentViews(journal.db, (deployment) => engine.waitingOn(deployment), (deployment) => engine.rollout(deployment), engine);
  const store = { manifest: async (digest: string) => manifests.get(digest) };
  server = await serveOpenly([{ definition: HistoryServiceService, implementation: historyApi({ journal, engine, fleet, isRevoked: (machine) => revoked.has(machine), views, store, now: () => clock.now(), logger }) }]);
  client = new HistoryServiceClient(server.address, credentials.createInsecure());
});

afterEach(async () => {
  client.close();
  server.close();
  scene.engine.stop();
  scene.journal.close();
});

type Callback<Response> = (error: Error | null, response: Response) => void;

function call<Request, Response>(method: (request: Request, callback: Callback<Response>) => unknown, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

test("why is asked about a machine, a deployment, or both", async () => {
  expect(await call(client.why, { machine: "", deploymentId: id })).toMatchObject({ deploymentId: id, summary: "d-1 (app@1) succeeded: 2 of 2 machines run it.", now: [] });
  expect(await call(client.why, { machine: "a", deploymentId: "" })).toMatchObject({ deploymentId: id, summary: "a runs app@1: it became healthy in wave 1 of d-1." });
  await expect(call(client.why, { machine: "", deploymentId: "" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  await expect(call(client.why, { machine: "a", deploymentId: "d-9" })).rejects.toMatchObject({ code: status.NOT_FOUND, details: "there is no deployment d-9" });
  await expect(call(client.why, { machine: "A!", deploymentId: "" })).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test("why of a machine that was revoked says that it is never heard again, and what to do", async () => {
  revoked.add("a" as MachineId);
  expect(await call(client.why, { machine: "a", deploymentId: "" })).toMatchObject({ now: [expect.stringMatching(/^a was revoked, and is never heard again; muster machine remove a takes it out of the fleet/)] });
  expect(await call(client.why, { machine: "b", deploymentId: "" })).toMatchObject({ now: [] });
});

test("why of a machine begins with what its agent does not believe", async () => {
  fleet.connected("a" as MachineId, { ...attendedAlways(scene.clock.now()), watchedMs: 0 }, 0);
  fleet.refuses("a" as MachineId, scene.clock.now(), { code: "expired", message: "the assignment that came from the controller was good until noon" });
  expect(await call(client.why, { machine: "a", deploymentId: "" })).toMatchObject({ now: ["a does not believe what it is sent: the assignment that came from the controller was good until noon"] });
  expect(await call(client.why, { machine: "b", deploymentId: "" })).toMatchObject({ now: [] });
});

test("a replay streams its pictures and ends", async () => {
  const all: ReplayResponse[] = [];
  for await (const picture of client.replay({ deploymentId: id, includeTargets: true }) as AsyncIterable<ReplayResponse>) all.push(picture);
  expect(all.map(({ deployment }) => deployment!.phase)).toEqual([DeploymentPhase.ROLLING, DeploymentPhase.ROLLING, DeploymentPhase.SUCCEEDED]);
  expect(all[1]!.happened).toEqual(["a says app is healthy (runs 1)", "a is healthy", "b told to run app@1"]);
  expect(all[2]!.deployment!.targets).toHaveLength(2);
  const missing = client.replay({ deploymentId: "d-9", includeTargets: false });
  await expect(missing.toArray()).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test("releases are listed and compared", async () => {
  scene.submit("2", {}, { driver: { $case: "process", value: { command: ["run"], env: {}, stopTimeoutMs: 1000 } } });
  const { releases } = (await call(client.listReleases, { app: "app", limit: 0 })) as ListReleasesResponse;
  expect(releases.map(({ release, machines }) => [release!.version, machines])).toEqual([["2", 0], ["1", 2]]);
  const wanted = { app: "app", fromVersion: "1", toVersion: "2" };
  expect(await call(client.diffReleases, wanted)).toMatchObject({
    fields: [{ path: "run.driver" }, { path: "run.command", after: "[run]" }, { path: "run.stop_timeout" }],
    files: [],
    filesUnknown: "the files of app@1 and app@2 were removed by retention",
  });
  manifests.set("a".repeat(64), artifactOf({ x: [Buffer.from("x")] }).manifest);
  expect(await call(client.diffReleases, wanted)).toMatchObject({ files: [], unchangedFiles: 1, filesUnknown: "" });
  await expect(call(client.diffReleases, { ...wanted, toVersion: "9" })).rejects.toMatchObject({ code: status.NOT_FOUND, details: "there is no release app@9; muster releases app lists them" });
});

test("the rule of retention is shown, set, and refused when it makes no sense", async () => {
  expect(await call(client.getRetention, {})).toEqual({ retention: { keep: 20, keepForMs: 90 * 86_400_000, stepsForMs: 30 * 86_400_000 }, archivedSteps: 0, archivedBytes: 0, archivedSince: 0, archiveFaults: [] });
  // It is done app by app, in turns of the clock.
  const turns = setInterval(() => scene.elapse(1), 1);
  onTestFinished(() => clearInterval(turns));
  expect(await call(client.setRetention, { retention: { keep: 1, keepForMs: 0, stepsForMs: 60_000 }, by: "anna" })).toEqual({ retention: { keep: 1, keepForMs: 0, stepsForMs: 60_000 }, removed: [] });
  await expect(call(client.setRetention, { retention: { keep: 1, keepForMs: 0, stepsForMs: 30_000 }, by: "anna" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT, details: "--steps: 30s is too short; from 1m" });
  await expect(call(client.setRetention, { retention: { keep: 0, keepForMs: 0, stepsForMs: 60_000 }, by: "anna" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  await expect(call(client.setRetention, { retention: undefined, by: "anna" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
});

test("a deployment is shown as it stood, by its id or as the newest of then", async () => {
  const { journal, clock } = scene;
  const start = 1_000_000;
  expect(await deploymentAt(journal, id, (start + 1000) as never, false)).toMatchObject({ id, counts: { healthy: 1, updating: 1 } });
  scene.elapse(1000);
  scene.submit("2");
  expect(await deploymentAt(journal, "", (start + 2000) as never, false)).toMatchObject({ id: "d-1" });
  expect(await deploymentAt(journal, "", clock.now(), false)).toMatchObject({ id: "d-2" });
  await expect(deploymentAt(journal, "d-2", start as never, false)).rejects.toMatchObject({
    code: status.NOT_FOUND,
    details: "there was no d-2 at 1970-01-01 00:16:40 UTC: it was submitted at 1970-01-01 00:16:43 UTC",
  });
  await expect(deploymentAt(journal, "", 1 as never, false)).rejects.toMatchObject({ code: status.NOT_FOUND });
  await expect(deploymentAt(journal, "d-9", start as never, false)).rejects.toMatchObject({ details: "there is no deployment d-9" });
});

test("who revoked a machine, and why, is kept with what became of it", async () => {
  scene.engine.orders.noteRevoked("a" as MachineId, { by: "anna", reason: "stolen" });
  scene.engine.orders.noteRevoked("nobody" as MachineId, { by: "anna", reason: "stolen" });
  const { decisions } = await call<WhyRequest, WhyResponse>(client.why, { machine: "a", deploymentId: "" });
  expect(decisions.map(({ text }) => text)).toContain("anna revoked a: stolen");
});
