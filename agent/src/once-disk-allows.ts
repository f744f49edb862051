/**
 * Starts something as soon as the disk lets it. A machine whose disk is full when its agent starts must not stay without what should run: the agent waits for room and says so,
 * rather than to end with a fault that somebody has to see.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { cannotStart, diskTrouble } from "./runner/fault.ts";

/** Doubles; short enough that what should run does so soon after there is room. */
const RETRY_MS = { first: 500, most: 10_000 };

/** `start` undoes what it has done when it throws. What is not of the disk is thrown on. `say`: told once for each kind of trouble. */
export async function onceDiskAllows<T>(start: () => Promise<T>, say: (line: string) => void, pause: (ms: number) => Promise<unknown> = sleep): Promise<T> {
  let said = "";
  for (let delayMs = RETRY_MS.first; ; delayMs = Math.min(RETRY_MS.most, 2 * delayMs)) {
    try {
      return await start();
    } catch (error) {
      const trouble = diskTrouble(error);
      if (trouble === undefined) throw error;
      const line = cannotStart(trouble, error);
      if (line !== said) say(line);
      said = line;
      await pause(delayMs);
    }
  }
}
