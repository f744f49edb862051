/**
 * `muster machine remove MACHINE [--reason TEXT]`
 */
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, type CliContext } from "../context.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";

interface RemoveOptions extends GlobalOptions {
  readonly reason?: string;
}

export function registerMachineRemove(machine: Command, context: CliContext): void {
  const command = machine
    .command("remove")
    .summary("forget it: it is no part of the fleet any more")
    .description(
      "Forgets a machine at once: it is listed and counted nowhere, and no rollout touches it any more or waits for it to be heard; one that lost it with its release says so, and waits for muster promote. What runs there is left alone. " +
        "One that joins later under its name is a new machine.",
    )
    .argument("<machine>", "the machine's id")
    .option("--reason <text>", "why; it is kept in the journal")
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<RemoveOptions>();
      const request = { machine: id, reason: options.reason ?? "", by: context.user() };
      await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.removeMachine, request));
      if (options.output === "json") return printDocument(context, { id, removed: true });
      await write(context.stdout, `${id} is no part of the fleet any more\n`);
    });
  withExamples(command, [
    ["muster machine remove web-1 --reason scrapped", "muster why web-1 tells its story later, too"],
    ["muster drain web-1", "before that, to stop what runs there"],
  ]);
}
