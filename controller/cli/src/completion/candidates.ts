/**
 * `muster __complete WORDS…`: the names that only the controller knows, for the shell. It answers soon or not at all, and never
 * complains: the user is in the middle of a word.
 */
import { listMachines } from "../client/machines.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import type { Controller } from "../client/controller.ts";
import { positionOf, type Position } from "./position.ts";
import type { CommandSpec, KnownToController, ValueSpec } from "./tree.ts";

/** Longer than this and the user thinks that the shell hangs. */
const SOON = { deadlineMs: 500 };

export async function printCandidates(context: CliContext, tree: CommandSpec, words: readonly string[]): Promise<void> {
  const position = positionOf(tree, words);
  const names = await askController(context, position).catch(() => []);
  await writeLines(
    context.stdout,
    [...position.subcommands, ...names].filter((candidate) => candidate.startsWith(words.at(-1) ?? "")),
  );
}

async function askController(context: CliContext, position: Position): Promise<readonly string[]> {
  const { value, address } = position;
  if (value === undefined || !isKnownToController(value)) return [];
  return withController(context, address === undefined ? {} : { address }, (controller) => namesOf(controller, value.kind, position));
}

function isKnownToController(value: ValueSpec): value is ValueSpec & { readonly kind: KnownToController } {
  return value.kind !== "choices" && value.kind !== "file" && value.kind !== "directory" && value.kind !== "other";
}

async function namesOf(controller: Controller, kind: KnownToController, { operands }: Position): Promise<readonly string[]> {
  switch (kind) {
    case "deployment":
      return deploymentIds(controller);
    case "machine":
      return machineIds(controller);
    case "subject":
      return (await Promise.all([deploymentIds(controller), machineIds(controller)])).flat();
    case "app":
      return appNames(controller, operands[0]);
    case "release":
      return (await releases(controller)).map(({ app, version }) => `${app}@${version}`);
    case "freeze": {
      const { freezes } = await controller.unary(controller.fleet, controller.fleet.listFreezes, {}, SOON);
      return freezes.map(({ id }) => id);
    }
    case "secret": {
      const { secrets } = await controller.unary(controller.secrets, controller.secrets.listSecrets, {}, SOON);
      return secrets.map(({ name }) => name);
    }
  }
}

async function deploymentIds(controller: Controller): Promise<readonly string[]> {
  const { deployments: client } = controller;
  const { deployments } = await controller.unary(client, client.listDeployments, { app: "", activeOnly: false, limit: 0 }, SOON);
  return deployments.map(({ id }) => id);
}

async function machineIds(controller: Controller): Promise<readonly string[]> {
  const machines = await listMachines(controller, { selector: "", withoutApps: true }, SOON);
  return machines.map(({ id }) => id);
}

/** Those on a machine; without one, those that have releases. */
async function appNames(controller: Controller, machineId: string | undefined): Promise<readonly string[]> {
  if (machineId === undefined) return [...new Set((await releases(controller)).map(({ app }) => app))];
  const { machine } = await controller.unary(controller.fleet, controller.fleet.getMachine, { id: machineId }, SOON);
  return machine?.apps.map(({ app }) => app) ?? [];
}

async function releases(controller: Controller): Promise<readonly { readonly app: string; readonly version: string }[]> {
  const { history } = controller;
  const answer = await controller.unary(history, history.listReleases, { app: "", limit: 0 }, SOON);
  return answer.releases.flatMap(({ release }) => (release === undefined ? [] : [release]));
}
