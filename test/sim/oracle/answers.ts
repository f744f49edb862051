/**
 * The times that the controller itself gives: to a machine that is heard and does not say how the release goes, `healthy_deadline` and the time that its answer may take; to one that is lost, what
 * `offline: wait` says. Neither is cut short, and nobody is waited for much longer.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";
import { answerMs, LAG_MS, ROUNDING_MS } from "./hosts.ts";
import { hadFailed, isStillAwaited } from "./passing.ts";
import type { Decision, Deployment } from "./record.ts";

export class Answers {
  readonly #court: Court;
  /** `deployment/machine` to when the controller last said how it stands there. */
  readonly #judgedAt = new Map<string, number>();
  /** The same, to when it was let go. */
  readonly #letGoAt = new Map<string, number>();

  constructor(court: Court) {
    this.#court = court;
  }

  judged(deployment: Deployment, machine: MachineId, state: string): void {
    const { hosts, record, complain } = this.#court;
    this.#judgedAt.set(`${deployment.id}/${machine}`, hosts.now);
    const decision = deployment.lastDecisions.get(machine);
    if (state !== "failed" || decision?.isUpdate !== true || record.answers.has(decision.generation) || record.newest.get(`${machine}/${deployment.app}`) !== decision) return;
    const { healthyDeadlineMs } = deployment.strategy;
    const hadMs = hosts.attention.atMost(decision.at, hosts.now);
    if (hadMs < healthyDeadlineMs - ROUNDING_MS) complain("answers_awaited", `${machine} has failed with ${deployment.id}, which it has not said, after ${hadMs} ms of ${healthyDeadlineMs} (healthy_deadline)`);
  }

  letGo(deployment: Deployment, machine: MachineId, why: string): void {
    const { hosts, record, complain } = this.#court;
    const { offline } = deployment.strategy;
    this.#letGoAt.set(`${deployment.id}/${machine}`, hosts.now);
    if (why === "excused" || offline.kind !== "wait" || !record.isUntouchedSince(machine, hosts.lastHeardAt(machine))) return;
    if (isStillAwaited(this.#court, offline.forMs, machine)) complain("lost_awaited", `${deployment.id} waits for ${machine} no longer, which was heard ${hosts.unheardMs(machine)} ms ago, and is to be waited for ${offline.forMs ?? "until it is back"}`);
  }

  look(): void {
    const { record, hosts } = this.#court;
    if (!hosts.attention.isAttending) return;
    for (const deployment of record.deployments.values()) {
      if (deployment.phase !== "rolling" || record.waysBack.has(deployment.id)) continue;
      for (const decision of deployment.lastDecisions.values()) {
        if (!decision.isUpdate || record.newest.get(`${decision.machine}/${decision.app}`) !== decision || !record.isUntouchedSince(decision.machine, decision.at)) continue;
        this.#checkUnanswered(deployment, decision);
        this.#checkLost(deployment, decision);
      }
    }
  }

  /** It was heard all the time, and while somebody looked. */
  #checkUnanswered(deployment: Deployment, decision: Decision): void {
    const { record, hosts, complain } = this.#court;
    const { machine, at, generation } = decision;
    // With another disk it begins anew, and has its time anew.
    if ((hosts.machines.get(machine)?.diskSince ?? at) >= at) return;
    if (record.answers.has(generation) || hosts.attention.since > at || hosts.wasUnheard(machine, at, hosts.now) || (this.#judgedAt.get(`${deployment.id}/${machine}`) ?? -1) > at) return;
    if (hosts.now - at > answerMs(deployment.strategy) + LAG_MS) complain("answers_awaited", `${machine} has said nothing of ${deployment.id} for ${hosts.now - at} ms, and has not failed with it, of ${deployment.strategy.healthyDeadlineMs} (healthy_deadline)`);
  }

  #checkLost(deployment: Deployment, decision: Decision): void {
    const { record, hosts, complain } = this.#court;
    const { machine, at } = decision;
    const { offline, alarms } = deployment.strategy;
    if (offline.kind !== "wait" || offline.forMs === null || alarms.length > 0 || record.hasOrdered(deployment, ["resume", "retry", "promote"], 0)) return;
    const heardAt = hosts.lastHeardAt(machine);
    if (heardAt <= at || hosts.attention.since > heardAt || (this.#letGoAt.get(`${deployment.id}/${machine}`) ?? -1) > heardAt || hadFailed(this.#court, deployment, decision)) return;
    const lostMs = hosts.unheardMs(machine);
    if (lostMs > SILENT_AFTER_MS + offline.forMs + 2 * LAG_MS) complain("lost_awaited", `${deployment.id} still waits for ${machine}, which was heard ${lostMs} ms ago, and is to be waited for ${offline.forMs} ms`);
  }
}
