/**
 * Machines and what they run, as the generated messages have them: from the tables, from who is heard, and from what the engine knows.
 */
import { type Cordon, type Machine, type MachineApp, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { type Labels, type Selector, selects } from "@muster/proto/selector.ts";
import type { Database } from "better-sqlite3";
import type { Engine } from "../engine/engine.ts";
import type { FleetView, Presence } from "../fleet/fleet.ts";
import { Slice, SLICE_ROWS } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import type { AgentPhase } from "../rollout/state.ts";
import { appPhase, reasonOf } from "./message-words.ts";

export interface MachineSource {
  readonly db: Database;
  readonly engine: Pick<Engine, "heldReports" | "newestGeneration">;
  readonly fleet: FleetView;
  /** Whether its credentials were taken from it. */
  readonly isRevoked: (machine: MachineId) => boolean;
}

/** In one message: some milliseconds of encoding. A machine with more has a message of its own. */
const APPS_TOGETHER = 500;

const CANDIDATES = `SELECT id, labels FROM machines WHERE id > ? ORDER BY id LIMIT ${SLICE_ROWS}`;
const MACHINE = "SELECT * FROM machines WHERE id = ?";
const APPS = `
  SELECT a.app, CASE m.drained WHEN 0 THEN a.release END AS wanted, a.deployment, a.generation, ma.phase, ma.generation AS said_generation, ma.reason_code,
         ma.reason_message, ma.running_version, ma.starts, ma.pid, ma.ports, ma.since
  FROM assignments a JOIN machines m ON m.id = a.machine LEFT JOIN machine_apps ma ON ma.machine = a.machine AND ma.app = a.app
  WHERE a.machine = @machine
  UNION ALL SELECT ma.app, NULL, '', 0, ma.phase, ma.generation, ma.reason_code, ma.reason_message, ma.running_version, ma.starts, ma.pid, ma.ports, ma.since
  FROM machine_apps ma WHERE ma.machine = @machine AND ma.phase <> 'removed' AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.machine = ma.machine AND a.app = ma.app)
  ORDER BY 1`;

export class MachineViews {
  readonly #source: MachineSource;

  constructor(source: MachineSource) {
    this.#source = source;
  }

  /** Undefined when there is none. */
  one(id: string): Machine | undefined {
    const row = this.#row(id);
    return row === undefined ? undefined : this.#view(row, this.apps(row.id));
  }

  /** Sorted by name; none of a machine that is not there. What runs there though nobody has assigned it, as after a machine was removed and has joined again, has no deployment. */
  apps(machine: string): MachineApp[] {
    return (statement(this.#source.db, APPS).all({ machine }) as AppRow[]).map(appView);
  }

  /**
   * Those that the selector selects, sorted by id, some at a time and in slices; what they run is read of those alone. Each is as it is at one moment between the first slice and the last; who joins, is removed
   * or gets other labels meanwhile may be missing.
   */
  async *selected(selector: Selector, withApps: boolean): AsyncGenerator<Machine[], void, undefined> {
    const slice = new Slice();
    const isSelected = selecting(selector);
    for (let after = ""; ; ) {
      const candidates = statement(this.#source.db, CANDIDATES).all(after) as Pick<MachineRow, "id" | "labels">[];
      let together: Machine[] = [];
      let appCount = 0;
      for (const { id, labels } of candidates) {
        await slice.took(1);
        // It was read in an earlier turn.
        const row = isSelected(labels) ? this.#row(id) : undefined;
        if (row === undefined || !isSelected(row.labels)) continue;
        const apps = withApps ? this.apps(id) : [];
        together.push(this.#view(row, apps));
        appCount += apps.length;
        if (appCount >= APPS_TOGETHER) {
          yield together;
          [together, appCount] = [[], 0];
        }
        await slice.took(apps.length);
      }
      if (together.length > 0) yield together;
      if (candidates.length < SLICE_ROWS) return;
      after = candidates.at(-1)!.id;
    }
  }

  #row(id: string): MachineRow | undefined {
    return statement(this.#source.db, MACHINE).get(id) as MachineRow | undefined;
  }

  #view(row: MachineRow, apps: MachineApp[]): Machine {
    const { engine, fleet, isRevoked } = this.#source;
    const { presence, since, lastSeenAt, acknowledgedGeneration } = fleet.presence(row.id);
    const refusal = fleet.refusal(row.id);
    return {
      id: row.id,
      labels: { ...labelsOf(row) },
      state: isRevoked(row.id) ? MachineState.REVOKED : MACHINE_STATE[presence],
      stateSince: since,
      agentVersion: row.agent_version,
      hostname: row.hostname,
      os: row.os,
      arch: row.arch,
      firstSeenAt: row.first_seen_at,
      lastSeenAt,
      assignedGeneration: engine.newestGeneration(row.id),
      acknowledgedGeneration,
      apps,
      cordon: cordonView(row),
      refusal: refusal === undefined ? undefined : { code: refusal.code, message: refusal.message },
      refusedSince: refusal?.since ?? 0,
      heldReports: engine.heldReports(row.id),
    };
  }
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

function cordonView({ cordoned_at: since, cordoned_by: by, cordon_reason: reason, drained }: MachineRow): Cordon | undefined {
  return since === null ? undefined : { since, by: by ?? "", reason: reason ?? "", drained: drained === 1 };
}

const MACHINE_STATE: Readonly<Record<Presence, MachineState>> = {
  connected: MachineState.CONNECTED,
  disconnected: MachineState.DISCONNECTED,
  silent: MachineState.SILENT,
};

export function labelsOf(row: { readonly labels: string }): Labels {
  return JSON.parse(row.labels) as Labels;
}

/** Machines of a fleet share few sets of labels. */
function selecting(selector: Selector): (labels: string) => boolean {
  const known = new Map<string, boolean>();
  return (labels) => {
    const isSelected = known.get(labels) ?? selects(selector, labelsOf({ labels }));
    known.set(labels, isSelected);
    return isSelected;
  };
}
