/**
 * `muster-agent trust pin FILE` and `muster-agent trust show`: the pinned trust root, by the hands of whoever may write the agent's directory. The agent need not be stopped.
 */
import { readFileSync, statSync } from "node:fs";
import { quorumText } from "@muster/proto/trust/root-chain.ts";
import { TRUST_FILE_CHARS_MAX } from "@muster/proto/trust/trust-file.ts";
import { Command, CommanderError } from "commander";
import { pinByHand, pinnedRoot, TrustRootError } from "./pinned-root.ts";

/** What to say, and whether it went well. */
export interface Said {
  readonly ok: boolean;
  readonly text: string;
}

/** `args` after `trust`; `dir` is used where none is given. */
export async function runTrustCommand(args: readonly string[], dir: string): Promise<Said> {
  let said = "";
  let outcome: Said | undefined;
  const command = new Command("muster-agent trust").description("The trust root that this machine has pinned: which publishers' keys may sign what it runs.").helpCommand(false);
  const withDir = (sub: Command): Command => sub.option("--dir <DIR>", "the agent's directory", dir);
  withDir(command.command("pin").description("Pins a trust root, or goes on from the one that is pinned.").argument("<FILE>", "trust.json, as muster trust made it"))
    .option("--replace", "whatever is pinned", false)
    .action(async (file: string, options: { readonly dir: string; readonly replace: boolean }) => {
      outcome = await pin(options.dir, file, options.replace);
    });
  withDir(command.command("show").description("Shows the trust root that is pinned.")).action(async (options: { readonly dir: string }) => {
    outcome = await show(options.dir);
  });
  const say = (text: string): void => {
    said += text;
  };
  for (const each of [command, ...command.commands]) each.exitOverride().configureOutput({ writeOut: say, writeErr: say });
  try {
    await command.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (error instanceof TrustRootError) return { ok: false, text: error.message };
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? { ok: true, text: said } : { ok: false, text: `${error.message.replace(/^error: /, "")}. See: muster-agent trust --help` };
  }
  return outcome ?? { ok: false, text: "say pin FILE or show. See: muster-agent trust --help" };
}

async function pin(dir: string, file: string, replaces: boolean): Promise<Said> {
  let bytes: Buffer;
  try {
    if (statSync(file).size > TRUST_FILE_CHARS_MAX) return { ok: false, text: `${file} is larger than any trust file` };
    bytes = readFileSync(file);
  } catch (error) {
    return { ok: false, text: `${file} can't be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  const pinned = await pinByHand(dir, bytes, replaces);
  switch (pinned.kind) {
    case "pinned":
      return { ok: true, text: `trust root ${pinned.version} pinned in ${dir}\n` };
    case "kept":
      return { ok: true, text: `trust root ${pinned.version} was pinned already\n` };
    case "refused":
      return { ok: false, text: `${file} is not pinned: ${pinned.message}${replaces ? "" : "; --replace pins it all the same, where it is whole"}` };
  }
}

async function show(dir: string): Promise<Said> {
  const root = await pinnedRoot(dir);
  if (root === undefined) return { ok: true, text: "no trust root is pinned: this machine runs what its controller says\n" };
  const rules = [...root.apps].map(([pattern, rule]) => {
    const needs = rule.threshold === 0 ? "no signature" : quorumText(rule);
    return `  ${pattern}  ${needs}${rule.floor === null ? "" : `, nothing below ${rule.floor}`}\n`;
  });
  return { ok: true, text: `trust root ${root.version}, good until ${new Date(root.expiresAt).toISOString()}\n${rules.join("")}` };
}
