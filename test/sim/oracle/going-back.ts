/**
 * What a host goes back to, in which order, and what it is not given again.
 *
 * For each app on each host a stack of what was *confirmed* there: a deployment gave it, the host really served it, and the wave passed. Where the hosts do not say clearly whether that was so (cut off, restarting at that very moment), nothing is demanded until it is clear again.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";
import { type Decision, type Deployment, ENDED } from "./record.ts";
import { roundedDown } from "./rounding.ts";

interface Confirmed {
  readonly deployment: string;
  /** Undefined: the host does not say clearly whether it was, so nothing is demanded of what comes back to this. */
  readonly artifact: string | undefined;
}

interface Past {
  readonly confirmed: Confirmed[];
  /** A late machine was given something that may not be confirmed yet. */
  isOpen: boolean;
  /** By artifact: when it was taken back from here last, and by which deployment it had come. */
  readonly takenBack: Map<string, { readonly at: number; readonly deployment: string }>;
}

interface Late {
  readonly decision: Decision;
  /** It served when its wave passed. */
  readonly wasWell: boolean;
  /** Nothing was heard of it then. */
  readonly wasUnheard: boolean;
}

export class GoingBack {
  readonly #court: Court;
  /** By `machine/app`. */
  readonly #pasts = new Map<string, Past>();
  /** Of this moment, judged when it is over: rollouts that took somebody back, and whom. */
  #backs: Decision[] = [];

  /** When deployments began to go back: a machine that is lost hears of it later. */
  readonly #backAt = new Map<DeploymentId, number>();
  /** Given to machines that became healthy after their wave had passed, or that came late, and not confirmed yet. */
  readonly #late = new Map<string, Late>();

  constructor(court: Court) {
    this.#court = court;
  }

  forget(machine: MachineId): void {
    for (const known of [this.#pasts, this.#late]) for (const key of [...known.keys()]) if (key.startsWith(`${machine}/`)) known.delete(key);
  }

  decided(decision: Decision, deployment: Deployment, before: Decision | undefined): void {
    const past = this.#past(decision.machine, decision.app);
    this.#noteOwnReturn(past, before);
    if (decision.isUpdate) {
      // A person says that it is good: it is so from the start where it does not fail, and what it was to replace is not.
      if (this.#court.record.waysBack.has(deployment.id)) past.confirmed.push({ deployment: deployment.id, artifact: undefined });
      const hasPassed = deployment.waves.some(({ machines, finishedAt }) => finishedAt !== undefined && machines.includes(decision.machine));
      if (deployment.phase === "succeeded" || hasPassed) {
        past.isOpen = true;
        this.#late.set(`${decision.machine}/${decision.app}`, { decision, wasWell: false, wasUnheard: false });
      }
      this.#checkGivenAgain(decision, deployment, past);
      this.#checkCatchUp(decision, deployment, before);
      return;
    }
    // A machine that a person drains takes no turn.
    if (this.#court.record.machines.get(decision.machine)?.isDrained !== true) this.#backs.push(decision);
    past.confirmed.splice(0, Infinity, ...past.confirmed.filter((each) => each.deployment !== decision.deployment));
    if (before?.artifact !== undefined && before.deployment === decision.deployment && before.artifact !== decision.artifact) past.takenBack.set(before.artifact, { at: this.#backAt.get(decision.deployment) ?? decision.at, deployment: decision.deployment });
    const expected = past.confirmed.at(-1);
    if (past.isOpen || expected?.artifact === undefined || expected.artifact === decision.artifact) return;
    const goes = decision.artifact === undefined ? "to have the app removed" : `to ${nameOf(decision.artifact)}`;
    this.#court.complain("going_back_restores", `${decision.machine} is ${goes} by ${decision.deployment}; ${nameOf(expected.artifact)} of ${expected.deployment} ran well there before`);
  }

  /** The host has gone back by itself meanwhile, before it heard that what it left was confirmed, and has said so: what it is on was good there last. */
  #noteOwnReturn({ confirmed }: Past, before: Decision | undefined): void {
    const { hosts } = this.#court;
    const [older, top] = confirmed.slice(-2);
    if (before === undefined || confirmed.at(-1)?.deployment !== before.deployment || !hosts.machines.has(before.machine)) return;
    if (hosts.settledPhase(before.machine, before.app, before.generation) !== "reverted") return;
    confirmed.pop();
    const isBack = top !== undefined && older?.artifact !== undefined && hosts.machines.get(before.machine)!.disk.links.get(before.app) === older.artifact;
    if (!isBack) confirmed.push({ deployment: before.deployment, artifact: undefined });
  }

  /** Its wave has passed. What an abort leaves in the middle of a soak nobody has called good. */
  confirmed(deployment: Deployment, machines: Iterable<MachineId>, wasWell = false): void {
    const { hosts, record } = this.#court;
    const { id, app, artifact, lastDecisions } = deployment;
    for (const machine of machines) {
      const host = hosts.machines.get(machine);
      const decision = lastDecisions.get(machine);
      if (host === undefined || decision?.isUpdate !== true || record.newest.get(`${machine}/${app}`)?.deployment !== id) continue;
      const past = this.#past(machine, app);
      if (past.confirmed.at(-1)?.deployment === id) continue;
      past.isOpen = false;
      const phase = hosts.settledPhase(machine, app, decision.generation);
      const serves = host.serving(app).current(hosts.now)?.artifact === artifact;
      // What it did nobody could know.
      const wasUnheard = hosts.unheardMs(machine) >= SILENT_AFTER_MS;
      if (phase === undefined || wasUnheard) {
        past.isOpen = true;
        this.#late.set(`${machine}/${app}`, { decision, wasWell: serves, wasUnheard });
        continue;
      }
      const isWell = phase === "healthy" && serves;
      // It went back by itself: what it is on was confirmed before, unless it did so before it heard that the release was confirmed, too.
      if ((phase === "reverted" || phase === "failed") && !wasWell) continue;
      past.confirmed.push({ deployment: id, artifact: isWell ? artifact : undefined });
    }
  }

  /** What a way back is to replace is good no more, told by now or not. */
  beginsBack({ app, artifact, waves }: Deployment): void {
    for (const machine of waves.flatMap(({ machines }) => machines)) {
      const { confirmed } = this.#past(machine, app);
      const late = this.#late.get(`${machine}/${app}`);
      if (late !== undefined && late.decision.artifact !== artifact) this.#overtake(late.decision);
      const top = confirmed.at(-1);
      if (top !== undefined && top.artifact !== artifact) confirmed[confirmed.length - 1] = { ...top, artifact: undefined };
    }
  }

  goesBack(deployment: Deployment): void {
    this.#backAt.set(deployment.id, this.#court.hosts.now);
    for (const machine of this.#court.record.machinesOf(deployment)) {
      const { confirmed } = this.#past(machine, deployment.app);
      const index = confirmed.findIndex((each) => each.deployment === deployment.id);
      // Until it has been taken back from there; what comes in between does so while nobody knows what is good.
      if (index >= 0) confirmed[index] = { deployment: deployment.id, artifact: undefined };
    }
  }

  /** The moment is over. */
  settleMoment(): void {
    const backs = this.#backs;
    this.#backs = [];
    for (const back of backs) this.#checkOrder(back);
  }

  /** Whoever is down still has the release, and could have been first. */
  #checkOrder({ machine, app, deployment: id, at }: Decision): void {
    const { record, hosts, complain } = this.#court;
    const deployment = record.deployments.get(id)!;
    if (!hosts.serves(machine, app) || deployment.strategy.spread !== null || deployment.strategy.maxUnavailablePer.length > 0 || record.budgets.size > 0) return;
    const waiting = record.machinesOf(deployment).find((other) => {
      const known = record.machines.get(other);
      const host = hosts.machines.get(other);
      const last = deployment.lastDecisions.get(other);
      if (other === machine || known === undefined || host === undefined || last?.isUpdate !== true || known.cordonedAt !== undefined) return false;
      if (record.newest.get(`${other}/${app}`)?.deployment !== id || hosts.unheardMs(other) > LAG_MS || hosts.wasUnheard(other, at - 2 * SILENT_AFTER_MS, at)) return false;
      // What its agent can't write down, has not got rid of, or does not live to say, nobody hears.
      if ((host.serving(app).offSince(at) ?? Infinity) > hosts.knownUntil(other)) return false;
      return host.agent !== undefined && !host.isDiskFull && host.disk.links.get(app) === deployment.artifact && host.serving(app).wasOff(at - LAG_MS, at) && last.at < at - 2 * LAG_MS && hosts.isAtRest(other, app);
    });
    if (waiting !== undefined) complain("broken_first", `${machine} serves and goes back by ${id} before ${waiting}, which is down with its release`);
  }

  #checkGivenAgain({ machine, app, artifact, at }: Decision, deployment: Deployment, past: Past): void {
    const { record, complain } = this.#court;
    const taken = artifact === undefined ? undefined : past.takenBack.get(artifact);
    if (taken === undefined || artifact === undefined) return;
    const isNew = (deployment.startedAt ?? 0) >= taken.at || record.hasOrdered(deployment, ["submit", "retry", "resume"], taken.at) || (record.machines.get(machine)?.touchedAt ?? 0) >= taken.at;
    if (isNew) past.takenBack.delete(artifact);
    else complain("taken_back_stays", `${machine} is given ${nameOf(artifact)} of ${app} again by ${deployment.id} at ${at}, and it was taken back from there by ${taken.deployment} at ${taken.at}; nobody asked for it since`);
  }

  /** One that came later gets what stands, and not what fails wherever it runs. */
  #checkCatchUp({ machine, at }: Decision, deployment: Deployment, before: Decision | undefined): void {
    const { record, hosts, complain } = this.#court;
    if (deployment.phase !== "succeeded" || !hosts.attention.isAttending || hosts.now - hosts.attention.since < 2 * SILENT_AFTER_MS) return;
    const { app, artifact, id, strategy } = deployment;
    // Whoever has it by a deployment to the same machines, and by going back to it.
    const isAlike = (each: Decision) => each.app === app && each.artifact === artifact && record.deployments.get(each.deployment)!.strategy.targets === strategy.targets;
    const others = [...record.newest.values()].filter((each) => each.machine !== machine && isAlike(each) && record.machines.get(each.machine)?.isDrained === false);
    // It may run it well already, by such a deployment, and show so itself that it stands.
    const isShown = before !== undefined && isAlike(before) && hosts.serves(machine, app) && hosts.serving(machine, app).artifact === artifact;
    const took = isShown ? [...others, before] : others;
    const failing = took.filter(({ machine: other, generation }) => {
      const host = hosts.machines.get(other);
      return host !== undefined && hosts.unheardMs(other) <= LAG_MS && !hosts.wasUnheard(other, at - 3 * SILENT_AFTER_MS, at) && host.disk.links.get(app) === artifact && host.serving(app).wasOff(at - 2 * LAG_MS, at) && hosts.hasSettled(other, app, generation);
    });
    const own = roundedDown(strategy.maxFailures, took.length);
    const allowed = Math.min(took.length - 1, Math.max(1, Math.floor(took.length / 10), own));
    if (took.length > 0 && failing.length > allowed) complain("catch_up_waits", `${machine} gets ${nameOf(artifact)} by ${id}, which fails on ${failing.map((each) => each.machine).join(", ")} of ${took.length}`);
  }

  /** Nobody is left dead with a release that was never confirmed where another one was. */
  look(): void {
    const { record, hosts, complain } = this.#court;
    this.#confirmLate();
    for (const [key, { confirmed, isOpen }] of this.#pasts) {
      const decision = record.newest.get(key);
      const expected = confirmed.at(-1);
      if (isOpen || expected?.artifact === undefined || decision?.isUpdate !== true || decision.artifact === expected.artifact || decision.artifact === undefined) continue;
      const { machine, app } = decision;
      const deployment = record.deployments.get(decision.deployment)!;
      const host = hosts.machines.get(machine);
      const known = record.machines.get(machine);
      if (host?.agent === undefined || known?.cordonedAt !== undefined || (record.renewed.get(key) ?? 0) >= decision.at) continue;
      // From when on there was nothing in the way of it.
      const patienceMs = deployment.strategy.healthyDeadlineMs + 2 * LAG_MS;
      const isLeft = host.disk.links.get(app) === decision.artifact && hosts.isAtRest(machine, app) && host.serving(app).wasOff(hosts.now - patienceMs, hosts.now);
      if (isLeft && decision.at < hosts.now - patienceMs && host.lastFaultAt < hosts.now - patienceMs && !host.isDiskFull) {
        complain("dead_goes_back", `${machine} is dead with ${nameOf(decision.artifact)} of ${decision.deployment}, which is ${deployment.phase} and was never confirmed there; ${nameOf(expected.artifact)} was`);
      }
    }
  }

  /** In words, a host that still has what was being taken back from it, and about which nobody has decided anything since; undefined: there is none. What a person aborts stays where it is. */
  leftBehind(): string | undefined {
    const { record, hosts } = this.#court;
    for (const { machine, app, artifact, isUpdate, deployment: id } of record.newest.values()) {
      const deployment = record.deployments.get(id)!;
      const { phase, backSince } = deployment;
      if (!isUpdate || backSince === undefined || (phase !== "rolled_back" && phase !== "superseded") || record.hasOrdered(deployment, ["resume", "retry"], backSince)) continue;
      const host = hosts.machines.get(machine);
      if (host?.agent === undefined || record.machines.get(machine)?.cordonedAt !== undefined || hosts.unheardMs(machine) > LAG_MS || host.disk.links.get(app) !== artifact) continue;
      // It gets that when it stands where it runs.
      if (record.heirOf(deployment, machine, ["succeeded"]) !== undefined) continue;
      return `${machine} has ${nameOf(artifact!)} of ${id}, which is ${phase} and was being taken back`;
    }
    return undefined;
  }

  #confirmLate(): void {
    const { record, hosts } = this.#court;
    for (const [key, { decision, wasWell, wasUnheard }] of this.#late) {
      const deployment = record.deployments.get(decision.deployment)!;
      const { machine, app, generation } = decision;
      const isUnheard = hosts.unheardMs(machine) >= SILENT_AFTER_MS;
      // It is good once it is heard and well, unless its deployment has ended before that.
      const isGivenUp = wasUnheard && deployment.phase !== "succeeded" && ENDED.includes(deployment.phase);
      const isOver = record.newest.get(key) !== decision || deployment.phase === "rolling_back" || deployment.phase === "rolled_back" || isGivenUp;
      if (!isOver && (isUnheard || (wasUnheard && deployment.phase === "paused") || hosts.settledPhase(machine, app, generation) === undefined)) continue;
      if (isOver) {
        this.#overtake(decision);
        continue;
      }
      this.confirmed(deployment, [machine], wasWell);
      this.#past(machine, app).isOpen = false;
      this.#late.delete(key);
    }
  }

  /** Before it was known whether it was good. */
  #overtake({ machine, app, deployment }: Decision): void {
    const past = this.#past(machine, app);
    past.confirmed.push({ deployment, artifact: undefined });
    past.isOpen = false;
    this.#late.delete(`${machine}/${app}`);
  }

  #past(machine: MachineId, app: string): Past {
    const key = `${machine}/${app}`;
    let past = this.#pasts.get(key);
    if (past === undefined) this.#pasts.set(key, (past = { confirmed: [], isOpen: false, takenBack: new Map() }));
    return past;
  }
}

/** As `releases.ts` makes them up. */
export function nameOf(artifact: string): string {
  return Buffer.from(artifact.replace(/(00)+$/, ""), "hex").toString();
}
