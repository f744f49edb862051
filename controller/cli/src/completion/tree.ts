/**
 * The tree of commands as completion needs it, read from commander, so that it is never out of date. Pure.
 */
import type { Argument, Command, Option } from "commander";

export interface CommandSpec {
  /** `artifact push`; empty for `muster` itself. */
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly subcommands: readonly CommandSpec[];
  /** Its own and the global ones. */
  readonly options: readonly OptionSpec[];
  readonly values: readonly ValueSpec[];
}

export interface OptionSpec {
  /** `-f`, `--file` */
  readonly flags: readonly string[];
  readonly summary: string;
  /** undefined for a flag that takes none. */
  readonly value: ValueSpec | undefined;
}

/** What may stand in a place. */
export type ValueSpec =
  | { readonly kind: "choices"; readonly name: string; readonly choices: readonly string[] }
  | { readonly kind: "file" | "directory" | "other"; readonly name: string }
  /** Known to the controller alone. */
  | { readonly kind: KnownToController; readonly name: string };

/** `subject` is a machine or a deployment, as `why` takes them. */
export type KnownToController = "deployment" | "machine" | "subject" | "app" | "release" | "freeze" | "secret";

/** By the names that arguments and option values have in the help. */
const KINDS: Readonly<Record<string, "file" | "directory" | KnownToController>> = {
  file: "file",
  path: "file",
  dir: "directory",
  id: "deployment",
  machine: "machine",
  subject: "subject",
  app: "app",
  release: "release",
  freeze: "freeze",
  secret: "secret",
};

export function commandTree(program: Command): CommandSpec {
  const globals = optionsOf(program);
  return specOf(program, "", globals);
}

function specOf(command: Command, path: string, globals: readonly OptionSpec[]): CommandSpec {
  const visible = command.createHelp().visibleCommands(command).filter((child) => child.name() !== "help");
  return {
    path,
    name: command.name(),
    summary: command.summary() === "" ? command.description() : command.summary(),
    subcommands: visible.map((child) => specOf(child, path === "" ? child.name() : `${path} ${child.name()}`, globals)),
    options: path === "" ? globals : [...optionsOf(command), ...globals.filter(({ flags }) => !flags.includes("--help"))],
    values: command.registeredArguments.map(argumentValue),
  };
}

function optionsOf(command: Command): readonly OptionSpec[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({ flags: flagsOf(option), summary: option.description, value: optionValue(option) }));
}

function flagsOf({ short, long }: Option): readonly string[] {
  return [short, long].filter((flag) => flag !== undefined);
}

function optionValue(option: Option): ValueSpec | undefined {
  if (!option.required && !option.optional) return undefined;
  const name = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1] ?? "value";
  return valueSpec(name, option.argChoices);
}

function argumentValue(argument: Argument): ValueSpec {
  return valueSpec(argument.name(), argument.argChoices);
}

function valueSpec(name: string, choices: readonly string[] | undefined): ValueSpec {
  if (choices !== undefined) return { kind: "choices", name, choices };
  return { kind: (Object.hasOwn(KINDS, name) ? KINDS[name] : undefined) ?? "other", name };
}

/** Depth first, itself included. */
export function flatten(spec: CommandSpec): readonly CommandSpec[] {
  return [spec, ...spec.subcommands.flatMap(flatten)];
}
