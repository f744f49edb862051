/**
 * Holds a dev fleet of fake programs, so that a test can kill its holder. `node holder.ts DIR PATH`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DevFleet } from "../fleet.ts";

const fake = (name: string): readonly string[] => [process.execPath, fileURLToPath(new URL(`${name}.ts`, import.meta.url))];
await DevFleet.start(
  {
    dir: process.argv[2]!,
    agentCount: 2,
    controllerArguments: [],
    programs: { controller: fake("controller"), agent: fake("agent") },
    env: { PATH: process.argv[3] },
    clock: { now: () => Date.now(), sleep: async (durationMs) => void (await sleep(durationMs)) },
    onEvent: ({ event }) => console.log(event),
  },
  new AbortController().signal,
);
