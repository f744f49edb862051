/**
 * Loaded into a process before its program: watches for how long its event loop is blocked, and says so to whoever asks over the IPC channel. `reset` begins anew, `read` is answered with milliseconds.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 1;

const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delays.enable();
process.on("message", (wanted) => {
  if (wanted === "reset") delays.reset();
  // A timer is late by its own period at the least.
  if (wanted === "read") process.send?.({ longestMs: delays.max / 1e6 - RESOLUTION_MS });
});
process.channel?.unref();
