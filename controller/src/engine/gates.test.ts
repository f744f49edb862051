/**
 * Gates that ask the world outside, through the engine: asked after the commit, answered in a transaction, asked again by the next controller.
 */
import { describe, expect, test } from "vitest";
import { ALL, alarm, count, prometheus, soak, webhook, wave } from "../rollout/rollout.fixture.ts";
import { diskFull } from "./failing-disk.fixture.ts";
import { World } from "./world.fixture.ts";

const HOOK = webhook({ retries: 1, retryIntervalMs: 10_000 });

async function atGate(gate = HOOK): Promise<World> {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [wave(count(1), { gates: [gate] }), ALL] });
  await world.say("a", "healthy");
  return world;
}

const ID = "d-1" as never;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("go opens the gate", async () => {
  const world = await atGate();
  expect(world.asked.map(({ question }) => [question.deployment, question.wave, question.attempt, question.counts["healthy"]])).toEqual([["d-1", 1, 1, 1]]);
  expect(world.wanted("b")).toBeUndefined();
  world.asked[0]!.answer({ kind: "go", detail: "go" });
  await turn();
  expect(world.wanted("b")).toBe("1");
});

test("stop takes it back", async () => {
  const world = await atGate();
  world.asked[0]!.answer({ kind: "stop", detail: "error rate is 3%" });
  await turn();
  expect(world.phase(ID)).toBe("rolling_back");
  expect(world.engine.rollout(ID)?.reason).toEqual({ code: "gate_stopped", message: "the webhook gate of wave 1 stopped it: error rate is 3%" });
});

test("silence is asked about again, and then stops it", async () => {
  const world = await atGate();
  world.asked[0]!.answer({ kind: "silent", detail: "connection refused" });
  await turn();
  expect(world.asked.length).toBe(1);
  expect(world.waitingOn(ID)).toBe("the webhook of wave 1 to say go: 1 without an answer (last: connection refused)");
  world.pass(10_000, "a", "b");
  expect(world.asked.length).toBe(2);
  world.asked[1]!.answer({ kind: "silent", detail: "connection refused" });
  await turn();
  expect(world.phase(ID)).toBe("rolling_back");
});

test("a controller that dies with a question open asks it again, and a late answer to the old one changes nothing", async () => {
  const world = await atGate();
  world.startEngine();
  expect(world.asked.map(({ question }) => question.attempt)).toEqual([1, 1]);
  world.asked[0]!.answer({ kind: "stop", detail: "said to a controller that is gone" });
  await turn();
  expect(world.phase(ID)).toBe("rolling");
  world.asked[1]!.answer({ kind: "go", detail: "go" });
  await turn();
  expect(world.wanted("b")).toBe("1");
});

test("a soak begins with the last change, also for the next controller and though the wall clock was set back in between", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", { waves: [wave(count(2), { gates: [{ kind: "soak", forMs: 60_000 }] })], maxUnavailable: count(2) });
  await world.say("a", "healthy");
  world.pass(10_000, "a", "b");
  world.clock.wall -= 3_600_000;
  await world.say("b", "healthy");
  world.startEngine();
  expect(world.engine.rollout(ID)?.waves[0]?.changedAt.at).toBe(world.clock.now());
  world.pass(59_000, "a", "b");
  expect(world.phase(ID)).toBe("rolling");
  world.pass(3_000, "a", "b");
  expect(world.phase(ID)).toBe("succeeded");
});

test("an answer that comes while the disk is full is kept when it has room, and not asked for again", async () => {
  const world = await atGate();
  const commit = world.journal.transaction;
  world.journal.transaction = () => {
    throw diskFull();
  };
  world.asked[0]!.answer({ kind: "go", detail: "go" });
  await turn();
  world.pass(5_000);
  expect(world.wanted("b")).toBeUndefined();
  world.journal.transaction = commit;
  world.pass(1_000);
  await world.say("a", "healthy");
  world.pass(2_000, "a", "b");
  expect([world.wanted("b"), world.asked.length]).toEqual(["1", 1]);
});

describe("a question that is open while the controller is held up", () => {
  const GAP_MS = 20_000;

  test("is asked again when it found no answer, and that counts as nothing", async () => {
    for (const onSilence of ["stop", "go"] as const) {
      const world = await atGate({ ...HOOK, retries: 0, onSilence });
      world.clock.elapsed += GAP_MS;
      world.asked[0]!.answer({ kind: "silent", detail: "did not answer within 5000 ms" });
      await turn();
      world.pass(2_000, "a", "b");
      expect([world.phase(ID), world.wanted("b"), world.engine.rollout(ID)?.waves[0]?.gates[0]?.unanswered]).toEqual(["rolling", undefined, 0]);
      expect(world.asked.map(({ question }) => question.attempt)).toEqual([1, 1]);
      world.asked[1]!.answer({ kind: onSilence === "go" ? "stop" : "go", detail: "what it says" });
      await turn();
      world.pass(2_000, "a", "b");
      expect([world.phase(ID), world.wanted("b")]).toEqual(onSilence === "go" ? ["rolling_back", undefined] : ["rolling", "1"]);
    }
  });

  test("counts when it was answered meanwhile", async () => {
    const world = await atGate();
    world.clock.elapsed += GAP_MS;
    world.asked[0]!.answer({ kind: "stop", detail: "error rate is 3%" });
    await turn();
    world.pass(2_000, "a", "b");
    expect([world.phase(ID), world.asked.length]).toEqual(["rolling_back", 1]);
  });

  test("counts as silence when it is asked again, and nobody answers while the controller looks on", async () => {
    const world = await atGate({ ...HOOK, retries: 0 });
    world.clock.elapsed += GAP_MS;
    world.asked[0]!.answer({ kind: "silent", detail: "did not answer within 5000 ms" });
    await turn();
    world.pass(5_000, "a", "b");
    world.asked[1]!.answer({ kind: "silent", detail: "did not answer within 5000 ms" });
    await turn();
    world.pass(2_000, "a", "b");
    expect(world.phase(ID)).toBe("rolling_back");
  });

  test.each([{ what: "is an alarm's as well as a gate's", ms: 5000, attempts: [1, 1] }, { what: "is an alarm's, which is asked anew besides after a gap", ms: GAP_MS, attempts: [1, 1, 2] }])("$what", async ({ ms, attempts }) => {
    const world = new World();
    await world.join("a", "b");
    world.deploy("1", { waves: [ALL], maxUnavailable: count(1), alarms: [alarm({ retries: 0, onSilence: "stop" })] });
    world.clock.elapsed += ms;
    world.asked[0]!.answer({ kind: "silent", detail: "did not answer within 5000 ms" });
    await turn();
    world.pass(2_000, "a", "b");
    expect([world.phase(ID), world.asked.map(({ question }) => question.attempt)]).toEqual(["rolling", attempts]);
  });
});

test("what a metric measured before the soak in front of it began again counts no more", async () => {
  const world = new World();
  await world.join("a", "b", "c");
  const id = world.deploy("1", { waves: [wave(count(2), { gates: [soak(5000), prometheus({ intervalMs: 60_000, count: 2 })] }), ALL], maxUnavailable: count(9) });
  await world.say("a", "healthy");
  await world.say("b", "healthy");
  world.pass(7000, "a", "b", "c");
  for (const { answer } of world.asked.splice(0)) answer({ kind: "go", detail: "0" });
  await turn();
  expect(world.engine.rollout(id)!.waves[0]!.gates[1]!.passed).toBe(1);
  await world.say("a", "probing");
  await world.say("a", "healthy");
  world.pass(7000, "a", "b", "c");
  expect(world.engine.rollout(id)!.waves[0]!.gates[1]!.passed).toBe(0);
});
