/**
 * From one journal row to the tables. Reads nothing but the row and the tables that it writes, so that replaying the journal into empty tables yields
 * the same tables.
 */
import type { Database } from "better-sqlite3";
import { deploymentNumber, type MachineId } from "@muster/proto/ids.ts";
import type { Plan } from "../plan/plan.ts";
import { type AlarmState, applyAlarm, quietAlarm, resetAlarm } from "../rollout/alarms.ts";
import type { Stamp } from "../rollout/change.ts";
import type { Attended, Moment } from "../rollout/moment.ts";
import { applyGate, type GateChange, type GateState, pendingGate } from "../rollout/gates.ts";
import { isEnded } from "../rollout/state.ts";
import { broughtBy } from "./brought-by.ts";
import { lastGood } from "./last-good.ts";
import { prepareFolding } from "./archived-targets.ts";
import { Removals } from "./removals.ts";
import { prepareWrites } from "./writes.ts";
import { type AgentChanged, isRolloutEntry, type JournalRow, type MachineJoined, type ReportAccepted, type RolloutEntry } from "./entry.ts";

export type Projector = (row: JournalRow) => void;

/** `progressAt` and the counters follow the same rules as `apply` of rollout/change.ts; a test holds both together. */
export function createProjector(db: Database, removals = new Removals(db)): Projector {
  const sql = prepareWrites(db);
  const foldTargets = prepareFolding(db);

  function projectMachine(entry: MachineJoined, { seq, at }: Pick<Stamp, "seq" | "at">): void {
    const { machine, instance, labels, agentVersion, hostname, os, arch } = entry;
    sql.joinMachine.run({ machine, instance, labels: JSON.stringify(labels), agentVersion, hostname, os, arch, seq, at });
  }

  function projectAgent({ machine, instance, agentVersion, hostname, os, arch }: AgentChanged, attended: Attended): void {
    sql.awaitAnswersAnew.run({ machine, instance, attended });
    sql.forgetAnswers.run({ machine, instance });
    sql.changeAgent.run({ machine, instance, agentVersion, hostname, os, arch });
  }

  function forgetMachine(machine: MachineId): void {
    for (const forget of sql.forgetMachine) forget.run(machine);
  }

  function projectReport(entry: ReportAccepted, { at, attended }: Moment): void {
    const { machine, app, generation, phase, reason } = entry;
    sql.awaitAnswer.run({ machine, app, generation, phase, attended });
    sql.reportApp.run({
      machine,
      app,
      generation,
      phase,
      reasonCode: reason?.code ?? null,
      reasonMessage: reason?.message ?? null,
      runningVersion: entry.runningVersion,
      runningArtifact: entry.runningArtifact,
      starts: entry.starts,
      pid: entry.pid,
      ports: JSON.stringify(entry.ports),
      at,
      attended,
    });
    if (phase === "removed") sql.forgetLastGood.run({ machine, app, generation });
  }

  function projectRollout(entry: RolloutEntry, { seq, at, attended }: Stamp): void {
    const id = entry.deployment;
    switch (entry.kind) {
      case "start_approved":
        sql.approveStart.run(id);
        return;
      case "rollout_started":
        return projectPlan(id, entry.plan, { seq, at, attended });
      case "wave_started":
        sql.startWave.run({ id, wave: entry.wave, at });
        sql.enterWave.run({ id, wave: entry.wave, attended });
        sql.endHold.run({ id, attended });
        return;
      case "wave_finished":
        sql.finishWave.run({ id, wave: entry.wave, seq, at, attended });
        sql.endHold.run({ id, attended });
        return;
      case "target_assigned":
        sql.endHoldByMove.run({ id, attended });
        sql.assign.run({ machine: entry.machine, app: entry.app, seq, attended, id, release: entry.release, purpose: entry.purpose, lastGood: lastGood(db, entry.machine, entry.app, entry.purpose === "update" && entry.release !== null ? { id, release: entry.release } : undefined), asLate: entry.purpose === "revert" && entry.isPreviousAsLate === true ? 1 : 0, broughtBy: entry.purpose === "revert" ? broughtBy(db, entry.machine, entry.app, entry.release) : null });
        sql.assignTarget.run({ id, machine: entry.machine, purpose: entry.purpose, previous: entry.previous, isAsLate: entry.isPreviousAsLate === true ? 1 : 0, isTakenDown: entry.isTakenDown === true ? 1 : 0, seq, state: entry.state, at, attended, ...reasonColumns(entry.reason) });
        sql.touchWave.run({ id, machine: entry.machine, state: entry.state, at, attended });
        return;
      case "target_changed":
        if (entry.state === "healthy") sql.noteHealthy.run({ id, at });
        if (entry.state === "healthy" || entry.state === "reverted") sql.progress.run(attended, id);
        if (entry.state === "updating" || entry.state === "reverting") sql.endHoldByMove.run({ id, attended });
        sql.changeTarget.run({ id, machine: entry.machine, state: entry.state, letGo: entry.isLetGo === true ? "tolerated" : null, leftAs: entry.leftAs ?? null, seq, at, attended, runs: entry.runs, ...reasonColumns(entry.reason) });
        sql.touchWave.run({ id, machine: entry.machine, state: entry.state, at, attended });
        return;
      case "target_let_go":
        sql.letGo.run({ id, machine: entry.machine, why: entry.why });
        return;
      case "targets_retried":
        sql.touchWavesOfFailed.run({ id, at, attended });
        sql.retryFailed.run({ id, at, attended });
        return;
      case "targets_excused":
        sql.excuseLost.run(id);
        return;
      case "targets_left":
        sql.leaveTargets.run({ id, machines: JSON.stringify(entry.machines), at, attended, ...reasonColumns(entry.reason) });
        return;
      case "target_joined":
        sql.emptyWave.run({ id, seq, at, attended });
        sql.noteChanged.run({ id, attended });
        sql.keepGone.run({ id, machine: entry.target.machine });
        sql.leaveOutNoMore.run({ id, machine: entry.target.machine });
        sql.joinTarget.run({ id, at, attended, ...entry.target });
        sql.touchWave.run({ id, machine: entry.target.machine, state: "pending", at, attended });
        return;
      case "failures_acknowledged":
        sql.acknowledge.run({ isGoneExcused: entry.isGoneExcused === true ? 1 : 0, id, wave: entry.wave });
        sql.knowTargets.run({ areSilentLeft: entry.areSilentLeft === true ? 1 : 0, id, wave: entry.wave });
        return;
      case "held":
        if (entry.hold === null) sql.endHold.run({ id, attended });
        else sql.hold.run({ id, at, attended, ...entry.hold, until: entry.hold.until ?? null });
        return;
      case "promoted":
        sql.promote.run(id);
        return;
      case "max_unavailable_changed":
        sql.setMaxUnavailable.run(entry.maxUnavailable, id);
        return;
      case "gate_reached":
      case "gate_asked":
      case "gate_answered":
      case "gate_opened":
      case "gate_stopped":
        return projectGate(entry, { at, attended });
      case "alarm_asked":
      case "alarm_answered":
        return changeAlarms(id, (alarms) => applyAlarm(alarms[entry.alarm]!, entry, { at, attended }));
      case "phase_changed":
        if (entry.phase === "rolling") changeAlarms(id, (alarms) => alarms.forEach(resetAlarm));
        sql.changePhase.run({ id, phase: entry.phase, attended, backSeq: entry.phase === "rolling_back" ? seq : null, ...(isEnded(entry.phase) ? { endedAt: at, endedAttended: attended } : { endedAt: null, endedAttended: null }), ...reasonColumns(entry.reason) });
        if (entry.phase === "rolling_back") sql.tryBackAgain.run(id);
        return;
    }
  }

  function projectPlan(id: string, { waves, unchanged, maxUnavailable, lanes, notes }: Plan, { seq, at, attended }: Stamp): void {
    const leftOut = JSON.stringify(unchanged);
    if (unchanged.length > 0) sql.keepRelease.run({ id, seq, unchanged: leftOut });
    sql.startDeployment.run({ id, seq, at, attended, maxUnavailable, unchanged: leftOut, notes: JSON.stringify(notes), lanes: JSON.stringify(lanes), hasTargets: waves.some(({ targets }) => targets.length > 0) ? 1 : 0 });
    waves.forEach(({ targets, members, gates, at: beginsAt, afterMs, maxFailures, maxUnreachable, successThreshold }, wave) => {
      sql.addWave.run({ id, wave, members, gates: JSON.stringify(gates.map(pendingGate)), beginsAt, afterMs, maxFailures, maxUnreachable, successThreshold, at, attended });
      sql.addTargets.run({ id, wave, targets: JSON.stringify(targets), at, attended });
    });
  }

  function projectGate(entry: GateChange & { readonly deployment: string }, at: Moment): void {
    const { deployment: id, wave } = entry;
    const gates = JSON.parse(sql.gates.get(id, wave) as string) as GateState[];
    applyGate(gates[entry.gate]!, entry, at);
    sql.setGates.run(JSON.stringify(gates), id, wave);
    if (entry.kind === "gate_opened" || entry.kind === "gate_stopped") sql.endHold.run({ id, attended: at.attended });
  }

  function changeAlarms(id: string, change: (alarms: readonly AlarmState[]) => void): void {
    const alarms = JSON.parse(sql.alarms.get(id) as string) as AlarmState[];
    if (alarms.length === 0) return;
    change(alarms);
    sql.setAlarms.run(JSON.stringify(alarms), id);
  }

  return ({ seq, at, attended, entry }) => {
    if ("deployment" in entry && entry.deployment !== undefined) removals.settle(entry.deployment);
    if (isRolloutEntry(entry)) return projectRollout(entry, { seq, at, attended });
    switch (entry.kind) {
      case "machine_joined":
        removals.finish(entry.machine);
        return projectMachine(entry, { seq, at });
      case "agent_changed":
        return projectAgent(entry, attended);
      case "machine_labelled":
        return void sql.label.run(JSON.stringify(entry.labels), entry.machine);
      case "machine_removed":
        forgetMachine(entry.machine);
        return removals.take(entry, { seq, at, attended });
      case "machine_silent":
        return void sql.silence.run({ machine: entry.machine, at, attended });
      case "machine_heard":
        sql.awaitAnswersAgain.run({ machine: entry.machine, attended });
        return void sql.endSilence.run({ machine: entry.machine, attended });
      case "artifact_stored":
        return void sql.storeArtifact.run(entry.artifact, entry.fileCount, entry.sizeBytes, entry.packBytes, at);
      case "release_created":
        return void sql.createRelease.run(entry.id, entry.app, entry.release.artifact, JSON.stringify(entry.release), JSON.stringify(entry.secrets ?? {}), at);
      case "release_signed":
        return void sql.signRelease.run(entry.signed, entry.id);
      case "deployment_submitted":
        return void sql.submit.run({
          number: deploymentNumber(entry.deployment),
          id: entry.deployment,
          app: entry.app,
          release: entry.release,
          strategy: JSON.stringify(entry.strategy),
          selector: entry.strategy.targets,
          takesBack: entry.takesBack ?? null,
          alarms: JSON.stringify(entry.strategy.alarms.map(quietAlarm)),
          by: entry.by,
          at,
          attended,
        });
      case "command_accepted":
      case "machine_revoked":
        return;
      case "machine_cordoned":
        return void sql.cordon.run({ at, ...entry, drained: entry.drained ? 1 : 0 });
      case "machine_uncordoned":
        return void sql.uncordon.run(entry.machine);
      case "assignment_renewed":
        if (entry.release !== undefined) sql.giveBack.run({ machine: entry.machine, app: entry.app, release: entry.release, asLate: entry.asLate === true ? 1 : 0, broughtBy: broughtBy(db, entry.machine, entry.app, entry.release) });
        return void sql.renewAssignment.run({ seq, attended, machine: entry.machine, app: entry.app });
      case "budget_set":
        return void sql.setBudget.run(entry.selector, entry.maxUnavailable, entry.by);
      case "budget_removed":
        return void sql.removeBudget.run(entry.selector);
      case "freeze_added":
        return void sql.addFreeze.run({ ...entry, number: Number(entry.freeze.slice("f-".length)) });
      case "freeze_ended":
        return void sql.endFreeze.run({ number: Number(entry.freeze.slice("f-".length)), at });
      case "retention_set":
        return void sql.setRetention.run(entry);
      case "artifact_removed":
        return void sql.removeArtifact.run(entry.artifact);
      case "targets_archived":
        return foldTargets(entry);
      case "report_accepted":
        return projectReport(entry, { at, attended });
    }
  };
}

function reasonColumns(reason: { readonly code: string; readonly message: string } | null) {
  return { reasonCode: reason?.code ?? null, reasonMessage: reason?.message ?? null };
}
