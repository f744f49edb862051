/**
 * A process that says when it is asked to stop, and stays. For the test of `stopSignal`.
 */
import { stopSignal } from "../stop-signal.ts";

const signal = stopSignal();
signal.addEventListener("abort", () => console.log(`asked by ${String(signal.reason)}`));
process.stdin.resume();
console.log("listening");
