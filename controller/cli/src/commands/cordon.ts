/**
 * `muster cordon|uncordon|drain MACHINE`
 */
import type { Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { Command } from "commander";
import type { Controller } from "../client/controller.ts";
import { openController, withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT, interrupted } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { machineJson } from "../output/machine-json.ts";
import { machineStateWord } from "../output/words.ts";
import { awayLine } from "../render/away-line.ts";
import { cordonText, machineView, running } from "../render/machine-view.ts";
import { timeOfDay } from "../render/time.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, withExamples, withReconnectFor } from "./options.ts";

interface CordonOptions extends GlobalOptions {
  readonly reason?: string;
}

interface DrainOptions extends CordonOptions {
  readonly force?: boolean;
  /** False after --no-wait. */
  readonly wait: boolean;
  readonly reconnectFor: number;
}

/** An agent stops an app within seconds; asking more often shows nothing sooner. */
const POLL_MS = 1_000;

export function registerCordoning(program: Command, context: CliContext): void {
  registerCordon(program, context);
  registerUncordon(program, context);
  registerDrain(program, context);
}

function registerCordon(program: Command, context: CliContext): void {
  const command = program
    .command("cordon")
    .summary("let no rollout start anything on a machine")
    .description("Lets no rollout start anything on a machine. What runs there runs on.")
    .argument("<machine>", "the machine's id")
    .option("--reason <text>", "why; it is kept in the journal and shown with the machine")
    .action(async (machine: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<CordonOptions>();
      await show(context, await cordon(context, machine, { drain: false, force: false }, options), options);
    });
  withExamples(command, [["muster cordon web-1 --reason 'new disk at noon'", "rollouts pass it over until: muster uncordon web-1"]]);
}

function registerUncordon(program: Command, context: CliContext): void {
  const command = program
    .command("uncordon")
    .summary("end a cordon or a drain")
    .description("Ends a cordon: what was drained runs again, and what was missed is taken up.")
    .argument("<machine>", "the machine's id")
    .option("--reason <text>", "why; it is kept in the journal")
    .action(async (machine: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<CordonOptions>();
      const request = { machine, reason: options.reason ?? "", by: context.user() };
      const answer = await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.uncordon, request));
      await show(context, given(answer), options);
    });
  withExamples(command, [["muster uncordon web-1", "it gets what it has missed"]]);
}

function registerDrain(program: Command, context: CliContext): void {
  const command = program
    .command("drain")
    .summary("cordon a machine and stop what runs there")
    .description(
      "Cordons a machine and stops what runs there, then waits until nothing runs there any more. Ctrl-C ends the waiting, not the draining. " +
        "Refused when it would exceed a budget, unless forced.",
    )
    .argument("<machine>", "the machine's id")
    .option("--reason <text>", "why; it is kept in the journal and shown with the machine")
    .option("--force", "even if a budget would be exceeded")
    .option("--watch", "wait until nothing runs there (the default)")
    .option("--no-wait", "return at once")
    .action(async (machine: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<DrainOptions & { readonly watch?: boolean }>();
      if (options.watch === true && !options.wait) throw bothWays();
      await drain(context, machine, options);
    });
  withExamples(withReconnectFor(command), [
    ["muster drain web-1 --reason 'kernel update'", "returns when the machine may be switched off"],
    ["muster drain web-1 --no-wait", "look later with: muster machine web-1"],
  ]);
}

function bothWays(): CliError {
  return new CliError("--watch waits and --no-wait does not; leave one of them out. Nothing was drained", { code: "usage", exit: EXIT.badInput });
}

async function drain(context: CliContext, machine: string, options: DrainOptions): Promise<void> {
  const before = await cordon(context, machine, { drain: true, force: options.force === true }, options);
  if (!options.wait) return show(context, before, options);
  const drained = await untilNothingRuns(context, before, options);
  if (drained === undefined) return;
  if (options.output === "json") await printDocument(context, machineJson(drained));
  else await writeLines(context.stdout, [`${drained.id} is drained: nothing runs there. Give it back with: muster uncordon ${drained.id}`]);
}

/** undefined when the reader of our output has gone. Says each change of what still runs. */
async function untilNothingRuns(context: CliContext, asked: Machine, options: DrainOptions): Promise<Machine | undefined> {
  const signal = context.interruption();
  const { reconnecting } = await import("../client/reconnecting.ts");
  let known: Machine | undefined = asked;
  const open = async function* (controller: Controller): AsyncGenerator<Machine> {
    // The controller has answered once already, so from here on it is waited for when it is away.
    if (known !== undefined) yield known;
    known = undefined;
    while (!signal.aborted) {
      const machine = given(await controller.unary(controller.fleet, controller.fleet.getMachine, { id: asked.id }));
      yield machine;
      if (running(machine).length === 0) return;
      await context.clock.sleep(POLL_MS, signal);
    }
  };
  let said = "";
  const connect = (): Promise<Controller> => openController(context, options);
  for await (const heard of reconnecting(open, { connect, reconnectForMs: options.reconnectFor, clock: context.clock, signal })) {
    if (heard.kind === "item" && running(heard.item).length === 0) return heard.item;
    const line = heard.kind === "away" ? awayLine(heard.error) : waitingLine(heard.item);
    const output = heard.kind === "away" ? context.stderr : context.stdout;
    if (line !== said && options.output === "text") await writeLines(output, [`${timeOfDay(context.clock.now())} ${line}`]);
    said = line;
  }
  if (signal.reason === "EPIPE") return undefined;
  throw interrupted(signal, `stopped waiting; ${asked.id} is being drained all the same. Look again with: muster machine ${asked.id}`);
}

/** `web-1 still runs shop-web 1.4.2`; a machine that is not heard can't be told. */
function waitingLine(machine: Machine): string {
  const state = machineStateWord(machine.state);
  const apps = running(machine).join(", ");
  return state === "connected" ? `${machine.id} still runs ${apps}` : `${machine.id} is ${state}; when it is heard again it stops ${apps}`;
}

async function cordon(
  context: CliContext,
  machine: string,
  { drain, force }: { readonly drain: boolean; readonly force: boolean },
  options: CordonOptions,
): Promise<Machine> {
  const request = { machine, reason: options.reason ?? "", by: context.user(), drain, force };
  return given(await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.cordon, request)));
}

function given({ machine }: { readonly machine?: Machine | undefined }): Machine {
  if (machine !== undefined) return machine;
  throw new CliError("the controller answered without a machine", { code: "internal", exit: EXIT.failed });
}

async function show(context: CliContext, machine: Machine, { output }: GlobalOptions): Promise<void> {
  if (output === "json") return printDocument(context, machineJson(machine));
  const view = viewOptions(context);
  const [header = machine.id] = machineView(machine, view);
  const { cordon: cordoned } = machine;
  await writeLines(context.stdout, [header, cordoned === undefined ? "  rollouts may use it" : `  ${cordonText(machine, cordoned, view)}`]);
}
