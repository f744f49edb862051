/**
 * Machines in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type { Cordon, Machine, MachineApp } from "@muster/proto/gen/muster/v1/fleet.ts";
import { reasonJson } from "./deployment-json.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";
import { appPhaseWord, machineStateWord } from "./words.ts";

/** `machines` and `machine` */
export function machineJson(machine: Machine): Json {
  return {
    id: machine.id,
    labels: machine.labels,
    state: machineStateWord(machine.state),
    state_since: isoOrNull(machine.stateSince),
    agent_version: machine.agentVersion,
    hostname: machine.hostname,
    os: machine.os,
    arch: machine.arch,
    first_seen_at: isoOrNull(machine.firstSeenAt),
    last_seen_at: isoOrNull(machine.lastSeenAt),
    assigned_generation: machine.assignedGeneration,
    acknowledged_generation: machine.acknowledgedGeneration,
    apps: machine.apps.map(appJson),
    cordon: machine.cordon === undefined ? null : cordonJson(machine.cordon),
    refusal: machine.refusal === undefined ? null : { ...machine.refusal, since: isoOrNull(machine.refusedSince) },
    held_reports: machine.heldReports,
  };
}

function cordonJson({ since, by, reason, drained }: Cordon): Json {
  return { since: isoOrNull(since), by: textOrNull(by), reason: textOrNull(reason), drained };
}

function appJson(app: MachineApp): Json {
  return {
    app: app.app,
    wanted_version: textOrNull(app.wantedVersion),
    running_version: textOrNull(app.runningVersion),
    phase: appPhaseWord(app.phase),
    reason: reasonJson(app.reason),
    since: isoOrNull(app.since),
    starts: app.starts,
    pid: app.pid === 0 ? null : app.pid,
    ports: app.ports,
    deployment_id: textOrNull(app.deploymentId),
    generation: app.generation,
  };
}
