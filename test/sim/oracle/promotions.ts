/**
 * What is promoted (`after`) begins when the release has stood for its soak where it came first, no earlier and not much later: by the hosts that are to run it there.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Promotion } from "@muster/controller/src/plan/strategy.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";
import { type Deployment, ENDED } from "./record.ts";

export class StoodFor {
  readonly #court: Court;

  constructor(court: Court) {
    this.#court = court;
  }

  began(deployment: Deployment): void {
    const { hosts, complain } = this.#court;
    const { after, start } = deployment.strategy;
    if (after === null || start === "manual") return;
    const succeeded = this.#forerunners(deployment, after);
    if (!succeeded.some(({ phaseSince }) => phaseSince + after.soakMs <= hosts.now)) return complain("begins_in_time", `${deployment.id} begins, and nothing that it is promoted from has stood for so long`);
    const [first] = succeeded;
    if (succeeded.length > 1) return;
    const machines = this.#machinesOf(after, first!.artifact);
    const ended = machines.filter((machine) => this.#hasEnded(machine, first!, hosts.now - after.soakMs + LAG_MS));
    if (machines.length > 0 && ended.length === machines.length) complain("begins_in_time", `${deployment.id} begins, and what it is promoted from has ended on ${ended.join(", ")} within ${after.soakMs} ms`);
  }

  /** Nothing else is in its way. */
  look(): void {
    const { record, hosts, complain } = this.#court;
    for (const deployment of record.deployments.values()) {
      const { phase, strategy: { after, start, startAt }, app, id } = deployment;
      if (phase !== "pending" || after === null || start === "manual" || startAt !== null) continue;
      if ([...record.deployments.values()].some((other) => other !== deployment && other.app === app && !ENDED.includes(other.phase))) continue;
      if ([...record.deployments.values()].some(({ backSince, app: of }) => backSince !== undefined && of === app)) continue;
      const first = this.#forerunners(deployment, after).at(-1);
      // What came after it is what is asked for, however that ended.
      if (first === undefined || [...record.deployments.values()].some((other) => other !== first && other.app === first.app && other.submittedAt > first.submittedAt && other !== deployment)) continue;
      const since = Math.max(first.phaseSince, deployment.submittedAt - after.soakMs);
      if (hosts.now - since < after.soakMs + 2 * LAG_MS || hosts.attention.since > since) continue;
      const machines = this.#machinesOf(after, first.artifact);
      if (machines.length === 0 || !this.#allOf(after, app).every((machine) => this.#standsSince(machine, first, since))) continue;
      complain("begins_when_due", `${id} does not begin ${hosts.now - since} ms after ${first.id} has succeeded, of ${after.soakMs}, and it has stood on ${machines.join(", ")} since`);
    }
  }

  #forerunners(deployment: Deployment, { deploymentOf, targets }: Promotion): readonly Deployment[] {
    const isSame = (other: Deployment) => deploymentOf !== deployment.app || other.artifact === deployment.artifact;
    return [...this.#court.record.deployments.values()].filter((other) => other !== deployment && other.app === deploymentOf && isSame(other) && other.strategy.targets === targets && other.phase === "succeeded");
  }

  #allOf({ targets }: Promotion, app: string): readonly MachineId[] {
    const { record } = this.#court;
    return [...record.machines.values()].filter(({ machine, labels }) => selects(checkedSelector(targets), labels) && record.newest.get(`${machine}/${app}`)?.artifact !== undefined).map(({ machine }) => machine);
  }

  #machinesOf(after: Promotion, artifact: string): readonly MachineId[] {
    return this.#allOf(after, after.deploymentOf).filter((machine) => this.#court.record.newest.get(`${machine}/${after.deploymentOf}`)?.artifact === artifact);
  }

  /** Its program ended since then, and its agent, which was there, has said so. */
  #hasEnded(machine: MachineId, { app, artifact }: Deployment, since: number): boolean {
    const { hosts } = this.#court;
    const host = hosts.machines.get(machine);
    if (host?.agent === undefined || hosts.wasUnheard(machine, since, hosts.now)) return false;
    return host.serving(app).mishaps.some((mishap) => mishap.what === "exited" && mishap.artifact === artifact && mishap.at > Math.max(since, host.agentSince) && mishap.at < hosts.knownUntil(machine));
  }

  #standsSince(machine: MachineId, { app, artifact }: Deployment, since: number): boolean {
    const { hosts, record } = this.#court;
    const host = hosts.machines.get(machine);
    const newest = record.newest.get(`${machine}/${app}`);
    if (host?.agent === undefined || newest?.artifact !== artifact || newest.at > since || host.agentSince > since || !record.isUntouchedSince(machine, newest.at) || hosts.wasUnheard(machine, since, hosts.now)) return false;
    return hosts.unheardMs(machine) < LAG_MS && record.answers.get(newest.generation) === "healthy" && !record.owedSince.has(newest.generation) && host.serving(app).lastOffAt(hosts.now) < since;
  }
}
