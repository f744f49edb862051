/** Users, refusals and the audit log over a real connection, through the real gate. */
import { type ClientReadableStream, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AuditResult, type AuditEntry, type CreateUserRequest, type CreateUserResponse, type ReadAuditResponse, Role } from "@muster/proto/gen/muster/v1/access.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { DAY_MS, Desk, elsewhere, NOON } from "./access.fixture.ts";
import { metadataOf } from "./asker.fixture.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
});
afterEach(() => desk.close());

const WANTED: CreateUserRequest = { name: "anna", role: Role.DEPLOYER, apps: "shop-*", targets: "env=staging", ttlMs: DAY_MS, certificateRequest: Buffer.alloc(0), by: "root@desk" };

function create(more: Partial<CreateUserRequest> = {}): Promise<CreateUserResponse> {
  return desk.ask(desk.client, desk.client.createUser, { ...WANTED, ...more });
}

async function audited(query: { who?: string; refused?: boolean } = {}): Promise<readonly AuditEntry[]> {
  const peer = desk.peer;
  desk.peer = { via: "socket" };
  const entries: AuditEntry[] = [];
  for await (const page of desk.client.readAudit({ since: 0, who: "", refused: false, limit: 0, follow: false, ...query })) entries.push(...(page as ReadAuditResponse).entries);
  desk.peer = peer;
  return entries;
}

/** How a stream ended. */
function ending(stream: ClientReadableStream<unknown>): Promise<string> {
  stream.resume();
  return new Promise((resolve) => stream.on("error", (error: ServiceError) => resolve(`${status[error.code]}: ${error.details}`)));
}

describe("a user", () => {
  test("is made with a token that is shown once, and is known by it", async () => {
    const { user, token, pin, address, certificate } = await create();
    expect(user).toEqual({ name: "anna", role: Role.DEPLOYER, apps: "shop-*", targets: "env=staging", certificate: false, disabled: false, createdAt: NOON, createdBy: "root@desk", expiresAt: NOON + DAY_MS, lastUsedAt: 0 });
    expect({ pin, address, certificate: certificate.length }).toEqual({ pin: "ab".repeat(32), address: "127.0.0.1:4000", certificate: 0 });
    expect(await desk.ask(desk.client, desk.client.listUsers, {})).toEqual({ users: [user] });
    desk.peer = elsewhere();
    expect(await desk.ask(desk.client, desk.client.whoAmI, {}, { authorization: `Bearer ${token}` })).toEqual({
      name: "anna", local: false, role: Role.DEPLOYER, apps: "shop-*", targets: "env=staging", expiresAt: NOON + DAY_MS, authorities: [Buffer.from("authority")],
    });
  });

  test("is made with a certificate that names its record", async () => {
    const asked: unknown[] = [];
    desk.issue = async (request, { name, number }, expiresAt) => {
      asked.push([Buffer.from(request).toString(), name, number, expiresAt]);
      return { ok: true, certificate: Buffer.from("signed") };
    };
    const { certificate, token, user } = await create({ certificateRequest: Buffer.from("request") });
    expect([certificate.toString(), token, user!.certificate]).toEqual(["signed", "", true]);
    expect(asked).toEqual([["request", "anna", 1, NOON + DAY_MS]]);
    desk.peer = elsewhere({ kind: "operator", name: "anna", number: 1, expiresAt: NOON + DAY_MS });
    expect(await desk.ask(desk.client, desk.client.whoAmI, {})).toMatchObject({ name: "anna" });
  });

  test("is not made when the certificate can't be", async () => {
    desk.issue = async () => ({ ok: false, message: "it is not signed by its own key" });
    expect(await desk.refused(desk.client, desk.client.createUser, { ...WANTED, certificateRequest: Buffer.from("x") })).toEqual(["INVALID_ARGUMENT", "the certificate request can't be taken: it is not signed by its own key"]);
    expect(await desk.ask(desk.client, desk.client.listUsers, {})).toEqual({ users: [] });
  });

  test.each<[Partial<CreateUserRequest>, string, string]>([
    [{ name: "Anna" }, "INVALID_ARGUMENT", '"Anna" is not the name of a user: 1 to 63 of a-z, 0-9 and . _ @ -, beginning with a letter or digit'],
    [{ role: Role.UNSPECIFIED }, "INVALID_ARGUMENT", "a user needs a role: viewer, deployer or admin"],
    [{ ttlMs: 1 }, "INVALID_ARGUMENT", "a credential holds from a minute to a year"],
    [{ targets: "env on (x)" }, "INVALID_ARGUMENT", 'targets: the selector "env on (x)" can\'t be read at character 5: "on" where one of = == != in notin was expected'],
  ])("%j is refused", async (more, code, message) => {
    expect(await desk.refused(desk.client, desk.client.createUser, { ...WANTED, ...more })).toEqual([code, message]);
  });

  test("has a name of its own", async () => {
    await create();
    expect(await desk.refused(desk.client, desk.client.createUser, WANTED)).toEqual(["ALREADY_EXISTS", "there is a user anna already; for another credential: muster user remove anna, and create it again"]);
  });

  test("who is changed or removed has what is open ended", async () => {
    const { token } = await create({ role: Role.ADMIN, apps: "", targets: "" });
    desk.peer = elsewhere();
    const headers = metadataOf({ authorization: `Bearer ${token}` });
    const follow = (): ClientReadableStream<unknown> => desk.client.readAudit({ since: 0, who: "", refused: false, limit: 1, follow: true }, headers);
    const first = follow();
    await new Promise((resolve) => first.once("data", resolve));
    const ended = ending(first);
    desk.peer = { via: "socket" };
    expect(await desk.ask(desk.client, desk.client.setUser, { name: "anna", role: Role.UNSPECIFIED, disabled: false })).toMatchObject({ user: { role: Role.ADMIN } });
    expect(await ended).toBe("UNAUTHENTICATED: what anna may do has changed; try again");
    desk.peer = elsewhere();
    const second = follow();
    await new Promise((resolve) => second.once("data", resolve));
    const removed = ending(second);
    desk.peer = { via: "socket" };
    await desk.ask(desk.client, desk.client.removeUser, { name: "anna" });
    expect(await removed).toContain("UNAUTHENTICATED");
    expect(await desk.refused(desk.client, desk.client.removeUser, { name: "anna" })).toEqual(["NOT_FOUND", "there is no user anna"]);
  });

  test("may change itself, and hears that it has", async () => {
    const { token } = await create({ role: Role.ADMIN, apps: "", targets: "" });
    desk.peer = elsewhere();
    expect(await desk.ask(desk.client, desk.client.setUser, { name: "anna", role: Role.VIEWER }, { authorization: `Bearer ${token}` })).toMatchObject({ user: { role: Role.VIEWER } });
    expect(await desk.refused(desk.client, desk.client.listUsers, {}, { authorization: `Bearer ${token}` })).toEqual(["PERMISSION_DENIED", "AccessService/ListUsers needs the role admin, and anna is viewer"]);
  });
});

test("who is local may do everything", async () => {
  expect(await desk.ask(desk.client, desk.client.whoAmI, {}, { "muster-user": "ada@desk" })).toMatchObject({ name: "ada@desk", local: true, role: Role.ADMIN });
});

test("anybody may ask how to log in", async () => {
  desk.peer = elsewhere();
  expect(await desk.ask(desk.client, desk.client.getLoginMethods, {})).toEqual({ oidc: undefined });
});

describe("the audit log", () => {
  test("has what was changed, by whom, from where, and no secret", async () => {
    const { token } = await create({ role: Role.ADMIN, apps: "", targets: "" });
    desk.peer = elsewhere();
    const headers = { authorization: `Bearer ${token}` };
    await desk.ask(desk.fleet, desk.fleet.endFreeze, { id: "f-1", by: "somebody else" }, headers);
    await desk.ask(desk.fleet, desk.fleet.listFreezes, {}, headers);
    const entries = await audited();
    expect(entries.map(({ who, kind, from, method, subject, result }) => [who, kind, from, method, subject, result])).toEqual([
      ["local", "local", "local", "AccessService/CreateUser", "name=anna role=admin", AuditResult.OK],
      ["anna", "user", "192.0.2.7", "FleetService/EndFreeze", "id=f-1", AuditResult.OK],
    ]);
    expect(desk.db.serialize().includes(token.split(".")[2]!)).toBe(false);
  });

  test("has what failed, and why", async () => {
    await desk.refused(desk.client, desk.client.removeUser, { name: "nobody" });
    expect(await audited()).toMatchObject([{ method: "AccessService/RemoveUser", subject: "name=nobody", result: AuditResult.FAILED, message: "there is no user nobody" }]);
  });

  test("has every refusal, of reading too, with who it was where that is known", async () => {
    const { token } = await create({ role: Role.VIEWER });
    desk.peer = elsewhere();
    await desk.refused(desk.fleet, desk.fleet.listFreezes, {});
    await desk.refused(desk.fleet, desk.fleet.listFreezes, {});
    await desk.refused(desk.fleet, desk.fleet.endFreeze, { id: "f-1", by: "" }, { authorization: `Bearer ${token}` });
    desk.peer = elsewhere({ kind: "machine", machine: "web-1" as MachineId, membership: 1, expiresAt: 0, authority: "a" });
    await desk.refused(desk.fleet, desk.fleet.listFreezes, {});
    desk.verdict = { ok: false, reason: "web-1 was revoked" };
    await desk.refused(desk.fleet, desk.fleet.listFreezes, {});
    const entries = await audited({ refused: true });
    expect(entries.map(({ who, kind, method, message, count }) => [who, kind, method, message, count])).toEqual([
      ["", "unknown", "FleetService/ListFreezes", "this needs a login: muster login HOST:PORT", 2],
      ["anna", "user", "FleetService/EndFreeze", "FleetService/EndFreeze needs the role admin, and anna is viewer", 1],
      ["web-1", "machine", "FleetService/ListFreezes", "FleetService/ListFreezes is for operators alone", 1],
      ["web-1", "machine", "FleetService/ListFreezes", "web-1 was revoked", 1],
    ]);
  });

  test("is followed: what comes is told, and only what was asked for", async () => {
    const stream = desk.client.readAudit({ since: 0, who: "", refused: true, limit: 0, follow: true });
    const told: AuditEntry[] = [];
    const isTold = new Promise<void>((resolve) => {
      stream.on("data", ({ entries }: ReadAuditResponse) => {
        told.push(...entries);
        resolve();
      });
    });
    stream.on("error", () => undefined);
    await create();
    desk.peer = elsewhere();
    await desk.refused(desk.fleet, desk.fleet.listFreezes, {});
    await isTold;
    expect(told).toMatchObject([{ method: "FleetService/ListFreezes", result: AuditResult.REFUSED }]);
    stream.cancel();
  });
});

test("each answer begins with the time of the controller's clock: one message, or a stream", async () => {
  const said = (call: { on(event: "metadata", listener: (metadata: Metadata) => void): unknown }): Promise<unknown> => new Promise((resolve) => call.on("metadata", (metadata) => resolve(metadata.get("muster-now"))));
  await create();
  const stream = desk.client.readAudit({ since: 0, who: "", refused: false, limit: 0, follow: false });
  stream.resume();
  expect(await said(stream)).toEqual([String(desk.now)]);
  expect(await said(desk.client.listUsers({}, () => undefined))).toEqual([String(desk.now)]);
});
