/**
 * One deployment over time: how it stands now, then after each change, until it has ended.
 */
import type { Deployment, WatchDeploymentRequest } from "@muster/proto/gen/muster/v1/deployments.ts";
import { CliError, EXIT } from "../errors.ts";
import { hasEnded } from "../output/words.ts";
import { type Controller, LARGE_READ_DEADLINE_MS } from "./controller.ts";
import { brokeOff, reconnecting, type Heard, type ReconnectOptions } from "./reconnecting.ts";

/** `untilSettled`: not only until it has ended, but until nobody is on the way by it any more. */
export function watchDeployment(id: string, { untilSettled, ...options }: ReconnectOptions & { readonly untilSettled: boolean }): AsyncGenerator<Heard<Deployment>, void, undefined> {
  return reconnecting((controller) => once(controller, { id, untilSettled }, options.signal), options);
}

/** The unary call first: it has a deadline, so a peer that accepts and says nothing is found out. */
async function* once(controller: Controller, { id, untilSettled }: WatchDeploymentRequest, signal: AbortSignal): AsyncGenerator<Deployment, void, undefined> {
  const isLast = ({ phase, underWay }: Deployment): boolean => hasEnded(phase) && !(untilSettled && underWay);
  const first = await getDeployment(controller, id);
  yield first;
  if (isLast(first)) return;
  const { deployments } = controller;
  for await (const { deployment } of controller.read(deployments, deployments.watchDeployment, { id: first.id, untilSettled }, signal)) {
    if (deployment === undefined) continue;
    yield deployment;
    if (isLast(deployment)) return;
  }
  if (!signal.aborted) throw brokeOff(controller);
}

/** An empty id stands for the newest; `at` is a moment in the past, 0 stands for now. */
export async function getDeployment(controller: Controller, id: string, includeTargets: boolean = false, at: number = 0): Promise<Deployment> {
  const { deployments } = controller;
  const options = at === 0 && !includeTargets ? {} : { deadlineMs: LARGE_READ_DEADLINE_MS };
  const { deployment } = await controller.unary(deployments, deployments.getDeployment, { id, includeTargets, at }, options);
  if (deployment !== undefined) return deployment;
  throw new CliError("the controller answered without a deployment", { code: "internal", exit: EXIT.failed });
}
