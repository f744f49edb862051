/**
 * `muster plan -f FILE`: what a deployment would do, and how far it would come if the release were bad. Changes nothing.
 */
import type { PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { EXIT, interrupted } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { planJson } from "../output/plan-json.ts";
import { countMachines, planView } from "../render/plan-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { faulty, readDeploymentFile } from "./deployment-file.ts";
import { viewOptions, withExamples } from "./options.ts";
import { openProgress } from "./progress.ts";

interface PlanOptions extends GlobalOptions {
  readonly file: string;
  readonly all?: boolean;
}

/** The rollout is carried out in simulation, several times, on the whole fleet. */
const PLAN_DEADLINE_MS = 60_000;

export function registerPlan(program: Command, context: CliContext): void {
  const command = program
    .command("plan")
    .summary("foretell what a deployment would do, or break")
    .description(
      "Foretells what a deployment would do: waves, machines in their order, gates, how long it takes; and, found by simulation, how far the " +
        "release would come if it were bad. Sends no artifact and changes nothing. Exit code 0 when there is nothing to change, 10 when there is.",
    )
    .requiredOption("-f, --file <file>", "the deployment file; - reads stdin")
    .option("--all", "every machine, however many there are")
    .action(async (_options: unknown, self: Command) => {
      await plan(context, self.optsWithGlobals<PlanOptions>());
    });
  withExamples(command, [
    ["muster plan -f muster.yaml", "before: muster deploy -f muster.yaml"],
    ["muster plan -f muster.yaml -o json", "for a check in CI: .blast_radius[].max_machines"],
  ]);
}

async function plan(context: CliContext, options: PlanOptions): Promise<void> {
  const signal = context.interruption();
  const file = await readDeploymentFile(context, options.file);
  const progress = await openProgress(context, options.output);
  progress.show(`planning ${file.name}`);
  const answer = await withController(context, options, (controller) =>
    controller.unary(controller.forecast, controller.forecast.plan, { fileName: file.name, content: file.content }, { deadlineMs: PLAN_DEADLINE_MS, signal }),
  )
    .catch((error: unknown) => {
      throw signal.aborted ? interrupted(signal, "interrupted; nothing was changed, and nothing would have been") : error;
    })
    .finally(() => progress.end());
  if (answer.faults.length > 0) throw faulty(file, answer.faults, "nothing was planned");
  await show(context, answer, options);
  context.setExitCode(countMachines(answer) === 0 ? EXIT.done : EXIT.changes);
}

async function show(context: CliContext, answer: PlanResponse, { output, all = false }: PlanOptions): Promise<void> {
  if (output === "json") return printDocument(context, planJson(answer));
  await writeLines(context.stdout, planView(answer, { ...viewOptions(context), all }));
}
