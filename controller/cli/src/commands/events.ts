/**
 * `muster events [ID] [--follow] [--from SEQ]`
 */
import type { Event } from "@muster/proto/gen/muster/v1/events.ts";
import type { Command } from "commander";
import type { Controller } from "../client/controller.ts";
import { openController } from "../client/session.ts";
import { terminalColumns, write, writeLines, type CliContext } from "../context.ts";
import { exitAfter } from "../errors.ts";
import { eventJson } from "../output/event-json.ts";
import type { GlobalOptions } from "../usage.ts";
import { awayLine } from "../render/away-line.ts";
import { plain, wrapLines } from "../render/text.ts";
import { dateAndTime } from "../render/time.ts";
import { wholeNumber, withExamples, withReconnectFor } from "./options.ts";

interface EventsOptions extends GlobalOptions {
  readonly follow?: boolean;
  readonly from: number;
  readonly reconnectFor: number;
}

export function registerEvents(program: Command, context: CliContext): void {
  const command = program
    .command("events")
    .summary("read the journal: every command and change")
    .description("Reads the journal: every accepted command and every change of state, in order.")
    .argument("[id]", "only about this deployment, for example d-7")
    .option("--follow", "stay, and show what comes")
    .option("--from <seq>", "first sequence wanted", wholeNumber(0, Number.MAX_SAFE_INTEGER), 1)
    .action(async (id: string | undefined, _options: unknown, self: Command) => {
      await readEvents(context, id ?? "", self.optsWithGlobals<EventsOptions>());
    });
  withExamples(withReconnectFor(command), [
    ["muster events d-7", "all that happened to a deployment, and why"],
    ["muster events --follow --from 1200 -o json", "feed another program, from where it stopped"],
  ]);
}

async function readEvents(context: CliContext, deploymentId: string, options: EventsOptions): Promise<void> {
  const signal = context.interruption();
  const { brokeOff, reconnecting } = await import("../client/reconnecting.ts");
  const follow = options.follow === true;
  let fromSeq = options.from;

  const open = async function* (controller: Controller): AsyncGenerator<readonly Event[]> {
    const { events: client } = controller;
    for await (const { events } of controller.read(client, client.readEvents, { fromSeq, follow, deploymentId }, signal)) {
      yield events;
      fromSeq = (events.at(-1)?.seq ?? fromSeq - 1) + 1;
    }
    if (follow && !signal.aborted) throw brokeOff(controller);
  };

  const heard = reconnecting(open, {
    connect: () => openController(context, options),
    reconnectForMs: follow ? options.reconnectFor : 0,
    clock: context.clock,
    signal,
  });
  let isAway = false;
  for await (const update of heard) {
    if (update.kind === "item") await print(context, update.item, options);
    else if (!isAway) await writeLines(context.stderr, wrapLines([awayLine(update.error)], terminalColumns(context.stderr)));
    isAway = update.kind === "away";
  }
  if (signal.aborted) context.setExitCode(exitAfter(signal));
}

async function print(context: CliContext, events: readonly Event[], { output }: EventsOptions): Promise<void> {
  if (output === "json") {
    await write(context.stdout, events.map((event) => `${JSON.stringify(eventJson(event))}\n`).join(""));
    return;
  }
  await writeLines(
    context.stdout,
    events.map((event) => eventLine(event, context)),
  );
}

/** `    42  2026-01-31 12:03:04  d-7    web-1 …` */
function eventLine({ seq, at, deploymentId, text }: Event, { colors }: CliContext): string {
  const deployment = deploymentId === "" ? "-" : deploymentId;
  return `${colors.dim(`${String(seq).padStart(6)}  ${dateAndTime(at)}`)}  ${colors.bold(deployment.padEnd(5))}  ${plain(text)}`;
}
