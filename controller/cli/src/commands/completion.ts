/**
 * `muster completion bash|zsh`
 */
import { Argument, type Command } from "commander";
import { write, type CliContext } from "../context.ts";
import { withExamples } from "./options.ts";

const SHELLS = ["bash", "zsh"] as const;
type Shell = (typeof SHELLS)[number];

export function registerCompletion(program: Command, context: CliContext): void {
  const command = program
    .command("completion")
    .summary("print a script that completes in bash or zsh")
    .description("Prints a script that completes commands, options and names in the shell.")
    .addArgument(new Argument("<shell>", "which shell").choices(SHELLS))
    .action(async (shell: Shell) => {
      await write(context.stdout, await script(shell, program));
    });
  withExamples(command, [
    ["source <(muster completion bash)", "for this shell; put it in ~/.bashrc to keep it"],
    ["source <(muster completion zsh)", "for this shell, after compinit; put it in ~/.zshrc to keep it"],
  ]);
}

async function script(shell: Shell, program: Command): Promise<string> {
  const { commandTree } = await import("../completion/tree.ts");
  const tree = commandTree(program);
  switch (shell) {
    case "bash":
      return (await import("../completion/bash.ts")).bashScript(tree);
    case "zsh":
      return (await import("../completion/zsh.ts")).zshScript(tree);
  }
}
