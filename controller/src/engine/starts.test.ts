/**
 * When deployments begin, and what they wait for in the meantime.
 */
import { describe, expect, test } from "vitest";
import type { AppName, DeploymentId, Instant } from "@muster/proto/ids.ts";
import { ALL, APPROVAL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const MINUTE = 60_000;

test("start_at is waited for, also over a restart, and lets others of the app pass", async () => {
  const world = new World();
  await world.join("a");
  const later = world.deploy("2", { startAt: (world.clock.now() + 10 * MINUTE) as Instant });
  expect(world.phase(later)).toBe("pending");
  expect(world.waitingOn(later)).toMatch(/^its time: it begins at .* UTC \(start_at\)$/);
  const first = world.deploy("1");
  await world.settle("a");
  expect(world.phase(first)).toBe("succeeded");
  world.startEngine();
  await world.join("a");
  world.pass(9 * MINUTE, "a");
  expect(world.phase(later)).toBe("pending");
  world.pass(2 * MINUTE, "a");
  expect(world.phase(later)).toBe("rolling");
});

test("of those that wait for the same app, the more important goes first", async () => {
  const world = new World();
  await world.join("a");
  world.deploy("1");
  const normal = world.deploy("2");
  const urgent = world.deploy("3", { priority: 10 });
  expect(world.waitingOn(urgent)).toBe("d-1 (app@1, rolling) to end");
  await world.say("a", "healthy");
  expect([world.phase(normal), world.phase(urgent)]).toEqual(["pending", "rolling"]);
  expect(world.waitingOn(normal)).toBe("d-3 (app@3, rolling) to end");
});

test("who waits for another one that waits for somebody is told what would let that go on", async () => {
  const world = new World();
  await world.join("a", "b");
  const first = world.deploy("1", { waves: [{ ...wave(count(1)), gates: [APPROVAL] }, ALL], maxUnavailable: count(1) });
  const next = world.deploy("2");
  await world.say("a", "healthy");
  expect(world.waitingOn(next)).toBe("d-1 (app@1, awaiting approval: muster approve d-1) to end");
  world.command(first, "approve");
  expect(world.waitingOn(next)).toBe("d-1 (app@1, rolling) to end");
  world.command(first, "pause");
  expect(world.waitingOn(next)).toBe("d-1 (app@1, paused: muster resume d-1) to end");
});

describe("start: manual", () => {
  test("waits until somebody starts it, also over a restart, and holds nobody up meanwhile", async () => {
    const world = new World();
    await world.join("a");
    const manual = world.deploy("2", { start: "manual", priority: 10 });
    expect([world.phase(manual), world.waitingOn(manual)]).toEqual(["pending", "somebody to start it (muster approve d-1)"]);
    const other = world.deploy("1");
    await world.settle("a");
    expect(world.phase(other)).toBe("succeeded");
    world.startEngine();
    await world.join("a");
    world.pass(60 * MINUTE, "a");
    expect(world.phase(manual)).toBe("pending");
    expect(world.command(manual, "approve", { reason: "go" }).ok).toBe(true);
    expect(world.phase(manual)).toBe("rolling");
    expect(world.journal.db.prepare("SELECT data ->> 'said' FROM journal WHERE kind = 'start_approved'").pluck().all()).toEqual(["anna approved it: go"]);
  });

  test("that was started still waits for its time and its turn, also over a restart", async () => {
    const world = new World();
    await world.join("a");
    const manual = world.deploy("2", { start: "manual", startAt: (world.clock.now() + 10 * MINUTE) as Instant });
    expect(world.waitingOn(manual)).toBe("somebody to start it (muster approve d-1)");
    world.command(manual, "approve");
    expect(world.waitingOn(manual)).toMatch(/^its time: it begins at .* UTC \(start_at\)$/);
    world.startEngine();
    await world.join("a");
    world.pass(8 * MINUTE, "a");
    world.deploy("1", { healthyDeadlineMs: 10 * MINUTE });
    world.pass(3 * MINUTE, "a");
    expect(world.waitingOn(manual)).toBe("d-2 (app@1, rolling) to end");
    await world.settle("a");
    expect([world.phase(manual), world.wanted("a")]).toEqual(["succeeded", "2"]);
  });

  test("is refused where nothing is to be started, and started once", async () => {
    const world = new World();
    await world.join("a");
    const refused = (id: DeploymentId, wave = 0) => {
      const answer = world.steer(id, { kind: "approve", wave });
      return answer.ok ? "" : answer.refusal.message;
    };
    world.deploy("1");
    const queued = world.deploy("2");
    expect(refused(queued)).toBe("d-2 can't be approved: it is pending and begins by itself; only one with start: manual waits for somebody to start it");
    const manual = world.deploy("3", { start: "manual" });
    expect(refused(manual, 1)).toBe("d-3 can't be approved: it has not begun, and waits for its start to be approved, not for a wave: leave out --wave");
    expect(refused(manual)).toBe("");
    expect(world.waitingOn(manual)).toBe("d-1 (app@1, rolling) to end");
    expect(refused(manual)).toBe("d-3 can't be approved: its start has been approved already; muster status says what it waits for");
  });

  test("can be aborted, and a rollback to its release asks nobody again", async () => {
    const world = new World();
    await world.join("a");
    const first = world.deploy("1", { start: "manual" });
    world.command(first, "approve");
    await world.settle("a");
    const second = world.deploy("2", { start: "manual" });
    expect(world.command(second, "abort").ok).toBe(true);
    expect(world.phase(second)).toBe("aborted");
    const third = world.deploy("3");
    await world.settle("a");
    expect(world.engine.operators.rollbackTo(third, "1", { by: "anna", reason: "" })).toMatchObject({ ok: true });
    expect(world.phase("d-4" as DeploymentId)).toBe("rolling");
  });
});

describe("promotion", () => {
  const after = { deploymentOf: "app" as AppName, targets: "env=staging", soakMs: 5 * MINUTE };

  test("waits until the same release has stood elsewhere for so long", async () => {
    const world = new World();
    await world.joinAs({ env: "staging" }, "s");
    await world.joinAs({ env: "prod" }, "p");
    const prod = world.deploy("1", { targets: "env=prod", after });
    expect(world.waitingOn(prod)).toBe("a deployment of app@1 to env=staging to succeed: there is none yet");
    const other = world.deploy("0", { targets: "env=staging" });
    await world.settle("s");
    expect(world.phase(other)).toBe("succeeded");
    expect(world.phase(prod)).toBe("pending");
    const staging = world.deploy("1", { targets: "env=staging" });
    expect(world.waitingOn(prod)).toBe("a deployment of app@1 to env=staging to succeed: d-3 is rolling");
    await world.settle("s");
    expect(world.phase(staging)).toBe("succeeded");
    expect(world.waitingOn(prod)).toMatch(/^d-3 \(app@1 on env=staging\) to have stood for 5m, at .* UTC$/);
    world.pass(4 * MINUTE, "s", "p");
    expect(world.phase(prod)).toBe("pending");
    world.pass(2 * MINUTE, "s", "p");
    expect(world.phase(prod)).toBe("rolling");
  });

  test("does not follow a release that was taken back", async () => {
    const world = new World();
    await world.joinAs({ env: "staging" }, "s");
    await world.joinAs({ env: "prod" }, "p");
    const staging = world.deploy("1", { targets: "env=staging" });
    await world.settle("s");
    const prod = world.deploy("1", { targets: "env=prod", after });
    world.command(staging, "rollback");
    await world.settle("s");
    world.pass(10 * MINUTE, "s", "p");
    expect(world.phase(prod)).toBe("pending");
    expect(world.waitingOn(prod)).toBe("a deployment of app@1 to env=staging to succeed: d-1 is rolled back");
  });
});

test("a freeze stops starts and never a rollback; the end of it is foreseen", async () => {
  const world = new World();
  await world.join("a", "b");
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(1) });
  const freeze = world.engine.orders.addFreeze({ from: 0 as Instant, until: (world.clock.now() + 10 * MINUTE) as Instant }, { by: "anna", reason: "launch" });
  expect(freeze.ok).toBe(true);
  await world.say("a", "healthy");
  expect(world.wanted("b")).toBeUndefined();
  expect(world.waitingOn(id)).toMatch(/^the freeze f-1 to be over \(until .* UTC: launch\)$/);
  world.startEngine();
  await world.join("a", "b");
  expect(world.wanted("b")).toBeUndefined();
  world.pass(11 * MINUTE, "a", "b");
  expect(world.wanted("b")).toBe("1");
  world.engine.orders.addFreeze({ from: 0 as Instant, until: null }, { by: "anna", reason: "" });
  world.command(id, "rollback");
  await world.settle("a", "b");
  expect(world.phase(id)).toBe("rolled_back");
});

test("a closed window stops starts until it opens", async () => {
  const world = new World();
  await world.join("a");
  const opensAt = (world.clock.now() + 30 * MINUTE) as Instant;
  world.schedule = { openingOf: (_window, now) => (now >= opensAt ? { open: true, until: (opensAt + MINUTE) as Instant } : { open: false, opensAt }) };
  world.startEngine();
  await world.join("a");
  const id = world.deploy("1", { window: { cron: "0 2 * * *", durationMs: MINUTE, timeZone: "UTC" }, progressDeadlineMs: 5 * MINUTE });
  expect(world.wanted("a")).toBeUndefined();
  expect(world.waitingOn(id)).toMatch(/^its window \(0 2 \* \* \*, UTC\), which opens at .* UTC$/);
  world.pass(29 * MINUTE, "a");
  expect(world.phase(id)).toBe("rolling");
  world.pass(2 * MINUTE, "a");
  expect(world.wanted("a")).toBe("1");
});

test("rollback --to deploys an older release to the same machines in one wave, and takes the place of what is under way", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  for (const version of ["1", "2"]) {
    world.deploy(version);
    await world.settle("a", "b", "c");
  }
  const third = world.deploy("3");
  const answer = world.engine.operators.rollbackTo(third, "1", { by: "anna", reason: "bad" });
  expect(answer).toMatchObject({ ok: true, value: { deployment: "d-4" } });
  expect(world.phase(third)).toBe("superseded");
  await world.settle("a", "b", "c");
  expect(["a", "b", "c"].map((machine) => world.wanted(machine))).toEqual(["1", "1", "1"]);
  expect(world.engine.operators.rollbackTo(third, "9", { by: "anna", reason: "" })).toMatchObject({ ok: false, refusal: { kind: "not_found" } });
});

describe("what takes the place of others", () => {
  async function twoZones() {
    const world = new World();
    await world.joinAs({ role: "web", zone: "a" }, "a1", "a2");
    await world.joinAs({ role: "web", zone: "b" }, "b1", "b2");
    world.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
    await world.settle("a1", "a2", "b1", "b2");
    world.pass(2000, "a1", "a2", "b1", "b2");
    const startAt = (world.clock.now() + 60 * MINUTE) as Instant;
    return { world, startAt };
  }

  test("leaves those that wait for their time and are for other machines, and ends those that share one", async () => {
    const { world, startAt } = await twoZones();
    const elsewhere = world.deploy("5", { targets: "zone=b", startAt });
    const shared = world.deploy("6", { targets: "role=web", startAt });
    const manual = world.deploy("7", { targets: "zone=b", start: "manual" });
    world.deploy("3", { targets: "zone=a", onConflict: "supersede" });
    expect([elsewhere, shared, manual].map((id) => world.phase(id))).toEqual(["pending", "superseded", "pending"]);
  });

  test("asks for the labels of the moment", async () => {
    const { world, startAt } = await twoZones();
    const elsewhere = world.deploy("5", { targets: "zone=b", startAt });
    world.label({ role: "web", zone: "b" }, "a2");
    world.deploy("3", { targets: "role=web,zone notin (a)", onConflict: "supersede" });
    expect(world.phase(elsewhere)).toBe("superseded");
  });

  test("is also a rollback --to, for its machines alone", async () => {
    const { world, startAt } = await twoZones();
    const second = world.deploy("2", { targets: "zone=a", waves: [ALL], maxUnavailable: count(2) });
    await world.settle("a1", "a2");
    world.pass(2000, "a1", "a2", "b1", "b2");
    const elsewhere = world.deploy("5", { targets: "zone=b", startAt });
    const shared = world.deploy("6", { targets: "zone=a", startAt });
    expect(world.engine.operators.rollbackTo(second, "1", { by: "anna", reason: "" })).toMatchObject({ ok: true });
    expect([world.phase(elsewhere), world.phase(shared)]).toEqual(["pending", "superseded"]);
  });
});

test("an ended deployment is neither retried nor rolled back while another of its app is under way", async () => {
  const world = new World();
  await world.join("a", "b");
  const first = world.deploy("1", { onFailure: "abort" });
  await world.say("a", "failed");
  const second = world.deploy("2");
  for (const command of ["retry", "rollback"] as const) {
    expect(world.command(first, command)).toMatchObject({ ok: false, refusal: { message: expect.stringContaining(`${second} (app@2) is under way`) } });
  }
});
