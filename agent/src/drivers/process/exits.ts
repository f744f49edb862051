/**
 * Learns of the ends of workloads: from the system for those that this agent started, and by looking for those it adopted, since only a parent is told.
 */
import type { Exit, Workload } from "../../runner/ports.ts";
import { verified } from "./identity.ts";

export interface Exits {
  own(launchId: string, exit: Promise<Exit>): void;
  /** Rejects with the signal's reason when it aborts. */
  wait(workload: Workload, signal: AbortSignal): Promise<Exit>;
}

/** Ends that nobody may have asked for yet. The newest are the ones that may still be asked for. */
const ENDED_KEPT_MAX = 256;
const UNKNOWN: Exit = { code: null, signal: null };

export function createExits(pollIntervalMs: number): Exits {
  const exits = new Map<string, Promise<Exit>>();
  const ended: string[] = [];
  /** One timer for all adopted workloads; none while there are none. */
  const adopted = new Map<() => void, Workload>();
  let timer: NodeJS.Timeout | undefined;

  const look = (): void => {
    for (const [finish, workload] of adopted) if (verified(workload) === undefined) finish();
  };

  const pollUntilGone = (workload: Workload): { readonly gone: Promise<Exit>; readonly stop: () => void } => {
    const { promise, resolve } = Promise.withResolvers<Exit>();
    const finish = (): void => {
      stop();
      resolve(UNKNOWN);
    };
    const stop = (): void => {
      adopted.delete(finish);
      if (adopted.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
    adopted.set(finish, workload);
    timer ??= setInterval(look, pollIntervalMs).unref();
    return { gone: promise, stop };
  };

  return {
    own(launchId, exit) {
      exits.set(launchId, exit);
      void exit.then(() => {
        ended.push(launchId);
        if (ended.length > ENDED_KEPT_MAX) exits.delete(ended.shift() as string);
      });
    },
    async wait(workload, signal) {
      signal.throwIfAborted();
      const own = exits.get(workload.launchId);
      if (own === undefined && verified(workload) === undefined) return UNKNOWN;
      const watch = own === undefined ? pollUntilGone(workload) : { gone: own, stop: () => undefined };
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const abort = (): void => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      try {
        return await Promise.race([watch.gone, aborted]);
      } finally {
        signal.removeEventListener("abort", abort);
        watch.stop();
      }
    },
  };
}
