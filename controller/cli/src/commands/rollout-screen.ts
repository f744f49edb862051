/**
 * The three ways to show a rollout as it goes: redrawn on a terminal, a line for each change elsewhere, objects for programs.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { KEEPALIVE_WATCHING, silenceMs } from "../client/keepalive.ts";
import { terminalColumns, write, writeLines, type CliContext } from "../context.ts";
import type { CliError } from "../errors.ts";
import { deploymentJson } from "../output/deployment-json.ts";
import type { OutputFormat } from "../usage.ts";
import { awayLine } from "../render/away-line.ts";
import { changeLines } from "../render/change-lines.ts";
import { nextCommands } from "../render/next-commands.ts";
import { rolloutView } from "../render/rollout-view.ts";
import { wrap, wrapLines } from "../render/text.ts";
import { timeOfDay } from "../render/time.ts";
import { viewOptions } from "./options.ts";

export interface RolloutScreen {
  show(deployment: Deployment): Promise<void>;
  /** The connection is lost, was found to be so at `lostAt`, and will be tried again. */
  away(error: CliError, lostAt: number): Promise<void>;
  /** Once, last. `deployment` is how it ended; undefined when that is not known. */
  end(deployment: Deployment | undefined): Promise<void>;
}

/** Ten pictures a second look fluent and cost nothing. */
const FRAME_MS = 100;

/** Lines below the picture of a terminal; asked for with each frame. */
type Caption = (shown: Deployment) => readonly string[];

export async function openScreen(context: CliContext, output: OutputFormat, caption: Caption = () => []): Promise<RolloutScreen> {
  if (output === "json") return jsonLines(context);
  return context.isTty ? await livePicture(context, caption) : logLines(context);
}

function jsonLines(context: CliContext): RolloutScreen {
  let before = "";
  return {
    show: async (deployment) => {
      // After a reconnection the same state comes twice.
      const line = JSON.stringify(deploymentJson(deployment));
      if (line !== before) await write(context.stdout, `${line}\n`);
      before = line;
    },
    away: async () => undefined,
    end: async () => undefined,
  };
}

function logLines(context: CliContext): RolloutScreen {
  let before: Deployment | undefined;
  let isAway = false;
  return {
    show: async (deployment) => {
      await writeLines(context.stdout, changeLines(before, deployment, context.controllerClock.now()));
      before = deployment;
      isAway = false;
    },
    away: async (error) => {
      if (!isAway) await writeLines(context.stderr, wrapLines([`${timeOfDay(context.controllerClock.now())} ${awayLine(error)}`], terminalColumns(context.stderr)));
      isAway = true;
    },
    end: async (deployment) => {
      if (deployment !== undefined) await writeLines(context.stdout, nextCommands(deployment, context.colors, { columns: terminalColumns(context.stdout) }));
    },
  };
}

async function livePicture(context: CliContext, caption: Caption): Promise<RolloutScreen> {
  const { createLogUpdate } = await import("log-update");
  const frame = createLogUpdate(context.stdout);
  const ended = new AbortController();
  let shown: Deployment | undefined;
  let shownAt = 0;
  // Nobody knows how it goes on meanwhile, and the controller's own time may stand still: so does the picture.
  let trouble: { readonly text: string; readonly asOf: number } | undefined;
  // What the caption proposes is said once, at the end.
  let isOver = false;

  const picture = (): string => {
    if (shown === undefined) return "";
    const below = isOver ? [] : caption(shown);
    const columns = context.columns();
    const away = trouble === undefined ? [] : wrap(`as of ${timeOfDay(trouble.asOf)}; ${trouble.text}`, columns - 2).map((line) => context.colors.yellow(`  ${line}`));
    const view = { ...viewOptions(context), rows: context.rows() - below.length - away.length };
    const lines = rolloutView(shown, trouble === undefined ? view : { ...view, now: trouble.asOf });
    return [...lines, ...below, ...away].join("\n");
  };
  let drawn = "";
  const drawOnce = (): void => {
    const next = picture();
    if (next !== drawn) frame(next);
    drawn = next;
  };
  const draw = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      drawOnce();
      await context.clock.sleep(FRAME_MS, ended.signal);
    }
  };
  const drawing = draw();

  return {
    show: async (deployment) => {
      shown = deployment;
      shownAt = context.controllerClock.now();
      trouble = undefined;
    },
    away: async (error, lostAt) => {
      trouble = { text: awayLine(error), asOf: Math.max(shownAt, context.controllerClock.at(lostAt) - silenceMs(KEEPALIVE_WATCHING)) };
    },
    end: async (deployment) => {
      isOver = deployment !== undefined;
      ended.abort();
      await drawing;
      drawOnce();
      frame.done();
      if (deployment !== undefined) await writeLines(context.stdout, nextCommands(deployment, context.colors, { columns: terminalColumns(context.stdout) }));
    },
  };
}
