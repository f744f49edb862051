/**
 * `muster audit [--since TIME] [--who NAME] [--refused] [-n N] [--follow]`
 */
import type { AuditEntry } from "@muster/proto/gen/muster/v1/access.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { exitAfter } from "../errors.ts";
import { auditJson } from "../output/access-json.ts";
import { auditLine } from "../render/access-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { parseMoment, PAST_WAYS } from "./moment.ts";
import { wholeNumber, withExamples } from "./options.ts";

/** As many as the controller gives at once. */
const ENTRIES_MAX = 10_000;
const ENTRIES_DEFAULT = 100;

interface AuditOptions extends GlobalOptions {
  readonly since?: string;
  readonly who?: string;
  readonly refused?: boolean;
  readonly lines: number;
  readonly follow?: boolean;
}

export function registerAudit(program: Command, context: CliContext): void {
  const command = program
    .command("audit")
    .summary("show who did what, and who was refused")
    .description("Shows who changed what, from where, and every call that was refused. The journal, `muster events`, says what came of it.")
    .option("--since <time>", `not before this: ${PAST_WAYS}`)
    .option("--who <name>", "only of this user, machine or local caller")
    .option("--refused", "only what was refused")
    .option("-n, --lines <count>", "the newest so many", wholeNumber(1, ENTRIES_MAX), ENTRIES_DEFAULT)
    .option("--follow", "stay, and show what comes")
    .action(async (_options: unknown, self: Command) => {
      await readAudit(context, self.optsWithGlobals<AuditOptions>());
    });
  withExamples(command, [
    ["muster audit --refused --since -1h", "who knocked within the last hour"],
    ["muster audit --follow -o json", "feed another program"],
  ]);
}

async function readAudit(context: CliContext, options: AuditOptions): Promise<void> {
  const { since, who = "", refused = false, lines: limit, follow = false } = options;
  const at = since === undefined ? 0 : parseMoment(since, { option: "--since", side: "past", now: context.clock.now() });
  const signal = context.interruption();
  await withController(context, options, async (controller) => {
    const request = { since: at, who, refused, limit, follow };
    for await (const { entries } of controller.read(controller.access, controller.access.readAudit, request, signal)) await print(context, entries, options);
  });
  if (signal.aborted) context.setExitCode(exitAfter(signal));
}

async function print(context: CliContext, entries: readonly AuditEntry[], { output }: AuditOptions): Promise<void> {
  if (output === "json") {
    await write(context.stdout, entries.map((entry) => `${JSON.stringify(auditJson(entry))}\n`).join(""));
    return;
  }
  await writeLines(
    context.stdout,
    entries.map((entry) => auditLine(entry, context)),
  );
}
