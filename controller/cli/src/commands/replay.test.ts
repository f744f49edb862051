/** `replay`: the pictures of the journal, at a speed of one's own. */
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { replayPictures } from "../fakes/history-samples.ts";
import { NOON, rollingDeployment, succeededDeployment } from "../fakes/samples.ts";
import { run as runIn } from "../run.ts";
import { ReplayClock } from "./replay-clock.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [succeededDeployment()];
  controller.pictures = replayPictures();
});

afterEach(async () => {
  await controller.die();
});

const args = (...words: string[]): string[] => ["replay", ...words, "--address", controller.address];
const run = (...words: string[]): ReturnType<typeof muster> => muster(args(...words), { now: NOON, columns: 80 });
const withoutTimes = (text: string): readonly string[] => text.trimEnd().split("\n").map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));

/** How long it took on the fake clock. */
async function elapsed(...words: string[]): Promise<number> {
  const context = fakeContext({ now: NOON });
  await runIn(args(...words), context);
  expect(context.exitCode()).toBe(0);
  return context.clock.now() - NOON;
}

test("without a terminal it is a line for each change and each thing that happened, at once", async () => {
  const { code, out } = await run("d-7");
  expect(code).toBe(0);
  expect(withoutTimes(out)).toEqual([
    "ada@laptop submitted d-7",
    "web-1 was told to run shop-web 1.4.2",
    "d-7 shop-web 1.4.2 rolling",
    "wave 1/1  0/3 healthy, 1 updating, 2 pending  waiting on web-1",
    "web-1 is healthy",
    "wave 1/1  1/3 healthy, 1 updating, 1 pending  waiting on web-1",
    "web-2 is healthy",
    "wave 1/1  2/3 healthy, 1 updating  waiting on web-1",
    "web-3 is healthy",
    "d-7 has succeeded",
    "wave 1/1  3/3 healthy  done",
    "d-7 shop-web 1.4.2 succeeded after 1m2s",
  ]);
  expect(await elapsed("d-7")).toBe(0);
});

test("lines bear the time of what they tell", async () => {
  const time = (at: number): string => new Date(at).toTimeString().slice(0, 8);
  const { out } = await run("d-7");
  expect(out).toContain(`${time(NOON - 62_000)} ada@laptop submitted d-7`);
  expect(out).toContain(`${time(NOON)} d-7 shop-web 1.4.2 succeeded`);
  const times = out.trimEnd().split("\n").map((line) => line.slice(0, 8));
  expect(times).toEqual(times.toSorted());
  expect(out).not.toContain(`${time(NOON)} d-7 shop-web 1.4.2 rolling`);
});

test("a speed is kept to, and long waits are cut short", async () => {
  // 22 s, 20 s, 20 s.
  expect(await elapsed("d-7", "--speed", "100x")).toBeCloseTo(620);
  expect(await elapsed("d-7", "--speed", "20")).toBeCloseTo(3_100);
  expect(await elapsed("d-7", "--speed", "1x")).toBe(6_000);
  expect(await elapsed("d-7", "--speed", "max")).toBe(0);
});

test("on a terminal the picture is redrawn with the replay's own time, and the last one stays", async () => {
  const context = fakeContext({ now: NOON + 86_400_000, isTty: true, columns: 80 });
  await runIn(args("d-7"), context);
  expect(context.exitCode()).toBe(0);
  expect(context.out()).toContain("1/3 healthy");
  expect(context.out()).toMatch(/2026-01-31 \d\d:\d\d:\d\d {2}\+1m2s/);
  expect(context.out()).toContain("· d-7 has succeeded");
  expect(context.out()).toContain("succeeded  1m2s");
});

test("--from begins with how it stood then", async () => {
  const { out } = await run("d-7", "--from", "-30s");
  expect(withoutTimes(out)[0]).toBe("d-7 shop-web 1.4.2 rolling");
  expect(out).not.toContain("web-1 is healthy");
  expect(out).toContain("web-2 is healthy");
  const [first] = (await run("d-7", "--from", "-30s", "-o", "json")).out.split("\n");
  expect(JSON.parse(first ?? "")).toMatchObject({ at: "2026-01-31T11:59:30.000Z", happened: [], deployment: { counts: { healthy: 1 } } });
});

test("-o json is a line for each picture", async () => {
  const lines = (await run("d-7", "-o", "json")).out.trimEnd().split("\n").map((line) => JSON.parse(line));
  expect(lines).toHaveLength(4);
  expect(lines[1]).toMatchObject({ at: "2026-01-31T11:59:20.000Z", happened: ["web-1 is healthy"], deployment: { id: "d-7", phase: "rolling" } });
});

test("one that has not ended says where to go on", async () => {
  controller.deployments = [rollingDeployment()];
  controller.pictures = replayPictures().slice(0, 2);
  expect((await run("d-7")).out).toContain("this is now; it goes on: muster watch d-7");
  controller.pictures = [];
  expect((await run("d-7")).out).toBe("the journal says nothing about d-7 yet\n");
});

test("Ctrl-C ends it", async () => {
  const context = fakeContext({
    now: NOON,
    onStdout: (text) => {
      if (text.includes("web-1 is healthy")) context.interrupt("SIGINT");
    },
  });
  await runIn(args("d-7", "--speed", "1000x"), context);
  expect(context.exitCode()).toBe(130);
  expect(context.out()).not.toContain("succeeded after");
});

test("what is not there, or breaks off, is said", async () => {
  expect(await run("d-99")).toEqual({ code: 4, out: "", err: "muster: there is no deployment d-99\n" });
  controller.failures.set("replay", { code: status.INTERNAL, details: "the journal can't be read" });
  expect(await run("d-7")).toMatchObject({ code: 1, err: "muster: the journal can't be read\n" });
});

test.each<[readonly string[], string]>([
  [[], "missing required argument 'id'"],
  [["d-7", "--speed", "fast"], "try 10x, 0.5x or max"],
  [["d-7", "--speed", "0x"], "try 10x, 0.5x or max"],
  [["d-7", "--speed", "-1x"], "try 10x, 0.5x or max"],
  [["d-7", "--from", "then"], '--from: "then" is not a time; try'],
])("muster replay %j is bad input, and the controller is not asked", async (words, message) => {
  const { code, out, err } = await run(...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
  expect(controller.asked).toEqual([]);
});

test("its clock runs smoothly from one picture to the next, and never back", async () => {
  let world = 5_000;
  let wake: () => void = () => undefined;
  const sleep = (durationMs: number): Promise<void> => {
    expect(durationMs).toBe(1_000);
    return new Promise((resolve) => {
      wake = resolve;
    });
  };
  const signal = new AbortController().signal;
  const replayed = new ReplayClock({ now: () => world, sleep }, 10);
  replayed.jump(1_000);
  const arrived = replayed.runTo(11_000, signal);
  expect(replayed.now()).toBe(1_000);
  world += 250;
  expect(replayed.now()).toBe(3_500);
  world += 5_000;
  expect(replayed.now()).toBe(11_000);
  wake();
  await arrived;
  await replayed.runTo(4_000, signal);
  expect(replayed.now()).toBe(11_000);
});
