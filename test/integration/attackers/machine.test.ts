/**
 * Somebody with the credentials of one machine, and the code of an agent. They are that machine, until it is revoked, and nobody else.
 */
import { type ClientReadableStream, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { channelOf, channelTo } from "@muster/agent/identity/channel.ts";
import type { Identity } from "@muster/agent/identity/identity-store.ts";
import { sealingKeyPair } from "@muster/agent/identity/keys.ts";
import { openSealed } from "@muster/agent/secrets/open.ts";
import { machineKeys } from "@muster/controller/src/identity/machine-keys.fixture.ts";
import { type AgentServiceClient, Hello, type SessionResponse, type SyncResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { type AppAssignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { type AuditEntry, type ReadAuditResponse, AccessServiceClient } from "@muster/proto/gen/muster/v1/access.ts";
import { DeploymentsServiceClient, type SubmitResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { JoinServiceClient, type JoinResponse } from "@muster/proto/gen/muster/v1/identity.ts";
import { SecretsServiceClient } from "@muster/proto/gen/muster/v1/secrets.ts";
import { machineUri, parseMachineUri } from "@muster/proto/identity.ts";
import { encodeManifest, MANIFEST_FORMAT } from "@muster/proto/manifest.ts";
import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { call } from "../call.ts";
import { ControllerProcess } from "../controller-process.ts";
import { agentClient, fetchAs, joinAs, makeToken } from "../member.ts";
import { everyMethod, Wire } from "./wire.ts";

const NOTHING = Buffer.alloc(0);
const VALUE = "planted-for-the-victim";

let controller: ControllerProcess;
/** Whose credentials the attacker has. */
let own: Identity;
let victim: Identity;
let ownClient: AgentServiceClient;
let victimClient: AgentServiceClient;
let digest: string;

beforeAll(async () => {
  controller = await ControllerProcess.start();
  own = await joinAs(controller, await makeToken(controller), "own", { role: "own" });
  victim = await joinAs(controller, await makeToken(controller), "victim", { role: "victim" });
  ownClient = agentClient(controller, own.current);
  victimClient = agentClient(controller, victim.current);
  for (const [client, machine] of [[ownClient, "own"], [victimClient, "victim"]] as const) await session(client, machine);
  await operate(SecretsServiceClient, (client: SecretsServiceClient, answer) => client.setSecret({ name: "db", value: Buffer.from(VALUE), apps: "", by: "" }, answer));
  digest = await push();
  await deploy(`app: site\nversion: "1"\nartifact: ./dist\nrun:\n  driver: files\n  files: [{ path: key, secret: db }]\nrollout: { targets: role=victim }\n`);
  await vi.waitFor(async () => expect((await assigned()).apps).toHaveLength(1), 10_000);
});
afterAll(async () => {
  ownClient?.close();
  victimClient?.close();
  await controller?.stop();
});

async function operate<C extends { close(): void }, T>(type: new (address: string, channel: ReturnType<typeof credentials.createInsecure>) => C, ask: (client: C, answer: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> {
  const client = new type(controller.operators, credentials.createInsecure());
  try {
    return await call<T>((answer) => ask(client, answer));
  } finally {
    client.close();
  }
}

/** Resolves with the status of its end when it is refused, with the first answer otherwise. */
async function session(client: AgentServiceClient, machine: string): Promise<SessionResponse["message"] | ServiceError> {
  const stream = client.session();
  stream.write({ message: { $case: "hello", value: Hello.fromPartial({ machine, instanceId: `i-${machine}` }) } });
  return new Promise((resolve) => {
    stream.once("error", resolve);
    (stream as ClientReadableStream<SessionResponse>).once("data", ({ message }: SessionResponse) => resolve(message));
  });
}

async function assigned(): Promise<{ readonly apps: readonly AppAssignment[] }> {
  const { envelope } = await call<SyncResponse>((answer) => victimClient.sync({ machine: "victim" }, answer));
  return envelope === undefined ? { apps: [] } : SignedAssignment.decode(envelope.payload).assignment!;
}

async function push(): Promise<string> {
  const stored = await operate<ArtifactsServiceClient, { digest: string }>(ArtifactsServiceClient, (client, answer) => {
    const stream = client.pushArtifact(answer);
    stream.write({ part: { $case: "manifest", value: Buffer.from(encodeManifest({ format: MANIFEST_FORMAT, packBytes: 0, entries: [] })) } });
    stream.end();
  });
  return stored.digest;
}

async function deploy(file: string): Promise<void> {
  const submitted = await operate<DeploymentsServiceClient, SubmitResponse>(DeploymentsServiceClient, (client, answer) =>
    client.submit({ fileName: "muster.yaml", content: Buffer.from(file), artifact: digest, by: "test", signed: "" }, answer),
  );
  expect(submitted.faults).toEqual([]);
}

test("calls no method but an agent's", async () => {
  const channel = channelOf(own.current);
  const wire = new Wire(controller.grpc, channel.credentials, channel.options);
  for (const method of everyMethod().filter(({ path }) => !/AgentService|JoinService|GetLoginMethods/.test(path))) {
    expect(await wire.call(method, NOTHING), method.path).toMatchObject({ code: status.PERMISSION_DENIED });
  }
  wire.close();
});

test("speaks, reports and asks for no other machine; each attempt is in the audit log, under its own name", async () => {
  await expect(call((answer) => ownClient.sync({ machine: "victim" }, answer))).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  expect(await session(ownClient, "victim")).toMatchObject({ code: status.PERMISSION_DENIED });
  const audited = await operate<AccessServiceClient, ReadAuditResponse>(AccessServiceClient, (client, answer) => {
    const entries: AuditEntry[] = [];
    const stream = client.readAudit({ since: 0, who: "own", refused: true, limit: 100, follow: false });
    stream.on("data", (response: ReadAuditResponse) => entries.push(...response.entries));
    stream.on("end", () => answer(null, { entries }));
    stream.on("error", (error: ServiceError) => answer(error, { entries }));
  });
  expect(audited.entries).toContainEqual(expect.objectContaining({ who: "own", subject: "victim", message: "a machine spoke for another" }));
});

test("fetches no artifact that another machine is assigned", async () => {
  for (const part of ["manifest", "pack"]) {
    expect(await fetchAs(victim, `${controller.https}/v1/artifacts/${digest}/${part}`)).toBe(200);
    expect(await fetchAs(own, `${controller.https}/v1/artifacts/${digest}/${part}`)).toBe(403);
  }
});

test("can't open the secrets of another machine, though it gets hold of that one's assignment", async () => {
  const [app] = (await assigned()).apps;
  const { sealed, versions } = app!.secrets!;
  const sealedFor = { machine: "victim", app: "site", generation: app!.generation, version: "1", secrets: versions };
  const opened = await openSealed(sealed!, sealingKeyPair(victim.current.keys.sealing), sealedFor);
  expect(Buffer.from(opened!).toString("latin1")).toContain(VALUE);
  const ownKey = { ...sealingKeyPair(own.current.keys.sealing), keyId: sealed!.keyId };
  expect(await openSealed(sealed!, ownKey, sealedFor)).toBeUndefined();
  expect(await openSealed(sealed!, ownKey, { ...sealedFor, machine: "own" })).toBeUndefined();
});

test("gets a certificate for the name in the controller's record, whatever its request asks for", async () => {
  const token = await makeToken(controller);
  const { options } = channelTo(own.current.authorities.at(-1)!);
  const stranger = new JoinServiceClient(controller.grpc, credentials.createSsl(Buffer.from(own.current.authorities.join(""))), options);
  const of = parseMachineUri(nameOf(new X509Certificate(victim.current.certificate).raw))!;
  const made = await machineKeys(machineUri(of));
  const keys = { natsKey: made.natsKey, certificateRequest: Buffer.from(made.certificateRequest), sealingKey: Buffer.from(made.sealingKey) };
  const request = { tokenId: token.id, secret: token.secret, machine: "modest", keys, labels: {}, hostname: "", os: "", arch: "", agentVersion: "" };
  const { result } = await call<JoinResponse>((answer) => stranger.join(request, answer));
  stranger.close();
  if (result?.$case !== "credentials") throw new Error("not joined");
  expect([result.value.machine, parseMachineUri(nameOf(result.value.certificate))]).toMatchObject(["modest", { machine: "modest" }]);

  const channel = channelOf(own.current);
  const renewing = new JoinServiceClient(controller.grpc, channel.credentials, channel.options);
  const { credentials: renewed } = await call<{ credentials?: { machine: string; certificate: Buffer } | undefined }>((answer) =>
    renewing.renew({ keys }, answer),
  );
  renewing.close();
  expect([renewed?.machine, parseMachineUri(nameOf(renewed!.certificate))]).toMatchObject(["own", { machine: "own" }]);
});

/** All that a certificate names. */
function nameOf(der: Uint8Array): string {
  return (new X509Certificate(Buffer.from(der)).subjectAltName ?? "").replace(/^URI:/, "");
}
