/**
 * `muster machines [-l SELECTOR]` and `muster machine ID`
 */
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { machineJson } from "../output/machine-json.ts";
import type { GlobalOptions } from "../usage.ts";
import { machineTable, machineView } from "../render/machine-view.ts";
import { viewOptions, withExamples } from "./options.ts";

interface MachinesOptions extends GlobalOptions {
  readonly selector?: string;
}

export function registerMachines(program: Command, context: CliContext): void {
  const command = program
    .command("machines")
    .summary("list the machines and what they run")
    .description("Lists the machines, what they run, and whether they are heard.")
    .option("-l, --selector <selector>", "only those with these labels, for example role=web,env in (prod,staging),!canary")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<MachinesOptions>();
      const { machines } = await withController(context, options, (controller) =>
        controller.unary(controller.fleet, controller.fleet.listMachines, { selector: options.selector ?? "" }),
      );
      if (options.output === "json") return printDocument(context, machines.map(machineJson));
      const lines = machineTable(machines, viewOptions(context));
      await writeLines(context.stdout, lines.length > 0 ? lines : ["no machines"]);
    });
  withExamples(command, [
    ["muster machines -l role=web,zone=a", "by label"],
    ["muster machines -l 'env in (prod,staging),!canary'", "selectors are those of Kubernetes"],
  ]);
}

export function registerMachine(program: Command, context: CliContext): void {
  const command = program
    .command("machine")
    .summary("show one machine and each app on it")
    .description("Shows one machine and each app on it: what it should run, what it runs, and why.")
    .argument("<machine>", "the machine's id")
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const { machine } = await withController(context, options, (controller) =>
        controller.unary(controller.fleet, controller.fleet.getMachine, { id }),
      );
      if (machine === undefined) {
        throw new CliError("the controller answered without a machine", { code: "internal", exit: EXIT.failed });
      }
      if (options.output === "json") return printDocument(context, machineJson(machine));
      await writeLines(context.stdout, machineView(machine, viewOptions(context)));
    });
  withExamples(command, [["muster machine web-1", "labels, apps, ports, reasons"]]);
}
