/** The machines of the fleet, which come in many messages. */
import type { ListMachinesRequest, Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { Controller } from "./controller.ts";

/** Sorted by id. `deadlineMs`: between two messages. */
export async function listMachines(controller: Controller, request: ListMachinesRequest, options?: { readonly deadlineMs: number }): Promise<readonly Machine[]> {
  const machines: Machine[] = [];
  for await (const message of controller.list(controller.fleet, controller.fleet.listMachines, request, options)) machines.push(...message.machines);
  return machines;
}
