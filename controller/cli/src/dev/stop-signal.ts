/**
 * The signals that end a fleet. The first asks; one more ends this process at once, and with it, without asking, all that it holds.
 *
 * One Ctrl-C comes several times: from the terminal to the whole process group, and again from npm and from the shim in bin/, which
 * pass it on. So what follows the first within a moment is the same wish.
 */
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const SAME_WISH_MS = 1_000;

/** From the first call on, signals no longer end the process by themselves. The reason is the signal's name. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  let askedAt = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (!stop.signal.aborted) {
      askedAt = performance.now();
      stop.abort(name);
    } else if (performance.now() - askedAt > SAME_WISH_MS) {
      process.exit(128 + constants.signals[name]);
    }
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return stop.signal;
}
