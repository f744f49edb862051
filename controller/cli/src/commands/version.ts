/**
 * `muster version`
 */
import type { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { write, type CliContext } from "../context.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";

export function registerVersion(program: Command, context: CliContext): void {
  program
    .command("version")
    .summary("print the version")
    .description("Prints the version of this command.")
    .action(async (_options: unknown, self: Command) => {
      const { version } = packageJson;
      const node = process.versions.node;
      if (self.optsWithGlobals<GlobalOptions>().output === "json") return printDocument(context, { version, node });
      await write(context.stdout, `muster ${version} (Node ${node})\n`);
    });
}
