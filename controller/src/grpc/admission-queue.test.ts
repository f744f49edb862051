import { beforeEach, describe, expect, test } from "vitest";
import { type AdmissionBounds, AdmissionQueue } from "./admission-queue.ts";

let now: number;
let begun: string[];
let dropped: string[];
let turns: (() => void)[];
let alarms: { at: number; call: () => void }[];
let queue: AdmissionQueue;

function open(bounds: Partial<AdmissionBounds> = {}): void {
  [now, begun, dropped, turns, alarms] = [0, [], [], [], []];
  queue = new AdmissionQueue({
    bounds: { silentMax: 3, waitingMax: 100, servedMax: 4, yieldMs: 500, slowMax: 2, ...bounds },
    begin: (connection) => begun.push(connection),
    drop: (connection) => dropped.push(connection),
    elapsedMs: () => now,
    nextTurn: (call) => turns.push(call),
    after: (delayMs, call) => {
      const alarm = { at: now + delayMs, call };
      alarms.push(alarm);
      return () => (alarms = alarms.filter((other) => other !== alarm));
    },
  });
}
beforeEach(() => open());

/** All turns of the loop that are asked for, and those that they ask for. */
function turnAll(): void {
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) turn();
}
function pass(ms: number): void {
  now += ms;
  const due = alarms.filter(({ at }) => at <= now);
  alarms = alarms.filter(({ at }) => at > now);
  for (const { call } of due) call();
  turnAll();
}
const names = (count: number, prefix = "c"): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
function come(...connections: string[]): void {
  for (const connection of connections) {
    queue.arrive(connection);
    queue.wait(connection);
  }
}

describe("who is served", () => {
  test("is served in the order of arrival, as places become free", () => {
    const all = names(10);
    come(...all);
    turnAll();
    expect(begun).toEqual(all.slice(0, 4));
    for (const connection of all) {
      queue.leave(connection);
      turnAll();
    }
    expect(begun).toEqual(all);
    expect(queue.counts()).toEqual({ silent: 0, waiting: 0, served: 0, slow: 0 });
  });

  test("is not dropped for those who come later, however many they are", () => {
    come("first");
    turnAll();
    come(...names(500));
    turnAll();
    expect(dropped).not.toContain("first");
    expect(dropped).toHaveLength(400);
    expect(queue.counts()).toMatchObject({ waiting: 97, served: 4 });
  });

  test("begins with a few in each turn, so that those before go on in between", () => {
    open({ servedMax: 100 });
    come(...names(50));
    expect(begun).toEqual([]);
    const perTurn: number[] = [];
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
      const before = begun.length;
      turn();
      perTurn.push(begun.length - before);
    }
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(10);
    expect(begun).toHaveLength(50);
  });

  test("keeps its place between the handshake and being known, while it is quick", () => {
    come(...names(5));
    turnAll();
    queue.shookHands("c0");
    pass(400);
    expect(begun).not.toContain("c4");
    queue.leave("c0");
    turnAll();
    expect(begun).toContain("c4");
  });
});

describe("a queue that is full", () => {
  test("refuses whoever comes, at once, and nobody who waits", () => {
    open({ waitingMax: 2, servedMax: 1 });
    come("served");
    turnAll();
    come("a", "b", "late");
    expect(dropped).toEqual(["late"]);
    queue.leave("served");
    turnAll();
    queue.leave("a");
    turnAll();
    expect(begun).toEqual(["served", "a", "b"]);
  });

  test("has room again when one that waited has gone", () => {
    open({ waitingMax: 1, servedMax: 1 });
    come("served");
    turnAll();
    come("a");
    queue.leave("a");
    come("b");
    expect(dropped).toEqual([]);
    queue.leave("served");
    turnAll();
    expect(begun).toEqual(["served", "b"]);
  });
});

describe("a peer that says nothing", () => {
  test("has no place in the queue, and the oldest of too many goes", () => {
    for (const connection of names(5, "silent")) queue.arrive(connection);
    come("machine");
    turnAll();
    expect(begun).toEqual(["machine"]);
    expect(dropped).toEqual(["silent0", "silent1", "silent2"]);
    expect(queue.counts().silent).toBe(2);
  });

  test("is not served for speaking after it was dropped", () => {
    for (const connection of names(4, "silent")) queue.arrive(connection);
    queue.wait("silent0");
    turnAll();
    expect(begun).toEqual([]);
  });
});

describe("a peer that stops in the middle of its handshake", () => {
  test("gives up its place when others wait, and keeps its connection", () => {
    come(...names(4, "slow"), "machine");
    turnAll();
    expect(begun).not.toContain("machine");
    pass(499);
    expect(begun).not.toContain("machine");
    pass(1);
    expect(begun).toContain("machine");
    expect(dropped).toEqual(["slow0", "slow1"]);
    expect(queue.counts()).toMatchObject({ served: 1, slow: 2 });
  });

  test("keeps its place while nobody waits", () => {
    come(...names(4, "slow"));
    turnAll();
    pass(60_000);
    expect(queue.counts()).toMatchObject({ served: 4, slow: 0 });
    expect(alarms).toEqual([]);
  });

  test("is let go from the queue when it ends its handshake after all", () => {
    come(...names(4, "slow"), "machine");
    turnAll();
    pass(500);
    queue.shookHands("slow3");
    expect(queue.counts().slow).toBe(1);
    expect(dropped).not.toContain("slow3");
  });

  test("that shook hands and asks nothing gives up its place, and is not dropped here", () => {
    come(...names(4, "idle"), "machine");
    turnAll();
    for (const connection of names(4, "idle")) queue.shookHands(connection);
    pass(500);
    expect(begun).toContain("machine");
    expect(dropped).toEqual([]);
    expect(queue.counts()).toMatchObject({ served: 1, slow: 0 });
  });

  test("holds up thousands by no more than its time, whatever they are", () => {
    open({ servedMax: 10, slowMax: 10, waitingMax: 10_000 });
    come(...names(1_000, "slow"), "machine");
    turnAll();
    for (let passed = 0; !begun.includes("machine"); passed += 500) {
      expect(passed).toBeLessThanOrEqual(500 * 100);
      pass(500);
    }
    const { slow, served } = queue.counts();
    expect(slow + served).toBeLessThanOrEqual(20);
  });
});
