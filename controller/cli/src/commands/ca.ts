/**
 * `muster ca show`, `muster ca rotate` and `muster ca retire`: the certificate authority by which machines know the controller, and it them.
 */
import type { Command } from "commander";
import type { Authority } from "@muster/proto/gen/muster/v1/identity.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { authorityJson } from "../output/identity-json.ts";
import { printDocument } from "../output/json.ts";
import { authorityLines } from "../render/identity-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, withExamples } from "./options.ts";

interface RetireOptions extends GlobalOptions {
  readonly force: boolean;
}

export function registerCa(program: Command, context: CliContext): void {
  const ca = program
    .command("ca")
    .summary("show and rotate the certificate authority")
    .description("The certificate authority by which machines and operators know the controller, and by which it knows machines. A rotation has two steps, so that nobody is lost.");
  const show = ca
    .command("show")
    .summary("show the authorities, and who depends on the old one")
    .description("Shows the authorities that count, oldest first, and during a rotation which machines still depend on the old one.")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const { authorities } = await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.listAuthorities, {}));
      await print(context, authorities, options);
    });
  withExamples(show, [["muster ca show", "its fingerprint is what logins are pinned to"]]);
  const rotate = ca
    .command("rotate")
    .summary("begin a rotation: a new authority beside the old one")
    .description("Makes a new authority. Connected machines learn it and renew their credentials within seconds, others when they are back; both count until the old one is retired.")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const { authorities } = await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.rotateAuthority, {}));
      await print(context, authorities, options);
    });
  withExamples(rotate, [["muster ca rotate", "then watch muster ca show, then muster ca retire"]]);
  const retire = ca
    .command("retire")
    .summary("end a rotation: the old authority counts no more")
    .description("Ends a rotation: what the old authority has signed counts no more, and tokens made before are worth nothing. Refused while machines depend on it.")
    .option("--force", "though machines are lost, which must join again", false)
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<RetireOptions>();
      const { authorities } = await withController(context, options, (controller) =>
        controller.unary(controller.identity, controller.identity.retireAuthority, { force: options.force }),
      );
      await print(context, authorities, options);
    });
  withExamples(retire, [["muster ca retire", "once muster ca show names no machine any more"]]);
}

async function print(context: CliContext, authorities: readonly Authority[], options: GlobalOptions): Promise<void> {
  if (options.output === "json") return printDocument(context, authorities.map(authorityJson));
  await writeLines(context.stdout, authorityLines(authorities, viewOptions(context)));
}
