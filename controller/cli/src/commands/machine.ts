/**
 * `muster machine MACHINE`, the same as `muster machine show MACHINE`, and the commands that change one machine for good.
 *
 * A machine that has the name of one of these commands is shown with `show` alone; all others take the machine as an argument of their own.
 */
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { machineJson } from "../output/machine-json.ts";
import type { GlobalOptions } from "../usage.ts";
import { machineView } from "../render/machine-view.ts";
import { registerMachineLabel } from "./machine-label.ts";
import { registerMachineMembership } from "./machine-membership.ts";
import { registerMachineRemove } from "./machine-remove.ts";
import { viewOptions, withExamples } from "./options.ts";

export function registerMachine(program: Command, context: CliContext): void {
  const show = async (id: string, _options: unknown, self: Command): Promise<void> => showMachine(context, id, self.optsWithGlobals<GlobalOptions>());
  const command = program
    .command("machine")
    .summary("show one machine and each app on it; label it, remove it")
    .description("Shows one machine and each app on it: what it should run, what it runs, and why. Its commands change the machine.")
    .argument("<machine>", "the machine's id; one that is called like a command is shown with: muster machine show")
    .action(show);
  withExamples(command, [["muster machine web-1", "labels, apps, ports, reasons"]]);
  const named = command
    .command("show")
    .summary("show it, whatever it is called")
    .description("Shows one machine and each app on it, also one that is called like a command.")
    .argument("<machine>", "the machine's id")
    .action(show);
  withExamples(named, [["muster machine show web-1", "the same as: muster machine web-1"]]);
  registerMachineLabel(command, context);
  registerMachineRemove(command, context);
  registerMachineMembership(command, context);
}

async function showMachine(context: CliContext, id: string, options: GlobalOptions): Promise<void> {
  const { machine } = await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.getMachine, { id }));
  if (machine === undefined) throw new CliError("the controller answered without a machine", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, machineJson(machine));
  await writeLines(context.stdout, machineView(machine, viewOptions(context)));
}
