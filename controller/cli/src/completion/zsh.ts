/**
 * The completion script for zsh: a function for each command, with the descriptions of the help. Names that only the controller knows
 * are asked of `muster __complete`. Pure.
 */
import { flatten, type CommandSpec, type OptionSpec, type ValueSpec } from "./tree.ts";

export function zshScript(tree: CommandSpec): string {
  return `#compdef muster
# zsh completion for muster. Load it with: source <(muster completion zsh)

# Names that only the controller knows.
_muster_names() {
  local -a names
  names=(\${(f)"$("\${_muster_line[1]}" __complete "\${(@)_muster_line[2,-1]}" 2>/dev/null)"})
  compadd -a names
}

${flatten(tree).map(commandFunction).join("\n\n")}

_muster() {
  # Of the whole line up to the cursor; _arguments shortens words on its way down.
  local -a _muster_line
  _muster_line=("\${(@)words[1,CURRENT]}")
  _muster_command
}

if [[ "$funcstack[1]" = _muster ]]; then
  _muster "$@"
else
  compdef _muster muster
fi
`;
}

/** `_muster_command_artifact_push`, `_muster_command` for muster itself. */
function functionName(path: string): string {
  return ["_muster_command", ...path.split(" ")].filter((part) => part !== "").join("_").replaceAll("-", "_");
}

function commandFunction(command: CommandSpec): string {
  const { path, options, values, subcommands } = command;
  const lines = options.map(optionLine);
  if (subcommands.length === 0) {
    const places = values.map((value, index) => quoted(`${index + 1}:${escaped(value.name)}:${action(value)}`));
    return `${functionName(path)}() {\n  _arguments -s ${continued([...lines, ...places])}\n}`;
  }
  // What may stand in the place of a command.
  const instead = values.slice(0, 1).map((value) => `; ${action(value)}`).join("");
  const described = subcommands.map(({ name, summary }) => `    ${quoted(`${escaped(name)}:${summary}`)}`).join("\n");
  const branches = subcommands.map((child) => `    ${child.name}) ${functionName(child.path)} ;;`).join("\n");
  return `${functionName(path)}() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  commands=(
${described}
  )
  _arguments -C -s ${continued([...lines, "'1: :->command'", "'*:: :->rest'"])}
  case $state in
    command) _describe command commands${instead} ;;
    rest)
      case $line[1] in
${branches.replaceAll(/^/gm, "    ")}
      esac
      ;;
  esac
}`;
}

function continued(lines: readonly string[]): string {
  return lines.map((line) => `\\\n    ${line}`).join(" ");
}

/** `'(-f --file)'{-f,--file=}'[the deployment file]:file:_files'`; `=` lets the value stand in the same word or the next. */
function optionLine({ flags, summary, value }: OptionSpec): string {
  const forms = flags.map((flag) => (value !== undefined && flag.startsWith("--") ? `${flag}=` : flag));
  const names = forms.length > 1 ? `${quoted(`(${flags.join(" ")})`)}{${forms.join(",")}}` : (forms[0] ?? "");
  const takes = value === undefined ? "" : `:${escaped(value.name)}:${action(value)}`;
  return names + quoted(`[${summary.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]${takes}`);
}

function action(value: ValueSpec): string {
  switch (value.kind) {
    case "choices":
      return `(${value.choices.join(" ")})`;
    case "file":
      return "_files";
    case "directory":
      return "_files -/";
    case "deployment":
    case "machine":
    case "subject":
    case "app":
    case "release":
    case "freeze":
    case "secret":
      return "_muster_names";
    case "other":
      return " ";
  }
}

function escaped(text: string): string {
  return text.replaceAll(":", String.raw`\:`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
