/**
 * What the agent is told by its command line and environment. Parsed once; nothing else of the agent reads either.
 * Everything is checked here, so a wrong word stops the agent with one line before it touches anything.
 */
import { homedir, hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { NAME_RULE, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue } from "@muster/proto/selector.ts";
import { Command, CommanderError } from "commander";
import manifest from "../package.json" with { type: "json" };

export const AGENT_VERSION = manifest.version;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  /** `host:port` of the controller's gRPC. */
  readonly controller: string;
  /** Absolute. */
  readonly dir: string;
  readonly machineId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stopWithParent: boolean;
  readonly logLevel: LogLevel;
  /** The agent's own, of which workloads see a part. */
  readonly environment: Environment;
}

type Environment = Readonly<Record<string, string | undefined>>;

export interface Surroundings {
  readonly environment: Environment;
  readonly hostname: string;
  readonly homeDir: string;
  readonly isRoot: boolean;
}

/** `said`: help or version was asked for, and nothing else. */
export type Parsed =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "said"; readonly text: string }
  /** Everything after `trust`, and the directory that is meant where none is given there. */
  | { readonly kind: "trust"; readonly args: readonly string[]; readonly dir: string }
  | { readonly kind: "fault"; readonly message: string };

export function readConfig(args: readonly string[]): Parsed {
  return parseConfig(args, { environment: process.env, hostname: hostname(), homeDir: homedir(), isRoot: userInfo().uid === 0 });
}

const EXAMPLES = `
MUSTER_CONTROLLER, MUSTER_AGENT_DIR and MUSTER_AGENT_ID stand in for --controller, --dir and --id.

Examples:
  muster-agent --controller 127.0.0.1:4440
  muster-agent --controller 127.0.0.1:4440 --id web-1 --label role=web --label zone=a
  muster-agent --controller 127.0.0.1:4440 --dir /tmp/m1 --id m1 --log-level debug

The trust root that this machine has pinned: muster-agent trust pin FILE, muster-agent trust show.

Exit codes: 0 ended as it was told to, 1 a bug, 2 bad input, a directory that cannot be used or that another agent uses.
Its workloads go on without it, and the next agent on the same directory takes them up.`;

interface Options {
  readonly controller?: string;
  readonly dir?: string;
  readonly id?: string;
  readonly label: readonly string[];
  readonly stopWithParent: boolean;
  readonly logLevel: string;
}

export function parseConfig(args: readonly string[], surroundings: Surroundings): Parsed {
  if (args[0] === "trust") return { kind: "trust", args: args.slice(1), dir: dirOf(undefined, surroundings) };
  let said = "";
  const say = (text: string): void => {
    said += text;
  };
  const command = new Command("muster-agent")
    .description("Runs on a machine what its Muster controller assigns to it.")
    .version(AGENT_VERSION)
    .option("--controller <HOST:PORT>", "where the controller listens for agents")
    .option("--dir <DIR>", "where releases and state are kept (default: /var/lib/muster-agent for root, else ~/.local/state/muster-agent)")
    .option("--id <ID>", "the machine's id (default: its host name)")
    .option("--label <KEY=VALUE>", "a label of the machine; may be given again", (label: string, labels: readonly string[]) => [...labels, label], [])
    .option("--stop-with-parent", "when stdin ends, stop all workloads and exit", false)
    .option("--log-level <LEVEL>", LOG_LEVELS.join(", "), "info")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: say, writeErr: say });
  try {
    command.parse([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "said", text: said };
    const message = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ").replace(/\.$/, "");
    return { kind: "fault", message: `${message}. See: muster-agent --help` };
  }
  try {
    return { kind: "config", config: check(command.opts<Options>(), surroundings) };
  } catch (error) {
    if (error instanceof BadInput) return { kind: "fault", message: error.message };
    throw error;
  }
}

class BadInput extends Error {}

/** An option, or what the environment says instead. */
function givenBy({ environment }: Surroundings): (option: string | undefined, variable: string) => string | undefined {
  return (option, variable) => option ?? (environment[variable] === "" ? undefined : environment[variable]);
}

function dirOf(option: string | undefined, surroundings: Surroundings): string {
  const fallback = surroundings.isRoot ? "/var/lib/muster-agent" : join(surroundings.homeDir, ".local/state/muster-agent");
  return resolve(givenBy(surroundings)(option, "MUSTER_AGENT_DIR") ?? fallback);
}

function check(options: Options, surroundings: Surroundings): Config {
  const { environment, hostname: host } = surroundings;
  const given = givenBy(surroundings);
  return {
    controller: checkAddress(given(options.controller, "MUSTER_CONTROLLER")),
    dir: dirOf(options.dir, surroundings),
    machineId: checkId(given(options.id, "MUSTER_AGENT_ID"), host),
    labels: checkLabels(options.label),
    stopWithParent: options.stopWithParent,
    logLevel: checkLevel(options.logLevel),
    environment,
  };
}

function checkAddress(address: string | undefined): string {
  if (address === undefined) throw new BadInput("no controller given: use --controller HOST:PORT or MUSTER_CONTROLLER");
  const port = Number(/^(?:[^\s:/]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/.exec(address)?.[1]);
  if (!(port >= 1 && port <= 65_535)) throw new BadInput(`--controller "${address}" is not HOST:PORT (for example 127.0.0.1:4440)`);
  return address;
}

function checkId(id: string | undefined, host: string): string {
  if (id === undefined) {
    const fallback = parseMachineId(host.toLowerCase());
    if (fallback === undefined) throw new BadInput(`the host name "${host}" cannot be the machine's id (${NAME_RULE}): use --id ID`);
    return fallback;
  }
  const checked = parseMachineId(id);
  if (checked === undefined) throw new BadInput(`--id "${id}" is not a machine's id: ${NAME_RULE}`);
  return checked;
}

function checkLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf("=");
    const [key, value] = [text.slice(0, at), text.slice(at + 1)];
    if (at < 0) throw new BadInput(`--label "${text}" is not KEY=VALUE (for example role=web)`);
    if (!isLabelKey(key)) throw new BadInput(`--label "${text}": "${key}" is not a label's name (letters, digits and . _ - /, for example role)`);
    if (!isLabelValue(value)) throw new BadInput(`--label "${text}": "${value}" is not a label's value (at most 63 letters, digits and . _ -)`);
    if (labels.has(key)) throw new BadInput(`--label "${text}": ${key} is given twice`);
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}

function checkLevel(level: string): LogLevel {
  const known = LOG_LEVELS.find((each) => each === level);
  if (known === undefined) throw new BadInput(`--log-level "${level}" is not one of ${LOG_LEVELS.join(", ")}`);
  return known;
}
