/**
 * What agents say is acknowledged whatever it is, and leaves rows in the journal only where it is news and within the machine's budget.
 */
import type { AppName, MachineId } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ReportAccepted } from "../journal/entry.ts";
import { Journal } from "../journal/journal.ts";
import type { AgentPhase } from "../rollout/state.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { diskFull } from "./failing-disk.fixture.ts";
import { World } from "./world.fixture.ts";

let world: World;
let seq: number;

beforeEach(async () => {
  world = new World();
  seq = 0;
  await world.join("a", "b");
});

afterEach(() => {
  world.engine.stop();
  world.journal.close();
});

const reports = (machine = "a"): number => world.journal.db.prepare("SELECT count(*) FROM journal WHERE kind = 'report_accepted' AND machine = ?").pluck().get(machine) as number;
const acknowledged = (machine = "a"): Promise<number> =>
  world.engine.hello({ kind: "machine_joined", machine: machine as MachineId, instance: `i-${machine}`, labels: {}, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, 0);

/** One report of `a`, with a sequence of its own. */
async function say(phase: AgentPhase, changes: Partial<ReportAccepted> = {}): Promise<void> {
  seq += 1;
  await world.engine.report([
    {
      kind: "report_accepted",
      machine: "a" as MachineId,
      app: "app" as AppName,
      instance: "i-a",
      reportSeq: seq,
      observedAt: world.clock.now(),
      generation: world.generation("a"),
      phase,
      reason: null,
      runningVersion: "1",
      runningArtifact: "",
      starts: 1,
      pid: 1,
      ports: {},
      ...changes,
    },
  ]);
}

describe("what is no news", () => {
  test("a report that is said a thousand times is one row, and acknowledged each time", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    for (let times = 0; times < 1000; times += 1) await say("healthy");
    expect([reports(), await acknowledged()]).toEqual([1, 1000]);
  });

  test("each thing that a report says can be news", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    const news: Partial<ReportAccepted>[] = [
      {},
      { reason: { code: "exited", message: "exited with code 1" } },
      { reason: { code: "exited", message: "exited with code 2" } },
      { reason: { code: "disk_full", message: "exited with code 2" } },
      { runningVersion: "2" },
      { runningArtifact: "f".repeat(64) },
      { starts: 2 },
      { pid: 2 },
      { ports: { http: 8080 } },
      { ports: { http: 8081 } },
      { app: "other" as AppName },
      { generation: 0 },
      { phase: "probing" },
    ];
    for (const [index, changes] of news.entries()) {
      await say("healthy", changes);
      await say("healthy", changes);
      expect([changes, reports()]).toEqual([changes, index + 1]);
    }
  });

  test("a machine is heard again by it, and its target is healthy again", async () => {
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2), offline: { kind: "wait", forMs: 600_000 } as never });
    await say("probing");
    world.pass(20_000, "b");
    expect(world.state(id, "a")).toBe("unreachable");
    await say("probing");
    expect(world.state(id, "a")).toBe("updating");
  });

  test("a controller that starts anew asks for nothing again that was acknowledged", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    for (let times = 0; times < 5; times += 1) await say("healthy");
    world.startEngine();
    expect(await acknowledged()).toBe(5);
    await say("unhealthy", { reportSeq: 5 });
    expect(reports()).toBe(1);
  });

  test("a machine that was removed begins anew", async () => {
    await say("healthy", { generation: 0 });
    world.remove("a");
    await world.join("a");
    expect(await acknowledged()).toBe(0);
  });

  test("replaying the journal yields the same tables, without what was no news", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    for (const phase of ["pulling", "pulling", "probing", "healthy", "healthy"] as const) await say(phase);
    const replayed = Journal.open(":memory:");
    replayed.transaction(() => {
      for (const row of world.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
    });
    expect(world.tables(replayed)).toEqual(world.tables());
    replayed.close();
  });
});

describe("the budget of an app on a machine", () => {
  /** News each time. */
  const restart = (): Promise<void> => say("unhealthy", { starts: seq + 2 });

  test("beyond it the newest report of each app waits, and is journalled when the budget allows", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    for (let times = 0; times < 700; times += 1) await restart();
    expect([reports(), await acknowledged()]).toEqual([500, 700]);
    expect(world.engine.heldReports("a" as MachineId)).toBe(1);
    world.pass(151_000, "a", "b");
    expect([reports(), world.engine.heldReports("a" as MachineId)]).toEqual([501, 0]);
    const stored = world.journal.db.prepare("SELECT starts FROM machine_apps WHERE machine = 'a'").pluck().get();
    expect(stored).toBe(701);
  });

  test("what could not be stored, as on a full disk, costs nothing of it", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2), onFailure: "pause" });
    await say("healthy");
    await say("unhealthy");
    const append = world.journal.append;
    world.journal.append = () => {
      throw diskFull();
    };
    for (let times = 0; times < 600; times += 1) {
      await expect(say("healthy", { reportSeq: 3 })).rejects.toThrow("disk is full");
      world.pass(1000, "a");
    }
    world.journal.append = append;
    world.pass(1000, "a");
    await say("healthy", { reportSeq: 3 });
    expect([reports(), world.engine.heldReports("a" as MachineId)]).toEqual([3, 0]);
  });

  test("the first final answer to an assignment is taken at once, though the budget is spent; that it is healthy again later waits", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    await world.say("b", "healthy");
    for (let times = 0; times < 600; times += 1) await say("healthy", { starts: times + 2 });
    world.pass(2000, "a", "b");
    const id = world.deploy("2", { waves: [ALL], maxUnavailable: count(2), onFailure: "pause" });
    await say("healthy");
    expect([world.state(id, "a"), reports()]).toEqual(["healthy", 501]);
    for (let times = 0; times < 20; times += 1) {
      await say("probing", { starts: times + 2 });
      await say("healthy", { starts: times + 2 });
    }
    expect([world.state(id, "a"), reports()]).toEqual(["updating", 502]);
    world.pass(151_000, "a", "b");
    expect([world.state(id, "a"), reports()]).toEqual(["healthy", 503]);
  });

  test("that an app is healthy no more is never held back: no soak passes over it", async () => {
    world.deploy("1", { waves: [ALL], maxUnavailable: count(2) });
    for (const machine of ["a", "b"]) await world.say(machine, "healthy");
    seq = 1;
    for (let times = 0; times < 600; times += 1) await restart();
    const id = world.deploy("2", { waves: [{ ...wave(count(1)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(1) });
    await say("healthy");
    // Its host starts anew again and again.
    for (let round = 0; round < 4; round += 1) {
      world.pass(15_000, "a", "b");
      await say("probing", { starts: round + 2 });
      world.pass(5000, "a", "b");
      await say("healthy", { starts: round + 2 });
    }
    expect([world.wanted("b"), world.phase(id)]).toEqual(["1", "rolling"]);
  });

  test("one app's noise hides nothing that another app says", async () => {
    const id = world.deploy("1", { waves: [ALL], maxUnavailable: count(2), maxFailures: count(2) });
    await say("healthy");
    const noise = (): Promise<void> => say("healthy", { app: "aa-noise" as AppName, generation: 0, starts: seq });
    for (let times = 0; times < 600; times += 1) await noise();
    await say("unhealthy");
    for (let minutes = 0; minutes < 5; minutes += 1) {
      await noise();
      world.pass(60_000, "a", "b");
    }
    await say("healthy");
    expect([world.state(id, "a"), world.journal.db.prepare("SELECT phase FROM machine_apps WHERE machine = 'a' AND app = 'app'").pluck().get()]).toEqual(["healthy", "healthy"]);
  });

  test("apps that are not assigned share one, however many an agent makes up", async () => {
    for (let times = 0; times < 1000; times += 1) await say("healthy", { app: `made-up-${times}` as AppName, generation: 0 });
    expect(reports()).toBe(500);
  });

  test("what waits survives the controller, and belongs to its machine alone", async () => {
    for (let times = 0; times < 600; times += 1) await say("healthy", { generation: 0, starts: times });
    await world.say("b", "healthy", 0, "app");
    world.startEngine();
    expect([reports("b"), world.engine.heldReports("a" as MachineId)]).toEqual([1, 1]);
    world.pass(151_000, "a", "b");
    expect([reports(), world.engine.heldReports("a" as MachineId)]).toEqual([501, 0]);
  });

  test("what waits goes with a machine that is removed", async () => {
    for (let times = 0; times < 600; times += 1) await say("healthy", { generation: 0, starts: times });
    world.remove("a");
    await world.join("a");
    world.pass(300_000, "a", "b");
    expect([reports(), world.journal.db.prepare("SELECT count(*) FROM machine_apps WHERE machine = 'a'").pluck().get()]).toEqual([500, 0]);
  });

  test("it says so in the log once, when it begins", async () => {
    const said: unknown[] = [];
    world.warn = (fields) => said.push(fields);
    for (let times = 0; times < 600; times += 1) await say("healthy", { generation: 0, starts: times });
    expect(said).toEqual([{ machineId: "a", app: "app" }]);
  });

  test("an agent that is another each time it connects is refused beyond it, and let in again later", async () => {
    const rows = (): number => world.journal.db.prepare("SELECT count(*) FROM journal WHERE kind = 'agent_changed'").pluck().get() as number;
    const cursors = (): number => world.journal.db.prepare("SELECT count(*) FROM report_cursors WHERE machine = 'a'").pluck().get() as number;
    const connectAs = (instance: string): Promise<number> =>
      world.engine.hello({ kind: "machine_joined", machine: "a" as MachineId, instance, labels: {}, agentVersion: "0", hostname: "h", os: "linux", arch: "x64" }, 0);
    let refused = "";
    for (let times = 0; times < 1000; times += 1) await connectAs(`i-${times}`).catch((error: Error) => (refused = error.message));
    expect([rows(), cursors() <= 500]).toEqual([500, true]);
    expect(refused).toContain("does no other agent have a copy");
    world.pass(151_000, "a", "b");
    await connectAs("i-later");
    expect(rows()).toBe(501);
  });

  test("a clock that is set back gives nothing, and takes nothing", async () => {
    for (let times = 0; times < 499; times += 1) await say("healthy", { generation: 0, starts: times });
    world.clock.wall -= 1_000_000;
    await say("healthy", { generation: 0, starts: 1000 });
    await say("healthy", { generation: 0, starts: 1001 });
    expect(reports()).toBe(500);
  });
});

describe("a fleet over its budget", () => {
  const FLEET = Array.from({ length: 450 }, (_, index) => `m-${String(index).padStart(3, "0")}` as MachineId);

  const heldReport = (machine: MachineId): ReportAccepted => ({
    kind: "report_accepted",
    machine,
    app: "app" as AppName,
    instance: `i-${machine}`,
    reportSeq: 1,
    observedAt: world.clock.now(),
    generation: 0,
    phase: "unhealthy",
    reason: null,
    runningVersion: "1",
    runningArtifact: "",
    starts: 1,
    pid: 1,
    ports: {},
  });

  /** Each machine holds a report, and a controller that starts anew gives each a budget again. */
  async function holdOneEach(): Promise<void> {
    await world.join(...FLEET);
    world.journal.transaction(() => {
      for (const machine of FLEET) world.journal.reports.hold(heldReport(machine));
    });
    world.startEngine();
  }

  const waiting = (): number => world.journal.db.prepare("SELECT count(*) FROM held_reports").pluck().get() as number;
  const journalled = (): unknown[] => world.journal.db.prepare("SELECT machine FROM journal WHERE kind = 'report_accepted' ORDER BY machine").pluck().all();

  test("has what waits journalled in slices, each in a turn of its own", async () => {
    await holdOneEach();
    const slices: number[] = [];
    world.engine.onCommit((rows) => slices.push(rows.length));
    const turns: number[] = [];
    const { wakeAfter } = world.clock;
    world.clock.wakeAfter = (ms, callback) =>
      wakeAfter.call(world.clock, ms, () => {
        const before = slices.length;
        callback();
        turns.push(slices.length - before);
      });
    world.pass(31_000, "a", "b", ...FLEET);
    expect([waiting(), journalled()]).toEqual([0, FLEET]);
    expect([Math.max(...slices), Math.max(...turns)]).toEqual([100, 1]);
  });

  test("loses no report and writes none twice when its controller is killed between two slices", async () => {
    await holdOneEach();
    const off = world.engine.onCommit(() => world.engine.stop());
    world.pass(31_000, "a", "b", ...FLEET);
    off();
    expect([waiting(), journalled().length]).toEqual([350, 100]);
    world.startEngine();
    world.pass(31_000, "a", "b", ...FLEET);
    expect([waiting(), journalled()]).toEqual([0, FLEET]);
  });

  test("has a full disk in the middle of a look, and the rest later", async () => {
    await holdOneEach();
    const { append } = world.journal;
    let rows = 0;
    world.journal.append = (entry, now) => {
      rows += 1;
      if (rows > 150 && rows < 400) throw diskFull();
      return append.call(world.journal, entry, now);
    };
    world.pass(31_000, "a", "b", ...FLEET);
    expect([waiting(), journalled().length]).toEqual([350, 100]);
    world.journal.append = append;
    world.pass(31_000, "a", "b", ...FLEET);
    expect([waiting(), journalled()]).toEqual([0, FLEET]);
  });

  test("costs no report more than another one: nobody counts what waits of all machines", async () => {
    for (let times = 0; times < 500; times += 1) await say("healthy", { generation: 0, starts: times });
    let counted = 0;
    const { held } = world.journal.reports;
    world.journal.reports.held = () => {
      counted += 1;
      return held.call(world.journal.reports);
    };
    for (let times = 500; times < 600; times += 1) await say("healthy", { generation: 0, starts: times });
    world.pass(151_000, "a", "b");
    expect([reports(), counted]).toEqual([501, 0]);
  });
});
