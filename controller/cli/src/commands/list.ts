/**
 * `muster list`
 */
import type { Command } from "commander";
import { LARGE_READ_DEADLINE_MS } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { deploymentJson } from "../output/deployment-json.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { deploymentTable } from "../render/list-view.ts";
import { viewOptions, withExamples, wholeNumber } from "./options.ts";

interface ListOptions extends GlobalOptions {
  readonly app?: string;
  readonly active?: boolean;
  readonly limit: number;
}

const LIMIT_DEFAULT = 50;
/** The most that the controller gives. */
const LIMIT_MAX = 1000;

export function registerList(program: Command, context: CliContext): void {
  const command = program
    .command("list")
    .summary("list deployments, newest first")
    .description("Lists deployments, newest first.")
    .option("--app <name>", "only of this app")
    .option("--active", "only those that have not ended")
    .option("--limit <count>", "at most so many", wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<ListOptions>();
      const request = { app: options.app ?? "", activeOnly: options.active === true, limit: options.limit };
      const { deployments } = await withController(context, options, (controller) =>
        controller.unary(controller.deployments, controller.deployments.listDeployments, request, { deadlineMs: LARGE_READ_DEADLINE_MS }),
      );
      if (options.output === "json") return printDocument(context, deployments.map(deploymentJson));
      const lines = deploymentTable(deployments, viewOptions(context));
      await writeLines(context.stdout, lines.length > 0 ? lines : [noneText(options)]);
    });
  withExamples(command, [
    ["muster list --active", "what goes on now"],
    ["muster list --app shop-web --limit 5", "the last five of an app"],
  ]);
}

/** Of what was looked for there is nothing; there may be others. */
function noneText({ app, active }: ListOptions): string {
  const of = app === undefined ? "" : ` of ${app}`;
  if (active === true) return `no deployment${of} is under way or waits; all of them: muster list${app === undefined ? "" : ` --app ${app}`}`;
  return app === undefined ? "no deployments; make one with: muster deploy -f muster.yaml" : `no deployments of ${app}; those of all apps: muster list`;
}
