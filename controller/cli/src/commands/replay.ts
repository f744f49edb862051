/**
 * `muster replay DEPLOYMENT [--speed 10x|max] [--from TIME]`: the rollout again, from the journal. It only looks.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { ReplayResponse } from "@muster/proto/gen/muster/v1/history.ts";
import { type Command, InvalidArgumentError } from "commander";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { ControllerClock, write, writeLines, type CliContext } from "../context.ts";
import { exitAfter } from "../errors.ts";
import { pictureJson } from "../output/history-json.ts";
import { hasEnded } from "../output/words.ts";
import { plain, truncate } from "../render/text.ts";
import { elapsedText, moment, timeOfDay } from "../render/time.ts";
import type { GlobalOptions } from "../usage.ts";
import { parseMoment, PAST_WAYS } from "./moment.ts";
import { withExamples } from "./options.ts";
import { ReplayClock } from "./replay-clock.ts";
import { openScreen } from "./rollout-screen.ts";

interface ReplayOptions extends GlobalOptions {
  /** Times the world's; Infinity for `max`. */
  readonly speed?: number;
  readonly from?: string;
}

/** Of the whole, when no speed is named: long enough to see it, short enough to stay. */
const WHOLE_MS = 20_000;
/** Of what has just happened, below the picture. */
const HAPPENED_SHOWN_MAX = 4;

export function registerReplay(program: Command, context: CliContext): void {
  const command = program
    .command("replay")
    .summary("show a rollout again, from the journal")
    .description(
      "Shows a rollout again, from the journal. On a terminal it is the picture of watch, sped up so that the whole takes about 20 seconds; " +
        "elsewhere a line for each change, with its time. Ctrl-C ends it.",
    )
    .argument("<id>", "the deployment, for example d-7")
    .option("--speed <factor>", "how much faster than it was: 10x, or max", parseSpeed)
    .option("--from <time>", `begin there: ${PAST_WAYS}`)
    .action(async (id: string, _options: unknown, self: Command) => {
      await replay(context, id, self.optsWithGlobals<ReplayOptions>());
    });
  withExamples(command, [
    ["muster replay d-7", "the whole in about 20 seconds"],
    ["muster replay d-7 --from 03:12 --speed 1x", "as it was that night"],
    ["muster replay d-7 -o json", "an object for each change, a line each"],
  ]);
}

function parseSpeed(text: string): number {
  if (text === "max") return Number.POSITIVE_INFINITY;
  const factor = /^[0-9]+(?:\.[0-9]+)?x?$/.test(text) ? Number.parseFloat(text) : 0;
  if (factor > 0) return factor;
  throw new InvalidArgumentError("It is not a speed (try 10x, 0.5x or max).");
}

async function replay(context: CliContext, id: string, options: ReplayOptions): Promise<void> {
  const signal = context.interruption();
  const now = context.clock.now();
  const from = options.from === undefined ? 0 : parseMoment(options.from, { option: "--from", side: "past", now });
  await withController(context, options, async (controller) => {
    const { getDeployment } = await import("../client/rollout-stream.ts");
    // Also tells at once, and within a deadline, when there is no such deployment.
    const deployment = await getDeployment(controller, id);
    const pictures = beginningAt(from, read(controller, deployment.id, signal));
    if (options.output === "json") return printObjects(context, pictures);
    const speed = options.speed ?? (context.isTty ? fittingSpeed(deployment, from, now) : Number.POSITIVE_INFINITY);
    const last = await play(context, pictures, speed);
    if (signal.aborted) return;
    if (last === undefined) await writeLines(context.stdout, [`the journal says nothing about ${deployment.id} yet`]);
    else if (!hasEnded(last.phase)) await writeLines(context.stdout, ["", `this is now; it goes on: muster watch ${deployment.id}`]);
  });
  if (signal.aborted) context.setExitCode(exitAfter(signal));
}

function read(controller: Controller, deploymentId: string, signal: AbortSignal): AsyncIterable<ReplayResponse> {
  const { history } = controller;
  return controller.read(history, history.replay, { deploymentId, includeTargets: false }, signal);
}

function fittingSpeed({ submittedAt, endedAt }: Deployment, from: number, now: number): number {
  return Math.max(1, ((endedAt === 0 ? now : endedAt) - Math.max(submittedAt, from)) / WHOLE_MS);
}

/** The first is how it stood at `from`. */
async function* beginningAt(from: number, pictures: AsyncIterable<ReplayResponse>): AsyncGenerator<ReplayResponse, void, undefined> {
  let earlier: ReplayResponse | undefined;
  for await (const picture of pictures) {
    if (picture.at < from) {
      earlier = picture;
      continue;
    }
    if (earlier !== undefined) yield { ...earlier, at: from, happened: [] };
    earlier = undefined;
    yield picture;
  }
  if (earlier !== undefined) yield { ...earlier, at: from, happened: [] };
}

async function printObjects(context: CliContext, pictures: AsyncIterable<ReplayResponse>): Promise<void> {
  for await (const picture of pictures) await write(context.stdout, `${JSON.stringify(pictureJson(picture))}\n`);
}

/** Returns how it stood in the last picture. */
async function play(context: CliContext, pictures: AsyncIterable<ReplayResponse>, speed: number): Promise<Deployment | undefined> {
  const clock = new ReplayClock(context.clock, speed);
  const signal = context.interruption();
  let startedAt: number | undefined;
  let happened: readonly string[] = [];
  const caption = (): readonly string[] => captionLines(context, clock.now(), startedAt ?? 0, happened);
  const screen = await openScreen({ ...context, clock, controllerClock: new ControllerClock(clock) }, "text", context.isTty ? caption : undefined);
  let last: Deployment | undefined;
  try {
    for await (const picture of pictures) {
      if (picture.deployment === undefined) continue;
      if (startedAt === undefined) clock.jump(picture.at);
      else await clock.runTo(picture.at, signal);
      if (signal.aborted) break;
      startedAt ??= picture.at;
      happened = [...happened, ...picture.happened].slice(-HAPPENED_SHOWN_MAX);
      if (!context.isTty) await writeLines(context.stdout, picture.happened.map((sentence) => `${timeOfDay(picture.at)} ${plain(sentence)}`));
      await screen.show(picture.deployment);
      last = picture.deployment;
    }
  } finally {
    await screen.end(undefined);
  }
  return last;
}

/** `  2026-01-31 12:03:04  +1m2s`, and what has just happened. */
function captionLines({ colors, columns, clock }: CliContext, at: number, startedAt: number, happened: readonly string[]): readonly string[] {
  const time = `${moment(at, clock.now())}  +${elapsedText(at - startedAt)}`;
  return ["", colors.dim(`  ${time}`), ...happened.map((sentence) => colors.dim(truncate(`  · ${plain(sentence)}`, columns())))];
}
