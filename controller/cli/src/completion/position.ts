/**
 * Where the cursor stands in a half-typed command line: which value belongs there, and what came before it. Pure.
 */
import type { CommandSpec, OptionSpec, ValueSpec } from "./tree.ts";

export interface Position {
  /** undefined where a command or an option belongs. */
  readonly value: ValueSpec | undefined;
  /** That may stand there instead of the value. */
  readonly subcommands: readonly string[];
  /** The arguments before the cursor, without commands and options. */
  readonly operands: readonly string[];
  /** Of `--address`, when it was given. */
  readonly address: string | undefined;
}

/** `words` are those after `muster`; the last is being typed and may be empty. */
export function positionOf(tree: CommandSpec, words: readonly string[]): Position {
  let command = tree;
  let address: string | undefined;
  const operands: string[] = [];
  const before = words.slice(0, -1).flatMap(apart);
  for (let index = 0; index < before.length; index += 1) {
    const word = before[index] ?? "";
    const option = findOption(command, word);
    if (option?.value !== undefined) {
      const value = before[index + 1];
      if (value === undefined) return { value: option.value, subcommands: [], operands, address };
      if (option.flags.includes("--address")) address = value;
      index += 1;
      continue;
    }
    if (word.startsWith("-") && word !== "-") continue;
    const child = operands.length === 0 ? command.subcommands.find(({ name }) => name === word) : undefined;
    if (child === undefined) operands.push(word);
    else command = child;
  }
  const subcommands = operands.length === 0 ? command.subcommands.map(({ name }) => name) : [];
  return { value: command.values[operands.length], subcommands, operands, address };
}

/** `--address=host:4000` is `--address host:4000`. */
function apart(word: string): readonly string[] {
  const parts = /^(--[^=]+)=(.*)$/s.exec(word);
  return parts === null ? [word] : parts.slice(1);
}

function findOption(command: CommandSpec, word: string): OptionSpec | undefined {
  return command.options.find(({ flags }) => flags.includes(word));
}
