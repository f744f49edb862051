/**
 * Asks probes again and again and tells what follows from it. Never asks itself: how a probe is asked, and the time, are handed in.
 *
 * Always holds: each probe's samples begin `intervalMs` apart and never overlap (one that took longer than that is followed by the next at once), and after
 * `stop` there is no callback.
 */
import type { Verdict } from "../runner/ports.ts";
import { combine, expected, record, UNKNOWN, type Sample, type Standing, type Thresholds } from "./verdict.ts";

export interface WatchedProbe extends Thresholds {
  readonly intervalMs: number;
  /** After which `ask` gives up. */
  readonly timeoutMs: number;
  /** Never rejects; ends early when the signal aborts. */
  ask(signal: AbortSignal): Promise<Sample>;
}

export interface Timers {
  /** Monotonic. */
  nowMs(): number;
  /** Calls back once; what it returns takes the call back. */
  after(delayMs: number, call: () => void): () => void;
}

/** A bad answer that comes so much later than the probe's own time-out says that this agent was held up, or its machine was, and nothing about the app. */
const HELD_UP_MS = 1_000;
/** Keeps a probe without an interval from taking the whole processor. */
const DELAY_MS_MIN = 1;

/** `wasHealthy`: the release was so when somebody looked last, and one good answer of each probe is enough. */
export function watch(probes: readonly WatchedProbe[], timers: Timers, onVerdict: (verdict: Verdict) => void, wasHealthy = false): { stop(): void } {
  const stopped = new AbortController();
  const { signal } = stopped;
  const standings: Standing[] = probes.map((probe) => (wasHealthy ? expected(probe) : UNKNOWN));
  let told: Verdict = { health: "unknown" };

  const tell = (sample: Sample): void => {
    const verdict = combine(standings.map((standing) => standing.verdict));
    const isNews = verdict.health !== told.health || (!sample.ok && verdict.health !== "healthy");
    told = verdict;
    if (isNews) onVerdict(verdict);
  };

  /** `mayBeHeldUp`: not twice in a row, so that an app that is bad on a machine that is slow is found out. */
  const sampleFrom = async (probe: WatchedProbe, index: number, mayBeHeldUp = true): Promise<void> => {
    const startedAtMs = timers.nowMs();
    const sample = await probe.ask(signal);
    if (signal.aborted) return;
    if (mayBeHeldUp && !sample.ok && timers.nowMs() - startedAtMs > probe.timeoutMs + HELD_UP_MS) return sampleFrom(probe, index, false);
    standings[index] = record(standings[index] as Standing, sample, probe);
    tell(sample);
    if (signal.aborted) return;
    const delayMs = Math.max(DELAY_MS_MIN, startedAtMs + probe.intervalMs - timers.nowMs());
    const cancel = timers.after(delayMs, () => {
      signal.removeEventListener("abort", cancel);
      void sampleFrom(probe, index);
    });
    signal.addEventListener("abort", cancel, { once: true });
  };

  // In a later turn, so that the caller has what `stop` belongs to before it is called back.
  const cancelFirst = timers.after(0, () => {
    if (probes.length === 0) onVerdict({ health: "healthy" });
    for (const [index, probe] of probes.entries()) void sampleFrom(probe, index);
  });
  signal.addEventListener("abort", cancelFirst, { once: true });
  return { stop: () => stopped.abort() };
}
