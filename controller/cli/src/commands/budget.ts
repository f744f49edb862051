/**
 * `muster budget set SELECTOR N`, `muster budget list` and `muster budget rm SELECTOR`
 */
import { whereText } from "@muster/proto/selector.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { budgetJson } from "../output/fleet-rules-json.ts";
import { printDocument } from "../output/json.ts";
import { budgetLine, budgetTable } from "../render/fleet-rules-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, wholeNumber, withExamples } from "./options.ts";

/** More machines than a fleet has. */
const UNAVAILABLE_MAX = 1_000_000;

export function registerBudget(program: Command, context: CliContext): void {
  const budget = program
    .command("budget")
    .summary("limit how many of a group may be unavailable")
    .description("Limits how many machines of a group may be unavailable at once, over all rollouts together. Drains keep to it too.");
  const set = budget
    .command("set")
    .summary("give a group a budget, or another one")
    .description("Gives a group of machines a budget, or another one.")
    .argument("<selector>", "the group, for example role=db; '' for all machines")
    .argument("<count>", "how many may be unavailable at once", wholeNumber(0, UNAVAILABLE_MAX))
    .action(async (selector: string, maxUnavailable: number, _options: unknown, self: Command) => {
      await setBudget(context, selector, maxUnavailable, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(set, [["muster budget set role=db 1", "one database at a time, whoever deploys"]]);
  const list = budget
    .command("list")
    .summary("list the budgets and what they are used for")
    .description("Lists the budgets and which machines use them up now.")
    .action(async (_options: unknown, self: Command) => {
      await listBudgets(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(list, [["muster budget list -o json", "with all machines that are unavailable"]]);
  const remove = budget
    .command("rm")
    .summary("remove the budget of a group")
    .description("Removes the budget of a group.")
    .argument("<selector>", "the group as it was written, see: muster budget list; '' for all machines")
    .action(async (selector: string, _options: unknown, self: Command) => {
      await removeBudget(context, selector, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(remove, [["muster budget rm role=db", "each rollout keeps its own max_unavailable"]]);
}

async function setBudget(context: CliContext, selector: string, maxUnavailable: number, options: GlobalOptions): Promise<void> {
  const request = { selector, maxUnavailable, by: context.user() };
  const { budget } = await withController(context, options, (controller) =>
    controller.unary(controller.fleet, controller.fleet.setBudget, request),
  );
  if (budget === undefined) throw new CliError("the controller answered without a budget", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, budgetJson(budget));
  await writeLines(context.stdout, [budgetLine(budget, viewOptions(context))]);
}

async function listBudgets(context: CliContext, options: GlobalOptions): Promise<void> {
  const { budgets } = await withController(context, options, (controller) =>
    controller.unary(controller.fleet, controller.fleet.listBudgets, {}),
  );
  if (options.output === "json") return printDocument(context, budgets.map(budgetJson));
  const lines = budgetTable(budgets, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no budgets; set one with: muster budget set role=db 1"]);
}

async function removeBudget(context: CliContext, selector: string, options: GlobalOptions): Promise<void> {
  const request = { selector, by: context.user() };
  await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.removeBudget, request));
  if (options.output === "json") return printDocument(context, { selector, removed: true });
  await write(context.stdout, `${whereText(selector)} ${selector === "" ? "have" : "has"} no budget any more\n`);
}
