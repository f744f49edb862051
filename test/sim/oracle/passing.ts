/**
 * What a wave, or a whole rollout, passes with: every host that took the release serves it, but for as many as may fail, and those that are let go as the file says. The same
 * is asked of soaks, of the end of a wave and of `succeeded`; and of a rollback, that nobody runs the release any more of whom the outcome does not say so.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";
import { answerMs, LAG_MS, ROUNDING_MS, UNSURE_MS } from "./hosts.ts";
import { AFTER_A_PAUSE, AFTER_THE_END, type Decision, type Deployment } from "./record.ts";
import { gateKey } from "./outside.ts";

/** What a host says of a release that has failed there. */
export const FAILED: readonly string[] = ["unhealthy", "failed", "reverting", "reverted"];

interface Took {
  readonly machine: MachineId;
  /** Served it when the controller could last know; undefined: it did not. */
  readonly since: number | undefined;
  /** For so long that the controller has found it by now. */
  readonly isSilent: boolean;
  /** So lately that the controller cannot have called it silent. Between the two it may have. */
  readonly isHeard: boolean;
  /** Silent, and had failed before it fell silent. */
  readonly hadFailed: boolean;
  /** The same, for certain: after a gap nobody is judged before it was heard. */
  readonly mustHaveFailed: boolean;
}

export class Passing {
  readonly #court: Court;

  constructor(court: Court) {
    this.#court = court;
  }

  waveFinished(deployment: Deployment, index: number): void {
    const missing = this.#missing(deployment, index);
    if (missing !== undefined) this.#court.complain("outcome_confirmed", `${deployment.id} finishes wave ${index + 1}, and ${missing}`);
    const { gates, openGates } = deployment.waves[index]!;
    const shut = gates.findIndex((_, gate) => !openGates.has(gate));
    if (shut >= 0) this.#court.complain("wave_order", `${deployment.id} finishes wave ${index + 1}, and its ${gates[shut]!.kind} gate is shut`);
    const early = this.#isPassed(deployment, index) ? undefined : (this.#underWay(deployment, index) ?? this.#passedOver(deployment, index) ?? this.#leftBehind(deployment, index));
    if (early !== undefined) this.#court.complain("wave_order", `${deployment.id} finishes wave ${index + 1}, and ${early}`);
  }

  /** It waits for nobody else: a person says so, or so many of those to which it was new have served it as its threshold asks for. */
  #isPassed({ app, artifact, waves, acts, startedAt = 0 }: Deployment, index: number): boolean {
    const { hosts } = this.#court;
    const { machines, onTrial, successThreshold } = waves[index]!;
    if (acts.some(({ what }) => what === "promote")) return true;
    if (successThreshold === null) return false;
    const served = machines.filter((machine) => !onTrial.has(machine) && hosts.machines.get(machine)?.serving(app).since(startedAt, hosts.now).some((stretch) => stretch.artifact === artifact) === true);
    return served.length >= successThreshold;
  }

  /** Somebody who has taken the release and has not said how it went, though there is time left for that. */
  #underWay({ id, app, strategy, waves, lastDecisions }: Deployment, index: number): string | undefined {
    const { record, hosts } = this.#court;
    const machine = waves[index]!.machines.find((candidate) => {
      const decision = lastDecisions.get(candidate);
      const known = record.machines.get(candidate);
      // One that joins its tail in the same moment comes after it.
      if (decision?.isUpdate !== true || decision.at >= hosts.now || record.newest.get(`${candidate}/${app}`) !== decision) return false;
      if (known === undefined || !record.isUntouchedSince(candidate, decision.at)) return false;
      // One of its name was in the wave, and was removed.
      if (known.joinedAt > (waves[index]!.begunAt ?? hosts.now)) return false;
      if (hosts.wasUnheard(candidate, decision.at, hosts.now) || hosts.now - decision.at >= strategy.healthyDeadlineMs) return false;
      return !record.answers.has(decision.generation);
    });
    return machine === undefined ? undefined : `${machine} has not said how ${id} goes there`;
  }

  /** Somebody who has not had its turn. After a retry that may be since its release was taken back elsewhere, or something newer is to come there. */
  #passedOver({ waves, firstDecisions, retriedAt, startedAt = 0 }: Deployment, index: number): string | undefined {
    const { record, hosts } = this.#court;
    if (retriedAt !== undefined) return undefined;
    const waiting = waves[index]!.machines.find((machine) => record.isUntouchedSince(machine, startedAt) && !firstDecisions.has(machine) && !hosts.wasUnheard(machine, startedAt, hosts.now) && !record.isCalledSilent(machine));
    return waiting === undefined ? undefined : `${waiting} has not had its turn`;
  }

  /** Somebody who had taken the release before it was retried, and runs something else since: by a drain, or by another deployment. */
  #leftBehind({ app, artifact, strategy, waves, lastUpdates, lastDecisions, retriedAt }: Deployment, index: number): string | undefined {
    const { record, hosts } = this.#court;
    if (retriedAt === undefined) return undefined;
    const machine = waves[index]!.machines.find((candidate) => {
      const known = record.machines.get(candidate);
      const update = lastUpdates.get(candidate);
      const newest = record.newest.get(`${candidate}/${app}`);
      if (known === undefined || update === undefined || newest === undefined || lastDecisions.get(candidate)!.at >= retriedAt || newest.at >= retriedAt) return false;
      if (!record.isUntouchedSince(candidate, retriedAt) || known.joinedAt > update.at || !selects(checkedSelector(strategy.targets), known.labels)) return false;
      if (record.answers.get(update.generation) !== "healthy" || hosts.wasUnheard(candidate, retriedAt, hosts.now)) return false;
      return newest.artifact !== artifact;
    });
    return machine === undefined ? undefined : `${machine} runs what it ran before since it was retried, and has not had its turn again`;
  }

  ended(deployment: Deployment): void {
    const { complain } = this.#court;
    if (deployment.phase === "succeeded") {
      for (const [index] of deployment.waves.entries()) {
        const missing = this.#missing(deployment, index);
        if (missing !== undefined) complain("outcome_confirmed", `${deployment.id} succeeds, and of wave ${index + 1} ${missing}`);
      }
    }
    if (deployment.phase === "rolled_back") this.#rolledBack(deployment);
  }

  gateOpened(deployment: Deployment, index: number, gate: number, reachedAt: number): void {
    const { record, hosts, outside, complain } = this.#court;
    const { now } = hosts;
    const { acts, id, waves } = deployment;
    const isPromoted = record.hasOrdered(deployment, ["promote"], now) || acts.some((act) => act.what === "promote" && act.detail === "all");
    if (isPromoted) return;
    const spec = waves[index]!.gates[gate];
    if (spec === undefined) return complain("gates_hold", `${id} opens gate ${gate + 1} of wave ${index + 1}, for which nobody asks`);
    const what = `${id} opens the ${spec.kind} gate of wave ${index + 1}`;
    const go = outside.count(id, gateKey(index, gate), "go", reachedAt);
    switch (spec.kind) {
      case "approval":
        if (!record.hasOrdered(deployment, ["approve"], now)) complain("gates_hold", `${what}, which nobody approved`);
        return;
      case "webhook":
        if (go === 0 && spec.onSilence !== "go") complain("gates_hold", `${what}, and nobody said go`);
        return;
      case "prometheus":
        if (go < spec.count && spec.onSilence !== "go") complain("gates_hold", `${what} after ${go} measurements within its limits`);
        return;
      case "soak": {
        const attendedMs = hosts.attention.atMost(Math.max(reachedAt, deployment.retriedAt ?? 0, this.#lastBadAt(deployment, index)), now);
        if (attendedMs < spec.forMs - ROUNDING_MS) complain("soak_watched", `${what} after ${attendedMs} ms in which it was watched and the hosts were well, of ${spec.forMs}`);
        const missing = this.#missing(deployment, index) ?? this.#allDrained(deployment, index);
        if (missing !== undefined) complain("soak_watched", `${what}, and ${missing}`);
      }
    }
  }

  /** Those that took the release by this deployment and should still run it. Whoever was not well when it failed, and was not told again after a retry, counts for it no more. */
  #took(deployment: Deployment, index: number): readonly Took[] {
    const { record, hosts } = this.#court;
    const { now } = hosts;
    const { app, artifact, id, lastDecisions, lastUpdates, late, waves, retriedAt = -1, wellAtEnd } = deployment;
    return waves[index]!.machines.flatMap((machine) => {
      const last = lastDecisions.get(machine);
      // What goes back in this very moment had it up to now.
      const decision = last?.isUpdate === false && last.at >= now ? lastUpdates.get(machine) : last;
      const known = record.machines.get(machine);
      const host = hosts.machines.get(machine);
      if (decision?.isUpdate !== true || known === undefined || host === undefined || !record.isUntouchedSince(machine, decision.at)) return [];
      // One of its name was in the wave, and was removed; or it joins the tail in this moment, after the end.
      if (known.joinedAt > (waves[index]!.begunAt ?? now) || (late.has(machine) && decision.at >= now)) return [];
      if (record.newest.get(`${machine}/${app}`)?.deployment !== id || (decision.at < retriedAt && !wellAtEnd.has(machine))) return [];
      const stretches = host.serving(app).since(decision.at, now).filter((stretch) => stretch.artifact === artifact);
      // That it took it nobody could know.
      const hasSaidSo = hosts.lastHeardAt(machine) > decision.at && stretches.some(({ from }) => from + LAG_MS < hosts.lastHeardAt(machine));
      if (hosts.unheardMs(machine) >= SILENT_AFTER_MS && !hasSaidSo) return [];
      const knownUntil = Math.max(decision.at, hosts.knownUntil(machine));
      const since = stretches.find(({ to }) => to >= knownUntil)?.from;
      // What had served there went with its disk, after the controller could last know of it.
      if (since === undefined && host.diskSince > knownUntil) return [];
      // While the controller is held up it can't be found silent.
      const missedMs = hosts.attention.between(hosts.lastHeardAt(machine), now);
      const isSilent = missedMs >= SILENT_AFTER_MS + UNSURE_MS;
      // What is heard in this very moment may come after what was decided in it.
      const isHeard = missedMs < SILENT_AFTER_MS - UNSURE_MS && hosts.heardAgainAt(machine) < now;
      // After a gap in its time everybody else is waited for as well, for as long as a machine may be silent.
      const unsureMs = UNSURE_MS + (hosts.attention.since > decision.at ? SILENT_AFTER_MS : 0);
      return [{ machine, since, isSilent, isHeard, hadFailed: isSilent && hadFailed(this.#court, deployment, decision), mustHaveFailed: isSilent && hosts.lastHeardAt(machine) >= hosts.attention.since && hadFailed(this.#court, deployment, decision, unsureMs) }];
    });
  }

  /** Those that were to show the release were drained, and nobody else of the wave has it. */
  #allDrained(deployment: Deployment, index: number): string | undefined {
    const { record, hosts } = this.#court;
    const { app, artifact, lastUpdates, waves, strategy } = deployment;
    // Somebody goes on without them.
    if (isExcused(deployment)) return undefined;
    const machines = waves[index]!.machines.filter((machine) => !waves[index]!.onTrial.has(machine));
    const isThere = (machine: MachineId) => {
      const update = lastUpdates.get(machine);
      const host = hosts.machines.get(machine);
      if (update === undefined || host === undefined || record.machines.get(machine)?.isDrained === true) return false;
      return host.serving(app).since(update.at, hosts.now).some((stretch) => stretch.artifact === artifact) || hadFailed(this.#court, deployment, update);
    };
    const drained = machines.filter((machine) => {
      const update = lastUpdates.get(machine);
      const known = record.machines.get(machine);
      if (update === undefined || known?.isDrained !== true || known.cordonedAt! < update.at || hosts.wasUnheard(machine, update.at, hosts.now)) return false;
      return selects(checkedSelector(strategy.targets), known.labels) && !hadFailed(this.#court, deployment, update);
    });
    return drained.length === 0 || machines.some(isThere) ? undefined : `${drained.join(", ")} took it and were drained, and nobody else of the wave has it`;
  }

  /** How many others have shown how they live with it before a person kept them out of it, cordoned, drained or labelled, or a newer deployment began with them at this very moment. */
  #answeredBeside({ lastDecisions }: Deployment, took: readonly Took[]): number {
    const { record } = this.#court;
    return [...lastDecisions.values()].filter(({ machine, isUpdate, generation }) => isUpdate && record.machines.has(machine) && record.answers.has(generation) && !took.some((each) => each.machine === machine)).length;
  }

  #lastBadAt(deployment: Deployment, index: number): number {
    // One that has failed, as so many may, shows nothing by coming late.
    const took = this.#took(deployment, index).filter(({ isSilent, machine }) => !isSilent && !hadFailed(this.#court, deployment, deployment.lastDecisions.get(machine)!));
    const isLenient = deployment.waves[index]!.successThreshold !== null;
    return isLenient ? 0 : Math.max(0, ...took.map(({ since }) => since ?? 0));
  }

  #missing(deployment: Deployment, index: number): string | undefined {
    const { record } = this.#court;
    const { offline } = deployment.strategy;
    const wave = deployment.waves[index]!;
    // Somebody said that what is broken need not hold it up.
    if (isExcused(deployment)) return undefined;
    // It passes with those that are enough.
    if (wave.successThreshold !== null) return undefined;
    const took = this.#took(deployment, index);
    const failing = took.filter(({ since, isHeard, mustHaveFailed }) => mustHaveFailed || (since === undefined && isHeard));
    if (failing.length > wave.maxFailures) return `${failing.map(({ machine }) => machine).join(", ")} do not serve it, ${wave.maxFailures} may fail`;
    const silent = namesOfLost(took);
    if (silent.length === 0) return undefined;
    if (offline.kind === "skip") {
      // One may be bad luck; more than one and more than a tenth of all that took it, or all of them, may be the release's doing. A wave with a limit of its own says itself how many.
      const all = deployment.waves.flatMap((_, each) => this.#took(deployment, each));
      // A wave with a limit of its own says for its machines how many may be lost.
      const lost = namesOfLost(deployment.waves.flatMap(({ maxUnreachable }, each) => (maxUnreachable === null || wave.maxUnreachable !== null ? this.#took(deployment, each) : [])));
      const count = all.length + this.#answeredBeside(deployment, all);
      const isTolerable = wave.maxUnreachable === null ? lost.length <= Math.max(1, Math.floor(count / 10)) : silent.length <= wave.maxUnreachable;
      // Whoever goes back to an older release waits for nobody who is lost to the newer one.
      const isLuck = (isTolerable && lost.length < count) || record.waysBack.has(deployment.id);
      return isLuck ? undefined : `of ${count} that took it ${lost.join(", ")} are silent`;
    }
    const early = silent.find((machine) => isStillAwaited(this.#court, offline.forMs, machine));
    return early === undefined ? undefined : `${early} is silent, and is to be waited for`;
  }

  /** Whoever still runs the release is named. */
  #rolledBack(deployment: Deployment): void {
    const { controller, record, hosts, complain } = this.#court;
    const { app, artifact, id } = deployment;
    const named = controller.outstandingOf(id, "rolled_back");
    for (const machine of record.machinesOf(deployment)) {
      const host = hosts.machines.get(machine);
      const before = deployment.firstDecisions.get(machine);
      const known = record.machines.get(machine);
      // What runs on a machine that is drained, and hears of it, is stopped.
      const isStopped = known?.isDrained === true && hosts.unheardMs(machine) < SILENT_AFTER_MS;
      // One that is not heard, and is named, is not said to be back.
      const isOpen = named.has(machine) && hosts.unheardMs(machine) >= SILENT_AFTER_MS;
      if (known !== undefined && !known.isDrained && !isOpen) this.#checkBack(deployment, machine);
      if (host === undefined || before === undefined || named.has(machine) || known === undefined || isStopped || record.newest.get(`${machine}/${app}`)?.deployment !== id) continue;
      if (record.newest.get(`${machine}/${app}`)?.artifact === artifact && deployment.lastDecisions.get(machine)?.isUpdate === false) continue;
      if (host.disk.links.get(app) === artifact && host.disk.apps.get(app)?.goal?.deploymentId === id) complain("outcome_confirmed", `${id} is rolled back, and ${machine} still has its release, which nothing says`);
    }
  }

  /** One that says that it could not go back is not back. */
  #checkBack({ id, app, lastDecisions }: Deployment, machine: MachineId): void {
    const { record, hosts, complain } = this.#court;
    const back = lastDecisions.get(machine);
    if (back === undefined || back.isUpdate || record.newest.get(`${machine}/${app}`) !== back || record.owedSince.has(back.generation)) return;
    const answer = record.answers.get(back.generation);
    // It was back, and is not well since.
    const wasBack = hosts.machines.get(machine)?.serving(app).since(back.at, hosts.now).some(({ artifact }) => artifact === back.artifact) === true;
    if (answer !== undefined && FAILED.includes(answer) && !wasBack) complain("outcome_confirmed", `${id} is rolled back, and ${machine} says of its way back: ${answer}`);
  }
}

/** It has not been lost for so long yet, from when it could be known that it is; null: it is waited for until it is back. */
export function isStillAwaited({ hosts }: Court, forMs: number | null, machine: MachineId): boolean {
  return forMs === null || hosts.attention.atMost(hosts.lastHeardAt(machine), hosts.now) < SILENT_AFTER_MS + forMs - UNSURE_MS;
}

/** A person has said that what is broken need not hold it up. Who ends a pause of a person's own has not: that knew of nothing broken. Who retries it after its end has said so of what had failed by then, and that has its turn again. */
function isExcused({ acts }: Deployment): boolean {
  return acts.some(({ what, detail }) => (what === "resume" && detail !== AFTER_A_PAUSE) || what === "promote" || (what === "retry" && detail !== AFTER_THE_END));
}

/** It said so, or it was heard and did not answer in its time, which it has anew when it was lost, or starts again what was well. By default that may be so; with a positive `unsureMs` it is so for certain. */
export function hadFailed({ record, hosts }: Court, { strategy }: Deployment, { machine, generation, at }: Decision, unsureMs = -UNSURE_MS): boolean {
  const answer = record.answers.get(generation);
  const owedSince = record.owedSince.get(generation);
  if (answer !== undefined && (owedSince === undefined || FAILED.includes(answer))) return FAILED.includes(answer);
  const heardUntil = Math.min(hosts.now, hosts.lastHeardAt(machine) + SILENT_AFTER_MS);
  // That it was lost and heard since mends nothing, as long as it does not say that it is well.
  const isLenient = unsureMs < 0;
  if (isLenient && hosts.heardBefore(machine, Math.max(at, owedSince ?? -1)).some(({ from, to }) => hosts.attention.between(from, to) >= answerMs(strategy) + unsureMs)) return true;
  return hosts.attention.between(Math.max(at, hosts.heardAgainAt(machine), owedSince ?? -1), heardUntil) >= answerMs(strategy) + unsureMs;
}

function namesOfLost(took: readonly Took[]): readonly MachineId[] {
  return took.filter(({ isSilent, hadFailed }) => isSilent && !hadFailed).map(({ machine }) => machine);
}
