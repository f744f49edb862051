/**
 * `muster nats export`: what a nats-server of one's own needs to know.
 */
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, type CliContext } from "../context.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";

export function registerNats(program: Command, context: CliContext): void {
  const nats = program.command("nats").summary("use a nats-server of your own").description("For controllers that tell machines through a nats-server of your own: muster controller --nats-url.");
  const exported = nats
    .command("export")
    .summary("print the configuration for it")
    .description("Prints the configuration with which a nats-server (2.9.10 or newer) carries this controller's messages: its operator and accounts. It holds no secret.")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const { config } = await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.exportNats, {}));
      if (options.output === "json") return printDocument(context, { config });
      await write(context.stdout, config);
    });
  withExamples(exported, [["muster nats export > muster.conf", "then: include muster.conf in nats-server's own"]]);
}
