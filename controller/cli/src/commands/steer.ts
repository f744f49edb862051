/**
 * `muster pause|resume|abort|rollback ID`
 */
import type { Deployment, PauseRequest } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Command } from "commander";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { deploymentJson } from "../output/deployment-json.ts";
import { printDocument } from "../output/json.ts";
import { nextCommands } from "../render/next-commands.ts";
import { rolloutView } from "../render/rollout-view.ts";
import { followRollout, type FollowOptions } from "./follow-rollout.ts";
import type { Goal } from "./goal.ts";
import { viewOptions, withExamples, withReconnectFor, type WatchOptions } from "./options.ts";

interface SteerOptions extends FollowOptions, WatchOptions {
  readonly reason?: string;
}

/** All four requests have one shape. */
type Steer = (controller: Controller, request: PauseRequest) => Promise<{ readonly deployment?: Deployment | undefined }>;

interface Steering {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  /** What --watch waits for, and what exit code 0 then means. */
  readonly goal: Goal;
  readonly watchHelp: string;
  readonly steer: Steer;
  readonly examples: readonly (readonly [string, string])[];
}

const STEERINGS: readonly Steering[] = [
  {
    name: "pause",
    summary: "touch no new machine; those under way finish",
    description: "Pauses a rollout: no new machine is touched, and those under way finish.",
    goal: "paused",
    watchHelp: "wait until no machine is under way",
    steer: (controller, request) => controller.unary(controller.deployments, controller.deployments.pause, request),
    examples: [["muster pause d-7 --reason 'high error rate'", "the reason is kept in the journal"]],
  },
  {
    name: "resume",
    summary: "go on with a paused rollout",
    description: "Goes on with a paused rollout. The failures known by now are acknowledged and count no more.",
    goal: "succeeded",
    watchHelp: "go on as watch does",
    steer: (controller, request) => controller.unary(controller.deployments, controller.deployments.resume, request),
    examples: [["muster resume d-7 --watch", "go on, and see it happen"]],
  },
  {
    name: "abort",
    summary: "stop, and leave every machine as it is",
    description: "Ends a rollout and leaves every machine as it is.",
    goal: "aborted",
    watchHelp: "wait until it has ended; exit code 0 when it is aborted",
    steer: (controller, request) => controller.unary(controller.deployments, controller.deployments.abort, request),
    examples: [["muster abort d-7", "machines that have the new release keep it"]],
  },
  {
    name: "rollback",
    summary: "take every machine back to what it ran before",
    description: "Takes each machine back to what it ran before this deployment.",
    goal: "rolled_back",
    watchHelp: "wait until it has ended; exit code 0 when it is rolled back",
    steer: (controller, request) => controller.unary(controller.deployments, controller.deployments.rollback, request),
    examples: [["muster rollback d-7 --reason 'wrong prices' --watch", "take it back, and see it happen"]],
  },
];

export function registerSteering(program: Command, context: CliContext): void {
  for (const steering of STEERINGS) register(program, context, steering);
}

function register(program: Command, context: CliContext, { name, summary, description, goal, watchHelp, steer, examples }: Steering): void {
  const command = program
    .command(name)
    .summary(summary)
    .description(description)
    .argument("<id>", "the deployment, for example d-7")
    .option("--reason <text>", "why; it is kept in the journal")
    .option("--watch", watchHelp)
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<SteerOptions>();
      const request = { id, reason: options.reason ?? "" };
      const { deployment } = await withController(context, options, (controller) => steer(controller, request));
      if (deployment === undefined) {
        throw new CliError("the controller answered without a deployment", { code: "internal", exit: EXIT.failed });
      }
      if (options.watch === true) await followRollout(context, id, goal, options);
      else await show(context, deployment, options);
    });
  withExamples(withReconnectFor(command), examples);
}

async function show(context: CliContext, deployment: Deployment, { output }: SteerOptions): Promise<void> {
  if (output === "json") return printDocument(context, deploymentJson(deployment));
  await writeLines(context.stdout, [...rolloutView(deployment, viewOptions(context)), ...nextCommands(deployment, context.colors)]);
}
