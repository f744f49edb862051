/**
 * `muster why MACHINE [DEPLOYMENT]` and `muster why DEPLOYMENT`
 */
import type { WhyRequest } from "@muster/proto/gen/muster/v1/history.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { badInput } from "../errors.ts";
import { whyJson } from "../output/history-json.ts";
import { printDocument } from "../output/json.ts";
import { whyView } from "../render/why-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, withExamples } from "./options.ts";

/** Reading the journal of a large rollout takes longer than a look-up. */
const DEADLINE_MS = 30_000;

export function registerWhy(program: Command, context: CliContext): void {
  const command = program
    .command("why")
    .summary("explain a machine or a deployment")
    .description(
      "Explains a machine or a deployment: where it stands, what it waits for, what would let it go on, and each decision that led there, " +
        "from the journal. What is written as d-7 is a deployment, everything else a machine.",
    )
    .argument("<subject>", "a machine or a deployment, for example web-1 or d-7")
    .argument("[id]", "for a machine: the deployment; else the newest one that has to do with it")
    .action(async (subject: string, deployment: string | undefined, _options: unknown, self: Command) => {
      await explain(context, asked(subject, deployment), self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(command, [
    ["muster why web-3", "why it runs what it runs"],
    ["muster why web-3 d-7", "its part in d-7"],
    ["muster why d-7", "why the rollout stands where it does"],
  ]);
}

function asked(subject: string, deployment: string | undefined): WhyRequest {
  if (deployment === undefined) return isDeployment(subject) ? { machine: "", deploymentId: subject } : { machine: subject, deploymentId: "" };
  if (!isDeployment(deployment)) throw badInput(`why: ${JSON.stringify(deployment)} is not a deployment; try ${subject} d-7, see: muster list`);
  if (isDeployment(subject)) throw badInput(`why: ${subject} and ${deployment} are both deployments; name a machine first, or one deployment alone`);
  return { machine: subject, deploymentId: deployment };
}

function isDeployment(word: string): boolean {
  return /^d-[0-9]+$/.test(word);
}

async function explain(context: CliContext, request: WhyRequest, options: GlobalOptions): Promise<void> {
  const answer = await withController(context, options, (controller) =>
    controller.unary(controller.history, controller.history.why, request, { deadlineMs: DEADLINE_MS }),
  );
  if (options.output === "json") return printDocument(context, whyJson(request, answer));
  await writeLines(context.stdout, whyView(answer, viewOptions(context)));
}
