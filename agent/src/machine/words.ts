/** The sentences of reasons: what people read in `status`. Only words; nothing here decides. */
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { durationText, rounded } from "@muster/proto/duration.ts";
import type { Exit, Probing, Reason } from "./state.ts";

export function exitWords({ code, signal }: Exit): string {
  if (signal !== null) return `ended by ${signal}`;
  return code === null ? "ended; its exit code is not known" : `exited with code ${code}`;
}

export function outputWords(lastLine: string): string {
  return lastLine === "" ? "" : `; last output: "${lastLine}"`;
}

/** The process ended more often than it is started again. */
export function exitedTooOften(exit: Exit, exits: number, tookMs: number, lastLine: string): Reason {
  return { code: "exited", message: `${exitWords(exit)}, ${exits} times in ${durationText(rounded(tookMs))}${outputWords(lastLine)}` };
}

/** healthy_deadline passed while probing. */
export function missedDeadline(probing: Probing, waits: boolean, healthyMs: number, needMs: number, deadlineMs: number): Reason {
  if (waits) return { code: "exited", message: `not healthy within ${durationText(deadlineMs)}: ${probing.lastDetail}` };
  if (probing.brokenHealthyMs > 0) {
    const stretch = `healthy for ${durationText(rounded(probing.brokenHealthyMs))} of the ${durationText(needMs)} required`;
    return { code: "turned_unhealthy", message: `${stretch}, then: ${probing.lastDetail}` };
  }
  if (healthyMs > 0) {
    return { code: "never_healthy", message: `healthy for only ${durationText(rounded(healthyMs))} of the ${durationText(needMs)} required when ${durationText(deadlineMs)} were over` };
  }
  const detail = probing.lastDetail === "" ? "no probe has answered yet" : probing.lastDetail;
  return { code: "never_healthy", message: `not healthy within ${durationText(deadlineMs)}: ${detail}` };
}

/** healthy_deadline passed while the release before was being stopped, for so long. */
export function notStarted(before: Release | undefined, stopMs: number, deadlineMs: number): Reason {
  const what = before === undefined ? "what ran before" : before.version;
  return { code: "never_healthy", message: `not started within ${durationText(deadlineMs)} (healthy_deadline): ${what} took ${durationText(rounded(stopMs))} to end` };
}

/** What keeps a release that is being probed from being healthy; undefined while nothing speaks against it. */
export function whyNotYet(probing: Probing, isUnhealthy: boolean, waitsForRestart: boolean): Reason | undefined {
  if (waitsForRestart) return { code: "exited", message: probing.lastDetail };
  if (!isUnhealthy) return undefined;
  return { code: probing.brokenHealthyMs > 0 ? "turned_unhealthy" : "never_healthy", message: probing.lastDetail };
}

/** What runs is not well, and is not what was wanted. */
export function unwell(version: string, { code, message }: Reason, revertedFor: Reason): Reason {
  return { code, message: `${version} is not well: ${message}; it runs because the newer release failed: ${revertedFor.message}` };
}

export function withNote(reason: Reason, note: string): Reason {
  return { code: reason.code, message: `${reason.message}; ${note}` };
}
