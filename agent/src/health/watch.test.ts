import { expect, test } from "vitest";
import type { Verdict } from "../runner/ports.ts";
import type { Sample } from "./verdict.ts";
import { watch, type Timers, type WatchedProbe } from "./watch.ts";

/** Time that passes only when told to. */
function fakeTimers(): Timers & { pass(ms: number): Promise<void> } {
  let nowMs = 1_000;
  const due = new Map<object, { readonly atMs: number; readonly call: () => void }>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    nowMs: () => nowMs,
    after(delayMs, call) {
      const key = {};
      due.set(key, { atMs: nowMs + delayMs, call });
      return () => due.delete(key);
    },
    async pass(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        await settle();
        const [next] = [...due].filter(([, { atMs }]) => atMs <= untilMs).sort(([, a], [, b]) => a.atMs - b.atMs);
        if (next === undefined) break;
        due.delete(next[0]);
        nowMs = Math.max(nowMs, next[1].atMs);
        next[1].call();
      }
      nowMs = untilMs;
    },
  };
}

const OK: Sample = { ok: true };
const bad = (detail: string): Sample => ({ ok: false, detail });

/** Answers with the given samples in turn, the last one for ever, each after `takesMs`. */
function probe(timers: Timers, samples: readonly Sample[], takesMs = 0, over: Partial<WatchedProbe> = {}): WatchedProbe & { readonly askedAtMs: number[] } {
  const askedAtMs: number[] = [];
  return {
    intervalMs: 100,
    timeoutMs: 1_000,
    healthyAfter: 2,
    unhealthyAfter: 3,
    askedAtMs,
    async ask() {
      const sample = samples[Math.min(askedAtMs.length, samples.length - 1)] as Sample;
      askedAtMs.push(timers.nowMs() - 1_000);
      if (takesMs > 0) await new Promise<void>((resolve) => timers.after(takesMs, resolve));
      return sample;
    },
    ...over,
  };
}

function watching(timers: Timers, ...probes: readonly WatchedProbe[]): { readonly told: Verdict[]; stop(): void } {
  const told: Verdict[] = [];
  return { told, ...watch(probes, timers, (verdict) => told.push(verdict)) };
}

/** What was healthy when somebody looked last. */
function watchingAgain(timers: Timers, ...probes: readonly WatchedProbe[]): { readonly told: Verdict[]; stop(): void } {
  const told: Verdict[] = [];
  return { told, ...watch(probes, timers, (verdict) => told.push(verdict), true) };
}

test("samples begin at once and then an interval apart, however long each takes", async () => {
  const timers = fakeTimers();
  const slow = probe(timers, [OK], 60);
  watching(timers, slow);
  await timers.pass(350);
  expect(slow.askedAtMs).toEqual([0, 100, 200, 300]);
});

test("a sample that takes longer than the interval is followed by the next at once, never overlapped", async () => {
  const timers = fakeTimers();
  const slow = probe(timers, [OK], 250);
  watching(timers, slow);
  await timers.pass(800);
  expect(slow.askedAtMs).toEqual([0, 251, 502, 753]);
});

test("each change is told once", async () => {
  const timers = fakeTimers();
  const { told } = watching(timers, probe(timers, [OK, OK, OK, bad("1"), OK, bad("2"), bad("3"), bad("4"), OK, OK]));
  await timers.pass(2_000);
  expect(told).toEqual([{ health: "healthy" }, { health: "unhealthy", detail: "4" }, { health: "healthy" }]);
});

test("until it is healthy each failed sample is told, so that the last detail is known", async () => {
  const timers = fakeTimers();
  const { told } = watching(timers, probe(timers, ["1", "2", "3", "4"].map(bad)));
  await timers.pass(350);
  expect(told).toEqual([
    { health: "unknown" },
    { health: "unknown" },
    { health: "unhealthy", detail: "3" },
    { health: "unhealthy", detail: "4" },
  ]);
});

test("several probes are healthy together when the last of them is", async () => {
  const timers = fakeTimers();
  const { told } = watching(timers, probe(timers, [OK]), probe(timers, [OK], 0, { intervalMs: 500 }));
  await timers.pass(499);
  expect(told).toEqual([]);
  await timers.pass(1);
  expect(told).toEqual([{ health: "healthy" }]);
});

test("no probes are healthy at once, but not before the caller has the watch in hand", async () => {
  const timers = fakeTimers();
  const { told } = watching(timers);
  expect(told).toEqual([]);
  await timers.pass(0);
  expect(told).toEqual([{ health: "healthy" }]);
});

test("after stop nothing is asked and nothing is told, even if a sample was under way or nothing had begun", async () => {
  const timers = fakeTimers();
  const [begun, notBegun, between] = [probe(timers, [bad("late")], 50), probe(timers, [OK]), probe(timers, [OK], 0, { healthyAfter: 1 })];
  const first = watching(timers, begun);
  const second = watching(timers, between);
  await timers.pass(10);
  const third = watching(timers, notBegun);
  for (const each of [first, second, third]) each.stop();
  await timers.pass(1_000);
  expect([first.told, second.told, third.told]).toEqual([[], [{ health: "healthy" }], []]);
  expect([begun, between, notBegun].map(({ askedAtMs }) => askedAtMs.length)).toEqual([1, 1, 0]);
});

test("of what was healthy when somebody looked last, one good answer of each probe is enough", async () => {
  const timers = fakeTimers();
  const many = { healthyAfter: 5, intervalMs: 60_000 };
  const { told } = watchingAgain(timers, probe(timers, [OK], 0, many), probe(timers, [OK], 20, many));
  await timers.pass(10);
  expect(told).toEqual([]);
  await timers.pass(20);
  expect(told).toEqual([{ health: "healthy" }]);
});

test("it is not taken for unhealthy sooner, and must be healthy as often as ever after a bad answer", async () => {
  const timers = fakeTimers();
  const { told } = watchingAgain(timers, probe(timers, [bad("1"), OK, OK]));
  await timers.pass(150);
  expect(told).toEqual([{ health: "unknown" }]);
  await timers.pass(100);
  expect(told).toEqual([{ health: "unknown" }, { health: "healthy" }]);
});

test("a bad answer that comes long after the time-out is of an agent that was held up, and the probe is asked again at once", async () => {
  const timers = fakeTimers();
  const once = { unhealthyAfter: 1, healthyAfter: 1 };
  let asked = 0;
  const heldUp: WatchedProbe = {
    ...probe(timers, [OK], 0, once),
    async ask() {
      asked += 1;
      if (asked === 2) await new Promise<void>((resolve) => timers.after(600_000, resolve));
      return asked === 2 ? bad("timed out") : OK;
    },
  };
  const { told } = watching(timers, heldUp);
  await timers.pass(600_150);
  expect(told).toEqual([{ health: "healthy" }]);
  expect(asked).toBeGreaterThan(2);
});

test("an app that is bad whenever it is asked is found out though the agent is held up each time", async () => {
  const timers = fakeTimers();
  const { told } = watching(timers, probe(timers, [bad("timed out")], 5_000, { unhealthyAfter: 1 }));
  await timers.pass(11_000);
  expect(told).toEqual([{ health: "unhealthy", detail: "timed out" }]);
});
