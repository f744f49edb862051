/**
 * `muster token create`, `muster token list` and `muster token revoke ID`: what machines join with.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { durationText } from "@muster/proto/duration.ts";
import { isLabelKey, isLabelValue } from "@muster/proto/selector.ts";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { tokenJson } from "../output/identity-json.ts";
import { printDocument } from "../output/json.ts";
import { tokenTable } from "../render/identity-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { parseDurationOption, viewOptions, wholeNumber, withExamples } from "./options.ts";

const USES_MAX = 100_000;
const TTL_DEFAULT = "1h";

type Labels = Readonly<Record<string, string>>;

interface CreateOptions extends GlobalOptions {
  readonly uses: number;
  readonly ttl: number;
  readonly label: Labels;
  readonly approve: boolean;
}

export function registerToken(program: Command, context: CliContext): void {
  const token = program.command("token").summary("make tokens that machines join with").description("Makes tokens with which machines join the fleet, lists and revokes them.");
  const create = token
    .command("create")
    .summary("make a token, shown once")
    .description("Makes a token with which machines join. It is shown once and kept nowhere: the controller knows its hash. It goes to stdout alone, so it can be piped.")
    .option("--uses <count>", "how many machines may join with it", wholeNumber(1, USES_MAX), 1)
    .addOption(new Option("--ttl <duration>", "how long it is good").argParser(parseDurationOption).default(parseDurationOption(TTL_DEFAULT), TTL_DEFAULT))
    .addOption(new Option("--label <key=value>", "a label of every machine that joins with it, whatever the machine says; may be given again").argParser(addLabel).default({}, "none"))
    .option("--approve", "each machine waits for: muster machine approve", false)
    .action(async (_options: unknown, self: Command) => {
      await createToken(context, self.optsWithGlobals<CreateOptions>());
    });
  withExamples(create, [
    ["muster token create > token", "for one machine, good for an hour"],
    ["muster token create --uses 50 --ttl 8h --label zone=a --approve", "for a rack; each waits for approval"],
  ]);
  const list = token
    .command("list")
    .summary("list the tokens, without their secrets")
    .description("Lists the tokens and how often they were used. Those that let nobody in any more are gone after a week.")
    .action(async (_options: unknown, self: Command) => {
      await listTokens(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(list, [["muster token list -o json", "with labels and times"]]);
  const revoke = token
    .command("revoke")
    .summary("let nobody join with a token any more")
    .description("Lets nobody join with the token any more. Machines that have joined with it stay: they have credentials of their own.")
    .argument("<id>", "its id, as muster token list shows it")
    .action(async (id: string, _options: unknown, self: Command) => {
      await revokeToken(context, id, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(revoke, [["muster token revoke 58db533caca1b867", "at once"]]);
}

async function createToken(context: CliContext, options: CreateOptions): Promise<void> {
  const { uses, ttl: ttlMs, label, approve } = options;
  const { token, description, grpc } = await withController(context, options, async (controller) => {
    const made = await controller.unary(controller.identity, controller.identity.createToken, { uses, ttlMs, labels: { ...label }, approve });
    return { ...made, grpc: made.address };
  });
  if (description === undefined) throw new CliError("the controller answered without a token", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, { token, address: grpc, ...tokenJson(description) });
  await write(context.stdout, `${token}\n`);
  const machines = uses === 1 ? "one machine" : `${uses} machines`;
  await writeLines(context.stderr, [
    `for ${machines}, good for ${durationText(ttlMs)}. On ${uses === 1 ? "the machine" : "each machine"}, with the token in a file:`,
    `  muster-agent join --controller ${grpc} --token-file FILE`,
  ]);
}

async function listTokens(context: CliContext, options: GlobalOptions): Promise<void> {
  const { tokens } = await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.listTokens, {}));
  if (options.output === "json") return printDocument(context, tokens.map(tokenJson));
  const lines = tokenTable(tokens, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no tokens; make one with: muster token create"]);
}

async function revokeToken(context: CliContext, id: string, options: GlobalOptions): Promise<void> {
  await withController(context, options, (controller) => controller.unary(controller.identity, controller.identity.revokeToken, { id }));
  if (options.output === "json") return printDocument(context, { id, revoked: true });
  await write(context.stdout, `nobody joins with ${id} any more\n`);
}

function addLabel(text: string, labels: Labels): Labels {
  const at = text.indexOf("=");
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || !isLabelKey(key) || !isLabelValue(value)) throw new InvalidArgumentError("It is not KEY=VALUE (try role=web).");
  return { ...labels, [key]: value };
}
