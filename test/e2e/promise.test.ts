/**
 * A bad release breaks no more machines than its wave and its window allowed, whoever is away meanwhile; what was taken back stays taken back; and no outcome says more than is known.
 *
 * One fleet for all: each test begins with the first release of the shop on every machine, and leaves it so. What happens is judged by the hosts: by what was started there, and by what answers.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { comes, DevFleet, isAlive, type Status } from "./fleet.ts";
import { type Place, Serving } from "./serving.ts";
import { type Answer, type ReleaseOptions, TestApp } from "./test-app.ts";

const MACHINES = ["dev-0", "dev-1", "dev-2", "dev-3"];
const CANARY = "dev-0";
const ALL_AT_ONCE = { waves: "[100%]", max_unavailable: "100%" } as const;
/** After so long a fleet in which something was still to come has shown it: what was told as a late machine came within 13 s. */
const REST_MS = 20_000;

let fleet: DevFleet;
let shop: TestApp;
let mail: TestApp;
/** Agents that are held, by pid. */
const held: number[] = [];
/** Apps of which something was taken back at a time; what was started of them since then, but for that, must be nothing. */
const atRest: { readonly app: TestApp; readonly since: number; readonly starts: number; readonly alive: readonly string[] }[] = [];

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length, args: ["--silent-after", "2s"] });
  shop = new TestApp(fleet, "shop");
  mail = new TestApp(fleet, "mail");
  await Promise.all([shop, mail].map((app) => succeeds(app, "1")));
});

afterAll(() => fleet?.stop());

beforeEach(() => expectEverywhere("1"));

afterEach(letGoOn);

describe("a rollback that reported success", () => {
  it("has taken the release from every machine, though it was deployed a second time in between, and that changed nothing", async () => {
    const app = new TestApp(fleet, "twice");
    await succeeds(app, "1");
    const id = await succeeds(app, "2");
    const again = await fleet.status(await succeeds(app, "2"));
    expect(again).toMatchObject({ phase: "succeeded", reason: { code: "unchanged" }, counts: { unchanged: 4 } });

    const ran = await fleet.muster(["rollback", id, "--watch"]);
    expect([ran.code, (await fleet.status(id)).outcome]).toEqual([0, "rolled back"]);
    expect(alive(app)).toEqual(MACHINES.map((machine) => `1@${machine}`));
    rests(app);
  });

  it("has removed a first release that was deployed a second time", async () => {
    const app = new TestApp(fleet, "first");
    const id = await succeeds(app, "1");
    await succeeds(app, "1");
    expect(await fleet.muster(["rollback", id, "--watch"])).toMatchObject({ code: 0 });
    expect(alive(app)).toEqual([]);
    rests(app);
  });
});

describe("a machine that took the release and is not heard any more", () => {
  it("lets no soak pass for as long as it is waited for, and then the release is taken back", async () => {
    const rollout = { waves: "[{ size: 1, soak: 3s }, 100%]", max_unreachable: "0", offline: "wait:5s" };
    const rolling = fleet.follow("deploy", "-f", shop.release("2", { rollout }));
    const { id } = await rolling.until(({ counts }) => counts["healthy"] === 1);
    hold(CANARY);
    process.kill(shop.starts().at(-1)!.pid, "SIGKILL");
    await rolling.until(({ counts }) => counts["unreachable"] === 1);
    const silentAt = Date.now();

    const { code, status } = await rolling.end();
    expect([code, status.phase, status.outcome]).toEqual([6, "rolled_back", "rolled back, except 1 unreachable: dev-0 may still run 2, and goes back when it is heard"]);
    expect(status.reason).toMatchObject({ code: "unreachable_exceeded" });
    // Its soak would have been over long ago.
    expect(Date.parse(status.ended_at!) - silentAt).toBeGreaterThan(4_900);
    expectNotTaken(await fleet.status(id));
    expect(runs("2")).toEqual([CANARY]);

    letGoOn();
    await comes(async () => versions(await shop.answers(MACHINES)).every((version) => version === "1"));
    expect(await fleet.until(id, ({ outstanding_count: left }) => left === 0)).toMatchObject({ phase: "rolled_back", outcome: "rolled back" });
  });

  it("is what a rollback says that it does not know about, and goes back when it is heard", async () => {
    const id = await succeeds(shop, "3");
    hold("dev-3");
    await comes(async () => (await fleet.machine("dev-3")).state === "silent");
    const ran = await fleet.muster(["rollback", id, "--watch"]);
    const outcome = "rolled back, except 1 unreachable: dev-3 may still run 3, and goes back when it is heard";
    expect([ran.code, unwrapped(ran.stdout)]).toEqual([5, expect.stringContaining(outcome)]);
    expect(await fleet.status(id)).toMatchObject({ phase: "rolled_back", outcome, outstanding_count: 1, outstanding: [{ machine: "dev-3", state: "unreachable" }] });
    expect((await fleet.muster(["list"])).stdout).toMatch(new RegExp(`^${id} .*rolled back .* except 1; 1 unreachable: dev-`, "m"));
    expect(versions(await shop.answers(MACHINES))).toEqual(["1", "1", "1", "3"]);

    letGoOn();
    expect(await fleet.until(id, ({ outstanding_count: left }) => left === 0)).toMatchObject({ outcome: "rolled back", outstanding: [] });
  });
});

it("a soak does not pass while the controller is away, and what its machine did meanwhile counts", async () => {
  const soakMs = 4_000;
  const rolling = fleet.follow("deploy", "-f", shop.release("4", { rollout: { waves: "[{ size: 1, soak: 4s }, 100%]" } }));
  const { id } = await rolling.until(({ counts }) => counts["healthy"] === 1);
  const since = Date.now();
  await fleet.withoutController(async () => {
    shop.turnUnhealthy("4");
    await comes(() => shop.starts().at(-1)!.version === "1");
    await comes(() => Date.now() - since > soakMs);
  });
  const ended = await fleet.ended(id);
  expect(ended).toMatchObject({ phase: "rolled_back", outcome: "rolled back", reason: { code: "turned_unhealthy" } });
  expectNotTaken(ended);
  expect(runs("4")).toEqual([CANARY]);
});

describe("never more machines are down than the window and the budgets allow", () => {
  // A machine that the controller has not heard since the test before would take a place of the window.
  beforeEach(() => comes(async () => (await Promise.all(MACHINES.map((machine) => fleet.machine(machine)))).every(({ state, apps }) => state !== "silent" && apps.some(({ app, phase }) => app === shop.name && (phase === "healthy" || phase === "reverted")))));

  it("when a rollout is in the middle of its change, and an older release takes its place", async () => {
    const activating = ["dev-2", "dev-3"];
    for (const machine of activating) shop.turnUnhealthy("5", machine);
    const rolling = fleet.follow("deploy", "-f", shop.release("5", { rollout: { waves: "[100%]", max_unavailable: "2" } }));
    const serving = new Serving(places(shop));
    const { id } = await rolling.until(({ counts }) => counts["healthy"] === 2 && counts["updating"] === 2);
    await comes(() => runs("5").length === MACHINES.length);
    const { code, status } = await fleet.follow("rollback", id, "--to", "1").end();
    await expectMostDown(serving, 2);
    expect([code, status.phase]).toEqual([0, "succeeded"]);
  });

  it("when a rollout is aborted in the middle of its change, and another app's begins", async () => {
    await fleet.json("budget", "set", "role=web", "1");
    shop.turnUnhealthy("6", CANARY);
    const rolling = fleet.follow("deploy", "-f", shop.release("6", { rollout: ALL_AT_ONCE }));
    const { id } = await rolling.until(({ counts }) => counts["updating"] === 1);
    await comes(() => runs("6").length === 1);
    const serving = new Serving([...places(shop), ...places(mail)]);
    expect(await fleet.muster(["abort", id])).toMatchObject({ code: 0, stdout: expect.stringContaining("dev-0 is on its way to 6") });
    const other = fleet.follow("deploy", "-f", mail.release("2", { rollout: ALL_AT_ONCE }));
    await other.until(({ waiting_on: waitsFor }) => waitsFor?.includes("budget of role=web") === true);
    shop.turnHealthy("6", CANARY);
    expect(await other.end()).toMatchObject({ code: 0, status: { phase: "succeeded", counts: { healthy: 4 } } });
    await expectMostDown(serving, 1);
    expect(versions(await shop.answers(MACHINES))).toEqual(["6", "1", "1", "1"]);

    await fleet.json("budget", "rm", "role=web");
    await succeeds(shop, "1");
  });

  it("when a release is taken back of which a machine is down: that one goes back first", async () => {
    const id = await succeeds(shop, "7", { rollout: { waves: "[3, 100%]", max_unavailable: "1" } });
    const before = shop.starts().length;
    shop.turnUnhealthy("7", "dev-1");
    await fleet.until(id, ({ now }) => now?.bad === 1);
    const serving = new Serving(places(shop));
    const ran = await fleet.muster(["rollback", id, "--watch"]);
    await expectMostDown(serving, 1);
    expect(ran).toMatchObject({ code: 0 });
    const back = shop.starts().slice(before).filter(({ version }) => version === "1");
    expect(back.map(({ machine }) => machine)).toEqual(["dev-1", "dev-3", "dev-2", "dev-0"]);
  });
});

it("a release that dies wherever it runs, after its rollout succeeded, is said to be down, and no late machine gets it", async () => {
  const app = new TestApp(fleet, "pilot");
  for (const machine of MACHINES.slice(0, 3)) await fleet.json("machine", "label", machine, "pilot=yes");
  const id = await succeeds(app, "1", { rollout: { targets: "pilot=yes" } });
  app.turnUnhealthy("1");
  const down = await fleet.until(id, ({ now }) => now?.healthy === 0);
  expect(down).toMatchObject({ phase: "succeeded", counts: { healthy: 3 }, now: { machines: 3, bad: 3, text: expect.stringMatching(/^0 of 3 healthy: dev-0 unhealthy: .*503; dev-1 unhealthy: .*503; dev-2 unhealthy: .*503$/) } });
  for (const { now } of down.targets!) expect(now).toMatch(/^unhealthy: .*503/);
  expect((await fleet.muster(["list"])).stdout).toMatch(new RegExp(`^${id} .*succeeded .* now 0/3 healthy: `, "m"));
  expect((await said("status", id))).toContain("now: 0 of 3 healthy: dev-0 unhealthy");
  expect((await said("why", id))).toMatch(/Now 0 of 3 healthy: dev-0 unhealthy: .*503/);
  expect((await said("why", CANARY, id))).toMatch(/became healthy with pilot@1 .*; now it is unhealthy: .*503/);
  expect((await said("releases", "pilot"))).toContain(" 0/3 healthy ");
  expect(await fleet.muster(["retry", id])).toMatchObject({ code: 2, stderr: expect.stringContaining("3 of its 3 machines are not well with it now") });

  await fleet.json("machine", "label", "dev-3", "pilot=yes");
  const waiting = await fleet.until(id, ({ now }) => now?.late_waits_for !== null);
  expect(waiting.now).toMatchObject({ late_waits_for: "pilot@1 to be healthy where it runs: 0 of 3 are now" });
  expect(await said("why", "dev-3", id)).toContain("pilot@1 to be healthy where it runs: 0 of 3 are now");
  await expectResting();
  expect(app.starts().filter(({ machine }) => machine === "dev-3")).toEqual([]);

  app.turnHealthy("1");
  await comes(async () => (await app.answers(["dev-3"]))["dev-3"]!.version === "1");
});

/** Deploys a good release to all at once, unless it says otherwise; returns the deployment's id. */
async function succeeds(app: TestApp, version: string, options: ReleaseOptions = {}): Promise<string> {
  const { code, status } = await fleet.follow("deploy", "-f", app.release(version, { rollout: ALL_AT_ONCE, ...options })).end();
  expect([code, status.phase], JSON.stringify(status)).toEqual([0, "succeeded"]);
  return status.id;
}

/** Holds the agent of a machine, until the test's end at most; its apps go on. */
function hold(machine: string): void {
  const { pid } = fleet.file().agents.find(({ id }) => id === machine)!;
  process.kill(pid, "SIGSTOP");
  held.push(pid);
}

function letGoOn(): void {
  for (const pid of held.splice(0)) process.kill(pid, "SIGCONT");
}

/** From now on nothing of this app is to happen any more. */
function rests(app: TestApp): void {
  atRest.push({ app, since: Date.now(), starts: app.starts().length, alive: alive(app) });
}

async function expectResting(): Promise<void> {
  for (const { app, since, starts, alive: before } of atRest) {
    await comes(() => Date.now() - since > REST_MS);
    expect(app.starts().slice(starts)).toEqual([]);
    expect(alive(app)).toEqual(before);
  }
}

/** Its processes that run, as `version@machine`. */
function alive(app: TestApp): readonly string[] {
  return app.starts().filter(({ pid }) => isAlive(pid)).map(({ version, machine }) => `${version}@${machine}`).sort();
}

/** Nobody but the canary took the release. */
function expectNotTaken({ targets }: Status): void {
  const others = targets!.filter(({ machine }) => machine !== CANARY);
  expect(others.map(({ machine, state, attempts }) => `${machine} ${state} ${attempts}`).sort()).toEqual(["dev-1 pending 0", "dev-2 pending 0", "dev-3 pending 0"]);
}

async function expectEverywhere(version: string): Promise<void> {
  expect(versions(await shop.answers(MACHINES))).toEqual(MACHINES.map(() => version));
}

async function expectMostDown(serving: Serving, most: number): Promise<void> {
  const { mostDown, looks } = await serving.stop();
  expect(looks).toBeGreaterThan(20);
  expect(mostDown).toHaveLength(most);
}

function places(app: TestApp): readonly Place[] {
  return MACHINES.map((machine) => ({ machine, port: app.port(machine) }));
}

/** On which machines a version of the shop was started, by name. */
function runs(version: string): readonly string[] {
  return [...new Set(shop.starts().filter((start) => start.version === version).map(({ machine }) => machine))].sort();
}

function versions(answers: Readonly<Record<string, Answer>>): readonly string[] {
  return MACHINES.map((machine) => answers[machine]!.version);
}

async function said(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await fleet.muster(args);
  expect(code, stderr).toBe(0);
  return unwrapped(stdout);
}

/** Without its line breaks. */
function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
