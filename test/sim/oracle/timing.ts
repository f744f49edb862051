/**
 * Whether machines take the times of the file as it says them: `min_healthy_time`, without a break, before one counts as healthy; and `healthy_deadline`, not earlier and not
 * much later, before one that is not healthy is given up. Both by what the app on the host really answered, and when.
 *
 * The simulated hosts have no probes of a file, and so no `interval` or `retries`: their agents look at an app when it starts, and shortly after each change of what it answers.
 */
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { provenDeadlineMs } from "@muster/proto/proven.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";
import { FAILED } from "./passing.ts";
import { Restarts } from "./restarts.ts";
import type { Decision, Deployment } from "./record.ts";

/** An agent sees so much later what an app answers otherwise: when it turns bad just before its time is over, the agent calls it healthy. */
const LOOK_MS = 500;

/** A host took the order to run something. */
interface Order {
  readonly generation: number;
  readonly takenAt: number;
  /** What its agent has said of it last. */
  said: string | undefined;
  /** The last of these that was no step on the way. */
  final: string | undefined;
  saidAt: number;
}

export class Timing {
  readonly #court: Court;
  /** `machine/app` to the newest order that its host has taken. */
  readonly #orders = new Map<string, Order>();
  readonly #restarts: Restarts;
  /** Of the decision with this generation. */
  readonly #decisionOf: (generation: number) => Decision | undefined;

  constructor(court: Court, decisionOf: (generation: number) => Decision | undefined) {
    this.#court = court;
    this.#restarts = new Restarts(court);
    this.#decisionOf = decisionOf;
  }

  took(machine: MachineId, { apps }: Assignment): void {
    const { now } = this.#court.hosts;
    for (const { app, generation } of apps) {
      const key = `${machine}/${app}`;
      // The same order comes again with each that concerns another app; after a new disk it is taken anew.
      const known = this.#orders.get(key);
      if (known?.generation === generation && known.takenAt > this.#court.hosts.machines.get(machine)!.diskSince) continue;
      this.#orders.set(key, { generation, takenAt: now, said: undefined, final: undefined, saidAt: now });
    }
  }

  /** Its agent has written down what it will report. */
  said(machine: MachineId, app: string, generation: number, phase: string): void {
    const order = this.#orders.get(`${machine}/${app}`);
    if (order?.generation !== generation) return;
    if (FAILED.includes(phase) && (order.said === undefined || !isFinal(order.said))) this.#checkGivenUp(machine, app, order);
    if (phase === "healthy") this.#checkHealthy(machine, app, order);
    order.said = phase;
    if (isFinal(phase)) order.final = phase;
    order.saidAt = this.#court.hosts.now;
  }

  /** `index`: of a wave that is passed with those of its machines that are healthy. */
  goesOn(deployment: Deployment, index: number, what: string): void {
    const { record, hosts, complain } = this.#court;
    const { app, artifact, strategy, waves, lastDecisions } = deployment;
    for (const machine of waves[index]!.machines) {
      const decision = lastDecisions.get(machine);
      const known = record.machines.get(machine);
      const host = hosts.machines.get(machine);
      if (decision?.isUpdate !== true || known === undefined || host === undefined || record.newest.get(`${machine}/${app}`) !== decision) continue;
      // It has joined anew under its name, or has a new disk: what answered there is not known any more.
      if (known.joinedAt > decision.at || host.diskSince >= decision.at) continue;
      if (record.answers.get(decision.generation) !== "healthy" || record.owedSince.has(decision.generation)) continue;
      const short = this.#shortOf(machine, app, artifact, decision.at, strategy);
      if (short !== undefined) complain("healthy_time_kept", `${deployment.id} ${what} with ${machine}, ${short}`);
    }
  }

  /** Whoever is not well when its time is over says so; and what has ended is started again. */
  look(): void {
    const { record } = this.#court;
    for (const decision of record.newest.values()) this.#checkOverdue(decision);
    for (const [key, { said, final, saidAt }] of this.#orders) {
      const [machine, app] = key.split("/") as [MachineId, string];
      // Whose machine has started anew is probed anew.
      this.#restarts.check(machine, app, said === "probing" ? final : said, saidAt);
    }
  }

  /** From then on its place is free for others, and it counts for its wave. */
  #checkHealthy(machine: MachineId, app: string, { generation, takenAt }: Order): void {
    const decision = this.#decisionOf(generation);
    if (decision?.artifact === undefined) return;
    const short = this.#shortOf(machine, app, decision.artifact, takenAt, this.#court.record.deployments.get(decision.deployment)!.strategy);
    if (short !== undefined) this.#court.complain("healthy_time_kept", `${machine} calls ${decision.deployment} healthy, ${short}`);
  }

  /** What it lacks to be healthy for as long as is asked, with all that it has answered since then, and up to then in the same run. */
  #shortOf(machine: MachineId, app: string, artifact: string, from: number, { minHealthyTimeMs }: Deployment["strategy"]): string | undefined {
    const { hosts } = this.#court;
    const host = hosts.machines.get(machine)!;
    const longestMs = host.serving(app).longestMs(artifact, from, hosts.now, (begun, ended) => host.hasLooked(begun, ended));
    if (longestMs >= Math.max(0, minHealthyTimeMs - LOOK_MS)) return undefined;
    return `whose app has ${longestMs < 0 ? "never answered well" : `answered well for ${longestMs} ms at a time`}, of ${minHealthyTimeMs} (min_healthy_time)`;
  }

  /** Before its time is over a release has failed when it did something bad there, and not because it is slow. */
  #checkGivenUp(machine: MachineId, app: string, { generation, takenAt }: Order): void {
    const { record, hosts, complain } = this.#court;
    const decision = this.#decisionOf(generation);
    const host = hosts.machines.get(machine);
    if (decision?.isUpdate !== true || decision.artifact === undefined || host === undefined || host.lastFaultAt >= takenAt) return;
    const { healthyDeadlineMs } = record.deployments.get(decision.deployment)!.strategy;
    const hadMs = hosts.now - takenAt;
    const serving = host.serving(app);
    // A start of the same release may be under way when it takes the order.
    const isBad = serving.mishaps.some(({ artifact, at }) => artifact === decision.artifact && at >= takenAt - LOOK_MS) || serving.since(takenAt, hosts.now).some(({ artifact, to }) => artifact === decision.artifact && to < hosts.now);
    if (hadMs < healthyDeadlineMs && !isBad) complain("healthy_deadline_kept", `${machine} gives ${decision.deployment} up after ${hadMs} ms of ${healthyDeadlineMs} (healthy_deadline), and nothing has gone wrong with it there`);
  }

  /** Its release is running, and its agent, which was there all the time, has neither called it healthy nor given it up. */
  #checkOverdue({ machine, app, generation, artifact, isUpdate, deployment }: Decision): void {
    const { record, hosts, complain } = this.#court;
    const host = hosts.machines.get(machine);
    const order = this.#orders.get(`${machine}/${app}`);
    if (!isUpdate || artifact === undefined || host?.agent === undefined || host.isDiskFull || order?.generation !== generation) return;
    if (order.said !== undefined && isFinal(order.said)) return;
    const serving = host.serving(app);
    const startedAt = serving.firstStartAt(artifact, order.takenAt);
    if (serving.artifact !== artifact || startedAt === undefined) return;
    const { strategy } = record.deployments.get(deployment)!;
    // What went back there before has longer, and is asked elsewhere.
    if (record.waysBack.has(deployment)) return;
    const since = Math.max(order.takenAt, startedAt, host.agentSince, host.lastFaultAt, order.said === undefined ? -1 : order.saidAt - LAG_MS);
    const lateMs = hosts.now - since - provenDeadlineMs(strategy.healthyDeadlineMs);
    if (lateMs > LAG_MS) complain("healthy_deadline_kept", `${machine} has run ${deployment} for ${hosts.now - since} ms and says ${order.said ?? "nothing"}, of ${strategy.healthyDeadlineMs} (healthy_deadline)`);
  }
}

function isFinal(phase: string): boolean {
  return phase === "healthy" || FAILED.includes(phase);
}
