/** What watchers of a deployment see, and how little is done for it. */
import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AppName, MachineId } from "@muster/proto/ids.ts";
import { type Deployment, DeploymentPhase, type WatchDeploymentResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { newRollout } from "../rollout/state.ts";
import { attendedAlways } from "../rollout/moment.ts";
import { ALL, alarm, APPROVAL, count, strategyOf, wave } from "../rollout/rollout.fixture.ts";
import { LOOK_MS } from "../engine/attendance.ts";
import { DeploymentWatch, WATCH_INTERVAL_MS } from "./deployment-watch.ts";
import { Office } from "./operators.fixture.ts";
import { DeploymentViews } from "./views.ts";

let office: Office;
let world: Office["world"];
let made: string[];
let watch: DeploymentWatch;

beforeEach(async () => {
  office = new Office();
  world = office.world;
  await office.open();
  await world.join("a", "b", "c");
  await world.joinAs({ role: "db" }, "x");
  made = [];
  const views = viewsOf();
  watch = new DeploymentWatch({
    engine: world.engine,
    clock: world.clock,
    views: {
      one: (id) => {
        made.push(id);
        return views.one(id);
      },
    },
  });
});

afterEach(() => office.close());

const viewsOf = (): DeploymentViews => new DeploymentViews(world.journal.db, (id) => world.engine.waitingOn(id), (id) => world.engine.rollout(id));

const healthy = ({ counts }: Deployment): number | undefined => counts?.healthy;

test("all watchers of a deployment share one picture, which is made again once for all that happened in an interval", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const watchers = [1, 2, 3].map(() => watch.follow(id));
  const woken: number[] = [];
  watchers.forEach((watcher, index) => watcher.onNews(() => woken.push(index)));
  const first = await Promise.all(watchers.map((watcher) => watcher.picture()));
  expect([first.map(({ deployment }) => healthy(deployment)), new Set(first).size, made.length]).toEqual([[0, 0, 0], 1, 1]);
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  expect([woken, watchers.map((watcher) => watcher.hasNews(1))]).toEqual([[], [false, false, false]]);
  world.clock.advance(WATCH_INTERVAL_MS);
  expect(woken).toEqual([0, 1, 2]);
  expect(await Promise.all(watchers.map(async (watcher) => healthy((await watcher.picture()).deployment)))).toEqual([2, 2, 2]);
  expect(made.length).toBe(2);
});

test("what does not concern it makes no picture, however long it takes", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const other = world.deploy("1", { waves: [ALL], targets: "role=db" }, { app: "other" });
  const watcher = watch.follow(id);
  await watcher.picture();
  await world.say("x", "healthy");
  expect(world.phase(other)).toBe("succeeded");
  await world.join("late");
  world.clock.advance(3 * WATCH_INTERVAL_MS);
  expect([watcher.hasNews(1), made]).toEqual([false, [id]]);
});

test("a change that shows nothing new wakes nobody for good: the version stays", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const watcher = watch.follow(id);
  const { version } = await watcher.picture();
  await world.say("a", "pulling");
  world.clock.advance(WATCH_INTERVAL_MS);
  expect([watcher.hasNews(version), (await watcher.picture()).version, watcher.hasNews(version)]).toEqual([true, version, false]);
});

test("one that has not begun hears of the end of another app's deployment, which it waits for", async () => {
  const before = world.deploy("1", { waves: [ALL], targets: "role=db" }, { app: "other" });
  const id = world.deploy("1", { after: { deploymentOf: "other" as AppName, targets: "role=db", soakMs: 60_000 } });
  const watcher = watch.follow(id);
  expect((await watcher.picture()).deployment.waitingOn).toContain(`${before} is rolling`);
  await world.say("x", "healthy");
  world.clock.advance(WATCH_INTERVAL_MS);
  expect((await watcher.picture()).deployment.waitingOn).toContain(`${before} (other@1 on role=db) to have stood for 1m`);
});

test("nothing is kept of a deployment that nobody watches any more, and it begins anew for the next one", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const watchers = [watch.follow(id), watch.follow(id)];
  await watchers[0]!.picture();
  for (const watcher of watchers) watcher.stop();
  await world.say("a", "healthy");
  world.clock.advance(WATCH_INTERVAL_MS);
  expect(made.length).toBe(1);
  expect(healthy((await watch.follow(id).picture()).deployment)).toBe(1);
});

test("whoever asks while a picture is made gets that one, and what happens meanwhile is news", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const [first, other] = [watch.follow(id), watch.follow(id)];
  const { version } = await first.picture();
  await world.say("a", "healthy");
  world.clock.advance(WATCH_INTERVAL_MS);
  const made = first.picture();
  expect(other.hasNews(version)).toBe(true);
  expect(await other.picture()).toBe(await made);
  const seen = await made;
  expect(other.hasNews(seen.version)).toBe(false);
  const begun = first.picture();
  await world.say("b", "healthy");
  await begun;
  world.clock.advance(WATCH_INTERVAL_MS);
  expect(healthy((await other.picture()).deployment)).toBe(2);
});

test("over a connection each state comes once, and the stream ends with the deployment", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const stream = office.deployments.watchDeployment({ untilSettled: false, id: "" });
  const next = async (): Promise<Deployment> => ((await once(stream, "data")) as [WatchDeploymentResponse])[0].deployment!;
  expect(await next()).toMatchObject({ id, phase: DeploymentPhase.ROLLING, counts: { healthy: 0, updating: 3 } });
  await world.say("a", "healthy");
  const second = next();
  world.clock.advance(WATCH_INTERVAL_MS);
  expect(await second).toMatchObject({ counts: { healthy: 1, updating: 2 } });
  await world.say("b", "healthy");
  await world.say("c", "healthy");
  const [last, end] = [next(), once(stream, "end")];
  world.clock.advance(WATCH_INTERVAL_MS);
  expect(await last).toMatchObject({ phase: DeploymentPhase.SUCCEEDED });
  await end;
});

test("what the engine counts is shown as it counts it, and is what the tables hold", async () => {
  const id = world.deploy("1", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "pause" });
  const stored = new DeploymentViews(world.journal.db, (each) => world.engine.waitingOn(each));
  const compare = async (): Promise<void> => expect(await viewsOf().withTargets(id)).toEqual(await stored.withTargets(id));
  await compare();
  await world.say("a", "healthy");
  await compare();
  world.remove("c");
  await compare();
  await world.say("b", "reverted");
  await compare();
  const planted = { ...newRollout({ id, app: "app" as AppName, release: "app@1" as never, strategy: strategyOf() }, attendedAlways(world.clock.now())), waves: structuredClone(world.engine.rollout(id)!.waves) };
  planted.waves[0]!.counts.healthy = 7;
  const views = new DeploymentViews(world.journal.db, () => undefined, (each) => (each === id ? planted : undefined));
  expect((await views.one(id))?.counts).toMatchObject({ healthy: 7 });
});

test("what keeps a machine is asked of those that began first", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  await world.engine.report([reportOf("b", "no space left"), reportOf("c", "also full")]);
  expect((await viewsOf().one(id))?.waitingOn).toMatch(/; b says: no space left$/);
});

function reportOf(machine: string, message: string) {
  return {
    kind: "report_accepted",
    machine: machine as MachineId,
    app: "app" as AppName,
    instance: `i-${machine}`,
    reportSeq: 1,
    observedAt: world.clock.now(),
    generation: world.generation(machine),
    phase: "pulling",
    reason: { code: "disk_full", message },
    runningVersion: "",
    runningArtifact: "",
    starts: 0,
    pid: 0,
    ports: {},
  } as const;
}

test("a watcher sees who has been heard since the controller was away, and that it is over, though no row tells either", async () => {
  const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  const watcher = watch.follow(id);
  const waiting = async (): Promise<string> => (await watcher.picture()).deployment.waitingOn;
  await waiting();
  world.clock.advance(WATCH_INTERVAL_MS);
  // Longer than half a silence.
  world.clock.elapsed += 12_000;
  const next = async (): Promise<void> => {
    world.clock.advance(2 * LOOK_MS);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await next();
  expect(await waiting()).toContain("all machines to be heard since the controller was away (0 of 4 so far)");
  world.engine.heartbeat("a" as MachineId, 0 as never);
  await next();
  expect(await waiting()).toContain("(1 of 4 so far)");
  for (const machine of ["b", "c", "x"]) world.engine.heartbeat(machine as MachineId, 0 as never);
  await next();
  await next();
  expect(await waiting()).not.toContain("all machines to be heard");
});

test.each(["approval", "soak"] as const)("the last answer of a quiet alarm is seen while it waits for %s, though it leaves no row", async (kind) => {
  const gate = kind === "approval" ? APPROVAL : ({ kind: "soak", forMs: 3_600_000 } as const);
  const id = world.deploy("1", { waves: [wave(count(1), { gates: [gate] }), ALL], maxUnavailable: count(3), alarms: [alarm({ intervalMs: 1000 })] });
  const answer = async (detail: string): Promise<void> => {
    for (const { answer: take } of world.asked.splice(0)) take({ kind: "go", detail });
    await new Promise((resolve) => setImmediate(resolve));
  };
  await answer("errors is 1");
  await world.say("a", "healthy");
  world.pass(2000, "a", "b", "c");
  const watcher = watch.follow(id);
  const { version, deployment } = await watcher.picture();
  expect(deployment.alarms[0]!.said).toBe("errors is 1");
  const before = world.journal.lastSeq;
  await answer("errors is 2");
  world.clock.advance(LOOK_MS + WATCH_INTERVAL_MS);
  expect([world.journal.lastSeq, watcher.hasNews(version), (await watcher.picture()).deployment.alarms[0]!.said]).toEqual([before, true, "errors is 2"]);
  watcher.stop();
});
