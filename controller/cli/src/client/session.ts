/**
 * A controller for as long as a command needs it. gRPC is loaded here and not before: it costs more than all the rest.
 */
import type { CliContext } from "../context.ts";
import type { GlobalOptions } from "../usage.ts";
import { findController, isSocket } from "./address.ts";
import type { Controller } from "./controller.ts";
import type { Keepalive } from "./keepalive.ts";

export async function openController(context: CliContext, { address }: Pick<GlobalOptions, "address">, keepalive?: Keepalive): Promise<Controller> {
  const found = findController(address, context.env, context.cwd);
  if (found === undefined || !isSocket(found.target)) {
    const { openRemote } = await import("./remote.ts");
    return openRemote(context, found, keepalive);
  }
  const { Controller } = await import("./controller.ts");
  return new Controller(found, { kind: "local", user: context.user() }, keepalive, context.controllerClock);
}

export async function withController<Result>(
  context: CliContext,
  options: Pick<GlobalOptions, "address">,
  use: (controller: Controller) => Promise<Result>,
): Promise<Result> {
  const controller = await openController(context, options);
  try {
    return await use(controller);
  } finally {
    controller.close();
  }
}
