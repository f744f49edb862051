/**
 * The completion script for bash (3.2 and newer), without the bash-completion package. Commands, options and choices stand in it;
 * names that only the controller knows are asked of `muster __complete`. Pure.
 */
import { flatten, type CommandSpec, type ValueSpec } from "./tree.ts";

export function bashScript(tree: CommandSpec): string {
  const commands = flatten(tree);
  const parents = commands.filter(({ subcommands }) => subcommands.length > 0);
  return `# bash completion for muster. Load it with: source <(muster completion bash)

_muster_subcommands() {
  case "$1" in
${cases(parents.map(({ path, subcommands }) => [path, subcommands.map(({ name }) => name).join(" ")]))}
  esac
}

_muster_options() {
  case "$1" in
${cases(commands.map(({ path, options }) => [path, options.flatMap(({ flags }) => flags).join(" ")]))}
  esac
}

# The kind of value that an option takes; nothing for one that takes none.
_muster_option_value() {
  case "$1 $2" in
${cases(commands.flatMap(optionValues))}
  esac
}

# The kind of value that the n-th argument is.
_muster_argument() {
  case "$1 $2" in
${cases(commands.flatMap(({ path, values }) => values.map((value, index) => [`${path} ${index}`, kindOf(value)])))}
  esac
}

_muster() {
  # bash breaks words at =, : and @ too; here --output=json, host:4000 and shop-web@1.4.2 are one word each.
  local -a words
  local piece joins=1 last=0
  for piece in "\${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    case "$piece" in
      [=:@]*) words[last]="\${words[last]}$piece"; joins=1 ;;
      *)
        [ "$joins" -eq 0 ] && last=$((last + 1))
        words[last]="\${words[last]}$piece"
        joins=0
        ;;
    esac
  done

  local current="\${words[last]}" path="" count=0 kind="" word index=1
  while [ "$index" -lt "$last" ]; do
    word="\${words[index]}"
    index=$((index + 1))
    kind="$(_muster_option_value "$path" "$word")"
    if [ -n "$kind" ]; then
      [ "$index" -eq "$last" ] && break
      index=$((index + 1))
      kind=""
      continue
    fi
    case "$word" in
      -?*) continue ;;
    esac
    if [ "$count" -eq 0 ] && _muster_has "$word" $(_muster_subcommands "$path"); then
      path="\${path:+$path }$word"
    else
      count=$((count + 1))
    fi
  done
  case "$current" in
    --*=*)
      kind="$(_muster_option_value "$path" "\${current%%=*}")"
      current="\${current#*=}"
      ;;
  esac
  if [ -z "$kind" ]; then
    case "$current" in
      -*) kind="choices:$(_muster_options "$path")" ;;
      *)
        kind="$(_muster_argument "$path" "$count")"
        [ -z "$kind" ] && [ "$count" -eq 0 ] && kind="choices:$(_muster_subcommands "$path")"
        ;;
    esac
  fi
  local IFS=$' \\t\\n'
  COMPREPLY=()
  case "$kind" in
    choices:*) COMPREPLY=($(compgen -W "\${kind#choices:}" -- "$current")) ;;
    file) IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
    directory) IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$current")) ;;
    controller) COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" __complete "\${words[@]:1}" 2>/dev/null)" -- "$current")) ;;
  esac
  # Of such a word bash replaces what begins with the @.
  if [[ "$current" == *@* && "$COMP_WORDBREAKS" == *@* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${current%@*}"}")
  fi
}

_muster_has() {
  local wanted="$1" one
  shift
  for one in "$@"; do
    [ "$one" = "$wanted" ] && return 0
  done
  return 1
}

complete -F _muster muster
`;
}

type Case = readonly [pattern: string, answer: string];

function cases(all: readonly Case[]): string {
  return all.map(([pattern, answer]) => `    ${quoted(pattern)}) echo ${quoted(answer)} ;;`).join("\n");
}

function optionValues({ path, options }: CommandSpec): readonly Case[] {
  return options.flatMap(({ flags, value }) => (value === undefined ? [] : flags.map((flag): Case => [`${path} ${flag}`, kindOf(value)])));
}

function kindOf(value: ValueSpec): string {
  switch (value.kind) {
    case "choices":
      return `choices:${value.choices.join(" ")}`;
    case "deployment":
    case "machine":
    case "subject":
    case "app":
    case "release":
    case "freeze":
    case "secret":
      return "controller";
    case "file":
    case "directory":
    case "other":
      return value.kind;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
