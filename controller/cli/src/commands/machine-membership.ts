/**
 * `muster machine approve`, `reject` and `revoke`: who may be one of the fleet.
 */
import type { Command } from "commander";
import { MemberState } from "@muster/proto/gen/muster/v1/identity.ts";
import { withController } from "../client/session.ts";
import { write, type CliContext } from "../context.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";

interface RevokeOptions extends GlobalOptions {
  readonly reason?: string;
}

export function registerMachineMembership(machine: Command, context: CliContext): void {
  const approve = machine
    .command("approve")
    .summary("let a machine in that waits")
    .description("Lets a machine in that asked to join and waits for approval. It gets its credentials when it asks again, within seconds.")
    .argument("<machine>", "its id, see: muster machines --pending")
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.approveMachine, { machine: id }));
      await say(context, options, { id, state: MemberState.MEMBER }, `${id} may join`);
    });
  withExamples(approve, [["muster machine approve web-1", "compare its fingerprint first: muster machines --pending"]]);
  const reject = machine
    .command("reject")
    .summary("send a machine away that waits")
    .description("Sends a machine away that asked to join and waits for approval. It may ask again while its token is good.")
    .argument("<machine>", "its id, see: muster machines --pending")
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.rejectMachine, { machine: id }));
      await say(context, options, { id, state: "rejected" }, `${id} was sent away; to keep it from asking again: muster token revoke`);
    });
  withExamples(reject, [["muster machine reject web-1", "it is nobody we know"]]);
  const revoke = machine
    .command("revoke")
    .summary("take its credentials from a machine, at once")
    .description("Cuts a machine off at once and for good: its credentials count no more, and nobody joins under its id until it is removed. What runs on it goes on running there.")
    .argument("<machine>", "its id")
    .option("-r, --reason <text>", "why; it is kept in the journal")
    .action(async (id: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<RevokeOptions>();
      await withController(context, options, (controller) =>
        controller.unary(controller.identity, controller.identity.revokeMachine, { machine: id, reason: options.reason ?? "" }),
      );
      await say(context, options, { id, state: MemberState.REVOKED }, `${id} is cut off. To forget it: muster machine remove ${id}`);
    });
  withExamples(revoke, [["muster machine revoke web-1 --reason stolen", "its agent is refused from now on"]]);
}

const STATE_WORDS: Readonly<Record<string, string>> = { [MemberState.MEMBER]: "member", [MemberState.REVOKED]: "revoked", rejected: "rejected" };

async function say(context: CliContext, { output }: GlobalOptions, { id, state }: { readonly id: string; readonly state: string }, line: string): Promise<void> {
  if (output === "json") return printDocument(context, { id, state: STATE_WORDS[state] ?? state });
  await write(context.stdout, `${line}\n`);
}
