/**
 * Every stop names a cause that somebody else confirms: a person who ordered it, the world outside that said stop, or hosts on which it really went so. And the other way
 * round: what failed on more hosts than the file allows stops a rollout.
 */
import type { AppState } from "@muster/agent/machine/state.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import { HEARTBEAT_MS } from "../link.ts";
import type { Court } from "./court.ts";
import { LAG_MS, ROUNDING_MS, UNSURE_MS } from "./hosts.ts";
import { FAILED, hadFailed } from "./passing.ts";
import type { Deployment, Phase, Wave } from "./record.ts";

/** Reasons for which on_failure says what is done. */
/** A controller that is away for less than one and a half heartbeats is not missed by its agents. */
const UNNOTICED_MS = 1.5 * HEARTBEAT_MS;
const REACTED_TO: readonly string[] = ["failures_exceeded", "unreachable_exceeded", "progress_deadline", "gate_stopped", "alarm_active"];

export class Causes {
  readonly #court: Court;

  constructor(court: Court) {
    this.#court = court;
  }

  /** Asked once the moment is over, when all that was ordered in it is known. */
  phaseChanged(deployment: Deployment, { from, since, to }: { readonly from: Phase; readonly since: number; readonly to: Phase }, reason: Deployment["reason"], at: number): void {
    if (to === "succeeded") this.#checkUnheard(deployment, UNSURE_MS);
    if (to === "pending" || to === "rolling" || to === "succeeded" || to === "rolled_back") return;
    // Somebody ordered that, and it begins, or has come to its end, now.
    if (from === "rolling_back" && to === "aborted") return;
    const missing = this.#missing(deployment, reason?.code ?? "none", at, { from, since });
    if (from === "rolling") this.#checkReaction(deployment, to, reason?.code ?? "none");
    if (missing !== undefined) this.#court.complain("cause_confirmed", `${deployment.id} is ${to} (${reason?.code}: ${reason?.message}), and ${missing}`);
  }

  /** What failed on all that took it has failed, whatever is to be done about failures before that. */
  #checkReaction({ id, strategy: { onFailure }, ...deployment }: Deployment, to: Phase, code: string): void {
    if (!REACTED_TO.includes(code) || (to === "failed" && code === "failures_exceeded")) return;
    const asked = ({ rollback: "rolling_back", pause: "paused", abort: "failed" } as const)[onFailure];
    if (to !== asked) this.#court.complain("on_failure_as_asked", `${id} of ${deployment.app} is ${to} (${code}), and its file says on_failure: ${onFailure}`);
  }

  /** What keeps the cause from being one. */
  #missing(deployment: Deployment, code: string, at: number, { from, since: phaseSince }: { readonly from: Phase; readonly since: number }): string | undefined {
    const { record, outside } = this.#court;
    const { waves, id, app } = deployment;
    switch (code) {
      case "operator":
        return record.hasOrdered(deployment, ["pause", "abort", "rollback", "retry", "promote"], at) ? undefined : "nobody ordered it";
      case "superseded": {
        const newer = [...record.deployments.values()].some((other) => other.app === app && other !== deployment && other.strategy.onConflict === "supersede" && (other.startedAt === at || other.acts.some((act) => act.at >= deployment.submittedAt)));
        return newer || this.#wasTakenBack(deployment) ? undefined : "nothing newer takes its place, and its release was not taken back";
      }
      case "gate_stopped":
      case "alarm_active":
        return outside.count(id, undefined, "stop") + outside.count(id, undefined, "silent") > 0 || this.#keptChanging(deployment, at) ? undefined : "nobody outside said stop";
      case "none":
      case "internal":
        return "that is no cause";
      case "failures_exceeded":
      // Or what it failed of.
      default:
        return waves.some((wave) => this.#failedIn(deployment, wave).length > wave.maxFailures) || this.#allFailed(deployment) ? undefined : `it failed on ${waves.flatMap((wave) => this.#failedIn(deployment, wave)).join(", ") || "no host"}`;
      case "unreachable_exceeded":
        return waves.some((wave) => this.#unheardIn(deployment, wave, at) > (wave.maxUnreachable ?? Infinity)) || this.#hasLost(deployment, phaseSince, at) ? undefined : "the hosts were heard, or have not been silent for as long as the file gives them";
      case "progress_deadline":
        return this.#notLate(deployment, phaseSince, at) ?? (from === "rolling_back" ? this.#nobodyBehind(deployment) : this.#nobodySlow(deployment, phaseSince, at));
      case "revert_failed":
        return record.machinesOf(deployment).some((machine) => this.#isUnwell(machine, app, at) || this.#isElsewhere(deployment, machine) || this.#isUnanswered(deployment, machine)) ? undefined : "every host is well";
      case "no_targets":
        return waves.flatMap(({ machines }) => machines).some((machine) => this.#isStillFor(deployment, machine)) ? "there are machines that it is for" : undefined;
    }
  }

  /** Its time to go back is over, and the controller does not have its answer, though the host may be back. */
  #isUnanswered({ lastDecisions, strategy }: Deployment, machine: MachineId): boolean {
    const { hosts, record } = this.#court;
    const back = lastDecisions.get(machine);
    return back !== undefined && !back.isUpdate && !record.answers.has(back.generation) && hosts.now - back.at >= strategy.healthyDeadlineMs;
  }

  #notLate(deployment: Deployment, phaseSince: number, at: number): string | undefined {
    const attendedMs = this.#attendedSinceProgress(deployment, phaseSince, at);
    const { progressDeadlineMs } = deployment.strategy;
    return attendedMs >= progressDeadlineMs - ROUNDING_MS ? undefined : `its deadline has not passed while the controller watched: ${attendedMs} of ${progressDeadlineMs} ms`;
  }

  /** A machine that failed, as so many may, makes nobody late: there must be another one that took the release and was not well with it all the time, as far as the controller could know. */
  #nobodySlow(deployment: Deployment, phaseSince: number, at: number): string | undefined {
    const { hosts, record } = this.#court;
    const { waves, lastUpdates, app, artifact } = deployment;
    const isWell = (machine: MachineId): boolean =>
      hosts.serves(machine, app) && hosts.serving(machine, app).artifact === artifact && !hosts.wasUnheard(machine, phaseSince, at) && record.answers.get(lastUpdates.get(machine)!.generation) === "healthy";
    const isSlow = (wave: Wave): boolean => {
      const unwell = wave.machines.filter((machine) => lastUpdates.has(machine) && !isWell(machine));
      const failed = unwell.filter((machine) => FAILED.includes(record.answers.get(lastUpdates.get(machine)!.generation) ?? ""));
      return unwell.length > (failed.length > wave.maxFailures ? 0 : failed.length);
    };
    return waves.some(isSlow) || this.#nobodyHeard(deployment, at) ? undefined : "all that took it are well, or have failed as so many may";
  }

  /** Of those that were to go back there must be one that is not where it was to go, or has not said so. */
  #nobodyBehind(deployment: Deployment): string | undefined {
    const { hosts, record } = this.#court;
    const isBehind = (machine: MachineId): boolean => {
      const decision = deployment.lastDecisions.get(machine);
      if (decision === undefined || !hosts.machines.has(machine)) return false;
      return decision.isUpdate || this.#isElsewhere(deployment, machine) || !hosts.hasSettled(machine, deployment.app, decision.generation);
    };
    return record.machinesOf(deployment).some(isBehind) ? undefined : "all that took it are back";
  }

  /** Where all that it is for are away nobody has shown anything, and it ends by its deadline alone. */
  #nobodyHeard({ waves, lastUpdates }: Deployment, at: number): boolean {
    const { hosts } = this.#court;
    const machines = waves.flatMap((wave) => wave.machines);
    return lastUpdates.size === 0 && machines.some((machine) => hosts.wasUnheard(machine, at - ROUNDING_MS, at));
  }

  /** It is there, and is selected. One of the same name that has joined since is another machine. */
  #isStillFor({ startedAt, strategy: { targets } }: Deployment, machine: MachineId): boolean {
    const known = this.#court.record.machines.get(machine);
    return known !== undefined && known.joinedAt <= (startedAt ?? Infinity) && selects(checkedSelector(targets), known.labels);
  }

  /** Another deployment of the same release went back after it had been asked for. */
  #wasTakenBack({ id, artifact, submittedAt }: Deployment): boolean {
    const others = [...this.#court.record.deployments.values()].filter((other) => other.id !== id && other.artifact === artifact && other.phaseSince >= submittedAt);
    return others.some(({ phase, lastDecisions }) => phase === "rolling_back" || phase === "rolled_back" || [...lastDecisions.values()].some(({ isUpdate }) => !isUpdate));
  }

  /** Hosts that show that the release failed, or could not be brought to run in time. */
  #failedIn(deployment: Deployment, { machines }: Wave): readonly MachineId[] {
    return machines.filter((machine) => this.#hasFailed(deployment, machine));
  }

  /** On all, or on all to which it was new: that it runs on well where it was is no success. Nor is it one where a person has drained the machine, unless that had failed. One that has left the fleet took it all the same. */
  #allFailed(deployment: Deployment): boolean {
    const { record } = this.#court;
    const saidSo = (machine: MachineId) => FAILED.includes(record.answers.get(deployment.lastUpdates.get(machine)?.generation ?? -1) ?? "");
    const took = [...deployment.firstDecisions.keys()].filter((machine) => record.machines.get(machine)?.isDrained !== true || saidSo(machine));
    const isNew = (machine: MachineId) => deployment.waves.every(({ onTrial }) => !onTrial.has(machine));
    return this.#failedOnEach(deployment, took) || this.#failedOnEach(deployment, took.filter(isNew));
  }

  #failedOnEach(deployment: Deployment, took: readonly MachineId[]): boolean {
    const { hosts, record } = this.#court;
    const runsIt = (machine: MachineId) => hosts.serves(machine, deployment.app) && hosts.serving(machine, deployment.app).artifact === deployment.artifact;
    return took.some((machine) => this.#hasFailed(deployment, machine)) && took.every((machine) => this.#hasFailed(deployment, machine) || !runsIt(machine) || record.goneAt(deployment, machine) < Infinity);
  }

  #hasFailed({ firstDecisions, lastUpdates, artifact, app, strategy }: Deployment, machine: MachineId): boolean {
    const { hosts } = this.#court;
    const decision = firstDecisions.get(machine);
    const host = hosts.machines.get(machine);
    if (decision === undefined || host === undefined) return false;
    const serving = host.serving(app);
    if (serving.hasFailed(artifact, decision.at, hosts.now) || host.lastFaultAt >= decision.at) return true;
    // Not done with what it was given last when its time was over, or the controller does not have its answer.
    const last = lastUpdates.get(machine) ?? decision;
    // What was never fetched can be held against nobody for the time in which the controller, which has it, was away, as long as what ran before was well.
    const isOwn = host.disk.releases.has(`${app}/${artifact}`) || serving.current(hosts.now) === undefined || serving.lastOffAt(hosts.now) >= last.at;
    const hadMs = isOwn ? hosts.now - last.at : hosts.attention.atMost(last.at, hosts.now) + UNNOTICED_MS;
    if (hadMs < strategy.healthyDeadlineMs) return false;
    // What rests there by now may be another release.
    return hosts.settledPhase(machine, app, last.generation) !== "healthy" || serving.hasMissed(artifact, last.at, last.at + strategy.healthyDeadlineMs - ROUNDING_MS, strategy.minHealthyTimeMs);
  }

  /** A soak ends a rollout whose hosts start it again and again; those that the file waits for do not. */
  #keptChanging(deployment: Deployment, at: number): boolean {
    const { hosts } = this.#court;
    const { strategy, waves, startedAt = 0 } = deployment;
    if (waves.some((wave) => this.#failedIn(deployment, wave).length > 0)) return true;
    return strategy.offline.kind === "skip" && waves.some(({ machines }) => machines.some((machine) => hosts.machines.has(machine) && hosts.wasUnheard(machine, startedAt, at)));
  }

  #unheardIn({ strategy: { offline } }: Deployment, { machines }: Wave, at: number): number {
    const { hosts } = this.#court;
    const givenMs = offline.kind === "skip" ? 0 : (offline.forMs ?? Infinity);
    const { goneUnheard, machines: fleet } = this.#court.record;
    // Who is drained is waited for by nobody.
    const isAwaited = (machine: MachineId) => givenMs > 0 && fleet.get(machine)?.isDrained !== true;
    return machines.filter((machine) => goneUnheard.has(machine) || (hosts.wasUnheard(machine, at - ROUNDING_MS, at) && (!isAwaited(machine) || hosts.attention.between(hosts.lastHeardAt(machine), at) >= SILENT_AFTER_MS + givenMs - ROUNDING_MS))).length;
  }

  /** One that took it, or ran it before, was waited for in vain. */
  #hasLost({ lastUpdates, strategy, waves }: Deployment, since: number, at: number): boolean {
    const { hosts, record } = this.#court;
    return hosts.attention.atMost(since, at) >= strategy.progressDeadlineMs - ROUNDING_MS && [...lastUpdates.keys(), ...waves.flatMap(({ onTrial }) => [...onTrial])].some((machine) => record.goneUnheard.has(machine) || hosts.wasUnheard(machine, at - ROUNDING_MS, at));
  }

  /** Since it began to go forward, or since a host came to serve the release for as long as is asked; what may still be on its way does not count. */
  #attendedSinceProgress(deployment: Deployment, phaseSince: number, at: number): number {
    const { hosts, record } = this.#court;
    const { firstDecisions, app, artifact, strategy } = deployment;
    let since = phaseSince;
    for (const [machine, decision] of firstDecisions) {
      const goneAt = record.goneAt(deployment, machine);
      for (const { artifact: served, from, to } of hosts.machines.get(machine)?.serving(app).since(decision.at, at) ?? []) {
        const wellAt = from + strategy.minHealthyTimeMs;
        const wasHeard = !hosts.wasUnheard(machine, wellAt, wellAt + 3 * SILENT_AFTER_MS) && Math.min(hosts.lastHeardAt(machine), goneAt) > wellAt + LAG_MS;
        if (served === artifact && to >= wellAt && wasHeard) since = Math.max(since, wellAt);
      }
    }
    return hosts.attention.atMost(since, at);
  }

  /** It serves, and something else than it was to go back to. */
  #isElsewhere({ app, lastDecisions }: Deployment, machine: MachineId): boolean {
    const decision = lastDecisions.get(machine);
    return decision !== undefined && !decision.isUpdate && this.#court.hosts.machines.get(machine)?.serving(app).artifact !== decision.artifact;
  }

  #isUnwell(machine: MachineId, app: string, at: number): boolean {
    const { hosts } = this.#court;
    const host = hosts.machines.get(machine);
    if (host === undefined) return false;
    return host.serving(app).lastOffAt(at) > at - 4 * LAG_MS || host.lastFaultAt > at - 10 * LAG_MS || host.serving(app).mishaps.some((mishap) => mishap.at > at - 20 * LAG_MS);
  }

  /** Hosts that know that it failed, and could say so, stop it soon; and so do those that are not heard any more. */
  look(): void {
    const { record, hosts, complain } = this.#court;
    if (!hosts.attention.isAttending || hosts.now - hosts.attention.since < 3 * SILENT_AFTER_MS) return;
    for (const deployment of record.deployments.values()) {
      if (deployment.phase !== "rolling" || record.hasOrdered(deployment, ["retry"], 0) || this.#isMended(deployment)) continue;
      for (const wave of deployment.waves) {
        const known = wave.machines.filter((machine) => deployment.excused?.failing.has(machine) !== true && this.#knowsFailure(deployment, machine));
        if (known.length > wave.maxFailures) complain("failures_stop", `${deployment.id} goes on though ${known.join(", ")} have known for ${LAG_MS} ms that it failed there, ${wave.maxFailures} allowed`);
      }
      this.#checkUnheard(deployment, LAG_MS);
    }
  }

  /** `foundWithinMs`: after a machine has not been heard for so long that it is silent, and is waited for no longer. */
  #checkUnheard(deployment: Deployment, foundWithinMs: number): void {
    const { record, complain } = this.#court;
    // A person goes on without those that are lost.
    if (record.isExcused(deployment, ["resume", "retry", "promote"])) return;
    for (const [index, wave] of deployment.waves.entries()) {
      const unheard = wave.machines.filter((machine) => this.#isUnheard(deployment, wave, machine, foundWithinMs));
      if (unheard.length > (wave.maxUnreachable ?? Infinity)) complain("failures_stop", `${deployment.id} goes on though ${unheard.join(", ")} of wave ${index + 1} are not heard, ${wave.maxUnreachable} allowed`);
    }
  }

  /** It took the release and has not failed with it, or the wave has passed without a threshold, so that it had its turn; and nobody waits for it any longer. */
  #isUnheard(deployment: Deployment, { finishedAt, successThreshold }: Wave, machine: MachineId, foundWithinMs: number): boolean {
    const { hosts, record } = this.#court;
    const { app, lastDecisions, startedAt = 0, strategy: { offline } } = deployment;
    const decision = lastDecisions.get(machine);
    if (!record.isUntouchedSince(machine, decision?.at ?? startedAt)) return false;
    if (decision === undefined && (finishedAt === undefined || successThreshold !== null || offline.kind === "wait")) return false;
    if (decision !== undefined && (!decision.isUpdate || record.newest.get(`${machine}/${app}`) !== decision || hadFailed(this.#court, deployment, decision))) return false;
    const givenMs = offline.kind === "skip" ? 0 : (offline.forMs ?? Infinity);
    return hosts.attention.between(Math.max(hosts.lastHeardAt(machine), decision?.at ?? 0), hosts.now) >= SILENT_AFTER_MS + givenMs + foundWithinMs;
  }

  /** What a person has excused is not as it was then, so that as many others may fail. */
  #isMended({ excused, lastDecisions }: Deployment): boolean {
    if (excused === undefined) return false;
    const { record } = this.#court;
    const isAsItWas = (machine: MachineId, generation: number) => lastDecisions.get(machine)?.generation === generation && FAILED.includes(record.answers.get(generation) ?? "") && record.machines.has(machine);
    return excused.isUnclear || ![...excused.failing].every(([machine, generation]) => isAsItWas(machine, generation));
  }

  #knowsFailure({ id, app, lastDecisions }: Deployment, machine: MachineId): boolean {
    const { hosts, record } = this.#court;
    const decision = lastDecisions.get(machine);
    const host = hosts.machines.get(machine);
    if (decision === undefined || host?.agent === undefined || !record.isUntouchedSince(machine, decision.at)) return false;
    if (record.newest.get(`${machine}/${app}`)?.deployment !== id || hosts.unheardMs(machine) > LAG_MS || hosts.wasUnheard(machine, decision.at, hosts.now)) return false;
    const state = host.disk.apps.get(app);
    if (state?.goal?.generation !== decision.generation || !hasFailed(state)) return false;
    // By the oldest that it has not got rid of: its link was in order all the while.
    return host.trueTime(state.phaseSince) < hosts.now - LAG_MS && !host.disk.reports.some((report) => host.trueTime(report.observedAt) < hosts.now - LAG_MS);
  }
}

/** The release, by what its agent knows; whether what it went back to is well is another question. */
function hasFailed({ phase }: AppState): boolean {
  return ["reverting", "reverted", "failed"].includes(phase.kind) || (phase.kind === "unhealthy" && phase.revertedFor !== undefined);
}
