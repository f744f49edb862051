/**
 * `muster status [ID] [--targets] [--at TIME]`
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Command } from "commander";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { terminalColumns, writeLines, type CliContext } from "../context.ts";
import { badInput } from "../errors.ts";
import { countsOf } from "../output/counts.ts";
import { deploymentJson, deploymentWithTargetsJson } from "../output/deployment-json.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { nextCommands } from "../render/next-commands.ts";
import { headerLine, rolloutView } from "../render/rollout-view.ts";
import { failedTargetLines, targetTable } from "../render/target-lines.ts";
import { ago, dateAndTime } from "../render/time.ts";
import { parseMoment, PAST_WAYS } from "./moment.ts";
import { viewOptions, withExamples } from "./options.ts";

interface StatusOptions extends GlobalOptions {
  readonly targets?: boolean;
  readonly at?: string;
}

export function registerStatus(program: Command, context: CliContext): void {
  const command = program
    .command("status")
    .summary("show where a deployment stands, and why")
    .description("Shows where a deployment stands, what it waits for, and why it is as it is.")
    .argument("[id]", "the deployment, for example d-7; the newest when left out")
    .option("--targets", "each machine with its state and reason")
    .option("--at <time>", `as it stood then: ${PAST_WAYS}`)
    .action(async (id: string | undefined, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<StatusOptions>();
      await withController(context, options, (controller) => showStatus(context, controller, id, options));
    });
  withExamples(command, [
    ["muster status", "the newest deployment"],
    ["muster status d-7 --targets", "machine by machine"],
    ["muster status d-7 --at -5m", "as it stood five minutes ago"],
    ["muster status d-7 -o json", "for scripts; see docs/cli.md for its shape"],
  ]);
}

async function showStatus(context: CliContext, controller: Controller, id: string | undefined, options: StatusOptions): Promise<void> {
  const { getDeployment } = await import("../client/rollout-stream.ts");
  const withTargets = options.targets === true;
  const at = options.at === undefined ? undefined : pastMoment(options.at, context.clock.now());
  const deployment = await getDeployment(controller, id ?? "", withTargets, at);
  if (options.output === "json") {
    await printDocument(context, withTargets ? deploymentWithTargetsJson(deployment) : deploymentJson(deployment));
    return;
  }
  const view = { ...viewOptions(context), now: at ?? context.controllerClock.now() };
  const failures = hasFailures(deployment) && !withTargets ? failedTargetLines(await getDeployment(controller, deployment.id, true, at), view) : [];
  const others = id === undefined && at === undefined ? await otherActive(controller, deployment) : [];
  await writeLines(context.stdout, [
    ...(at === undefined ? [] : [context.colors.dim(`as it stood at ${dateAndTime(at)}, ${ago(at, context.controllerClock.now())}`)]),
    ...rolloutView(deployment, view),
    ...underHeading("why:", failures),
    ...underHeading("", withTargets ? targetTable(deployment, view) : []),
    ...underHeading("also active:", others.map((other) => `  ${headerLine(other, { ...view, columns: view.columns - 2 })}`)),
    ...(at === undefined ? nextCommands(deployment, context.colors, { columns: terminalColumns(context.stdout), showsTargets: withTargets }) : []),
  ]);
}

function pastMoment(text: string, now: number): number {
  const at = parseMoment(text, { option: "--at", side: "past", now });
  if (at <= now) return at;
  throw badInput(`--at ${dateAndTime(at)} lies ahead; what will be, tells: muster plan`);
}

function hasFailures({ counts }: Deployment): boolean {
  const { failed, unreachable, reverted } = countsOf(counts);
  return failed + unreachable + reverted > 0;
}

async function otherActive(controller: Controller, { id }: Deployment): Promise<readonly Deployment[]> {
  const { deployments: client } = controller;
  const { deployments } = await controller.unary(client, client.listDeployments, { app: "", activeOnly: true, limit: 0 });
  return deployments.filter((other) => other.id !== id);
}

function underHeading(heading: string, lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  return heading === "" ? ["", ...lines] : ["", heading, ...lines];
}
