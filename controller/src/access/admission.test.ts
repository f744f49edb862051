/** Who is let in, to what, and what those hear who are not. */
import { status } from "@grpc/grpc-js";
import SqliteDatabase from "better-sqlite3";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { AgentServiceService } from "@muster/proto/gen/muster/v1/agent.ts";
import { DeploymentsServiceService } from "@muster/proto/gen/muster/v1/deployments.ts";
import { FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { JoinServiceService } from "@muster/proto/gen/muster/v1/identity.ts";
import { type MachineId, parseMachineId } from "@muster/proto/ids.ts";
import { type Peer, ROLES } from "../grpc/caller.ts";
import type { Admission, Admit } from "../grpc/gate.ts";
import { DAY_MS, elsewhere, NOON } from "../api/access.fixture.ts";
import { metadataOf } from "../api/asker.fixture.ts";
import { createAdmission, type MachineVerdict } from "./admission.ts";
import { Attempts } from "./attempts.ts";
import { type NewUser, Users } from "./users.ts";

let now: number;
let users: Users;
let verdict: MachineVerdict;
let admit: Admit;

beforeEach(() => {
  now = NOON;
  users = new Users(new SqliteDatabase(":memory:"), () => now);
  verdict = { ok: true, expired: false };
  admit = createAdmission({ users, oidc: undefined, machines: { judge: () => verdict }, attempts: new Attempts(() => now) });
});

const LIST = FleetServiceService.listMachines.path;
const PAUSE = DeploymentsServiceService.pause.path;
const FREEZE = FleetServiceService.addFreeze.path;
const MACHINE = parseMachineId("web-1") as MachineId;
const PIN = "ab".repeat(32);
const CERTIFIED = elsewhere({ kind: "machine", machine: MACHINE, membership: 1, expiresAt: NOON, authority: PIN });

function user(more: Partial<NewUser> = {}): NewUser {
  return { name: "anna", role: "deployer", apps: "", targets: "", createdBy: "root", expiresAt: NOON + DAY_MS, ...more };
}

function tokenOf(more: Partial<NewUser> = {}): string {
  return users.createWithToken(user(more))!.token;
}

function knock(path: string, peer: Peer = elsewhere(), headers: Readonly<Record<string, string>> = {}): Admission {
  const admission = admit({ path, peer, metadata: metadataOf(headers) });
  if (admission instanceof Promise) throw new Error("it took its time");
  return admission;
}

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

describe("on the controller's own machine", () => {
  test("whoever may open the socket may do everything that operators do, under the name they give", () => {
    for (const path of [LIST, PAUSE, FREEZE]) {
      expect(knock(path, { via: "socket" }, { "muster-user": "ada@desk" })).toEqual({ ok: true, caller: { kind: "local", name: "ada@desk" } });
    }
    expect(knock(LIST, { via: "socket" })).toMatchObject({ caller: { name: "local" } });
    expect(knock(LIST, { via: "socket" }, { "muster-user": "x".repeat(200) })).toMatchObject({ caller: { name: "local" } });
  });

  test("nobody is a machine there", () => {
    expect(knock(AgentServiceService.sync.path, { via: "socket" })).toMatchObject({ ok: false, code: status.PERMISSION_DENIED, message: "AgentService/Sync is for machines alone" });
  });
});

describe("from elsewhere", () => {
  test("without credentials only what anybody may ask is answered, and the way in is said", () => {
    expect(knock(JoinServiceService.join.path)).toMatchObject({ ok: true, caller: { kind: "anonymous" } });
    expect(knock(AccessServiceService.getLoginMethods.path)).toMatchObject({ ok: true, caller: { kind: "anonymous" } });
    expect(knock(LIST)).toEqual({ ok: false, code: status.UNAUTHENTICATED, message: "this needs a login: muster login HOST:PORT" });
    expect(knock("/muster.v1.FleetService/Invented")).toMatchObject({ ok: false, code: status.PERMISSION_DENIED });
  });

  test("the name that a stranger gives is nobody's", () => {
    expect(knock(LIST, elsewhere(), { "muster-user": "root" })).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
  });

  test.each([
    ["viewer", [true, false, false]],
    ["deployer", [true, true, false]],
    ["admin", [true, true, true]],
  ] as const)("a %s may do what the role says", (role, allowed) => {
    const token = tokenOf({ role });
    expect([LIST, PAUSE, FREEZE].map((path) => knock(path, elsewhere(), bearer(token)).ok)).toEqual(allowed);
  });

  test("a refusal names the role that is needed, and who was refused", () => {
    const token = tokenOf({ role: "viewer" });
    expect(knock(PAUSE, elsewhere(), bearer(token))).toMatchObject({
      code: status.PERMISSION_DENIED,
      message: "DeploymentsService/Pause needs the role deployer, and anna is viewer",
      caller: { kind: "operator", name: "anna" },
    });
  });

  test("an admin who is bound changes nothing that holds for the whole fleet", () => {
    const token = tokenOf({ role: "admin", targets: "env=staging" });
    expect(knock(PAUSE, elsewhere(), bearer(token)).ok).toBe(true);
    expect(knock(FREEZE, elsewhere(), bearer(token))).toMatchObject({ message: "FleetService/AddFreeze concerns the whole fleet, and anna is bound to machines with env=staging" });
  });

  test.each<[string, (token: string) => void, RegExp]>([
    ["removed", () => users.remove("anna"), /no user has this token/],
    ["disabled", () => users.change("anna", { disabled: true }), /anna is disabled/],
    ["expired", () => (now += 2 * DAY_MS), /it has expired on 2026-02-01/],
  ])("the token of a user who is %s counts for nothing", (_what, spoil, message) => {
    const token = tokenOf();
    expect(knock(LIST, elsewhere(), bearer(token)).ok).toBe(true);
    spoil(token);
    const refused = knock(LIST, elsewhere(), bearer(token));
    expect(refused).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
    expect(refused).toHaveProperty("message", expect.stringMatching(message));
    expect(refused).toHaveProperty("message", expect.stringContaining("muster login"));
  });

  test("a machine's certificate opens what machines need, and nothing of operators", () => {
    expect(knock(AgentServiceService.sync.path, CERTIFIED)).toMatchObject({ ok: true, caller: { kind: "machine", machine: "web-1", membership: 1 } });
    for (const path of [LIST, PAUSE, FREEZE]) expect(knock(path, CERTIFIED)).toMatchObject({ ok: false, code: status.PERMISSION_DENIED });
    verdict = { ok: true, expired: true };
    // Its session goes on, and what it is to run is held back by nothing; a new one begins with credentials that count.
    expect(knock(AgentServiceService.session.path, CERTIFIED)).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
    for (const path of [AgentServiceService.sync.path, AgentServiceService.fetchTrustRoots.path, JoinServiceService.renew.path]) expect(knock(path, CERTIFIED)).toMatchObject({ ok: true });
    verdict = { ok: false, reason: "web-1 was revoked" };
    for (const path of [AgentServiceService.sync.path, JoinServiceService.renew.path]) expect(knock(path, CERTIFIED)).toMatchObject({ code: status.UNAUTHENTICATED, message: "web-1 was revoked" });
  });

  test("a user is no machine", () => {
    expect(knock(AgentServiceService.sync.path, elsewhere(), bearer(tokenOf({ role: "admin" })))).toMatchObject({ ok: false, code: status.PERMISSION_DENIED });
  });

  test("a user's certificate counts for the record that it was made for, and for no later one of the name", () => {
    const { number } = users.createForCertificate(user())!;
    const shown = elsewhere({ kind: "operator", name: "anna", number, expiresAt: NOON + DAY_MS });
    expect(knock(PAUSE, shown)).toMatchObject({ ok: true, caller: { name: "anna", role: "deployer" } });
    users.remove("anna");
    expect(knock(PAUSE, shown).ok).toBe(false);
    users.createForCertificate(user());
    expect(knock(PAUSE, shown).ok).toBe(false);
  });

  test("a certificate is nothing to a user who has a token", () => {
    users.createWithToken(user());
    const { number } = users.get("anna")!;
    expect(knock(PAUSE, elsewhere({ kind: "operator", name: "anna", number, expiresAt: NOON + DAY_MS })).ok).toBe(false);
  });

  test("a bad token is refused though the connection has a good certificate", () => {
    const { number } = users.createForCertificate(user())!;
    const shown = elsewhere({ kind: "operator", name: "anna", number, expiresAt: NOON + DAY_MS });
    expect(knock(LIST, shown, bearer("mut1.nonsense"))).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
  });
});

describe("guessing", () => {
  test("no text that is not a token lets anybody in, whatever it looks like", () => {
    const token = tokenOf({ role: "admin" });
    const [head = "", id = "", secret = ""] = token.split(".");
    const near = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.stringMatching(/^mut1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}$/),
      fc.stringMatching(/^[A-Za-z0-9_-]{43}$/).map((guess) => `${head}.${id}.${guess}`),
      fc.nat({ max: secret.length - 1 }).map((at) => `${head}.${id}.${secret.slice(0, at)}${secret[at] === "A" ? "B" : "A"}${secret.slice(at + 1)}`),
      fc.nat({ max: token.length - 1 }).map((length) => token.slice(0, length)),
      fc.constantFrom(`${token}A`, token.toUpperCase(), `${token}.${secret}`, "mut1..", ".", "undefined", "null", "x".repeat(20_000)),
    );
    fc.assert(
      fc.property(near, (guess) => {
        fc.pre(guess !== token);
        // Each from an address of its own, so that it is the guess that is refused.
        now += 10_000;
        const printable = guess.replaceAll(/[^\x20-\x7E]/g, "?");
        expect(knock(LIST, elsewhere(), { authorization: `Bearer ${printable}` })).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
        expect(knock(LIST, elsewhere(), { authorization: printable })).toMatchObject({ ok: false, code: status.UNAUTHENTICATED });
        now += 10_000;
      }),
      { numRuns: 2_000 },
    );
    expect(knock(LIST, elsewhere(), bearer(token)).ok).toBe(true);
  });

  test("after ten wrong ones an address has to wait, and others need not", () => {
    const token = tokenOf();
    const other = elsewhere({ kind: "nobody" }, "192.0.2.8:1");
    for (let attempt = 0; attempt < 10; attempt += 1) expect(knock(LIST, elsewhere(), bearer("wrong"))).toHaveProperty("message", expect.stringContaining("token refused"));
    expect(knock(LIST, elsewhere(), bearer("wrong"))).toHaveProperty("message", "too many failed attempts from 192.0.2.7: try again in 6s");
    expect(knock(LIST, elsewhere({ kind: "nobody" }, "192.0.2.7:555"), bearer(token)).ok).toBe(false);
    expect(knock(LIST, other, bearer(token)).ok).toBe(true);
    now += 6_000;
    expect(knock(LIST, elsewhere(), bearer(token)).ok).toBe(true);
  });

  test("certificates are not locked out with the tokens of their address", () => {
    for (let attempt = 0; attempt < 20; attempt += 1) knock(LIST, elsewhere(), bearer("wrong"));
    const { number } = users.createForCertificate(user({ name: "bo" }))!;
    expect(knock(LIST, elsewhere({ kind: "operator", name: "bo", number, expiresAt: NOON + DAY_MS })).ok).toBe(true);
    expect(knock(AgentServiceService.sync.path, CERTIFIED).ok).toBe(true);
  });
});

test("roles are in order, each within the next", () => {
  expect(ROLES).toEqual(["viewer", "deployer", "admin"]);
});
