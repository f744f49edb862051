/**
 * `--watch`: shows a rollout until it is where it should be, and sets the exit code. It only looks: ending it leaves the rollout alone.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { KEEPALIVE_WATCHING } from "../client/keepalive.ts";
import { openController } from "../client/session.ts";
import { EXIT, terminalColumns, writeLines, type CliContext, type ExitCode } from "../context.ts";
import { CliError, interrupted } from "../errors.ts";
import type { GlobalOptions } from "../usage.ts";
import { nextWhileWatching } from "../render/next-commands.ts";
import { wrapLines } from "../render/text.ts";
import { outcomeOf, type Wanted } from "./goal.ts";
import type { OnPause } from "./options.ts";
import { openScreen, type RolloutScreen } from "./rollout-screen.ts";

export interface FollowOptions extends GlobalOptions {
  readonly reconnectFor: number;
  /** Default: `wait` where somebody looks at a picture, `exit` elsewhere. */
  readonly onPause?: OnPause;
}

/** Returns how the deployment stood last; undefined when the reader of our output has gone. */
export async function followRollout(context: CliContext, id: string, goal: Wanted, options: FollowOptions): Promise<Deployment | undefined> {
  const signal = context.interruption();
  const screen = await openScreen(context, options.output, (shown) => nextWhileWatching(shown, context.colors, { columns: context.columns() }));
  try {
    const last = await follow(context, screen, id, goal, options);
    if (last !== undefined) {
      context.setExitCode(exitOf(last, goal));
      await screen.end(last);
      if (options.output === "text" && outcomeOf(last, goal) === "paused") await sayPaused(context, last);
      return last;
    }
    await screen.end(undefined);
  } catch (error) {
    await screen.end(undefined);
    throw error;
  }
  if (signal.reason === "EPIPE") return undefined;
  throw interrupted(signal, `stopped watching, which changes nothing about ${id}. Look again with: muster watch ${id}`);
}

/** An outcome that does not hold everywhere never looks like one that does; what newer deployments have decided since makes it no better. */
function exitOf(last: Deployment, goal: Wanted): ExitCode {
  const isWhole = last.outstanding === undefined && last.overtaken === undefined;
  const outcome = outcomeOf(last, goal);
  if (outcome === "paused") return EXIT.paused;
  if (outcome === "reached") return isWhole ? EXIT.done : EXIT.reachedExcept;
  return isWhole ? EXIT.failed : EXIT.missedExcept;
}

/** The exit code alone would leave it to the reader why nothing goes on. */
async function sayPaused({ stderr }: CliContext, { id }: Deployment): Promise<void> {
  const sentence = `${id} is paused, and goes on when somebody decides; stopped watching. Look again with: muster watch ${id}`;
  await writeLines(stderr, wrapLines([`muster: ${sentence}`], terminalColumns(stderr)));
}

function isLast(outcome: ReturnType<typeof outcomeOf>, onPause: OnPause): boolean {
  return outcome !== "open" && (outcome !== "paused" || onPause === "exit");
}

/** undefined when it was interrupted. */
async function follow(
  context: CliContext,
  screen: RolloutScreen,
  id: string,
  goal: Wanted,
  { address, reconnectFor, output, onPause = context.isTty && output === "text" ? "wait" : "exit" }: FollowOptions,
): Promise<Deployment | undefined> {
  const signal = context.interruption();
  const { watchDeployment } = await import("../client/rollout-stream.ts");
  const updates = watchDeployment(id, {
    connect: () => openController(context, { address }, KEEPALIVE_WATCHING),
    reconnectForMs: reconnectFor,
    clock: context.clock,
    signal,
    untilSettled: goal.untilSettled,
  });
  for await (const update of updates) {
    switch (update.kind) {
      case "item":
        await screen.show(update.item);
        if (isLast(outcomeOf(update.item, goal), onPause)) return update.item;
        break;
      case "away":
        await screen.away(update.error, update.lostAt);
        break;
    }
  }
  if (signal.aborted) return undefined;
  throw new CliError(`${id} has not ended, yet the controller says no more about it`, { code: "internal", exit: EXIT.failed });
}
