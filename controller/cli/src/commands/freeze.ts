/**
 * `muster freeze add [--from TIME] [--until TIME | --for DURATION]`, `muster freeze list` and `muster freeze end ID`
 */
import type { Freeze } from "@muster/proto/gen/muster/v1/fleet.ts";
import { type Command, Option } from "commander";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { freezeJson } from "../output/fleet-rules-json.ts";
import { printDocument } from "../output/json.ts";
import { freezeLines, freezeTable } from "../render/fleet-rules-view.ts";
import { dateAndTime } from "../render/time.ts";
import type { GlobalOptions } from "../usage.ts";
import { FUTURE_WAYS, parseMoment } from "./moment.ts";
import { parseDurationOption, viewOptions, withExamples } from "./options.ts";

interface AddOptions extends GlobalOptions {
  readonly from?: string;
  readonly until?: string;
  /** Milliseconds. */
  readonly for?: number;
  readonly reason?: string;
}

export function registerFreeze(program: Command, context: CliContext): void {
  const freeze = program
    .command("freeze")
    .summary("let no rollout start anything new for a time")
    .description("Times in which no rollout starts anything new. What is under way finishes, and rollbacks go on.");
  const add = freeze
    .command("add")
    .summary("freeze the fleet, now or later")
    .description("Freezes the fleet, now or later, for some time or until it is ended.")
    .option("--from <time>", `when it begins: ${FUTURE_WAYS}; at once when left out`)
    .option("--until <time>", "when it ends, written alike; when left out, it lasts until it is ended")
    .addOption(new Option("--for <duration>", "how long it lasts, instead of --until").argParser(parseDurationOption).conflicts("until"))
    .option("--reason <text>", "why; it is kept in the journal and told to those who wait")
    .action(async (_options: unknown, self: Command) => {
      await addFreeze(context, self.optsWithGlobals<AddOptions>());
    });
  withExamples(add, [
    ["muster freeze add --for 2h --reason 'sale'", "from now on, for two hours"],
    ["muster freeze add --from 22:00 --until 06:00", "tonight, in your time zone"],
    ["muster freeze add", "until: muster freeze end f-1"],
  ]);
  const list = freeze
    .command("list")
    .summary("list the freezes under way and to come")
    .description("Lists the freezes under way and to come, by their beginning.")
    .action(async (_options: unknown, self: Command) => {
      await listFreezes(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(list, [["muster freeze list", "what holds rollouts up, and until when"]]);
  const end = freeze
    .command("end")
    .summary("end a freeze, or take one back that has not begun")
    .description("Ends a freeze at once, or takes one back that has not begun. Rollouts go on by themselves.")
    .argument("<freeze>", "its id, for example f-1")
    .action(async (id: string, _options: unknown, self: Command) => {
      await endFreeze(context, id, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(end, [["muster freeze end f-1", "rollouts that wait for it go on"]]);
}

async function addFreeze(context: CliContext, options: AddOptions): Promise<void> {
  const request = { ...times(options, context.clock.now()), reason: options.reason ?? "", by: context.user() };
  const { freeze } = await withController(context, options, (controller) =>
    controller.unary(controller.fleet, controller.fleet.addFreeze, request),
  );
  if (freeze === undefined) throw new CliError("the controller answered without a freeze", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, freezeJson(freeze));
  await writeLines(context.stdout, freezeLines(freeze, viewOptions(context)));
}

/** 0 stands for now and for ever, as in the protocol. */
function times(options: AddOptions, now: number): Pick<Freeze, "from" | "until"> {
  const from = options.from === undefined ? now : parseMoment(options.from, { option: "--from", side: "future", now });
  const begin = options.from === undefined ? 0 : from;
  if (options.for !== undefined) {
    if (options.for === 0) throw badInput("--for 0 freezes nothing; try --for 2h");
    return { from: begin, until: from + options.for };
  }
  if (options.until === undefined) return { from: begin, until: 0 };
  const until = parseMoment(options.until, { option: "--until", side: "future", now, from });
  if (until > Math.max(from, now)) return { from: begin, until };
  throw badInput(`--until ${dateAndTime(until)} is not after ${until <= now ? "now" : `--from ${dateAndTime(from)}`}; nothing was frozen`);
}

async function listFreezes(context: CliContext, options: GlobalOptions): Promise<void> {
  const { freezes } = await withController(context, options, (controller) =>
    controller.unary(controller.fleet, controller.fleet.listFreezes, {}),
  );
  if (options.output === "json") return printDocument(context, freezes.map(freezeJson));
  const lines = freezeTable(freezes, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no freezes; rollouts may start at any time"]);
}

async function endFreeze(context: CliContext, id: string, options: GlobalOptions): Promise<void> {
  await withController(context, options, (controller) =>
    controller.unary(controller.fleet, controller.fleet.endFreeze, { id, by: context.user() }),
  );
  if (options.output === "json") return printDocument(context, { id, ended: true });
  await write(context.stdout, `${id} is ended\n`);
}
