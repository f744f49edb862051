/**
 * `muster retention show` and `muster retention set [--keep N] [--for DURATION] [--steps DURATION]`
 */
import { durationText } from "@muster/proto/duration.ts";
import type { Retention } from "@muster/proto/gen/muster/v1/history.ts";
import { counted } from "@muster/proto/text.ts";
import { type Command, Option } from "commander";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { retentionJson } from "../output/history-json.ts";
import { isoOrNull, printDocument } from "../output/json.ts";
import { size } from "../render/sizes.ts";
import { plain, wrap } from "../render/text.ts";
import { dateAndTime } from "../render/time.ts";
import type { GlobalOptions } from "../usage.ts";
import { parseDurationOption, wholeNumber, withExamples } from "./options.ts";

interface SetOptions extends GlobalOptions {
  readonly keep?: number;
  /** Milliseconds. */
  readonly for?: number;
  /** Milliseconds. */
  readonly steps?: number;
}

const KEEP_MAX = 1_000_000;
/** What the rule no longer keeps is removed before the answer. */
const REMOVAL_DEADLINE_MS = 60_000;

export function registerRetention(program: Command, context: CliContext): void {
  const retention = program
    .command("retention")
    .summary("say how long files of releases, and steps of deployments, are kept at hand")
    .description(
      "How long the files of releases that nothing runs are kept, and how long the steps of deployments stay in the database. What was deployed, and why, is kept for ever: older steps are in an archive beside the database, and read from there.",
    );
  const show = retention
    .command("show")
    .summary("show the rule")
    .description("Shows the rule.")
    .action(async (_options: unknown, self: Command) => {
      await showRetention(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(show, [["muster retention show -o json", "prints {keep, keep_for_ms, steps_for_ms, archived}"]]);
  const set = retention
    .command("set")
    .summary("change the rule, and remove what it no longer keeps")
    .description("Changes the rule, and removes at once what it no longer keeps. What is not named stays as it is.")
    .option("--keep <count>", "newest releases of each app whose files are kept", wholeNumber(1, KEEP_MAX))
    .addOption(new Option("--for <duration>", "younger ones are kept too, for example 90d").argParser(parseDurationOption))
    .addOption(new Option("--steps <duration>", "older steps of deployments go to the archive, for example 30d").argParser(parseDurationOption))
    .action(async (_options: unknown, self: Command) => {
      await setRetention(context, self.optsWithGlobals<SetOptions>());
    });
  withExamples(set, [
    ["muster retention set --keep 10 --for 90d", "files go when they are older and not among the ten newest"],
    ["muster retention set --steps 14d", "steps go to the archive after two weeks"],
  ]);
}

async function showRetention(context: CliContext, options: GlobalOptions): Promise<void> {
  const answer = await withController(context, options, (controller) => controller.unary(controller.history, controller.history.getRetention, {}));
  const retention = given(answer);
  const { archivedSteps, archivedBytes, archivedSince, archiveFaults } = answer;
  if (options.output === "json") {
    const archived = { steps: archivedSteps, size_bytes: archivedBytes, since: isoOrNull(archivedSince), faults: archiveFaults };
    return printDocument(context, { ...retentionJson(retention), archived });
  }
  const archive = archivedSteps === 0 ? "The archive is empty." : `The archive has ${counted(archivedSteps, "step")} since ${dateAndTime(archivedSince)}, in ${size(archivedBytes)}.`;
  await writeLines(context.stdout, [...ruleLines(retention, context.columns()), ...wrap(archive, context.columns()), ...archiveFaults.flatMap((fault) => wrap(plain(fault), context.columns()))]);
}

async function setRetention(context: CliContext, options: SetOptions): Promise<void> {
  if (options.keep === undefined && options.for === undefined && options.steps === undefined) {
    throw badInput("retention set: nothing to change; give --keep, --for or --steps, for example --keep 10 --for 90d");
  }
  let before: Retention | undefined;
  const answer = await withController(context, options, async (controller) => {
    before = await current(controller);
    const retention = { keep: options.keep ?? before.keep, keepForMs: options.for ?? before.keepForMs, stepsForMs: options.steps ?? before.stepsForMs };
    const { history } = controller;
    return controller.unary(history, history.setRetention, { retention, by: context.user() }, { deadlineMs: REMOVAL_DEADLINE_MS });
  });
  const retention = given(answer);
  if (options.output === "json") return printDocument(context, { ...retentionJson(retention), removed: answer.removed });
  const removed = answer.removed.length === 0 ? "no files were removed" : `removed the files of ${counted(answer.removed.length, "release")}:`;
  await writeLines(context.stdout, [
    ...ruleLines(retention, context.columns()),
    removed,
    ...wrap(plain(answer.removed.join(" ")), context.columns() - 2).map((line) => `  ${line}`),
    ...(before !== undefined && retention.stepsForMs < before.stepsForMs ? wrap(`Steps that are older than ${durationText(retention.stepsForMs)} go to the archive now; muster retention show says how many are there.`, context.columns()) : []),
  ]);
}

async function current(controller: Controller): Promise<Retention> {
  return given(await controller.unary(controller.history, controller.history.getRetention, {}));
}

function given({ retention }: { readonly retention?: Retention | undefined }): Retention {
  if (retention !== undefined) return retention;
  throw new CliError("the controller answered without a rule", { code: "internal", exit: EXIT.failed });
}

function ruleLines({ keep, keepForMs, stepsForMs }: Retention, columns: number): readonly string[] {
  const newest = keep === 1 ? "the newest release" : `the ${keep} newest releases`;
  return [
    ...wrap(`The files of ${newest} of each app that ${keep === 1 ? "was" : "were"} healthy somewhere are kept, and of all that are younger than ${durationText(keepForMs)}.`, columns),
    ...wrap(`Steps of deployments stay in the database for ${durationText(stepsForMs)}, and are in the archive afterwards.`, columns),
  ];
}
