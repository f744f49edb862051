/**
 * `muster watch ID`
 */
import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { followRollout, type FollowOptions } from "./follow-rollout.ts";
import { withExamples, withWatching } from "./options.ts";

export function registerWatch(program: Command, context: CliContext): void {
  const command = program
    .command("watch")
    .summary("show a rollout as it goes, until it has ended")
    .description(
      "Shows a rollout as it goes, until it has ended. Exit code 0 when it succeeded, 1 when it failed or was taken back, 7 when it is paused and no terminal is there. " +
        "Ctrl-C stops the watching, not the rollout.",
    )
    .argument("<id>", "the deployment, for example d-7")
    .action(async (id: string, _options: unknown, self: Command) => {
      await followRollout(context, id, { goal: "succeeded", untilSettled: false }, self.optsWithGlobals<FollowOptions>());
    });
  withExamples(withWatching(command), [
    ["muster watch d-7", "a picture that is redrawn; without a terminal a line for each change"],
    ["muster watch d-7 -o json", "an object for each change, a line each"],
  ]);
}
