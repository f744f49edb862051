/** A rollout that has failed is taken up again by `retry`: what became of its machines since it ended counts. */
import { describe, expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { lastGood } from "../journal/last-good.ts";
import { ALL, count, prometheus, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import type { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };
const REST = ["b", "c", "d"];

/** Whoever is to run 2. */
const told = (world: World, names: readonly string[] = NAMES) => names.filter((name) => world.wanted(name) === "2");

async function failsAndGoesBack(world: World, name: string): Promise<void> {
  await world.say(name, "reverting");
  await world.say(name, "reverted");
}

async function drainedAndUsed(world: World, name: string): Promise<void> {
  world.engine.orders.cordon(name as never, { drain: true, force: false }, by);
  await world.say(name, "removed");
  world.pass(2000, ...NAMES);
  world.engine.orders.uncordon(name as never, by);
  await world.say(name, "healthy");
}

/** a is healthy with 2 in a soak of 30 s, b fails with it, and on_failure: abort ends that. */
async function ended(first: object = soak(30_000, 2)) {
  const world = await onOne();
  const second = world.deploy("2", { waves: [first as never, ALL], maxUnavailable: count(2), onFailure: "abort" });
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  await failsAndGoesBack(world, "b");
  world.pass(2000, ...NAMES);
  expect([world.phase(second), world.state(second, "a"), world.state(second, "b")]).toEqual(["failed", "healthy", "failed"]);
  return { world, second };
}

test("a canary that goes back by itself after the end does not vouch when the rollout is retried", async () => {
  const { world, second } = await ended();
  await failsAndGoesBack(world, "a"); // 2 has died on both canaries
  expect(world.command(second, "retry").ok).toBe(true);
  world.pass(2000, ...NAMES);
  await world.say("b", "healthy");
  world.pass(40_000, ...NAMES);
  expect(told(world, ["c", "d"])).toEqual([]);
});

test("nor does the release become what that canary goes back to later", async () => {
  const { world, second } = await ended();
  await failsAndGoesBack(world, "a");
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  await world.say("b", "healthy");
  world.pass(40_000, ...NAMES);
  for (const name of ["c", "d"]) await world.say(name, "healthy");
  world.pass(4000, ...NAMES);
  expect(lastGood(world.journal.db, "a" as never, "app" as never)).toBe("app@1");
});

test("a canary that is lost after the end does not vouch, and is named, when the rollout is retried", async () => {
  const { world, second } = await ended(wave(count(2)));
  world.pass(60_000, ...REST);
  world.command(second, "retry");
  world.pass(2000, ...REST);
  expect([world.state(second, "a"), world.phase(second)]).toEqual(["unreachable", "rolling"]);
  await work(world, REST, 6);
  // Nobody of those that took it has answered.
  expect([world.phase(second), told(world, ["c", "d"]), world.state(second, "b")]).toEqual(["rolling", [], "pending"]);
  expect(world.command(second, "promote").ok).toBe(true);
  await work(world, REST, 10);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["succeeded", "unreachable"]);
});

test("a canary that is drained and used after the end runs 1, and takes 2 again when the rollout is retried", async () => {
  const { world, second } = await ended();
  await drainedAndUsed(world, "a");
  expect(world.wanted("a")).toBe("1");
  expect(world.engine.nowOf(second)).toEqual({ machines: 2, healthy: 0, bad: 1 });
  world.command(second, "retry");
  await work(world, NAMES, 40);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("a canary that another deployment changed, and went back from, takes the release again when the rollout is retried", async () => {
  const { world, second } = await ended();
  const third = world.deploy("3", WIDE);
  await work(world, NAMES, 4);
  world.command(third, "rollback");
  await work(world, NAMES, 6);
  expect([world.phase(third), NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
  expect(world.command(second, "retry").ok).toBe(true);
  await work(world, NAMES, 40);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("the time after the end is no soak", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [{ ...soak(60_000, 2), successThreshold: count(1) }, ALL], maxUnavailable: count(2), onFailure: "abort" });
  await world.say("a", "healthy");
  world.pass(4000, ...NAMES);
  await failsAndGoesBack(world, "b");
  world.pass(100_000, ...REST); // the host of a is frozen
  await world.join("a");
  world.pass(2000, ...NAMES);
  world.command(second, "retry");
  world.pass(3000, ...NAMES);
  expect(told(world, ["c", "d"])).toEqual([]);
});

test("a machine that was drained on its way, and is used again after the end, has its turn when the rollout is retried", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(30_000, 2), ALL], maxUnavailable: count(2), onFailure: "abort" });
  await failsAndGoesBack(world, "b");
  world.pass(2000, ...NAMES);
  await drainedAndUsed(world, "a");
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  expect([world.state(second, "a"), world.state(second, "b")]).toEqual(["updating", "updating"]);
});

test.each(["goes back by itself", "is lost", "is drained and used"])("another controller that retries it sees just as well that the canary %s", async (what) => {
  const { world, second } = await ended();
  if (what === "goes back by itself") await failsAndGoesBack(world, "a");
  else if (what === "is lost") world.pass(60_000, ...REST);
  else await drainedAndUsed(world, "a");
  world.startEngine();
  world.pass(20_000, ...(what === "is lost" ? REST : NAMES));
  expect(world.command(second, "retry").ok).toBe(true);
  expect(world.state(second, "a")).toBe({ "goes back by itself": "failed", "is lost": "unreachable" }[what] ?? "updating");
  expect(world.bugs).toEqual([]);
});

test("what failed since the end is a new failure, and another retry starts both again", async () => {
  const { world, second } = await ended();
  await failsAndGoesBack(world, "a");
  world.command(second, "retry");
  expect([world.phase(second), world.state(second, "a"), world.state(second, "b")]).toEqual(["failed", "failed", "pending"]);
  expect(world.journal.db.prepare("SELECT reason_message FROM deployments WHERE id = ?").pluck().get(second)).toContain("1 machine failed in wave 1, 0 allowed: a");
  expect(world.command(second, "retry").ok).toBe(true);
  await work(world, NAMES, 40);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("it pauses it where on_failure says so", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(30_000, 2), ALL], maxUnavailable: count(2), onFailure: "pause" });
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  await failsAndGoesBack(world, "b");
  expect(world.phase(second)).toBe("paused");
  await failsAndGoesBack(world, "a"); // somebody looks at what is paused
  expect(world.state(second, "a")).toBe("failed");
  world.command(second, "retry");
  await work(world, NAMES, 40);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("where as many failures are allowed it goes on", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [{ ...soak(30_000, 3), maxFailures: count(1) }, ALL], maxUnavailable: count(3), onFailure: "abort" });
  await world.say("c", "healthy");
  for (const name of ["a", "b"]) await failsAndGoesBack(world, name);
  expect(world.phase(second)).toBe("failed");
  await failsAndGoesBack(world, "c");
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  expect([world.phase(second), ...["a", "b", "c"].map((name) => world.state(second, name))]).toEqual(["rolling", "updating", "updating", "failed"]);
});

test("what a metric has measured before the end is measured anew", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [{ ...wave(count(2)), gates: [prometheus({ count: 3, intervalMs: 1000 })], maxFailures: count(0) }, ALL], maxUnavailable: count(2), onFailure: "abort" });
  for (const name of ["a", "b"]) await world.say(name, "healthy");
  world.pass(1000, ...NAMES);
  const go = async (): Promise<void> => {
    world.asked.splice(0).at(-1)?.answer({ kind: "go", detail: "" });
    await new Promise((resolve) => setImmediate(resolve));
    world.pass(2000, ...NAMES);
  };
  await go();
  await go();
  await world.say("b", "unhealthy");
  expect(world.phase(second)).toBe("failed");
  world.pass(60_000, ...NAMES);
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  await world.say("b", "healthy");
  world.pass(2000, ...NAMES);
  await go();
  expect(told(world, ["c", "d"])).toEqual([]);
  await go();
  await go();
  await work(world, NAMES, 6);
  expect(world.phase(second)).toBe("succeeded");
});

test("a machine that was cordoned at its turn, and is used again after the end, has its turn when it is retried", async () => {
  const world = await onOne();
  world.engine.orders.cordon("a" as never, { drain: false, force: false }, by);
  const second = world.deploy("2", { waves: [wave(count(4))], maxUnavailable: count(4), maxFailures: count(2), onFailure: "abort" });
  for (const name of NAMES) if (world.state(second, name) === "updating") await failsAndGoesBack(world, name);
  expect(world.phase(second)).toBe("failed");
  world.engine.orders.uncordon("a" as never, by);
  world.command(second, "retry");
  await work(world, NAMES, 10);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("a canary that is removed, has other labels, or has lost its disk after the end counts as what it is when it is retried", async () => {
  const removed = await ended();
  removed.world.remove("a");
  removed.world.command(removed.second, "retry");
  expect(removed.world.state(removed.second, "a")).toBe("removed");

  const labelled = await ended();
  labelled.world.label({ role: "db" }, "a");
  labelled.world.command(labelled.second, "retry");
  expect(labelled.world.state(labelled.second, "a")).toBe("healthy");
  await drainedAndUsed(labelled.world, "a");
  expect(labelled.world.state(labelled.second, "a")).toBe("skipped");

  const anew = await ended();
  await anew.world.loseDisk("a");
  anew.world.command(anew.second, "retry");
  expect(anew.world.state(anew.second, "a")).toBe("updating");
});

test("one that was drained and has other labels since is let go when it is retried", async () => {
  const { world, second } = await ended();
  await drainedAndUsed(world, "a");
  world.label({ role: "db" }, "a");
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  expect([world.state(second, "a"), world.wanted("a")]).toEqual(["skipped", "1"]);
});

test("a canary that is still drained is waited for", async () => {
  const { world, second } = await ended();
  world.engine.orders.cordon("a" as never, { drain: true, force: false }, by);
  await world.say("a", "removed");
  world.command(second, "retry");
  await work(world, NAMES, 4);
  expect([world.state(second, "a"), world.state(second, "b")]).toEqual(["skipped", "healthy"]);
  world.engine.orders.uncordon("a" as never, by);
  await world.say("a", "healthy");
  await work(world, NAMES, 40);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("one that is lost, and drained after that, stays among the lost when it is retried", async () => {
  const { world, second } = await ended();
  world.pass(60_000, ...REST);
  world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
  world.command(second, "retry");
  await work(world, REST, 40);
  expect([world.phase(second), told(world, ["c", "d"])]).toEqual(["rolling", []]);
  await world.join("a"); // it was not the release
  await world.say("a", "removed");
  await work(world, REST, 40);
  expect(world.state(second, "b")).toBe("healthy");
});

test("it takes no place in the window that others have", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(30_000, 3), ALL], maxUnavailable: count(3), onFailure: "abort" });
  await world.say("a", "healthy");
  await failsAndGoesBack(world, "b"); // c is on its way
  expect([world.phase(second), world.state(second, "c")]).toEqual(["failed", "updating"]);
  await drainedAndUsed(world, "a");
  world.steer(second, { kind: "retry" }, by);
  world.steer(second, { kind: "set_max_unavailable", size: count(1) }, by);
  expect([world.phase(second), world.bugs]).toEqual(["rolling", []]);
  await work(world, NAMES, 60);
  expect([world.phase(second), told(world)]).toEqual(["succeeded", NAMES]);
});

test("a machine that was not heard when its rollout was aborted, and is heard after that, goes back when it is rolled back", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  world.pass(2000, ...NAMES);
  await world.say("b", "healthy");
  world.pass(60_000, "a", "c", "d");
  expect(world.state(second, "b")).toBe("unreachable");
  world.command(second, "abort");
  await world.join("b");
  world.pass(2000, ...NAMES);
  expect(world.command(second, "rollback").ok).toBe(true);
  world.pass(2000, ...NAMES);
  for (const name of ["c", "d", "b", "a"]) {
    if (told(world, [name]).length === 0) await world.say(name, "healthy"); // it was told to go back
    world.pass(2000, ...NAMES);
  }
  expect([world.phase(second), NAMES.map((name) => world.wanted(name))]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
});

describe("what was decided since about a machine that it had not come to", () => {
  /** The canary a has failed with 2, and b, c and d were not told; c is in half x. */
  async function canaryFailed(): Promise<{ readonly world: World; readonly second: DeploymentId }> {
    const world = await onOne();
    world.label({ role: "web", half: "x" }, "c");
    const second = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(2), onFailure: "abort" });
    await failsAndGoesBack(world, "a");
    world.pass(2000, ...NAMES);
    expect(world.phase(second)).toBe("failed");
    return { world, second };
  }
  const wanted = (world: World) => NAMES.map((name) => world.wanted(name));

  test("stands when the rollout is retried: a newer deployment's release stays", async () => {
    const { world, second } = await canaryFailed();
    const third = world.deploy("3", { ...WIDE, targets: "half=x" });
    await world.say("c", "healthy");
    world.pass(4000, ...NAMES);
    expect([world.phase(third), world.wanted("c")]).toEqual(["succeeded", "3"]);
    expect(world.command(second, "retry").ok).toBe(true);
    expect([world.state(second, "c"), world.engine.rollout(second)?.targets.get("c" as never)?.reason]).toEqual(["skipped", { code: "superseded", message: "d-3 (app@3) goes on with it" }]);
    // Neither a drain nor other labels for a while make it a target again.
    await drainedAndUsed(world, "c");
    world.label({ role: "db", half: "x" }, "c");
    world.label({ role: "web", half: "x" }, "c");
    await work(world, NAMES, 20);
    expect([world.phase(second), wanted(world)]).toEqual(["succeeded", ["2", "2", "3", "2"]]);
    world.startEngine();
    world.pass(4000, ...NAMES);
    expect([wanted(world), world.engine.audit()]).toEqual([["2", "2", "3", "2"], undefined]);
  });

  test("stands though it is still to be told, being cordoned", async () => {
    const { world, second } = await canaryFailed();
    world.label({ role: "web", half: "x" }, "b");
    world.engine.orders.cordon("c" as never, { drain: false, force: false }, by);
    const third = world.deploy("3", { ...WIDE, targets: "half=x" });
    await world.say("b", "healthy");
    world.pass(4000, ...NAMES);
    expect([world.phase(third), world.state(third, "c")]).toEqual(["succeeded", "skipped"]);
    world.command(second, "retry");
    world.engine.orders.uncordon("c" as never, by);
    await work(world, NAMES, 20);
    expect([world.phase(second), wanted(world)]).toEqual(["succeeded", ["2", "3", "3", "2"]]);
  });

  test("counts no more when it was rolled back", async () => {
    const { world, second } = await canaryFailed();
    const third = world.deploy("3", { ...WIDE, targets: "half=x" });
    await world.say("c", "healthy");
    world.command(third, "rollback");
    await work(world, ["c"], 4);
    world.command(second, "retry");
    await work(world, NAMES, 20);
    expect([world.phase(third), world.phase(second), wanted(world)]).toEqual(["rolled_back", "succeeded", ["2", "2", "2", "2"]]);
  });

  test("stands when its release was taken back: it is given to those that had failed, whom a person retries, and to nobody else", async () => {
    const { world, second } = await canaryFailed();
    world.label({ role: "web", half: "x" }, "a");
    world.label({ role: "web", half: "x" }, "d");
    const third = world.deploy("2", { ...WIDE, targets: "half=x" });
    for (const name of ["a", "c", "d"]) await world.say(name, "healthy");
    world.pass(4000, ...NAMES);
    world.command(third, "rollback");
    await work(world, NAMES, 6);
    expect([world.phase(third), wanted(world)]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
    expect(world.command(second, "retry").ok).toBe(true);
    expect(world.engine.rollout(second)?.targets.get("c" as never)?.reason?.message).toBe("d-3 took app@2 back from machines like it since");
    await work(world, NAMES, 20);
    expect([world.phase(second), wanted(world)]).toEqual(["succeeded", ["2", "2", "1", "1"]]);
  });

  test("a machine that was healthy with the release, from which it was taken back since, does not get it again either", async () => {
    const { world, second } = await ended();
    const third = world.deploy("2", { ...WIDE, targets: "role=web" });
    await work(world, NAMES, 4);
    world.command(third, "rollback");
    await work(world, NAMES, 6);
    expect([world.phase(third), wanted(world)]).toEqual(["rolled_back", ["1", "1", "1", "1"]]);
    world.command(second, "retry");
    await work(world, NAMES, 40);
    expect(wanted(world)).toEqual(["1", "2", "1", "1"]);
  });
});

describe("a deployment that has succeeded with more failures than the release is doubted for", () => {
  const SIX = ["a", "b", "c", "d", "e", "f"];

  /** a and d failed, each within max_failures of its wave, and run 1 again. */
  async function succeeded() {
    const world = await onOne(SIX);
    const id = world.deploy("2", { waves: [wave(count(3)), ALL], maxUnavailable: count(9), maxFailures: count(1) });
    for (const [bad, good] of [["a", ["b", "c"]], ["d", ["e", "f"]]] as const) {
      await failsAndGoesBack(world, bad);
      await world.settle(...good);
      world.pass(3000, ...SIX);
    }
    expect([world.phase(id), world.engine.unsound(id)]).toEqual(["succeeded", expect.stringContaining("4 of 6 are now")]);
    return { world, id };
  }

  test("gives the release to those to whom a person gives it again", async () => {
    const { world, id } = await succeeded();
    expect(world.command(id, "retry")).toMatchObject({ ok: true });
    await work(world, SIX, 10);
    expect([told(world, SIX), world.state(id, "a"), world.state(id, "d"), world.engine.unsound(id)]).toEqual([SIX, "healthy", "healthy", undefined]);
  });

  test("does so after a start of the controller", async () => {
    const { world, id } = await succeeded();
    world.engine.orders.cordon("a" as never, { drain: false, force: false }, by);
    world.engine.orders.cordon("d" as never, { drain: false, force: false }, by);
    world.command(id, "retry");
    world.startEngine();
    world.engine.orders.uncordon("a" as never, by);
    world.engine.orders.uncordon("d" as never, by);
    await work(world, SIX, 10);
    expect(told(world, SIX)).toEqual(SIX);
  });

  test("waits again when they fail again", async () => {
    const { world, id } = await succeeded();
    world.command(id, "retry");
    await failsAndGoesBack(world, "a");
    await failsAndGoesBack(world, "d");
    world.pass(3000, ...SIX);
    expect(world.engine.unsound(id)).toContain("4 of 6 are now");
  });
});

test.each([false, true])("a turn that nobody gives any more excuses no machine (retried: %s, then aborted)", async (isRetried) => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(2), onFailure: "abort" });
  for (const name of ["a", "b"]) await world.say(name, "reverting");
  for (const name of ["a", "b"]) await world.say(name, "reverted");
  world.pass(2000, ...NAMES);
  expect(world.phase(second)).toBe("failed");
  if (isRetried) {
    world.engine.orders.addFreeze({ from: 0 as never, until: (world.clock.now() + 3000) as never }, by);
    expect(world.command(second, "retry").ok).toBe(true);
    expect(world.state(second, "a")).toBe("pending");
    expect(world.command(second, "abort").ok).toBe(true);
    world.pass(5000, ...NAMES);
  }
  for (const name of ["a", "b"]) world.engine.orders.cordon(name as never, { drain: false, force: false }, by);
  world.deploy("2", WIDE);
  for (const name of ["c", "d"]) await world.say(name, "healthy");
  world.pass(3000, ...NAMES);
  await world.join("late");
  world.pass(5000, ...NAMES, "late");
  expect(world.wanted("late")).toBeUndefined();
});

test("whoever fails again in a retry after the end is said to be back, once it is", async () => {
  const world = await onOne();
  const second = world.deploy("2", { ...WIDE, maxFailures: count(1) });
  for (const name of REST) await world.say(name, "healthy");
  await failsAndGoesBack(world, "a");
  world.pass(2000, ...NAMES);
  expect(world.phase(second)).toBe("succeeded");
  world.command(second, "retry");
  world.pass(2000, ...NAMES);
  expect(world.state(second, "a")).toBe("updating");
  const say = (phase: "reverting" | "reverted", message: string, seq: number) =>
    world.engine.report([{ kind: "report_accepted", machine: "a" as never, app: "app" as never, instance: "i-a", reportSeq: 100 + seq, observedAt: world.clock.now(), generation: world.generation("a"), phase, reason: { code: "exited", message }, runningVersion: phase === "reverted" ? "1" : "", runningArtifact: "", starts: 1, pid: 1, ports: {} }]);
  await say("reverting", "exited with code 3", 0);
  world.pass(2000, ...NAMES);
  await say("reverted", "exited with code 3; back on 1", 1);
  world.pass(2000, ...NAMES);
  expect((await viewsOf(world).one(second))!.outcome).toBe("succeeded on 3 of 4; a failed: exited with code 3; back on 1");
});
