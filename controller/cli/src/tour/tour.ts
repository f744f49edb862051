/**
 * The tour of `npm start`: a dev fleet, three deployments, and what they show. Uses the public API like any other client.
 *
 * It ends as soon as something goes otherwise than the script says: a tour that hides a fault would teach a wrong thing.
 */
import { join, relative, resolve } from "node:path";
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { KEEPALIVE_WATCHING } from "../client/keepalive.ts";
import { Controller } from "../client/controller.ts";
import { listMachines } from "../client/machines.ts";
import { getDeployment, watchDeployment } from "../client/rollout-stream.ts";
import { readDeploymentFile } from "../commands/deployment-file.ts";
import { publishArtifact } from "../commands/publish-artifact.ts";
import { openScreen } from "../commands/rollout-screen.ts";
import { write, type CliContext } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { hasEnded } from "../output/words.ts";
import { wrap } from "../render/text.ts";
import { APP, aftermath, judge, type Step, STEPS } from "./script.ts";

export interface TourOptions {
  /** `host:port` of the fleet's controller. */
  readonly address: string;
  /** The fleet's; others may be known from earlier. */
  readonly machineIds: readonly string[];
  /** Holds a folder for each version. */
  readonly exampleDir: string;
}

export interface TourEnd {
  readonly deploymentIds: readonly string[];
  readonly machines: readonly Machine[];
}

const RECONNECT_FOR_MS = 30_000;
const PAGE_TIMEOUT_MS = 2_000;
const INDENT = "  ";

/** Throws a CliError when a step ends otherwise than it should. */
export async function walkTour(context: CliContext, options: TourOptions): Promise<TourEnd> {
  const controller = new Controller({ target: options.address, source: "the tour" });
  try {
    await endEarlier(context, controller);
    const deploymentIds: string[] = [];
    let machines: readonly Machine[] = [];
    for (const [index, step] of STEPS.entries()) {
      const file = relative(context.cwd, join(options.exampleDir, step.version, "muster.yaml"));
      const heading = context.colors.bold(`${index + 1} of ${STEPS.length}: ${APP} ${step.version}`);
      const command = context.colors.dim(`${INDENT}$ npx muster deploy -f ${file} --watch`);
      await say(context, "", heading, ...paragraph(context, step.before), "", command);
      const id = await submit(context, controller, file);
      deploymentIds.push(id);
      const ended = await show(context, id, options);
      machines = await fleetMachines(controller, options.machineIds);
      const verdict = judge(step, ended, machines);
      if (!verdict.ok) throw new CliError(`the tour went otherwise than it should: ${verdict.message}`, { code: "tour", exit: EXIT.failed });
      await sayAfter(context, controller, step, id, machines);
    }
    return { deploymentIds, machines };
  } finally {
    controller.close();
  }
}

/** A tour that was broken off may have left a rollout that waits for somebody; ours would wait behind it. */
async function endEarlier(context: CliContext, controller: Controller): Promise<void> {
  const { deployments: client } = controller;
  const { deployments } = await controller.unary(client, client.listDeployments, { app: APP, activeOnly: true, limit: 0 });
  for (const { id, version } of deployments) {
    await say(context, ...paragraph(context, `An earlier tour left ${id} (${APP} ${version}) unfinished; it is aborted.`));
    await controller.unary(client, client.abort, { id, reason: "a new tour begins", by: context.user(), revert: false });
  }
}

/** What `muster deploy` does; returns the deployment's id. */
async function submit(context: CliContext, controller: Controller, path: string): Promise<string> {
  const { name: fileName, content, folder } = await readDeploymentFile(context, path);
  const { deployments } = controller;
  const { artifactPath } = await controller.unary(deployments, deployments.check, { fileName, content, artifact: "", signed: false });
  const { digest } = await publishArtifact(context, controller, resolve(folder, artifactPath), "text");
  const { deployment, faults } = await controller.unary(deployments, deployments.submit, { fileName, content, artifact: digest, by: context.user(), signed: "" });
  if (deployment !== undefined) return deployment.id;
  throw new CliError(`${fileName} was refused: ${faults.map(({ message }) => message).join("; ")}`, { code: "tour", exit: EXIT.failed });
}

/** The picture of `muster watch`, until the deployment has ended. */
async function show(context: CliContext, id: string, { address }: TourOptions): Promise<Deployment> {
  const signal = context.interruption();
  const screen = await openScreen(context, "text");
  const connect = async (): Promise<Controller> => new Controller({ target: address, source: "the tour" }, undefined, KEEPALIVE_WATCHING);
  let last: Deployment | undefined;
  try {
    for await (const heard of watchDeployment(id, { connect, reconnectForMs: RECONNECT_FOR_MS, clock: context.clock, signal, untilSettled: false })) {
      switch (heard.kind) {
        case "item":
          last = heard.item;
          await screen.show(heard.item);
          break;
        case "away":
          await screen.away(heard.error, heard.lostAt);
          break;
      }
    }
  } finally {
    await screen.end(undefined);
  }
  if (last === undefined || !hasEnded(last.phase)) throw new CliError(`${id} has not ended`, { code: "internal", exit: EXIT.failed });
  return last;
}

async function fleetMachines(controller: Controller, ids: readonly string[]): Promise<readonly Machine[]> {
  const machines = await listMachines(controller, { selector: "", withoutApps: false });
  return machines.filter(({ id }) => ids.includes(id));
}

async function sayAfter(context: CliContext, controller: Controller, step: Step, id: string, machines: readonly Machine[]): Promise<void> {
  const lines = step.expectedPhase === "rolled_back" ? aftermath(await getDeployment(controller, id, true)) : [];
  const pages = await Promise.all(machines.map(pageOf));
  await say(context, "", ...lines.flatMap((line) => paragraph(context, line)), ...pages.map((page) => context.colors.dim(INDENT + page)));
}

/** What a visitor of the machine sees, and where. */
async function pageOf(machine: Machine): Promise<string> {
  const port = machine.apps.find(({ app }) => app === APP)?.ports["http"] ?? 0;
  const url = `http://127.0.0.1:${port}/`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PAGE_TIMEOUT_MS) });
    const [firstLine = ""] = (await response.text()).split("\n");
    return `${url} says: ${firstLine}`;
  } catch (error) {
    return `${url} does not answer: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function say(context: CliContext, ...lines: readonly string[]): Promise<void> {
  await write(context.stdout, lines.map((line) => `${line}\n`).join(""));
}

function paragraph(context: CliContext, text: string): readonly string[] {
  return wrap(text, Math.min(context.columns(), 100) - INDENT.length).map((line) => INDENT + line);
}
