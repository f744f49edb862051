/**
 * `muster machines [-l SELECTOR]`
 */
import type { Command } from "commander";
import { listMachines } from "../client/machines.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { printDocument } from "../output/json.ts";
import { machineJson } from "../output/machine-json.ts";
import type { GlobalOptions } from "../usage.ts";
import { memberJson } from "../output/identity-json.ts";
import { pendingTable } from "../render/identity-view.ts";
import { machineTable } from "../render/machine-view.ts";
import { viewOptions, withExamples } from "./options.ts";

interface MachinesOptions extends GlobalOptions {
  readonly selector?: string;
  readonly pending: boolean;
}

export function registerMachines(program: Command, context: CliContext): void {
  const command = program
    .command("machines")
    .summary("list the machines and what they run")
    .description("Lists the machines, what they run, and whether they are heard.")
    .option("-l, --selector <selector>", "only those with these labels, for example role=web,env in (prod,staging),!canary")
    .option("--pending", "those that asked to join and wait for: muster machine approve", false)
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<MachinesOptions>();
      if (options.pending) return listPending(context, options);
      const machines = await withController(context, options, (controller) => listMachines(controller, { selector: options.selector ?? "", withoutApps: false }));
      if (options.output === "json") return printDocument(context, machines.map(machineJson));
      const lines = machineTable(machines, viewOptions(context));
      await writeLines(context.stdout, lines.length > 0 ? lines : [(options.selector ?? "") === "" ? "no machines" : `no machine has the labels ${options.selector}; all of them: muster machines`]);
    });
  withExamples(command, [
    ["muster machines -l role=web,zone=a", "by label"],
    ["muster machines -l 'env in (prod,staging),!canary'", "selectors are those of Kubernetes"],
  ]);
}

async function listPending(context: CliContext, options: GlobalOptions): Promise<void> {
  const { members } = await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.listMembers, { pending: true }));
  if (options.output === "json") return printDocument(context, members.map(memberJson));
  const lines = pendingTable(members, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no machine waits"]);
}
