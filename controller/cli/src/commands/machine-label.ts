/**
 * `muster machine label MACHINE KEY=VALUE… KEY-…`, as kubectl writes it.
 */
import { isLabelKey, isLabelValue } from "@muster/proto/selector.ts";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { write, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { printDocument } from "../output/json.ts";
import { machineJson } from "../output/machine-json.ts";
import { labelText } from "../render/machine-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { withExamples } from "./options.ts";

interface LabelChanges {
  readonly set: Record<string, string>;
  readonly remove: string[];
}

export function registerMachineLabel(machine: Command, context: CliContext): void {
  const command = machine
    .command("label")
    .summary("set and remove its labels")
    .description(
      "Sets labels of a machine (KEY=VALUE) and removes others (KEY-). They decide what is deployed to it from now on; deployments under way keep their machines. " +
        "What its agent was given when it joined counts no more.",
    )
    .argument("<machine>", "the machine's id")
    .argument("<label...>", "KEY=VALUE to set one, KEY- to remove one")
    .action(async (id: string, labels: readonly string[], _options: unknown, self: Command) => {
      await labelMachine(context, id, labelChanges(labels), self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(command, [["muster machine label web-1 zone=b canary-", "in another zone, and no canary any more"]]);
}

async function labelMachine(context: CliContext, id: string, { set, remove }: LabelChanges, options: GlobalOptions): Promise<void> {
  const request = { machine: id, set, remove, by: context.user() };
  const { machine } = await withController(context, options, (controller) => controller.unary(controller.fleet, controller.fleet.labelMachine, request));
  if (machine === undefined) throw new CliError("the controller answered without a machine", { code: "internal", exit: EXIT.failed });
  if (options.output === "json") return printDocument(context, machineJson(machine));
  const labels = labelText(machine.labels);
  await write(context.stdout, `${machine.id} has ${labels === "" ? "no labels" : labels.replaceAll(",", ", ")}\n`);
}

function labelChanges(texts: readonly string[]): LabelChanges {
  const set = new Map<string, string>();
  const remove = new Set<string>();
  for (const text of texts) {
    const [key, value] = keyAndValue(text);
    if (!isLabelKey(key)) throw badLabel(`"${text}": "${key}" is not a label's name (letters, digits and . _ - /, for example role)`);
    if (set.has(key) || remove.has(key)) throw badLabel(`"${text}": ${key} is given twice`);
    if (value === undefined) remove.add(key);
    else if (isLabelValue(value)) set.set(key, value);
    else throw badLabel(`"${text}": "${value}" is not a label's value (at most 63 letters, digits and . _ -)`);
  }
  return { set: Object.fromEntries(set), remove: [...remove] };
}

/** Without a value: it is to be removed. */
function keyAndValue(text: string): readonly [key: string, value: string | undefined] {
  const at = text.indexOf("=");
  if (at >= 0) return [text.slice(0, at), text.slice(at + 1)];
  if (text.endsWith("-")) return [text.slice(0, -1), undefined];
  throw badLabel(`"${text}" is neither KEY=VALUE nor KEY- (for example role=web or canary-)`);
}

function badLabel(message: string): CliError {
  return new CliError(`${message}. Nothing was changed`, { code: "bad_input", exit: EXIT.badInput });
}
