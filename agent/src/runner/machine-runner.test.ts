import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { processRelease, remove, run } from "../machine/hand-driven.fixture.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.remove());

const v1 = processRelease("1");
const v2 = processRelease("2");
const other = { ...processRelease("7"), app: "db" };

const until = (app: string, generation: number, phase: string): Promise<void> => world.clock.until(() => world.saw(app, generation, phase));

async function running(release: Release = v1, generation = 1) {
  const agent = world.agent();
  await agent.start();
  agent.offer(assignment(generation, run(generation, release)));
  await until("web", generation, "HEALTHY");
  return agent;
}

describe("an assignment", () => {
  it("is carried out, and each phase is spooled", async () => {
    await running();
    expect(world.reports.map(({ phase }) => phase.replace("APP_PHASE_", ""))).toEqual(["PULLING", "STAGED", "ACTIVATING", "PROBING", "HEALTHY"]);
    expect(world.last).toMatchObject({ app: "web", generation: 1, runningVersion: "1", starts: 1, pid: 101 });
    expect(world.running).toEqual(["web@1"]);
    expect(world.links.get("web")).toBe(v1.artifact);
  });

  it("that is not newer, or is for another machine, is ignored", async () => {
    const agent = await running(v1, 5);
    agent.offer(assignment(5, run(6, v2)));
    agent.offer(assignment(4, run(6, v2)));
    agent.offer({ ...assignment(9, run(9, v2)), machine: "m-2" });
    expect(agent.generation).toBe(5);
  });

  it("leaves an app that it does not name as it is", async () => {
    const agent = await running();
    agent.offer(assignment(2, run(2, other, { app: "db" })));
    await until("db", 2, "HEALTHY");
    expect(world.running).toEqual(["web@1", "db@7"]);
  });

  it("whose names do not fit is left undone, and the rest of it is done", async () => {
    const agent = world.agent();
    await agent.start();
    agent.offer(assignment(1, run(1, v1, { app: "../../etc" }), run(1, v1, { app: "api" }), run(1, v1)));
    await until("web", 1, "HEALTHY");
    expect(readdirSync(join(world.dir, "apps"))).toEqual(["web"]);
  });

  it("to remove an app stops it, deletes its files and says so, and once more when it wakes", async () => {
    const agent = await running();
    agent.offer(assignment(2, remove(2)));
    await until("web", 2, "REMOVED");
    expect(world.running).toEqual([]);
    expect([...world.releases]).toEqual([]);
    await agent.close();
    const count = world.reports.length;
    await world.agent().start();
    await world.clock.until(() => world.reports.length > count);
    await expect(world.clock.until(() => world.reports.length > count + 1)).rejects.toThrow("it never came to that");
  });
});

describe("what a release is given", () => {
  const driver: Release["driver"] = {
    $case: "process",
    value: { command: ["serve", "${ports.http}"], env: { NAME: "${machine.id}", ZONE: "${labels.zone}", DIR: "${release_dir}" }, stopTimeoutMs: 1_000 },
  };

  it("has its names filled in, its port chosen, and its directory resolved", async () => {
    await running(processRelease("1", { driver, ports: { http: 0 } }));
    const { spec } = [...world.living.values()][0]!;
    const releaseDir = join(world.dir, "apps/web/releases", v1.artifact);
    expect(spec).toMatchObject({ command: ["serve", "41000"], env: { NAME: "m-1", ZONE: "a", DIR: releaseDir }, releaseDir });
    expect(world.last?.ports).toEqual({ http: 41_000 });
  });

  it("keeps its port over releases and restarts of the agent, and shares it with no other app", async () => {
    const ported = { ports: { http: 0 } };
    const agent = await running(processRelease("1", ported));
    await agent.close();
    const next = world.agent();
    await next.start();
    next.offer(assignment(2, run(2, processRelease("2", ported)), run(2, { ...other, ...ported }, { app: "db" })));
    await until("web", 2, "HEALTHY");
    await until("db", 2, "HEALTHY");
    expect(world.reports.findLast(({ app }) => app === "web")?.ports).toEqual({ http: 41_000 });
    expect(world.reports.findLast(({ app }) => app === "db")?.ports).toEqual({ http: 41_001 });
  });

  it("has the labels that came with its own assignment, also after a restart of the agent", async () => {
    const agent = await running(processRelease("1", { driver, ports: { http: 0 } }));
    agent.offer(assignment(2, run(2, processRelease("2", { driver, ports: { http: 0 } }), { labels: { zone: "b" } })));
    await until("web", 2, "HEALTHY");
    await agent.close();
    world.reboot();
    await world.agent().start();
    await world.clock.until(() => world.running.length > 0);
    expect([...world.living.values()].map(({ spec }) => spec.env["ZONE"])).toEqual(["b"]);
  });

  it("may name a label that this machine lacks: then the old release is not touched", async () => {
    const agent = await running();
    const lacking: Release["driver"] = { $case: "process", value: { command: ["serve"], env: { R: "${labels.rack}" }, stopTimeoutMs: 0 } };
    agent.offer(assignment(2, run(2, processRelease("2", { driver: lacking }))));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason).toMatchObject({ code: "unresolved_name", message: "${labels.rack} has no value on this machine; still on 1" });
    expect(world.deeds).toEqual(["start web@1"]);
  });

  it("gives way when its fixed port is taken by somebody else, and names the port", async () => {
    const agent = await running();
    world.busyPorts.add(8080);
    agent.offer(assignment(2, run(2, processRelease("2", { ports: { http: 8080 } }))));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason?.message).toBe("port 8080 (http) is taken by another process; back on 1");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@1"]);
  });
});

describe("a bad release", () => {
  it("that exits is started three more times and taken back, with its last words", async () => {
    world.behaviours.set("2", { exitsWith: 1 });
    const agent = await running();
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason?.message).toBe('exited with code 1, 4 times in 3s; last output: "out of luck"; back on 1');
    expect(world.deeds.filter((deed) => deed === "start web@2")).toHaveLength(4);
    expect(world.running).toEqual(["web@1"]);
  });

  it("that is never healthy is taken back at its deadline", async () => {
    world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "GET / answered 500" }] });
    const agent = await running();
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason).toEqual({ code: "never_healthy", message: "not healthy within 1m: GET / answered 500; back on 1" });
  });

  it("that turns unhealthy is taken back as such", async () => {
    const bad = { health: "unhealthy", detail: "no answer" } as const;
    world.behaviours.set("2", { verdicts: [{ health: "healthy" }, { health: "healthy" }, { health: "healthy" }, bad] });
    const agent = await running();
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason).toMatchObject({ code: "turned_unhealthy", message: "healthy for 3s of the 5s required, then: no answer; back on 1" });
  });

  it("that cannot be started or pulled fails at once", async () => {
    world.behaviours.set("2", { startFault: { code: "start_failed", message: "serve: not found", retryable: false } });
    world.behaviours.set("3", { pullFault: { code: "artifact_corrupt", message: "frame 0 is damaged", retryable: false } });
    const agent = await running();
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await until("web", 2, "REVERTED");
    agent.offer(assignment(3, run(3, processRelease("3"))));
    await until("web", 3, "REVERTED");
    expect(world.reports.filter(({ phase }) => phase === "APP_PHASE_REVERTED").map(({ reason }) => reason?.code)).toEqual(["start_failed", "artifact_corrupt"]);
    expect(world.running).toEqual(["web@1"]);
  });
});

describe("two apps", () => {
  it("are never both in the middle of an exchange", async () => {
    const agent = world.agent();
    await agent.start();
    agent.offer(assignment(1, run(1, v1), run(1, other, { app: "db" })));
    await until("web", 1, "HEALTHY");
    await until("db", 1, "HEALTHY");
    agent.offer(assignment(2, run(2, v2), run(2, { ...other, version: "8", artifact: "8".padEnd(64, "0") }, { app: "db" })));
    await until("web", 2, "HEALTHY");
    await until("db", 2, "HEALTHY");
    expect(world.deeds.slice(2)).toEqual(["stop web@1", "start web@2", "stop db@7", "start db@8"]);
  });
});

describe("an agent that is killed", () => {
  it("finds its workload running, does not start it again, and says that it is healthy once a probe has answered", async () => {
    await running();
    world.kill();
    const count = world.reports.length;
    await world.agent().start();
    expect(world.reports.slice(count).map(({ phase }) => phase)).toEqual(["APP_PHASE_PROBING"]);
    await expect(world.clock.until(() => world.reports.length > count + 2)).rejects.toThrow("it never came to that");
    expect(world.last?.phase).toBe("APP_PHASE_HEALTHY");
    expect(world.deeds).toEqual(["start web@1"]);
  });

  it.each(Array.from({ length: 22 }, (_, index) => index + 1))("in call %i of an upgrade ends on the new release, each step done once", async (calls) => {
    const agent = await running();
    world.callsToLive = calls;
    agent.offer(assignment(2, run(2, v2)));
    await world.clock.until(() => world.saw("web", 2, "HEALTHY")).catch(() => {});
    world.kill();
    const next = world.agent();
    await next.start();
    await until("web", 2, "HEALTHY");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2"]);
    expect(world.running).toEqual(["web@2"]);
    expect(world.links.get("web")).toBe(v2.artifact);
  });

  it.each(Array.from({ length: 30 }, (_, index) => index + 1))("in call %i of going back ends on the last good release", async (calls) => {
    world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "GET / answered 500" }] });
    const agent = await running();
    world.callsToLive = calls;
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await world.clock.until(() => world.saw("web", 2, "REVERTED")).catch(() => {});
    world.kill();
    await world.agent().start();
    await until("web", 2, "REVERTED");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2", "stop web@2", "start web@1"]);
    expect(world.reports.findLast(({ phase }) => phase === "APP_PHASE_REVERTED")?.reason?.code).toBe("never_healthy");
  });

  it.each(Array.from({ length: 26 }, (_, index) => index + 1))("in call %i of going to a confirmed release that is never healthy stays on that", async (calls) => {
    world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "GET / answered 500" }] });
    const agent = await running();
    world.callsToLive = calls;
    agent.offer(assignment(2, run(2, v2)));
    await world.clock.until(() => world.saw("web", 2, "FAILED")).catch(() => {});
    world.kill();
    await world.agent().start();
    await until("web", 2, "FAILED");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@2"]);
    expect(world.running).toEqual(["web@2"]);
    expect(world.links.get("web")).toBe(v2.artifact);
  });

  it("counts a workload that died meanwhile as an exit, and starts it again", async () => {
    await running();
    world.kill();
    world.crash([...world.living.keys()][0]!);
    await world.agent().start();
    await until("web", 1, "UNHEALTHY");
    await world.clock.until(() => world.last?.phase === "APP_PHASE_HEALTHY");
    expect(world.running).toEqual(["web@1"]);
  });

  it("starts the last good release after a reboot, without a controller", async () => {
    await running();
    world.reboot();
    await world.agent().start();
    await world.clock.until(() => world.running.length === 1);
    expect(world.running).toEqual(["web@1"]);
  });

  it("remembers what was well after a reboot when it is started once more, and nothing that nobody has seen well since", async () => {
    await running();
    const restarted = async (): Promise<boolean> => {
      const asked = world.wasHealthy.length;
      await world.agent().start();
      await world.clock.until(() => world.wasHealthy.length > asked);
      return world.wasHealthy.at(-1)!;
    };
    world.reboot();
    expect(await restarted()).toBe(false);
    world.kill();
    expect(await restarted()).toBe(false);
    await world.clock.until(() => world.last?.phase === "APP_PHASE_HEALTHY");
    world.kill();
    expect(await restarted()).toBe(true);
  });

  it("goes straight to the newest assignment when it is back", async () => {
    await running();
    world.kill();
    const agent = world.agent();
    await agent.start();
    agent.offer(assignment(9, run(9, processRelease("9"))));
    await until("web", 9, "HEALTHY");
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@9"]);
  });

  it("puts current right when it points elsewhere", async () => {
    await running();
    world.kill();
    world.links.set("web", "f".repeat(64));
    await world.agent().start();
    expect(world.links.get("web")).toBe(v1.artifact);
  });
});

describe("an agent that is told to stop", () => {
  it("leaves its workloads running", async () => {
    const agent = await running();
    await agent.close();
    expect(world.running).toEqual(["web@1"]);
  });

  it("together with its workloads stops them, and starts them again when it is started", async () => {
    const agent = await running();
    await agent.halt();
    expect(world.running).toEqual([]);
    const count = world.reports.length;
    await world.agent().start();
    await world.clock.until(() => world.running.length === 1);
    expect(world.reports.slice(count).some(({ phase }) => phase === "APP_PHASE_UNHEALTHY")).toBe(false);
  });

  it("in the middle of an exchange stops what runs, and goes on with the exchange later", async () => {
    const agent = await running();
    agent.offer(assignment(2, run(2, v2)));
    await until("web", 2, "PROBING");
    await agent.halt();
    expect(world.running).toEqual([]);
    await world.agent().start();
    await until("web", 2, "HEALTHY");
    expect(world.running).toEqual(["web@2"]);
  });
});

describe("what is on disk", () => {
  const stateFile = (): string => join(world.dir, "apps/web/state.json");

  it.each(["", "{", "garbage", '{"format":"muster.app-state.v2","sha256":"0","value":{}}'])("that reads %j is set aside, and the app begins anew without a second process", async (text) => {
    await running();
    world.kill();
    writeFileSync(stateFile(), text);
    world.reports.length = 0;
    await world.agent().start();
    await until("web", 1, "HEALTHY");
    expect(existsSync(`${stateFile()}.corrupt`)).toBe(true);
    expect(world.running).toEqual(["web@1"]);
    expect(world.deeds).toEqual(["start web@1", "stop web@1", "start web@1"]);
  });

  it("may lack a readable assignment: then the controller's next one is taken", async () => {
    await running(v1, 3);
    world.kill();
    writeFileSync(join(world.dir, "assignment.json"), "");
    const agent = world.agent();
    await agent.start();
    expect(agent.generation).toBe(0);
    agent.offer(assignment(3, run(3, v1)));
    expect(agent.generation).toBe(3);
    expect(world.deeds).toEqual(["start web@1"]);
  });

  it("says what runs before it runs", async () => {
    await running();
    expect(JSON.parse(readFileSync(stateFile(), "utf8"))).toMatchObject({ format: "muster.app-state.v2", value: { launch: { kind: "running", workload: { pid: 101 } } } });
  });

  it("is written later when the disk is full, and nothing is done before it is", async () => {
    const agent = await running();
    world.disk.fail({ from: 2, kinds: ["record"], forMs: 60_000, code: "ENOSPC" });
    agent.offer(assignment(2, run(2, v2)));
    await expect(world.clock.until(() => world.deeds.length > 1, 30_000)).rejects.toThrow("it never came to that");
    await until("web", 2, "HEALTHY");
    expect(world.running).toEqual(["web@2"]);
  });

  it("is done though no report of it can be written, and the newest is when it can", async () => {
    const agent = await running();
    world.disk.fail({ from: 1, kinds: ["spool"], forMs: 60_000, code: "ENOSPC" });
    agent.offer(assignment(2, run(2, v2)));
    await world.clock.until(() => world.running.includes("web@2"));
    expect(world.disk.isFailing).toBe(true);
    expect(agent.refusal?.message).toContain("the report of web cannot be stored in the agent's directory: no space left on the disk");
    const count = world.reports.length;
    await until("web", 2, "HEALTHY");
    expect(world.reports.slice(count)).toHaveLength(1);
    expect(agent.refusal).toBeUndefined();
  });
});

describe("a release that the trust root does not let run", () => {
  const unsigned = { code: "unsigned_release", message: "web@2 is not signed", retryable: false } as const;
  const belowFloor = { code: "below_floor", message: "nothing below 2", retryable: false } as const;

  it("is refused before anything of it is fetched, and what runs is not touched", async () => {
    world.behaviours.set("2", { distrust: { judge: unsigned } });
    const agent = await running();
    agent.offer(assignment(2, run(2, v2)));
    await until("web", 2, "REVERTED");
    expect(world.last?.reason).toEqual({ code: "unsigned_release", message: "web@2 is not signed; still on 1" });
    expect([...world.releases]).toEqual([`web/${v1.artifact}`]);
    expect(world.deeds).toEqual(["start web@1"]);
  });

  it("leaves a machine that runs nothing with nothing", async () => {
    world.behaviours.set("1", { distrust: { judge: unsigned } });
    const agent = world.agent();
    await agent.start();
    agent.offer(assignment(1, run(1, v1)));
    await until("web", 1, "FAILED");
    expect(world.running).toEqual([]);
  });

  it("goes on where it runs already, also when it is assigned again with one signature more", async () => {
    const agent = await running();
    world.behaviours.set("1", { distrust: { judge: unsigned, judgeReturn: belowFloor } });
    agent.offer(assignment(2, run(2, { ...v1, signed: "{}" })));
    await until("web", 2, "HEALTHY");
    expect(world.deeds).toEqual(["start web@1"]);
  });

  it("is gone back to when it was the last good one, unless a floor forbids it: then nothing runs", async () => {
    world.behaviours.set("2", { exitsWith: 1 });
    const agent = await running();
    world.behaviours.set("1", { distrust: { judge: unsigned } });
    agent.offer(assignment(2, run(2, v2, { confirmed: false })));
    await until("web", 2, "REVERTED");
    expect(world.running).toEqual(["web@1"]);
    world.behaviours.set("1", { distrust: { judge: unsigned, judgeReturn: belowFloor } });
    agent.offer(assignment(3, run(3, v2, { confirmed: false })));
    await until("web", 3, "FAILED");
    expect(world.last?.reason).toMatchObject({ code: "revert_failed", message: expect.stringContaining("going back to 1 failed: nothing below 2") as string });
    expect(world.running).toEqual([]);
  });
});
