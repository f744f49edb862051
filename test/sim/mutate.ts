/**
 * Loaded before everything else (`node --import ".../mutate.ts?NAME"`): puts one mutation of `mutations.ts` into the source as it is read. Only the copy in this
 * process is changed. A text that is not found exactly once ends the process: a mutation that changes nothing would prove nothing.
 */
import { registerHooks } from "node:module";
import { MUTATIONS } from "./mutations.ts";

const name = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const mutation = MUTATIONS.find((candidate) => candidate.name === name);
if (mutation === undefined) throw new Error(`there is no mutation "${name}"`);

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const edits = mutation.edits.filter(({ file }) => url.endsWith(`/${file}`));
    if (edits.length === 0) return loaded;
    let source = String(loaded.source);
    for (const { file, find, put } of edits) {
      const found = source.split(find).length - 1;
      if (found !== 1) throw new Error(`the mutation "${name}" looks for ${JSON.stringify(find)} in ${file} and finds it ${found} times: bring it up to date`);
      source = source.replace(find, () => put);
    }
    return { ...loaded, source };
  },
});
