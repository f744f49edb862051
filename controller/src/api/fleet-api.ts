/**
 * FleetService: the machines, what they run, and their logs.
 */
import { status } from "@grpc/grpc-js";
import type { Budget, FleetServiceServer, Freeze as FreezeMessage, LabelMachineRequest, Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { BudgetUse } from "../engine/budgets.ts";
import type { Freeze } from "../engine/facts.ts";
import type { Engine } from "../engine/engine.ts";
import { type Instant, type MachineId, parseAppName, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue, type Labels, LABELS_MAX, parseSelector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { FleetView } from "../fleet/fleet.ts";
import type { Journal } from "../journal/journal.ts";
import type { LogRelay } from "../report/log-relay.ts";
import { demand } from "../access/binding.ts";
import { type Caller, callerOf } from "../grpc/caller.ts";
import { CallError, invalid, missing, unary, valueOf } from "../grpc/answer.ts";
import { serve } from "../grpc/stream.ts";
import { labelsOf, MachineViews } from "./machine-views.ts";
import { byOf, orderOf } from "./order.ts";

const TAIL_LINES_DEFAULT = 100;
const TAIL_LINES_MAX = 10_000;

export interface FleetApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly fleet: FleetView;
  readonly logs: LogRelay;
  /** Whether a machine's credentials were taken from it. */
  readonly isRevoked: (machine: MachineId) => boolean;
  readonly logger: Logger;
}

export function fleetApi({ journal, engine, fleet, logs, isRevoked, logger }: FleetApiOptions): FleetServiceServer {
  const views = new MachineViews({ db: journal.db, engine, fleet, isRevoked });
  const one = (id: string): Machine => {
    const machine = views.one(id);
    if (machine === undefined) throw missing(`there is no machine ${id}`);
    return machine;
  };
  const machineLabels = (id: string): Labels | undefined => {
    const row = journal.db.prepare("SELECT labels FROM machines WHERE id = ?").get(id) as { labels: string } | undefined;
    return row === undefined ? undefined : labelsOf(row);
  };
  /** Who may touch a machine may touch all that is meant to run there. One that is not there is told by whoever looks for it. */
  const demandMachine = (caller: Caller, id: string): void => {
    const labels = machineLabels(id);
    if (labels === undefined) return;
    const apps = journal.db.prepare("SELECT app FROM assignments WHERE machine = ?").pluck().all(id) as string[];
    demand(caller, { labels, apps });
  };
  return {
    listMachines: (call) =>
      serve(call, logger, async (write, signal) => {
        const { selector, withoutApps } = call.request;
        const parsed = parseSelector(selector);
        if (!parsed.ok) throw invalid(`the selector "${selector}" can't be read at character ${parsed.offset + 1}: ${parsed.message}`);
        for await (const machines of views.selected(parsed.selector, !withoutApps)) {
          if (signal.aborted) return;
          await write({ machines });
        }
      }),

    getMachine: unary(logger, (request) => ({ machine: one(request.id) })),

    cordon: unary(logger, (request, caller) => {
      demandMachine(caller, request.machine);
      if (request.drain && isRevoked(machineIdOf(request.machine))) throw new CallError(status.FAILED_PRECONDITION, `${request.machine} was revoked and hears of nothing, so what runs there can't be stopped from here; muster machine remove ${request.machine} takes it out of the fleet`);
      valueOf(engine.orders.cordon(machineIdOf(request.machine), request, orderOf(request, caller)));
      return { machine: one(request.machine) };
    }),

    uncordon: unary(logger, (request, caller) => {
      demandMachine(caller, request.machine);
      valueOf(engine.orders.uncordon(machineIdOf(request.machine), orderOf(request, caller)));
      return { machine: one(request.machine) };
    }),

    labelMachine: unary(logger, (request, caller) => {
      valueOf(engine.orders.labelMachine(machineIdOf(request.machine), checkedLabels(request), byOf(request, caller)));
      return { machine: one(request.machine) };
    }),

    removeMachine: unary(logger, (request, caller) => {
      valueOf(engine.orders.removeMachine(machineIdOf(request.machine), orderOf(request, caller)));
      return {};
    }),

    setBudget: unary(logger, (request, caller) => ({ budget: budgetView(valueOf(engine.orders.setBudget(request.selector, request.maxUnavailable, byOf(request, caller)))) })),

    removeBudget: unary(logger, (request, caller) => {
      valueOf(engine.orders.removeBudget(request.selector, byOf(request, caller)));
      return {};
    }),

    listBudgets: unary(logger, () => ({ budgets: engine.orders.budgets().map(budgetView) })),

    addFreeze: unary(logger, (request, caller) => {
      const period = { from: request.from as Instant, until: request.until === 0 ? null : (request.until as Instant) };
      return { freeze: freezeView(valueOf(engine.orders.addFreeze(period, orderOf(request, caller)))) };
    }),

    endFreeze: unary(logger, (request, caller) => {
      valueOf(engine.orders.endFreeze(request.id, byOf(request, caller)));
      return {};
    }),

    listFreezes: unary(logger, () => ({ freezes: engine.orders.freezes().map(freezeView) })),

    readLogs: (call) =>
      serve(call, logger, async (write, signal) => {
        const { machine, app, tailLines, follow } = call.request;
        const id = parseMachineId(machine);
        if (id === undefined || journal.db.prepare("SELECT 1 FROM machines WHERE id = ?").get(id) === undefined) throw missing(`there is no machine ${machine}`);
        const known = views.apps(id);
        if (parseAppName(app) === undefined || !known.some((each) => each.app === app)) {
          throw missing(`${machine} has no app ${app}${known.length === 0 ? "" : `; it has ${known.map((each) => each.app).join(", ")}`}`);
        }
        demand(callerOf(call), { app, labels: machineLabels(id) });
        const { presence } = fleet.presence(id);
        if (presence !== "connected") throw new CallError(status.FAILED_PRECONDITION, `${machine} is ${presence}: its logs can be read when it is connected`);
        const tail = tailLines === 0 ? TAIL_LINES_DEFAULT : Math.min(tailLines, TAIL_LINES_MAX);
        for await (const lines of logs.read({ machine: id, app, tailLines: tail, follow, signal })) await write({ lines: [...lines] });
      }),
  };
}

function budgetView({ selector, maxUnavailable, machines, unavailable }: BudgetUse): Budget {
  return { selector, maxUnavailable, machines, unavailable: [...unavailable] };
}

function freezeView({ id, from, until, reason, by }: Freeze): FreezeMessage {
  return { id, from, until: until ?? 0, reason, by };
}

function machineIdOf(text: string): MachineId {
  const id = parseMachineId(text);
  if (id === undefined) throw missing(`there is no machine ${text}`);
  return id;
}

function checkedLabels({ set, remove }: LabelMachineRequest): Pick<LabelMachineRequest, "set" | "remove"> {
  const pairs = Object.entries(set);
  if (pairs.length > LABELS_MAX || remove.length > LABELS_MAX) throw invalid(`a machine has at most ${LABELS_MAX} labels`);
  for (const [key, value] of pairs) if (!isLabelKey(key) || !isLabelValue(value)) throw invalid(`"${key.slice(0, 80)}=${value.slice(0, 80)}" is not a label`);
  for (const key of remove) {
    if (!isLabelKey(key)) throw invalid(`"${key.slice(0, 80)}" is not the name of a label`);
    if (Object.hasOwn(set, key)) throw invalid(`${key} is both set and removed`);
  }
  return { set, remove };
}
