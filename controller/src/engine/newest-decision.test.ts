/** The newest decision about a machine counts, whether the machine could be told of it by then or not: what older deployments had still to tell it is told no more. */
import { expect, test } from "vitest";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const by = { by: "anna", reason: "" };

test("a partition that heals after a rollback and a fix leaves nobody on the release before both", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 2);
  const rest = ["c", "d"];
  world.pass(20_000, ...rest); // a and b are cut off
  world.command(second, "rollback");
  await work(world, rest, 4);
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, rest, 6);
  expect([world.phase(second), world.phase(third), world.wanted("c")]).toEqual(["rolled_back", "succeeded", "3"]);
  await Promise.all([world.join("a"), world.join("b")]);
  await work(world, NAMES, 30);
  expect(NAMES.map((n) => world.wanted(n))).toEqual(["3", "3", "3", "3"]);
});

test("rollback --to takes back a cordoned machine when it is uncordoned, though it is the only one that has the release", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(5000, ...NAMES);
  world.engine.orders.cordon("a" as never, { drain: false, force: false }, by);
  const answer = world.engine.operators.rollbackTo(second, "1", by);
  world.pass(5000, ...NAMES);
  const phase = answer.ok ? world.phase(answer.value.deployment as never) : "";
  world.engine.orders.uncordon("a" as never, by);
  await work(world, NAMES, 10);
  expect([phase, world.wanted("a")]).toEqual([phase, "1"]);
});

test("rollback --to takes a lost machine back when it is heard, though it is the only one that has the release", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(5000, ...NAMES);
  const rest = ["b", "c", "d"];
  world.pass(20_000, ...rest); // a's link is cut
  const answer = world.engine.operators.rollbackTo(second, "1", by);
  const back = answer.ok ? answer.value.deployment : "";
  world.pass(20_000, ...rest);
  const phase = world.phase(back as never);
  await world.join("a");
  await work(world, NAMES, 10);
  expect([phase, world.phase(second), world.wanted("a")]).toEqual([phase, "superseded", "1"]);
});

test("the same by deploying 1 again", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [soak(60_000), ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(5000, ...NAMES);
  const rest = ["b", "c", "d"];
  world.pass(20_000, ...rest);
  const back = world.deploy("1", { ...WIDE, onConflict: "supersede" });
  world.pass(20_000, ...rest);
  const phase = world.phase(back);
  await world.join("a");
  await work(world, NAMES, 10);
  expect([phase, world.phase(second), world.wanted("a")]).toEqual([phase, "superseded", "1"]);
});

/** a and b are on 2, which is taken back while their link is cut; then 2 is deployed again, as a person decided. */
async function decidedAgain(changes: object) {
  const world = await onOne();
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(9) });
  await work(world, NAMES, 2);
  const rest = ["c", "d"];
  world.pass(20_000, ...rest);
  world.command(second, "rollback");
  await work(world, rest, 4);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["rolled_back", "unreachable"]);
  const third = world.deploy("2", { waves: [ALL], maxUnavailable: count(1), ...changes });
  await work(world, rest, 6);
  expect([world.phase(third), world.wanted("c")]).toEqual(["succeeded", "2"]);
  return { world, third };
}

test("what was decided last stands, also while a freeze holds it back", async () => {
  const { world } = await decidedAgain({});
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  await world.join("a");
  world.pass(2000, ...NAMES);
  const told = world.wanted("a");
  await work(world, NAMES, 4);
  world.engine.orders.endFreeze("f-1", "anna");
  await world.join("b");
  await work(world, NAMES, 10);
  expect([told, world.wanted("a"), world.wanted("b")]).toEqual(["2", "2", "2"]);
});

test("the same when two come back at once into a window of one", async () => {
  const { world } = await decidedAgain({});
  await Promise.all([world.join("a"), world.join("b")]);
  world.pass(1000, ...NAMES);
  const told = [world.wanted("a"), world.wanted("b")];
  await work(world, NAMES, 10);
  expect([told, world.wanted("a"), world.wanted("b")]).toEqual([["2", "2"], "2", "2"]);
});

const THREE = ["a", "b", "c"];
const REST = ["b", "c"];

async function onThree() {
  const world = new World();
  await world.join(...THREE);
  const ids = [];
  for (const version of ["1", "2", "3"]) {
    ids.push(world.deploy(version, WIDE));
    await work(world, THREE, 3);
  }
  expect(THREE.map((n) => world.wanted(n))).toEqual(["3", "3", "3"]);
  return { world, ids };
}

test("a machine that was lost while two releases were taken back goes back behind both", async () => {
  const { world, ids } = await onThree();
  world.pass(20_000, ...REST); // a is cut off
  expect(world.command(ids[2]!, "rollback").ok).toBe(true);
  await work(world, REST);
  expect(world.command(ids[1]!, "rollback").ok).toBe(true); // 2 is bad, too
  await work(world, REST);
  expect([world.phase(ids[2]!), world.phase(ids[1]!), REST.map((n) => world.wanted(n))]).toEqual(["rolled_back", "rolled_back", ["1", "1"]]);
  await world.join("a");
  await work(world, THREE, 20);
  expect([world.wanted("a"), world.state(ids[1]!, "a")]).toEqual(["1", "reverted"]);
});

test("the same, when the second way back is rollback --to", async () => {
  const { world, ids } = await onThree();
  world.pass(20_000, ...REST);
  world.command(ids[2]!, "rollback");
  await work(world, REST);
  const answer = world.engine.operators.rollbackTo(ids[1]!, "1", by);
  expect(answer.ok).toBe(true);
  await work(world, REST);
  expect(REST.map((n) => world.wanted(n))).toEqual(["1", "1"]);
  await world.join("a");
  await work(world, THREE, 20);
  expect(world.wanted("a")).toBe("1");
});

test("the same, when a freeze is on", async () => {
  const { world, ids } = await onThree();
  world.pass(20_000, ...REST);
  world.command(ids[2]!, "rollback");
  await work(world, REST);
  world.engine.operators.rollbackTo(ids[1]!, "1", by);
  await work(world, REST);
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  await world.join("a");
  await work(world, THREE, 20);
  world.engine.orders.endFreeze("f-1", "anna");
  await work(world, THREE, 20);
  expect(world.wanted("a")).toBe("1");
});

test("a promoted or aborted rollout: machines lost on their way go where the newest decision says", async () => {
  const world = new World();
  await world.join(...THREE);
  world.deploy("1", WIDE);
  await work(world, THREE, 3);
  const second = world.deploy("2", { waves: [{ ...wave(count(1)), gates: [{ kind: "approval" }] } as never, ALL], maxUnavailable: count(1) });
  await world.say("a", "healthy");
  world.pass(20_000, ...REST); // the canary is cut off
  world.command(second, "rollback");
  world.pass(5000, ...REST);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["rolled_back", "unreachable"]);
  // Everybody else runs 1: it is deployed again, "to be sure".
  const third = world.deploy("1", WIDE);
  world.pass(5000, ...REST);
  await world.join("a");
  await work(world, THREE, 10);
  expect([world.phase(third), world.wanted("a")]).toEqual(["succeeded", "1"]);
});

test("a deployment to some of the machines does not leave a rollback in the middle: it waits until all are back", async () => {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, "a1", "a2");
  await world.joinAs({ role: "web", zone: "b" }, "b1", "b2");
  const all = ["a1", "a2", "b1", "b2"];
  world.deploy("1", WIDE);
  await world.settle(...all);
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, all);
  world.command(second, "rollback");
  world.pass(1000, ...all);
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1), targets: "zone=a", onConflict: "supersede" });
  expect([world.phase(third), world.waitingOn(third)]).toEqual(["pending", `${second} (app@2) to have gone back: it goes to other machines, too; muster abort ${second} ends it`]);
  await work(world, all, 10);
  expect([world.phase(second), world.phase(third), all.map((name) => world.wanted(name))]).toEqual(["rolled_back", "succeeded", ["3", "3", "1", "1"]]);
});

test("a deployment to the same machines takes the place of a rollback at once", async () => {
  const world = await onOne();
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, NAMES);
  world.command(second, "rollback");
  world.pass(1000, ...NAMES);
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1), onConflict: "supersede" });
  await work(world, NAMES, 10);
  expect([world.phase(second), world.phase(third), NAMES.map((name) => world.wanted(name))]).toEqual(["superseded", "succeeded", ["3", "3", "3", "3"]]);
});

test("what a newer deployment had to tell a machine that it does not select any more is no decision about it: the rollback before is", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 2);
  const rest = ["b", "c", "d"];
  world.pass(20_000, ...rest);
  world.command(second, "rollback");
  await work(world, rest, 4);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["rolled_back", "unreachable"]);
  const third = world.deploy("3", WIDE);
  await work(world, rest, 4);
  expect([world.phase(third), world.state(third, "a")]).toEqual(["succeeded", "unreachable"]);
  world.label({ role: "db" }, "a");
  const fourth = world.deploy("4", WIDE);
  await work(world, rest, 4);
  expect([world.phase(fourth)]).toEqual(["succeeded"]);
  await world.join("a");
  await work(world, NAMES, 30);
  expect([world.wanted("a"), world.state(second, "a")]).toEqual(["1", "reverted"]);
});

test("nor is what a rollout that goes back had still to tell", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 2);
  world.pass(20_000, "b", "c", "d");
  world.command(second, "rollback");
  await work(world, ["b", "c", "d"], 4);
  expect([world.phase(second), world.state(second, "a")]).toEqual(["rolled_back", "unreachable"]);
  const third = world.deploy("3", { waves: [soak(30_000), ALL], maxUnavailable: count(1) });
  expect(world.wanted("b")).toBe("3");
  await world.say("b", "healthy");
  world.pass(20_000, "c", "d");
  world.command(third, "rollback");
  world.pass(5000, "c", "d");
  expect([world.phase(third), world.state(third, "b"), world.state(third, "a")]).toEqual(["rolled_back", "unreachable", "pending"]);
  await world.join("b", "a");
  await work(world, NAMES, 60);
  expect([NAMES.map((n) => world.wanted(n)), world.state(second, "a")]).toEqual([["1", "1", "1", "1"], "reverted"]);
});

test("nor what a deployment had to tell whose release was taken back since", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 2);
  const rest = ["b", "c", "d"];
  world.pass(20_000, ...rest);
  world.command(second, "rollback");
  await work(world, rest, 4);
  const third = world.deploy("3", WIDE);
  await work(world, rest, 4);
  expect([world.phase(third), world.state(third, "a")]).toEqual(["succeeded", "unreachable"]);
  await world.joinAs({ role: "db" }, "z");
  const again = world.deploy("3", { ...WIDE, targets: "" });
  await work(world, [...rest, "z"], 4);
  world.command(again, "rollback");
  await work(world, [...rest, "z"], 4);
  expect(world.phase(again)).toBe("rolled_back");
  await world.join("a");
  await work(world, [...NAMES, "z"], 30);
  expect([world.wanted("a"), world.state(second, "a")]).toEqual(["1", "reverted"]);
});

test("rollback --to goes to whoever it was planned for, though it is relabelled before its turn", async () => {
  const world = await onOne();
  const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, NAMES, 20);
  expect(world.phase(id)).toBe("succeeded");
  const back = world.engine.operators.rollbackTo(id, "1", by);
  if (!back.ok) throw new Error(back.refusal.message);
  const deployment = back.value.deployment as never;
  const toCome = NAMES.filter((n) => world.state(deployment, n) === "pending");
  world.label({ role: "db" }, toCome.at(-1)!);
  await work(world, NAMES, 20);
  expect([toCome.length > 0, world.phase(deployment), world.state(deployment, toCome.at(-1)!), NAMES.map((n) => world.wanted(n))]).toEqual([true, "succeeded", "healthy", ["1", "1", "1", "1"]]);
});

test("and though it was lost when it was relabelled", async () => {
  const world = await onOne();
  const id = world.deploy("2", WIDE);
  await work(world, NAMES);
  expect(world.phase(id)).toBe("succeeded");
  world.pass(20_000, "b", "c", "d");
  const back = world.engine.operators.rollbackTo(id, "1", by);
  if (!back.ok) throw new Error(back.refusal.message);
  await work(world, ["b", "c", "d"]);
  world.label({ role: "db" }, "a");
  await world.join("a");
  await work(world, NAMES, 20);
  expect([world.phase(back.value.deployment as never), world.wanted("a")]).toEqual(["succeeded", "1"]);
});

test("retry of an older deployment does not overrule what a newer one has still to tell", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "w1", "w2");
  await world.joinAs({ role: "web", zone: "q" }, "x");
  await world.joinAs({ role: "db", zone: "q" }, "y");
  const all = ["w1", "w2", "x", "y"];
  world.deploy("1", { ...WIDE, targets: "" });
  await work(world, all, 3);
  const second = world.deploy("2", { waves: [ALL], maxUnavailable: count(9), maxFailures: count(1) });
  await world.say("w1", "healthy");
  await world.say("w2", "healthy");
  await world.say("x", "reverted");
  world.pass(3000, ...all);
  expect(world.phase(second)).toBe("succeeded");
  world.pass(20_000, "w1", "w2", "y");
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(9), targets: "zone=q" });
  await world.say("y", "healthy");
  world.pass(5000, "w1", "w2", "y");
  expect([world.phase(third), world.state(third, "x")]).toEqual(["succeeded", "unreachable"]);
  world.engine.orders.addFreeze({ from: 0 as never, until: null }, by);
  await world.join("x");
  world.pass(3000, ...all);
  const retried = world.command(second, "retry");
  world.pass(3000, ...all);
  world.engine.orders.endFreeze("f-1", "anna");
  await work(world, all, 10);
  expect([retried.ok, world.wanted("x")]).toEqual([retried.ok, "3"]);
});

test("a rollback names no machine any more that a newer deployment has told", async () => {
  const world = new World();
  await world.join(...NAMES);
  world.deploy("1", WIDE);
  await work(world, NAMES);
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 2);
  const rest = ["c", "d"];
  world.pass(20_000, ...rest);
  world.command(second, "rollback");
  await work(world, rest, 4);
  const third = world.deploy("3", { waves: [ALL], maxUnavailable: count(1) });
  await work(world, rest, 6);
  await Promise.all([world.join("a"), world.join("b")]);
  await work(world, NAMES, 30);
  world.pass(3_600_000, ...NAMES);
  const seen = ["a", "b"].map((n) => [world.wanted(n), world.state(third, n), world.state(second, n)]);
  expect(seen).toEqual([["3", "healthy", "skipped"], ["3", "healthy", "skipped"]]);
});

test("what rollback --to took back is given to machines that join later, when that was rolled back itself and all run it again", async () => {
  const world = await onOne();
  const second = world.deploy("2", WIDE);
  await work(world, NAMES, 4);
  const answer = world.engine.operators.rollbackTo(second, "1", by);
  const third = (answer.ok ? answer.value.deployment : "") as never;
  await work(world, NAMES, 4);
  await world.join("early");
  await work(world, [...NAMES, "early"], 4);
  expect(world.wanted("early")).toBe("1");
  world.command(third, "rollback");
  await work(world, [...NAMES, "early"], 4);
  expect(NAMES.map((name) => world.wanted(name))).toEqual(["2", "2", "2", "2"]);
  await world.join("late");
  await work(world, [...NAMES, "late"], 4);
  expect(world.wanted("late")).toBe("2");
  world.startEngine();
  await world.join("later");
  await work(world, [...NAMES, "late", "later"], 4);
  expect(world.wanted("later")).toBe("2");
});

test("a rollback leaves a machine that the retry had left to a newer deployment to that", async () => {
  const world = new World();
  await world.joinAs({ role: "web" }, "a");
  await world.joinAs({ role: "web", zone: "t" }, "t");
  await world.joinAs({ zone: "t" }, "c");
  const all = ["a", "t", "c"];
  world.deploy("1", { ...WIDE, targets: "" });
  await world.settle(...all);
  world.pass(2000, ...all);
  const second = world.deploy("2", { ...WIDE, onFailure: "abort" });
  world.engine.orders.cordon("t" as never, { drain: true, force: true }, by);
  await world.say("t", "removed");
  await world.say("a", "reverted");
  world.pass(2000, ...all);
  const third = world.deploy("3", { ...WIDE, targets: "zone=t" });
  await world.say("c", "healthy");
  world.pass(2000, ...all);
  expect([world.phase(second), world.phase(third), world.state(third, "t")]).toEqual(["failed", "succeeded", "skipped"]);
  world.command(second, "retry");
  expect([world.phase(second), world.engine.rollout(second)?.targets.get("t" as never)?.reason]).toEqual(["rolling", { code: "superseded", message: "d-3 (app@3) goes on with it" }]);
  world.command(second, "rollback");
  await work(world, all);
  world.engine.orders.uncordon("t" as never, by);
  await work(world, all, 20);
  expect([world.wanted("t"), world.wanted("a")]).toEqual(["3", "1"]);
});
