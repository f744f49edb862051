/** Every write of an exchange, on the way forward and on the way back, is refused in turn by a disk that takes none for a while: in the end what is right runs, and nobody had to do anything. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { processRelease, run } from "../machine/hand-driven.fixture.ts";
import { type Failure, WRITES, type Write } from "./failing-disk.fixture.ts";
import type { MachineRunner } from "./machine-runner.ts";
import { FakeWorld, assignment } from "./world.fixture.ts";

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.remove());

const v1 = processRelease("1");
const v2 = processRelease("2");
const goal = run(2, v2, { confirmed: false });
/** More writes than any of these exchanges has. */
const WRITES_MAX = 200;
const MINUTE_MS = 60_000;

const KINDS: readonly (readonly [string, readonly Write[]])[] = [
  ["all", WRITES],
  ["all but records and reports", WRITES.filter((kind) => kind !== "record" && kind !== "spool")],
  ["records", ["record"]],
  ["links", ["link"]],
  ["links and launches", ["link", "launch"]],
];

async function started(): Promise<MachineRunner> {
  const agent = world.agent();
  await agent.start();
  return agent;
}

async function running(): Promise<MachineRunner> {
  const agent = await started();
  agent.offer(assignment(1, run(1, v1)));
  await world.clock.until(() => world.saw("web", 1, "HEALTHY"));
  // Until what follows on health, pruning, is done too.
  await passes(20_000);
  return agent;
}

/** As the link does: what was not taken is offered again with a later heartbeat. */
function offer(agent: MachineRunner, what = goal): void {
  try {
    agent.offer(assignment(2, what));
  } catch {
    world.clock.after(5_000, () => offer(agent, what));
  }
}

const isAtEnd = (): boolean =>
  world.last?.generation === 2 && ["APP_PHASE_HEALTHY", "APP_PHASE_REVERTED"].includes(world.last.phase) && world.running.length > 0;

function expectRight(versions: readonly string[], where: string): void {
  expect(world.running, where).toHaveLength(1);
  const [version] = world.running.map((name) => name.split("@")[1]!);
  expect(versions, where).toContain(version);
  expect(world.links.get("web"), where).toBe(processRelease(version!).artifact);
  expect(world.last, where).toMatchObject({ phase: version === "2" ? "APP_PHASE_HEALTHY" : "APP_PHASE_REVERTED", runningVersion: version });
}

/** Each write in turn, until there are no more. `act` goes from release 1 to the end. Returns how many there were. */
async function sweep(failure: Omit<Failure, "from">, act: (where: string) => Promise<void>, begin = running, what = goal): Promise<number> {
  for (let from = 1; from < WRITES_MAX; from += 1) {
    world.remove();
    world = new FakeWorld();
    const where = `${failure.code} from write ${from}`;
    const agent = await begin();
    world.disk.fail({ ...failure, from });
    offer(agent, what);
    await act(where);
    if (!world.disk.hasFailed) return from - 1;
  }
  throw new Error("more writes than expected");
}

async function end(where: string): Promise<void> {
  await world.clock.until(isAtEnd, 4 * 60 * MINUTE_MS).catch(() => {
    throw new Error(`${where}: stays with ${world.running.join(", ") || "nothing"} running, ${JSON.stringify(world.last)}`);
  });
  await passes(60 * MINUTE_MS);
}

/** Or until nothing is awaited any more. */
async function passes(ms: number): Promise<void> {
  await world.clock.until(() => false, ms).catch(() => {});
}

async function killedAfter(ms: number): Promise<void> {
  await world.clock.until(() => world.disk.hasFailed || isAtEnd());
  if (!world.disk.hasFailed) return;
  if (ms > 0) await passes(ms);
  world.kill();
  const next = world.agent();
  await next.start();
  if (next.generation < 2) offer(next);
}

describe.each(KINDS)("a disk that refuses %s", { timeout: 60_000 }, (kind, kinds) => {
  it.each([["ENOSPC", MINUTE_MS], ["EIO", 20 * MINUTE_MS]] as const)("with %s for %i ms from any write of going forward delays it", async (code, forMs) => {
    const writes = await sweep({ kinds, code, forMs }, async (where) => {
      await end(where);
      // Time in which nothing could be decided is not the release's.
      expectRight(kind === "records" ? ["2"] : ["1", "2"], where);
    });
    expect(writes).toBeGreaterThan(0);
  });

  it.each([["the first release", started, false], ["a first release that is confirmed", started, true], ["a confirmed release", running, true]] as const)("delays %s", async (_, begin, isConfirmed) => {
    await sweep({ kinds, code: "ENOSPC", forMs: 20 * MINUTE_MS }, async (where) => {
      await end(where);
      expectRight(begin === started ? ["2"] : ["1", "2"], where);
    }, begin, run(2, v2, { confirmed: isConfirmed }));
  });

  it.each([["EDQUOT", MINUTE_MS], ["EROFS", 20 * MINUTE_MS]] as const)("with %s for %i ms from any write of going there and back ends on the last good release", async (code, forMs) => {
    const writes = await sweep({ kinds, code, forMs }, async (where) => {
      world.behaviours.set("2", { verdicts: [{ health: "unhealthy", detail: "GET / answered 500" }] });
      await end(where);
      expectRight(["1"], where);
    });
    expect(writes).toBeGreaterThan(0);
  });

  it.each([0, MINUTE_MS])("and an agent that is killed %i ms later end on a release that runs", async (killMs) => {
    await sweep({ kinds, code: "ENOSPC", forMs: 2 * MINUTE_MS }, async (where) => {
      await killedAfter(killMs);
      await end(where);
      expectRight(["1", "2"], where);
    });
    await sweep({ kinds, code: "ENOSPC", forMs: 2 * MINUTE_MS }, async (where) => {
      world.behaviours.set("2", { exitsWith: 1 });
      await killedAfter(killMs);
      await end(where);
      expectRight(["1"], where);
    });
  });
});

describe("a link that does not point where it should when the agent starts", () => {
  it("is put right once the disk can be written", async () => {
    await running();
    world.kill();
    world.links.set("web", v2.artifact);
    world.disk.fail({ from: 1, kinds: ["link"], forMs: MINUTE_MS, code: "EROFS" });
    await started();
    expect(world.links.get("web")).toBe(v2.artifact);
    await world.clock.until(() => world.links.get("web") === v1.artifact);
    expect(world.disk.refused).toBeLessThan(20);
    expect(world.running).toEqual(["web@1"]);
  });
});
