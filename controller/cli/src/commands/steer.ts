/**
 * `muster pause|resume|approve|promote|retry|abort|rollback ID` and `muster set ID max_unavailable VALUE`
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { Argument, type Command, InvalidArgumentError } from "commander";
import { withController } from "../client/session.ts";
import { terminalColumns, writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { deploymentJson } from "../output/deployment-json.ts";
import { printDocument } from "../output/json.ts";
import { hasEnded } from "../output/words.ts";
import { afterSubmission, nextCommands } from "../render/next-commands.ts";
import { rolloutView } from "../render/rollout-view.ts";
import { wrapLines } from "../render/text.ts";
import type { GlobalOptions } from "../usage.ts";
import { followRollout } from "./follow-rollout.ts";
import { viewOptions, withExamples, withWatching } from "./options.ts";
import { type Steering, STEERINGS, type SteerOptions } from "./steerings.ts";

export function registerSteering(program: Command, context: CliContext): void {
  for (const steering of STEERINGS) register(program, context, steering);
  registerSet(program, context);
}

function register(program: Command, context: CliContext, steering: Steering): void {
  const { name, summary, description, options: withOwnOptions = (own) => own, watchHelp, examples } = steering;
  const command = program.command(name).summary(summary).description(description).argument("<id>", "the deployment, for example d-7");
  withOwnOptions(command)
    .option("--reason <text>", "why; it is kept in the journal")
    .option("--watch", watchHelp)
    .action(async (id: string, _options: unknown, self: Command) => {
      await steer(context, steering, id, self.optsWithGlobals<SteerOptions>());
    });
  withExamples(withWatching(command), examples);
}

async function steer(context: CliContext, { goal, untilSettled = false, steer: ask }: Steering, id: string, options: SteerOptions): Promise<void> {
  const wish = { id, reason: options.reason ?? "", by: context.user() };
  const deployment = given(await withController(context, options, (controller) => ask(controller, wish, options)));
  if (options.watch === true) await followRollout(context, deployment.id, { goal: goal(options), untilSettled }, options);
  else await show(context, deployment, options, deployment.id !== id);
}

const SETTINGS = ["max_unavailable"] as const;

interface SetOptions extends GlobalOptions {
  readonly reason?: string;
}

function registerSet(program: Command, context: CliContext): void {
  const command = program
    .command("set")
    .summary("change a setting of a rollout while it runs")
    .description("Changes a setting of a rollout while it runs. It holds from now on: what is under way goes on.")
    .argument("<id>", "the deployment, for example d-7")
    .addArgument(new Argument("<setting>", "what to change").choices(SETTINGS))
    .argument("<value>", "a count or a percentage, as in the deployment file", countOrPercentage)
    .option("--reason <text>", "why; it is kept in the journal")
    .action(async (id: string, _setting: (typeof SETTINGS)[number], maxUnavailable: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<SetOptions>();
      const request = { id, reason: options.reason ?? "", by: context.user(), maxUnavailable };
      const deployment = given(
        await withController(context, options, (controller) =>
          controller.unary(controller.deployments, controller.deployments.setMaxUnavailable, request),
        ),
      );
      await show(context, deployment, options);
      if (options.output === "text" && hasEnded(deployment.phase)) {
        const text = `max_unavailable is ${deployment.maxUnavailable} from now on, for machines that take ${deployment.id} after its end: those that were away or cordoned, join later, or are retried`;
        await writeLines(context.stdout, wrapLines([text], terminalColumns(context.stdout)));
      }
    });
  withExamples(command, [
    ["muster set d-7 max_unavailable 10", "ten machines at once"],
    ["muster set d-7 max_unavailable 25%", "a quarter of its machines"],
  ]);
}

function countOrPercentage(text: string): string {
  const [, number, percent] = /^([0-9]+)(%?)$/.exec(text) ?? [];
  const value = Number(number);
  if (number !== undefined && value >= 1 && (percent === "" || value <= 100)) return text;
  throw new InvalidArgumentError("It is neither a count from 1 nor a percentage from 1% to 100% (try 10 or 25%).");
}

function given({ deployment }: { readonly deployment?: Deployment | undefined }): Deployment {
  if (deployment !== undefined) return deployment;
  throw new CliError("the controller answered without a deployment", { code: "internal", exit: EXIT.failed });
}

async function show(context: CliContext, deployment: Deployment, { output }: GlobalOptions, isNew: boolean = false): Promise<void> {
  if (output === "json") return printDocument(context, deploymentJson(deployment));
  const next = isNew ? afterSubmission(deployment, context.colors, { columns: terminalColumns(context.stdout) }) : nextCommands(deployment, context.colors, { columns: terminalColumns(context.stdout) });
  await writeLines(context.stdout, [...rolloutView(deployment, viewOptions(context)), ...next]);
}
