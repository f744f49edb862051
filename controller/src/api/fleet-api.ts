/**
 * FleetService: the machines, what they run, and their logs.
 */
import { status } from "@grpc/grpc-js";
import { type Budget, type Cordon, type FleetServiceServer, type Freeze as FreezeMessage, type LabelMachineRequest, type Machine, type MachineApp, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { BudgetUse } from "../engine/budgets.ts";
import type { Freeze } from "../engine/facts.ts";
import type { Engine } from "../engine/engine.ts";
import { type Instant, type MachineId, parseAppName, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue, type Labels, LABELS_MAX, parseSelector, selects } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { FleetView, Presence } from "../fleet/fleet.ts";
import type { Journal } from "../journal/journal.ts";
import type { LogRelay } from "../report/log-relay.ts";
import type { AgentPhase } from "../rollout/state.ts";
import { demand } from "../access/binding.ts";
import { type Caller, callerOf } from "../grpc/caller.ts";
import { CallError, invalid, missing, unary, valueOf } from "../grpc/answer.ts";
import { serve } from "../grpc/stream.ts";
import { byOf, orderOf } from "./order.ts";
import { appPhase, reasonOf } from "./views.ts";

const TAIL_LINES_DEFAULT = 100;
const TAIL_LINES_MAX = 10_000;

export interface FleetApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly fleet: FleetView;
  readonly logs: LogRelay;
  /** Machines whose credentials were taken from them. */
  readonly revoked: () => ReadonlySet<string>;
  readonly logger: Logger;
}

export function fleetApi({ journal, engine, fleet, logs, revoked, logger }: FleetApiOptions): FleetServiceServer {
  const one = (id: string): Machine => {
    const row = journal.db.prepare("SELECT * FROM machines WHERE id = ?").get(id) as MachineRow | undefined;
    if (row === undefined) throw missing(`there is no machine ${id}`);
    return view(row, fleet, appsByMachine(journal, row.id).get(row.id) ?? [], revoked(), { heldReports: engine.heldReports(row.id), assignedGeneration: engine.newestGeneration(row.id) });
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
    listMachines: unary(logger, (request) => {
      const parsed = parseSelector(request.selector);
      if (!parsed.ok) throw invalid(`the selector "${request.selector}" can't be read at character ${parsed.offset + 1}: ${parsed.message}`);
      const apps = appsByMachine(journal, undefined);
      const rows = journal.db.prepare("SELECT * FROM machines ORDER BY id").all() as MachineRow[];
      const machines = rows.filter((row) => selects(parsed.selector, labelsOf(row)));
      const outcasts = revoked();
      const held = engine.allHeldReports();
      return { machines: machines.map((row) => view(row, fleet, apps.get(row.id) ?? [], outcasts, { heldReports: held.get(row.id) ?? 0, assignedGeneration: engine.newestGeneration(row.id) })) };
    }),

    getMachine: unary(logger, (request) => ({ machine: one(request.id) })),

    cordon: unary(logger, (request, caller) => {
      demandMachine(caller, request.machine);
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
        const known = appsByMachine(journal, id).get(id) ?? [];
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

interface MachineRow {
  readonly id: MachineId;
  readonly labels: string;
  readonly agent_version: string;
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  readonly first_seen_at: number;
  readonly cordoned_at: number | null;
  readonly cordoned_by: string | null;
  readonly cordon_reason: string | null;
  readonly drained: number;
}

interface AppRow {
  readonly machine: MachineId;
  readonly app: string;
  readonly wanted: string | null;
  readonly deployment: string;
  readonly generation: number;
  readonly phase: AgentPhase | null;
  readonly said_generation: number | null;
  readonly reason_code: string | null;
  readonly reason_message: string | null;
  readonly running_version: string | null;
  readonly starts: number | null;
  readonly pid: number | null;
  readonly ports: string | null;
  readonly since: number | null;
}

const APPS = `
  SELECT a.machine, a.app, CASE m.drained WHEN 0 THEN a.release END AS wanted, a.deployment, a.generation, ma.phase, ma.generation AS said_generation, ma.reason_code,
         ma.reason_message, ma.running_version, ma.starts, ma.pid, ma.ports, ma.since
  FROM assignments a JOIN machines m ON m.id = a.machine LEFT JOIN machine_apps ma ON ma.machine = a.machine AND ma.app = a.app
  WHERE (@machine IS NULL OR a.machine = @machine) ORDER BY a.machine, a.app`;

function appsByMachine(journal: Journal, machine: MachineId | undefined): ReadonlyMap<MachineId, MachineApp[]> {
  const apps = new Map<MachineId, MachineApp[]>();
  for (const row of journal.db.prepare(APPS).iterate({ machine: machine ?? null }) as IterableIterator<AppRow>) {
    const own = apps.get(row.machine) ?? [];
    own.push(appView(row));
    apps.set(row.machine, own);
  }
  return apps;
}

function appView(row: AppRow): MachineApp {
  return {
    app: row.app,
    wantedVersion: row.wanted === null ? "" : row.wanted.slice(row.app.length + 1),
    runningVersion: row.running_version ?? "",
    phase: appPhase(row.phase),
    reason: reasonOf(row),
    since: row.since ?? 0,
    starts: row.starts ?? 0,
    pid: row.pid ?? 0,
    ports: row.ports === null ? {} : (JSON.parse(row.ports) as Record<string, number>),
    deploymentId: row.deployment,
    generation: row.generation,
  };
}

function view(row: MachineRow, fleet: FleetView, apps: MachineApp[], revoked: ReadonlySet<string>, { heldReports, assignedGeneration }: Pick<Machine, "heldReports" | "assignedGeneration">): Machine {
  const { presence, since, lastSeenAt, acknowledgedGeneration } = fleet.presence(row.id);
  const refusal = fleet.refusal(row.id);
  return {
    id: row.id,
    labels: { ...labelsOf(row) },
    state: revoked.has(row.id) ? MachineState.REVOKED : MACHINE_STATE[presence],
    stateSince: since,
    agentVersion: row.agent_version,
    hostname: row.hostname,
    os: row.os,
    arch: row.arch,
    firstSeenAt: row.first_seen_at,
    lastSeenAt,
    assignedGeneration,
    acknowledgedGeneration,
    apps,
    cordon: cordonView(row),
    refusal: refusal === undefined ? undefined : { code: refusal.code, message: refusal.message },
    refusedSince: refusal?.since ?? 0,
    heldReports,
  };
}

function cordonView({ cordoned_at: since, cordoned_by: by, cordon_reason: reason, drained }: MachineRow): Cordon | undefined {
  return since === null ? undefined : { since, by: by ?? "", reason: reason ?? "", drained: drained === 1 };
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

const MACHINE_STATE: Readonly<Record<Presence, MachineState>> = {
  connected: MachineState.CONNECTED,
  disconnected: MachineState.DISCONNECTED,
  silent: MachineState.SILENT,
};

function labelsOf(row: { readonly labels: string }): Labels {
  return JSON.parse(row.labels) as Labels;
}
