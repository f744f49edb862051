/**
 * What the agent is told by its command line and environment. Parsed once; nothing else of the agent reads either.
 * Everything is checked here, so a wrong word stops the agent with one line before it touches anything.
 */
import { homedir, hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { parseDuration } from "@muster/proto/duration.ts";
import { NAME_RULE, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue } from "@muster/proto/selector.ts";
import { Command, CommanderError } from "commander";
import manifest from "../package.json" with { type: "json" };

export const AGENT_VERSION = manifest.version;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What joining takes. */
export interface JoinConfig {
  /** `host:port` of the controller's gRPC. */
  readonly controller: string;
  /** Path of a file with the token; undefined: standard input. */
  readonly tokenFile: string | undefined;
  /** In place of the file, from the environment. */
  readonly token: string | undefined;
  readonly machineId: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface RunConfig {
  readonly kind: "run";
  /** Another address than the one it joined at. */
  readonly controller: string | undefined;
  /** Given: this is the machine's id, or it is not started. */
  readonly machineId: string | undefined;
  /** Given: a machine that has not joined yet joins first. */
  readonly join: JoinConfig | undefined;
  /** An assignment that was signed longer ago is not begun; what runs goes on. */
  readonly maxAssignmentAgeMs: number;
  readonly stopWithParent: boolean;
}

export type AgentCommand =
  | RunConfig
  /** `isAgain`: in place of what it was. */
  | { readonly kind: "join"; readonly join: JoinConfig; readonly isAgain: boolean }
  /** `replaces`: whatever trust root is pinned. */
  | { readonly kind: "pin"; readonly file: string; readonly replaces: boolean }
  | { readonly kind: "show-pinned" };

export interface Config {
  /** Absolute. */
  readonly dir: string;
  readonly command: AgentCommand;
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
  | { readonly kind: "fault"; readonly message: string };

/** A token is taken out of the process's environment at once: nothing that is started later sees it. */
export function readConfig(args: readonly string[]): Parsed {
  const environment = { ...process.env };
  delete process.env[TOKEN_VARIABLE];
  return parseConfig(args, { environment, hostname: hostname(), homeDir: homedir(), isRoot: userInfo().uid === 0 });
}

const MAX_ASSIGNMENT_AGE = "1h";
const DIR = ["--dir <DIR>", "where releases and state are kept (default: /var/lib/muster-agent for root, else ~/.local/state/muster-agent)"] as const;
const TOKEN_VARIABLE = "MUSTER_JOIN_TOKEN";

const EXAMPLES = `
MUSTER_CONTROLLER, MUSTER_AGENT_DIR and MUSTER_AGENT_ID stand in for --controller, --dir and --id, and ${TOKEN_VARIABLE} for the token's file.

Examples:
  muster-agent join --controller muster.example:4440 --token-file token     become a machine of the fleet, once
  muster-agent                                                              run
  muster-agent --controller muster.example:4440 --token-file token          both: join if need be, then run
  muster-agent trust pin trust.json                                         ask for the signatures that this trust root names

Exit codes: 0 ended as it was told to, 1 a bug, or a controller that can't be reached for joining, 2 bad input, a token that is not accepted, a directory
that cannot be used or that another agent uses. Workloads go on without the agent, and the next agent on the same directory takes them up.`;

interface Options {
  readonly controller?: string;
  readonly tokenFile?: string;
  readonly dir?: string;
  readonly id?: string;
  readonly label: readonly string[];
  readonly again?: boolean;
  readonly maxAssignmentAge?: string;
  readonly stopWithParent?: boolean;
  readonly logLevel: string;
}

export function parseConfig(args: readonly string[], surroundings: Surroundings): Parsed {
  let said = "";
  let config: Config | undefined;
  const say = (text: string): void => {
    said += text;
  };
  const program = new Command("muster-agent").description("Runs on a machine what its Muster controller assigns to it.").version(AGENT_VERSION).addHelpText("after", EXAMPLES);
  const run = withOptions(program.command("run", { isDefault: true }).description("run what the controller assigns; done when no command is given"))
    .option("--max-assignment-age <DURATION>", "refuse assignments that were signed longer ago, by this machine's clock; 1m to 24h", MAX_ASSIGNMENT_AGE)
    .option("--stop-with-parent", "when stdin ends, stop all workloads and exit", false)
    .action((options: Options) => void (config = check("run", options, surroundings)));
  const join = withOptions(program.command("join").description("become a machine of the fleet, with a token from: muster token create"))
    .option("--again", "although this machine has joined before: what it was is given up", false)
    .action((options: Options) => void (config = check("join", options, surroundings)));
  const trust = trustCommand((command, dir) => {
    config = { dir: dirOf(dir, surroundings), command, logLevel: "info", environment: passedOn(surroundings) };
  });
  program.addCommand(trust);
  for (const command of [program, run, join, trust, ...trust.commands]) command.allowExcessArguments(false).exitOverride().configureOutput({ writeOut: say, writeErr: say });
  try {
    program.parse([...args], { from: "user" });
  } catch (error) {
    if (error instanceof BadInput) return { kind: "fault", message: error.message };
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.help") return { kind: "fault", message: "trust what? See: muster-agent trust --help" };
    if (error.exitCode === 0) return { kind: "said", text: said };
    const message = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ").replace(/\.$/, "");
    return { kind: "fault", message: `${message}. See: muster-agent --help` };
  }
  if (config === undefined) throw new Error("neither a command nor a fault");
  return { kind: "config", config };
}

function withOptions(command: Command): Command {
  return command
    .option("--controller <HOST:PORT>", "where the controller listens for machines")
    .option("--token-file <FILE>", "the token to join with; - for standard input")
    .option(...DIR)
    .option("--id <ID>", "the machine's id (default: its host name)")
    .option("--label <KEY=VALUE>", "a label of the machine when it joins; may be given again", (label: string, labels: readonly string[]) => [...labels, label], [])
    .option("--log-level <LEVEL>", LOG_LEVELS.join(", "), "info");
}

/** `onCommand`: which, and what was given for --dir. */
function trustCommand(onCommand: (command: AgentCommand, dir: string | undefined) => void): Command {
  const trust = new Command("trust").description("the trust root that this machine has pinned: whose signatures it asks for").helpCommand(false);
  trust
    .command("pin <FILE>")
    .description("pin a trust root, or go on from the one that is pinned; FILE is trust.json, as muster trust made it")
    .option("--replace", "whatever is pinned", false)
    .option(...DIR)
    .action((file: string, { dir, replace }: { readonly dir?: string; readonly replace: boolean }) => onCommand({ kind: "pin", file, replaces: replace }, dir));
  trust
    .command("show")
    .description("show the trust root that is pinned")
    .option(...DIR)
    .action(({ dir }: { readonly dir?: string }) => onCommand({ kind: "show-pinned" }, dir));
  return trust;
}

class BadInput extends Error {}

/** An option, or what the environment says instead. */
function givenBy({ environment }: Surroundings): (option: string | undefined, variable: string) => string | undefined {
  return (option, variable) => option ?? (environment[variable] === "" ? undefined : environment[variable]);
}

/** All but the token. */
function passedOn({ environment }: Surroundings): Environment {
  const { [TOKEN_VARIABLE]: _, ...others } = environment;
  return others;
}

function dirOf(option: string | undefined, surroundings: Surroundings): string {
  const fallback = surroundings.isRoot ? "/var/lib/muster-agent" : join(surroundings.homeDir, ".local/state/muster-agent");
  return resolve(givenBy(surroundings)(option, "MUSTER_AGENT_DIR") ?? fallback);
}

function check(kind: "run" | "join", options: Options, surroundings: Surroundings): Config {
  const given = givenBy(surroundings);
  const controller = given(options.controller, "MUSTER_CONTROLLER");
  const id = given(options.id, "MUSTER_AGENT_ID");
  const token = given(undefined, TOKEN_VARIABLE);
  const labels = checkLabels(options.label);
  const joining = (): JoinConfig => ({
    controller: checkAddress(controller),
    tokenFile: options.tokenFile === "-" ? undefined : options.tokenFile,
    token: options.tokenFile === undefined ? token : undefined,
    machineId: checkId(id, surroundings.hostname),
    labels,
  });
  const mayJoin = options.tokenFile !== undefined || token !== undefined;
  return {
    dir: dirOf(options.dir, surroundings),
    command:
      kind === "join"
        ? { kind, join: joining(), isAgain: options.again === true }
        : {
            kind,
            controller: controller === undefined ? undefined : checkAddress(controller),
            machineId: id === undefined ? undefined : checkId(id, surroundings.hostname),
            join: mayJoin ? joining() : undefined,
            maxAssignmentAgeMs: checkAge(options.maxAssignmentAge ?? MAX_ASSIGNMENT_AGE),
            stopWithParent: options.stopWithParent === true,
          },
    logLevel: checkLevel(options.logLevel),
    environment: passedOn(surroundings),
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

/** Shorter, and clocks that differ by a little stop everything; longer, and the controller's own limit is the one that counts. */
const AGE_MS = { least: 60_000, most: 24 * 60 * 60_000 };

function checkAge(text: string): number {
  const parsed = parseDuration(text);
  if (!parsed.ok || parsed.ms < AGE_MS.least || parsed.ms > AGE_MS.most) {
    throw new BadInput(`--max-assignment-age "${text}" is not a duration from 1m to 24h (for example 1h)`);
  }
  return parsed.ms;
}

function checkLevel(level: string): LogLevel {
  const known = LOG_LEVELS.find((each) => each === level);
  if (known === undefined) throw new BadInput(`--log-level "${level}" is not one of ${LOG_LEVELS.join(", ")}`);
  return known;
}
