/**
 * Bugs for running controllers: loaded before everything else (`node --import "…/planted.ts?FOLDER"`), it puts them into the source as it is read. Each is asleep until a file in
 * the folder wakes it, so that a test says when. Only what this process runs is changed. A text that is not found exactly once ends the process: a bug that is not there would prove nothing.
 */
import { registerHooks } from "node:module";
import { join } from "node:path";

const folder = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const text = (name: string): string => JSON.stringify(join(folder, name));

const EDITS = [
  // The app whose rollout contradicts itself is named in the file `broken`.
  {
    file: "controller/src/rollout/invariants.ts",
    find: "export function checkRollout(state: RolloutState): void {",
    put: `export function checkRollout(state: RolloutState): void {
      const fs = process.getBuiltinModule("node:fs");
      demand(state, !fs.existsSync(${text("broken")}) || fs.readFileSync(${text("broken")}, "utf8") !== state.app, "2 and 2 are 5");`,
  },
  // The step after which the controller dies by kill -9, once, is named in the file `dies-after`.
  {
    file: "controller/src/journal/archive.ts",
    find: "onStep: (step: ArchiveStep) => void = () => {};",
    put: `onStep: (step: ArchiveStep) => void = (step) => {
      const fs = process.getBuiltinModule("node:fs");
      if (!fs.existsSync(${text("dies-after")}) || fs.readFileSync(${text("dies-after")}, "utf8") !== step) return;
      fs.rmSync(${text("dies-after")});
      process.kill(process.pid, "SIGKILL");
    };`,
  },
  // Several frames instead of one, and steps that are old after a second instead of a minute at least.
  { file: "controller/src/journal/archive.ts", find: "const FRAME_ROWS_MAX = 500;", put: "const FRAME_ROWS_MAX = 40;" },
  { file: "controller/src/engine/archiving.ts", find: "this.#stepsForMs = stepsForMs;", put: "this.#stepsForMs = () => stepsForMs() / 60;" },
];

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const edits = EDITS.filter(({ file }) => url.endsWith(`/${file}`));
    if (edits.length === 0) return loaded;
    let source = String(loaded.source);
    for (const { file, find, put } of edits) {
      const found = source.split(find).length - 1;
      if (found !== 1) throw new Error(`${JSON.stringify(find)} is in ${file} ${found} times: bring test/e2e/planted.ts up to date`);
      source = source.replace(find, () => put);
    }
    return { ...loaded, source };
  },
});
