/** A disk that is full for one transaction. */
import type { World } from "./world.fixture.ts";

/** The next transaction is done, and not committed. */
export function failCommitOnce(world: World, when: () => boolean = () => true): { failed: number } {
  const seen = { failed: 0 };
  const transaction = world.journal.transaction;
  world.journal.transaction = function (this: never, work: () => unknown) {
    return transaction.call(world.journal, () => {
      const done = work();
      if (when() && seen.failed === 0) {
        seen.failed += 1;
        world.journal.transaction = transaction;
        throw Object.assign(new Error("disk is full"), { name: "SqliteError" });
      }
      return done;
    });
  } as never;
  return seen;
}
