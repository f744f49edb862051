/**
 * `muster __complete WORDS…`: the names that only the controller knows, for the shell. It answers soon or not at all, and never
 * complains: the user is in the middle of a word.
 */
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import type { Controller } from "../client/controller.ts";
import { positionOf, type Position } from "./position.ts";
import type { CommandSpec } from "./tree.ts";

/** Longer than this and the user thinks that the shell hangs. */
const DEADLINE_MS = 500;

export async function printCandidates(context: CliContext, tree: CommandSpec, words: readonly string[]): Promise<void> {
  const position = positionOf(tree, words);
  const candidates = await askController(context, position).catch(() => []);
  await writeLines(
    context.stdout,
    candidates.filter((candidate) => candidate.startsWith(words.at(-1) ?? "")),
  );
}

async function askController(context: CliContext, position: Position): Promise<readonly string[]> {
  const { value, address } = position;
  if (value?.kind !== "deployment" && value?.kind !== "machine" && value?.kind !== "app") return [];
  return withController(context, address === undefined ? {} : { address }, (controller) => namesOf(controller, value.kind, position));
}

async function namesOf(
  controller: Controller,
  kind: "deployment" | "machine" | "app",
  { operands }: Position,
): Promise<readonly string[]> {
  const { deployments: deploymentsClient, fleet } = controller;
  const options = { deadlineMs: DEADLINE_MS };
  switch (kind) {
    case "deployment": {
      const request = { app: "", activeOnly: false, limit: 0 };
      const { deployments } = await controller.unary(deploymentsClient, deploymentsClient.listDeployments, request, options);
      return deployments.map(({ id }) => id);
    }
    case "machine": {
      const { machines } = await controller.unary(fleet, fleet.listMachines, { selector: "" }, options);
      return machines.map(({ id }) => id);
    }
    case "app": {
      const { machine } = await controller.unary(fleet, fleet.getMachine, { id: operands[0] ?? "" }, options);
      return machine?.apps.map(({ app }) => app) ?? [];
    }
  }
}
