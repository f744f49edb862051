/** What comes together is taken in whole before anything follows from it, and a machine that has not said all that it had to say vouches for nothing. */
import { describe, expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import type { ReportAccepted } from "../journal/entry.ts";
import { loadRollout } from "../journal/load.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import type { AgentPhase } from "../rollout/state.ts";
import { failCommitOnce } from "./failing-disk.fixture.ts";
import { NAMES, onOne, soak, WIDE, work } from "./on-one.fixture.ts";
import { World } from "./world.fixture.ts";

const others = NAMES.filter((name) => name !== "a");
const by = { by: "anna", reason: "" };

/** What the machine's agent has kept while its link was cut, from report 50 on. */
function spool(world: World, machine: string, ...phases: readonly AgentPhase[]): readonly ReportAccepted[] {
  const generation = world.generation(machine);
  const running = { runningVersion: "", runningArtifact: "", starts: 1, pid: 1, ports: {} } as const;
  return phases.map((phase, index) => ({ kind: "report_accepted", machine: machine as MachineId, app: "app", instance: `i-${machine}`, reportSeq: 50 + index, observedAt: world.clock.now(), generation, phase, reason: null, ...running }) as ReportAccepted);
}

function hello(world: World, machine: string, newestPending: number): Promise<number> {
  return world.engine.hello({ kind: "machine_joined", machine: machine as MachineId, instance: `i-${machine}`, labels: { role: "web" }, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, world.generation(machine), newestPending);
}

/** `owed`: the newest report that its agent has kept. */
const beat = (world: World, machine: string, owed: number) => world.engine.heartbeat(machine as MachineId, 0 as never, { owed });
const told = (world: World, names: readonly string[], version = "2") => names.filter((name) => world.wanted(name) === version);
const generations = (world: World, names: readonly string[]) => names.map((name) => world.generation(name));

/** 2 is told to the canary a, and to the others after it; the link of a is cut for 10 s, less than silent-after. */
async function cutOff(changes: object = {}) {
  const world = await onOne();
  const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(3), ...changes });
  const before = generations(world, others);
  world.pass(10_000, ...others);
  return { world, id, before };
}

describe("reports that come together", () => {
  test("of a canary that was healthy and then failed begin no wave in between", async () => {
    const { world, id, before } = await cutOff();
    await world.engine.report(spool(world, "a", "healthy", "reverting", "reverted"));
    expect([world.state(id, "a"), world.phase(id), generations(world, others)]).toEqual(["reverting", "rolling_back", before]);
  });

  test("of the only machine do not let the rollout succeed in between", async () => {
    const world = await onOne(["a"]);
    const id = world.deploy("2", WIDE);
    world.pass(10_000, "a");
    await world.engine.report(spool(world, "a", "healthy", "reverting", "reverted"));
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling_back", "reverting"]);
  });

  test.each([[["a", "b"]], [["b", "a"]]])("of several machines of a wave are taken in before the next begins, whoever comes first: %s", async (order) => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(3) });
    const before = generations(world, ["c", "d"]);
    world.pass(10_000, "c", "d");
    const said = { a: ["healthy"], b: ["healthy", "unhealthy"] } as const;
    await Promise.all(order.map((name) => world.engine.report(spool(world, name, ...said[name as "a" | "b"]))));
    expect([world.phase(id), generations(world, ["c", "d"])]).toEqual(["rolling_back", before]);
  });

  test("of more machines than one transaction takes: those that are still to be taken in keep the wave from ending", async () => {
    const world = await onOne();
    world.deploy("2", { waves: [wave(count(2)), ALL], maxUnavailable: count(3) });
    await world.say("b", "healthy");
    const before = generations(world, ["c", "d"]);
    const crashes = Array.from({ length: 300 }, () => "activating" as const);
    await Promise.all([world.engine.report(spool(world, "a", ...crashes, "healthy")), world.engine.report(spool(world, "b", ...crashes.slice(0, 50), "unhealthy"))]);
    expect(generations(world, ["c", "d"])).toEqual(before);
  });

  test("and fill as many places as they have freed, in the same transaction", async () => {
    const names = Array.from({ length: 200 }, (_, n) => `m${n}`);
    const world = new World();
    await world.join(...names);
    world.deploy("1", { waves: [ALL], maxUnavailable: count(70) });
    const first = told(world, names, "1");
    let commits = 0;
    world.engine.onCommit(() => (commits += 1));
    await Promise.all(first.map((name) => world.engine.report(spool(world, name, "healthy"))));
    expect([first.length, commits, told(world, names, "1").length]).toEqual([70, 1, 140]);
  });

  test("since they waited for the machine's budget do not let the rollout go on in between", async () => {
    const world = await onOne(["a", "b"]);
    const id = world.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1) });
    // 500 at once, and then one each 30 s.
    for (let n = 0; n < 501; n += 1) await world.say("a", n % 2 === 0 ? "activating" : "probing");
    await world.engine.report(spool(world, "a", "healthy", "reverting").map((report) => ({ ...report, reportSeq: report.reportSeq + 600 })));
    world.pass(60_000, "a", "b");
    expect([world.state(id, "a"), world.wanted("b")]).not.toEqual(["healthy", "2"]);
    expect(world.phase(id)).not.toBe("succeeded");
  });

  test("after a partition that heals, by a canary that was lost meanwhile", async () => {
    const { world, id, before } = await cutOff({ offline: { kind: "wait", forMs: null } });
    world.pass(20_000, ...others);
    expect(world.state(id, "a")).toBe("unreachable");
    await hello(world, "a", 52);
    world.pass(2000, ...others);
    await world.engine.report(spool(world, "a", "healthy", "reverting", "reverted"));
    expect([world.state(id, "a"), generations(world, others)]).toEqual(["reverting", before]);
  });

  test("to a controller that has just started", async () => {
    const { world, id, before } = await cutOff();
    world.startEngine({ isHeard: false });
    await hello(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy", "reverting", "reverted"));
    for (const name of others) await hello(world, name, 0);
    world.pass(2000, ...NAMES);
    expect([world.state(id, "a"), generations(world, others)]).toEqual(["reverting", before]);
  });
});

describe("a drain", () => {
  test("of a canary that was not heard after its soak does not open the soak", async () => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [soak(20_000), ALL], maxUnavailable: count(3) });
    await world.say("a", "healthy");
    world.pass(18_000, ...NAMES);
    // Its host dies 2 s before the soak is over, and a program drains it since it does not answer.
    world.pass(5000, ...others);
    expect(world.waitingOn(id)).toBe("a to be heard after the soak of wave 1");
    world.engine.orders.cordon("a" as never, { drain: true, force: true }, by);
    expect([told(world, others), world.state(id, "a")]).toEqual([[], "skipped"]);
    world.pass(60_000, ...others);
    expect(told(world, others)).toEqual([]);
  });
});

describe("a machine that owes reports vouches for nothing:", () => {
  test("no wave ends by its word, and the hold says who is waited for; then it does", async () => {
    const { world, id } = await cutOff();
    beat(world, "a", 51);
    await world.engine.report(spool(world, "a", "healthy"));
    expect([world.state(id, "a"), told(world, others), world.waitingOn(id)]).toEqual(["healthy", [], "reports of a to come in"]);
    expect(world.command(id, "promote").ok).toBe(true);
    await world.engine.report(spool(world, "a", "healthy", "healthy"));
    world.pass(1000, ...NAMES);
    expect(told(world, others)).toEqual(others);
  });

  test("nor does the rollout succeed", async () => {
    const world = await onOne(["a", "b"]);
    const id = world.deploy("2", WIDE);
    await world.say("b", "healthy");
    beat(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy"));
    world.pass(10_000, "a", "b");
    expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", "reports of a to come in"]);
    await world.engine.report(spool(world, "a", "healthy", "reverting", "reverted"));
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling_back", "reverting"]);
  });

  test("nor by that of one whose hello could not be written: its disk may be another one", async () => {
    const world = await onOne(["a", "b"]);
    const id = world.deploy("2", WIDE);
    await world.say("a", "healthy");
    failCommitOnce(world);
    await expect(world.loseDisk("a")).rejects.toThrow("disk is full");
    world.pass(2000, "a", "b");
    await world.say("b", "healthy");
    expect([world.phase(id), world.waitingOn(id)]).toEqual(["rolling", "reports of a to come in"]);
    await world.join("a");
    world.pass(2000, "a", "b");
    expect([world.phase(id), world.state(id, "a")]).toEqual(["rolling", "updating"]);
    await world.say("a", "healthy");
    expect(world.phase(id)).toBe("succeeded");
  });

  test("nor does a gate open, and nobody is asked the next one", async () => {
    const world = await onOne();
    const gates = [{ kind: "soak", forMs: 10_000 }, { kind: "approval" }] as never;
    const id = world.deploy("2", { waves: [{ ...wave(count(1)), gates }, ALL], maxUnavailable: count(3) });
    await world.say("a", "healthy");
    beat(world, "a", 52);
    world.pass(30_000, ...NAMES);
    expect([loadRollout(world.journal, id)!.waves[0]!.gates.map(({ state }) => state), world.waitingOn(id)]).toEqual([["reached", "pending"], "reports of a to come in"]);
  });

  test("but enough others do, in a wave that need not wait for all", async () => {
    const world = await onOne();
    const id = world.deploy("2", { waves: [{ ...wave(count(3)), successThreshold: count(2) }, ALL], maxUnavailable: count(4) });
    beat(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy"));
    await world.say("b", "healthy");
    expect([told(world, ["d"]), world.waitingOn(id)]).toEqual([[], "reports of a to come in"]);
    await world.say("c", "healthy");
    expect(told(world, ["d"])).toEqual(["d"]);
  });

  test("one that is heard and never sends them has failed the rollout by progress_deadline, also over a restart", async () => {
    const { world, id } = await cutOff({ progressDeadlineMs: 120_000 });
    beat(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy"));
    world.pass(60_000, ...NAMES);
    world.startEngine({ isHeard: false });
    for (let second = 0; second < 40; second += 1) {
      beat(world, "a", 52);
      world.pass(1000, ...others);
    }
    expect([world.phase(id), told(world, others)]).toEqual(["rolling", []]);
    for (let second = 0; second < 60; second += 1) {
      beat(world, "a", 52);
      world.pass(1000, ...others);
    }
    expect([world.phase(id), loadRollout(world.journal, id)!.reason]).toEqual(["rolling_back", { code: "progress_deadline", message: "waited for reports of a to come in for 2m (progress_deadline)" }]);
  });

  test("one that is not heard any more is lost, and waited for as such", async () => {
    const { world, id } = await cutOff();
    beat(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy"));
    world.pass(20_000, ...others);
    expect([world.state(id, "a"), told(world, others)]).toEqual(["unreachable", []]);
  });

  test("a person goes on without them", async () => {
    const { world, id } = await cutOff();
    beat(world, "a", 52);
    await world.engine.report(spool(world, "a", "healthy"));
    world.engine.operators.command(id, { kind: "promote", all: true }, by);
    expect(told(world, others)).toEqual(others);
  });
});

describe("a machine whose agent has nothing left to send owes nothing", () => {
  test("when it joins again after it was removed, whatever it had made before", async () => {
    const world = await onOne();
    world.remove("a");
    await hello(world, "a", 0);
    await work(world, NAMES, 2);
    expect(world.wanted("a")).toBe("1");
  });

  test("though it owed some before its hello, and gets what stands", async () => {
    const world = await onOne();
    world.pass(20_000, ...others);
    const id = world.deploy("2", WIDE);
    await work(world, others, 4);
    expect(world.phase(id)).toBe("succeeded");
    await hello(world, "a", 52);
    world.pass(2000, ...NAMES);
    expect(world.wanted("a")).toBe("1");
    // Its spool was lost with what it held.
    await hello(world, "a", 0);
    expect(world.wanted("a")).toBe("2");
  });
});
