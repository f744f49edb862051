/**
 * Joining a real controller, and what somebody gets who should not: without a token, with a used one, with another machine's name, from a false controller.
 */
import { type ClientReadableStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { channelOf } from "@muster/agent/identity/channel.ts";
import type { Identity } from "@muster/agent/identity/identity-store.ts";
import { JoinError } from "@muster/agent/identity/join.ts";
import { AgentServiceClient, Hello, type SessionResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { DeploymentsServiceClient } from "@muster/proto/gen/muster/v1/deployments.ts";
import { FleetServiceClient, type ListMachinesResponse, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { IdentityServiceClient, JoinServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import { encodeManifest, MANIFEST_FORMAT } from "@muster/proto/manifest.ts";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { call, collect } from "./call.ts";
import { ControllerProcess } from "./controller-process.ts";
import { agentClient, fetchAs, joinAs, makeToken } from "./member.ts";

let controller: ControllerProcess;
beforeAll(async () => {
  controller = await ControllerProcess.start();
});
afterAll(() => controller.stop());

/** A session of that machine; resolves with its welcome. */
async function welcome(identity: Identity): Promise<{ readonly artifactUrl: string; readonly client: AgentServiceClient; readonly ended: Promise<ServiceError> }> {
  const client = agentClient(controller, identity.current);
  const session = client.session();
  const ended = new Promise<ServiceError>((resolve) => session.on("error", resolve));
  session.write({ message: { $case: "hello", value: Hello.fromPartial({ machine: identity.machine, instanceId: "i-1" }) } });
  const { message } = await new Promise<SessionResponse>((resolve) => (session as ClientReadableStream<SessionResponse>).once("data", resolve));
  if (message?.$case !== "welcome") throw new Error("no welcome");
  return { artifactUrl: message.value.artifactUrl, client, ended };
}

describe("a controller", () => {
  test("gives a token's one use to one machine, and tells others no more than that it was not accepted", async () => {
    const token = await makeToken(controller);
    expect(await joinAs(controller, token, "one")).toMatchObject({ machine: "one" });
    const used = joinAs(controller, token, "two");
    const guessed = joinAs(controller, { ...token, secret: "A".repeat(43) }, "two");
    const [first, second] = await Promise.all([used, guessed].map((attempt) => attempt.then(() => "joined", (error: unknown) => (error as Error).message)));
    expect(first).toContain("the token was not accepted");
    expect(second).toBe(first);
  });

  test("that is not the one of the token never hears the secret", async () => {
    const token = await makeToken(controller);
    const other = joinAs(controller, { ...token, pin: "0".repeat(64) }, "one-more");
    await expect(other).rejects.toBeInstanceOf(JoinError);
    await expect(other).rejects.toThrow(/is not the controller that made the token.*The token was not sent/);
    expect(await joinAs(controller, token, "one-more")).toMatchObject({ machine: "one-more" });
  });

  test("lets nobody do anything without a certificate but ask to join", async () => {
    const { current } = await joinAs(controller, await makeToken(controller), "anon");
    const { options } = channelOf(current);
    const channel = credentials.createSsl(Buffer.from(current.authorities.join("")));
    const client = new AgentServiceClient(controller.grpc, channel, options);
    const fleet = new FleetServiceClient(controller.grpc, channel, options);
    await expect(call((answer) => client.sync({ machine: "anon" }, answer))).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    await expect(collect(fleet.listMachines({ selector: "", withoutApps: false }))).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    client.close();
    fleet.close();
  });

  test("lets a machine do nothing that is for operators", async () => {
    const { current } = await joinAs(controller, await makeToken(controller), "curious");
    const channel = channelOf(current);
    const fleet = new FleetServiceClient(controller.grpc, channel.credentials, channel.options);
    const identity = new IdentityServiceClient(controller.grpc, channel.credentials, channel.options);
    await expect(collect(fleet.listMachines({ selector: "", withoutApps: false }))).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    await expect(call((answer) => identity.createToken({ uses: 1, ttlMs: 60_000, labels: {}, approve: false }, answer))).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    fleet.close();
    identity.close();
  });

  test("refuses a message of 100 MB, and goes on", async () => {
    const { current } = await joinAs(controller, await makeToken(controller), "large");
    const { options } = channelOf(current);
    const client = new JoinServiceClient(controller.grpc, credentials.createSsl(Buffer.from(current.authorities.join(""))), { ...options, "grpc.max_send_message_length": -1 });
    const request = { tokenId: "", secret: "x".repeat(100 * 1024 * 1024), machine: "large", keys: undefined, labels: {}, hostname: "", os: "", arch: "", agentVersion: "" };
    await expect(call((answer) => client.join(request, new Metadata(), { deadline: Date.now() + 30_000 }, answer))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    client.close();
    expect(await joinAs(controller, await makeToken(controller), "after")).toMatchObject({ machine: "after" });
  });

  test("gives a machine the artifacts that it is assigned, and another machine's not", async () => {
    const [mine, theirs] = [await joinAs(controller, await makeToken(controller), "mine", { role: "mine" }), await joinAs(controller, await makeToken(controller), "theirs", { role: "theirs" })];
    const [session, other] = [await welcome(mine), await welcome(theirs)];
    const digest = await push();
    const url = `${session.artifactUrl}/${digest}/manifest`;
    expect(await fetchAs(mine, url)).toBe(403);
    await deploy(digest, "role=mine");
    await vi.waitFor(async () => expect(await fetchAs(mine, url)).toBe(200), 10_000);
    expect(await fetchAs(theirs, url)).toBe(403);
    session.client.close();
    other.client.close();
  });

  test("cuts a revoked machine off, and keeps it out", async () => {
    const identity = await joinAs(controller, await makeToken(controller), "stolen");
    const { client, ended, artifactUrl } = await welcome(identity);
    const operators = new IdentityServiceClient(controller.operators, credentials.createInsecure());
    await call((answer) => operators.revokeMachine({ machine: "stolen", reason: "stolen" }, answer));
    operators.close();
    expect(await ended).toBeDefined();
    client.close();
    const again = agentClient(controller, identity.current);
    await expect(call((answer) => again.sync({ machine: "stolen" }, answer))).rejects.toMatchObject({ code: status.UNAUTHENTICATED, details: "stolen has been revoked" });
    again.close();
    expect(await fetchAs(identity, `${artifactUrl}/${"0".repeat(64)}/pack`)).toBe(403);
    await expect(joinAs(controller, await makeToken(controller), "stolen")).rejects.toThrow(/has been revoked/);
    const fleet = new FleetServiceClient(controller.operators, credentials.createInsecure());
    const [listed] = await collect<ListMachinesResponse>(fleet.listMachines({ selector: "", withoutApps: false }));
    fleet.close();
    expect(listed!.machines.find(({ id }) => id === "stolen")?.state).toBe(MachineState.REVOKED);
  });
});

async function push(): Promise<string> {
  const client = new ArtifactsServiceClient(controller.operators, credentials.createInsecure());
  const { digest } = await call<{ digest: string }>((answer) => {
    const stream = client.pushArtifact(answer);
    stream.write({ part: { $case: "manifest", value: Buffer.from(encodeManifest({ format: MANIFEST_FORMAT, packBytes: 0, entries: [] })) } });
    stream.end();
  });
  client.close();
  return digest;
}

async function deploy(artifact: string, targets: string): Promise<void> {
  const client = new DeploymentsServiceClient(controller.operators, credentials.createInsecure());
  const file = `app: site\nversion: "1"\nartifact: ./dist\nrun: { driver: files }\nrollout: { targets: ${targets} }\n`;
  const { faults } = await call<{ faults: unknown[] }>((answer) => client.submit({ fileName: "muster.yaml", content: Buffer.from(file), artifact, by: "test", signed: "" }, answer));
  client.close();
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
}
