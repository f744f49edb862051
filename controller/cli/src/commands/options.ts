/**
 * Arguments and options that several commands share, and how their text becomes a value. A value that can't be read ends with exit code 2
 * before anything is asked of the controller.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "@muster/proto/duration.ts";
import type { CliContext } from "../context.ts";
import type { ViewOptions } from "../render/view-options.ts";

/** Of `--reconnect-for`: a controller that restarts is back within seconds, one that is upgraded within a minute. */
const RECONNECT_FOR_DEFAULT = "1m";

export function parseDurationOption(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.ok) return parsed.ms;
  throw new InvalidArgumentError(`${parsed.message}.`);
}

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It is not a whole number from ${min} to ${max}.`);
  };
}

/** `--watch` and what belongs to it. */
export interface WatchOptions {
  readonly watch?: boolean;
  readonly reconnectFor: number;
}

export function withReconnectFor(command: Command): Command {
  return command.addOption(
    new Option("--reconnect-for <duration>", "while watching: how long to try again when the controller is away")
      .argParser(parseDurationOption)
      .default(parseDurationOption(RECONNECT_FOR_DEFAULT), RECONNECT_FOR_DEFAULT),
  );
}

/** What to do when the rollout that is watched is paused. */
export type OnPause = "wait" | "exit";

/** What belongs to watching a rollout. */
export function withWatching(command: Command): Command {
  return withReconnectFor(command).addOption(
    new Option("--on-pause <what>", "while watching, when it is paused: wait until it goes on, or exit with code 7; else it waits on a terminal and exits elsewhere")
      .choices(["wait", "exit"] satisfies readonly OnPause[]),
  );
}

/** Examples of the help: each a command and what it does. */
export function withExamples(command: Command, examples: readonly (readonly [command: string, purpose: string])[]): Command {
  const columns = Math.max(...examples.map(([example]) => example.length));
  const lines = examples.map(([example, purpose]) => `  ${example.padEnd(columns)}  # ${purpose}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

export function viewOptions(context: CliContext): ViewOptions {
  return { colors: context.colors, columns: context.columns(), now: context.controllerClock.now() };
}
