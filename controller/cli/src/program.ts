/**
 * The tree of commands: which there are, in which group of the help, with which options. One file a command does the work.
 */
import { type Argument, Command, Option } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { registerArtifact } from "./commands/artifact.ts";
import { registerAudit } from "./commands/audit.ts";
import { registerBackup } from "./commands/backup.ts";
import { registerBudget } from "./commands/budget.ts";
import { registerCa } from "./commands/ca.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerCordoning } from "./commands/cordon.ts";
import { registerDeploy } from "./commands/deploy.ts";
import { registerEvents } from "./commands/events.ts";
import { registerFreeze } from "./commands/freeze.ts";
import { registerKey } from "./commands/key.ts";
import { registerList } from "./commands/list.ts";
import { registerLogin, registerLogout, registerWhoami } from "./commands/login.ts";
import { registerLogs } from "./commands/logs.ts";
import { registerMachine } from "./commands/machine.ts";
import { registerMachines } from "./commands/machines.ts";
import { registerNats } from "./commands/nats.ts";
import { registerPlan } from "./commands/plan.ts";
import { registerRelease } from "./commands/release-sign.ts";
import { registerReleases } from "./commands/releases.ts";
import { registerReplay } from "./commands/replay.ts";
import { registerRestore } from "./commands/restore.ts";
import { registerRetention } from "./commands/retention.ts";
import { registerSecret } from "./commands/secret.ts";
import { registerStatus } from "./commands/status.ts";
import { registerSteering } from "./commands/steer.ts";
import { registerToken } from "./commands/token.ts";
import { registerTrust } from "./commands/trust.ts";
import { registerUser } from "./commands/user.ts";
import { registerVersion } from "./commands/version.ts";
import { registerWatch } from "./commands/watch.ts";
import { registerWhy } from "./commands/why.ts";
import type { CliContext } from "./context.ts";
import { registerDev } from "./dev/command.ts";
import { registerController } from "./dev/controller-command.ts";
import { registerTour } from "./tour/command.ts";
import { OUTPUT_FORMATS, UsageError } from "./usage.ts";

export function createProgram(context: CliContext): Command {
  const program = new Command("muster")
    .description("Deploys software to a fleet of machines, in waves, and takes a bad release back by itself.")
    .addOption(new Option("-o, --output <format>", "how results are written").choices(OUTPUT_FORMATS).default("text"))
    .option("--address <address>", "HOST:PORT or unix:PATH; else MUSTER_ADDRESS, the nearest .muster/, the last login")
    .version(`muster ${packageJson.version}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .configureHelp({ showGlobalOptions: true, helpWidth: context.columns(), subcommandTerm })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stdout.write(text),
      // Said once, by main.ts, when the error arrives there.
      outputError: () => undefined,
    });
  registerAll(program, context);
  for (const command of [program, ...descendants(program)]) {
    if (command.commands.length > 0) command.helpCommand("help [command]", "show the help of a command");
    command.exitOverride((error) => {
      throw new UsageError(error, pathOf(command));
    });
  }
  return program;
}

function registerAll(program: Command, context: CliContext): void {
  program.commandsGroup("Deployments:");
  registerPlan(program, context);
  registerDeploy(program, context);
  registerStatus(program, context);
  registerWatch(program, context);
  registerList(program, context);
  program.commandsGroup("Steering a rollout:");
  registerSteering(program, context);
  program.commandsGroup("Understanding:");
  registerWhy(program, context);
  registerReplay(program, context);
  registerEvents(program, context);
  registerLogs(program, context);
  program.commandsGroup("Fleet:");
  registerMachines(program, context);
  registerMachine(program, context);
  registerCordoning(program, context);
  registerBudget(program, context);
  registerFreeze(program, context);
  program.commandsGroup("Releases:");
  registerReleases(program, context);
  registerArtifact(program, context);
  registerRetention(program, context);
  registerSecret(program, context);
  program.commandsGroup("Signing:");
  registerKey(program, context);
  registerRelease(program, context);
  registerTrust(program, context);
  program.commandsGroup("Access:");
  registerLogin(program, context);
  registerLogout(program, context);
  registerWhoami(program, context);
  registerUser(program, context);
  registerToken(program, context);
  registerCa(program, context);
  registerAudit(program, context);
  program.commandsGroup("Running Muster:");
  registerDev(program, context);
  registerController(program, context);
  registerNats(program, context);
  registerBackup(program, context);
  registerRestore(program, context);
  registerTour(program, context);
  program.commandsGroup("This command:");
  registerCompletion(program, context);
  registerVersion(program, context);
}

/** Short, so that the list of commands stays narrow: a further argument that may be left out is said in the command's own help. */
function subcommandTerm(command: Command): string {
  const values = command.registeredArguments.filter(({ required }, index) => required || index === 0);
  return [command.name(), ...values.map(placeholder)].join(" ");
}

function placeholder(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function descendants(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

/** `muster artifact push` */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
