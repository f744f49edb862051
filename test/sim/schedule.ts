/** When a window is open, for the one kind of expression that simulated strategies use: every N minutes, from the epoch on. Plain arithmetic, so that the checks can ask it too. */
import type { Instant } from "@muster/proto/ids.ts";
import type { Schedule } from "@muster/controller/src/engine/calendar.ts";
import type { Window } from "@muster/controller/src/plan/strategy.ts";

const MINUTE_MS = 60_000;

export const simulatedSchedule: Schedule = {
  openingOf(window, now) {
    const { beganAt, everyMs } = lastBegin(window, now);
    const until = (beganAt + window.durationMs) as Instant;
    return now < until ? { open: true, until } : { open: false, opensAt: (beganAt + everyMs) as Instant };
  },
};

function lastBegin({ cron }: Window, now: Instant): { readonly beganAt: number; readonly everyMs: number } {
  const every = /^\*\/(\d+) \* \* \* \*$/.exec(cron)?.[1];
  if (every === undefined) throw new Error(`the simulated schedule does not know ${cron}`);
  const everyMs = Number(every) * MINUTE_MS;
  return { beganAt: Math.floor(now / everyMs) * everyMs, everyMs };
}
