/**
 * `--watch`: shows a rollout until it is where it should be, and sets the exit code. It only looks: ending it leaves the rollout alone.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { openController } from "../client/session.ts";
import { EXIT, type CliContext, type ExitCode } from "../context.ts";
import { CliError, interrupted } from "../errors.ts";
import type { GlobalOptions } from "../usage.ts";
import { outcomeOf, type Wanted } from "./goal.ts";
import { openScreen, type RolloutScreen } from "./rollout-screen.ts";

export interface FollowOptions extends GlobalOptions {
  readonly reconnectFor: number;
}

/** Returns how the deployment stood last; undefined when the reader of our output has gone. */
export async function followRollout(context: CliContext, id: string, goal: Wanted, options: FollowOptions): Promise<Deployment | undefined> {
  const signal = context.interruption();
  const screen = await openScreen(context, options.output);
  try {
    const last = await follow(context, screen, id, goal, options);
    if (last !== undefined) {
      context.setExitCode(exitOf(last, goal));
      await screen.end(last);
      return last;
    }
    await screen.end(undefined);
  } catch (error) {
    await screen.end(undefined);
    throw error;
  }
  if (signal.reason === "EPIPE") return undefined;
  throw interrupted(signal, `stopped watching; ${id} goes on by itself. Look again with: muster watch ${id}`);
}

/** An outcome that does not hold everywhere never looks like one that does; what newer deployments have decided since makes it no better. */
function exitOf(last: Deployment, goal: Wanted): ExitCode {
  const isWhole = last.outstanding === undefined && last.overtaken === undefined;
  if (outcomeOf(last, goal) === "reached") return isWhole ? EXIT.done : EXIT.reachedExcept;
  return isWhole ? EXIT.failed : EXIT.missedExcept;
}

/** undefined when it was interrupted. */
async function follow(
  context: CliContext,
  screen: RolloutScreen,
  id: string,
  goal: Wanted,
  { address, reconnectFor }: FollowOptions,
): Promise<Deployment | undefined> {
  const signal = context.interruption();
  const { watchDeployment } = await import("../client/rollout-stream.ts");
  const updates = watchDeployment(id, {
    connect: () => openController(context, { address }),
    reconnectForMs: reconnectFor,
    clock: context.clock,
    signal,
    untilSettled: goal.untilSettled,
  });
  for await (const update of updates) {
    switch (update.kind) {
      case "item":
        await screen.show(update.item);
        if (outcomeOf(update.item, goal) !== "open") return update.item;
        break;
      case "away":
        await screen.away(update.error);
        break;
    }
  }
  if (signal.aborted) return undefined;
  throw new CliError(`${id} has not ended, yet the controller says no more about it`, { code: "internal", exit: EXIT.failed });
}
