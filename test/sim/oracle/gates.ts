/**
 * What gates make of those that are asked, or are not answered by them: a gate that stops a rollout was told so, or `on_silence: stop` says so of one that nobody answered so often as `retries` allows; and
 * what it was told, or `on_silence` says, it does.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Gate } from "@muster/controller/src/plan/strategy.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";
import { gateKey } from "./outside.ts";
import type { Deployment } from "./record.ts";

type Asked = Extract<Gate, { readonly kind: "webhook" | "prometheus" }>;

interface Reached {
  readonly deployment: Deployment;
  readonly wave: number;
  readonly gate: number;
  readonly at: number;
  /** Since when a stop counts: measured anew after a gap, what was bad counts on. */
  readonly stopsSince: number;
}

export class Gates {
  readonly #court: Court;
  /** Of those that are neither open nor stopped, by `deployment/wave/gate`. */
  readonly #reached = new Map<string, Reached>();

  constructor(court: Court) {
    this.#court = court;
  }

  reached(deployment: Deployment, wave: number, gate: number, isAnew: boolean): void {
    const { now } = this.#court.hosts;
    const key = `${deployment.id}/${wave}/${gate}`;
    this.#reached.set(key, { deployment, wave, gate, at: now, stopsSince: isAnew ? (this.#reached.get(key)?.stopsSince ?? 0) : now });
  }

  opened(deployment: Deployment, wave: number, gate: number): void {
    const { complain, outside } = this.#court;
    const reached = this.#take(deployment, wave, gate);
    const spec = deployment.waves[wave]!.gates[gate];
    if (reached === undefined || spec?.kind !== "webhook" || !this.#wasWatched(reached) || deployment.acts.some(({ what }) => what === "promote")) return;
    if (outside.count(deployment.id, gateKey(wave, gate), "stop", reached.at) > 0) complain("gates_hold", `${deployment.id} opens the webhook gate of wave ${wave + 1}, which was told to stop`);
  }

  stopped(deployment: Deployment, wave: number, gate: number): void {
    const { complain, outside } = this.#court;
    const reached = this.#take(deployment, wave, gate);
    const spec = deployment.waves[wave]!.gates[gate];
    if (spec === undefined || spec.kind === "soak") return;
    const what = `the ${spec.kind} gate of wave ${wave + 1} stops ${deployment.id}`;
    if (spec.kind === "approval") return complain("gates_hold", `${what}, which waits for a person alone`);
    const key = gateKey(wave, gate);
    const stops = outside.count(deployment.id, key, "stop", reached?.stopsSince ?? 0);
    const silences = outside.count(deployment.id, key, "silent", reached?.at ?? 0);
    if (stops > limitOf(spec) || (spec.onSilence === "stop" && silences > spec.retries)) return;
    complain("gates_hold", `${what} after ${stops} times stop, ${limitOf(spec)} allowed, and ${silences} without an answer (retries: ${spec.retries}, on_silence: ${spec.onSilence})`);
  }

  /** A gate that was told so, or has waited in vain for as long as it should, opens or stops soon, where nothing else holds the rollout. */
  look(): void {
    for (const [key, reached] of this.#reached) {
      const { deployment, wave, gate } = reached;
      const spec = deployment.waves[wave]?.gates[gate];
      if (deployment.phase === "rolling" && (spec?.kind === "webhook" || spec?.kind === "prometheus")) this.#checkOverdue(reached, spec);
      else if (deployment.phase !== "rolling" && deployment.phase !== "paused") this.#reached.delete(key);
    }
  }

  #checkOverdue(reached: Reached, spec: Asked): void {
    const { outside, complain, hosts, record } = this.#court;
    const { deployment, wave, gate, at } = reached;
    if (deployment.rollingSince > at || deployment.strategy.alarms.length > 0 || record.freezes.size > 0 || deployment.strategy.window !== null) return;
    const key = gateKey(wave, gate);
    const stops = outside.stops(deployment.id, key, at);
    const silences = spec.onSilence === "wait" ? [] : outside.silences(deployment.id, key, at);
    const since = Math.min(stops[limitOf(spec)] ?? Infinity, silences[spec.retries] ?? Infinity);
    if (hosts.now - since < LAG_MS || !this.#wasWatched(reached) || !record.machinesOf(deployment).every((machine) => this.#isAsItWas(deployment, machine, at))) return;
    complain("gates_hold", `${deployment.id} still waits at the ${spec.kind} gate of wave ${wave + 1}, which was told to stop ${stops.length} times, and had no answer ${silences.length} times in a row (retries: ${spec.retries}, on_silence: ${spec.onSilence})`);
  }

  #isAsItWas({ app, waves, lastUpdates }: Deployment, machine: MachineId, at: number): boolean {
    const { hosts, record } = this.#court;
    if (!waves.some(({ machines }) => machines.includes(machine)) || !record.isUntouchedSince(machine, at) || hosts.wasUnheard(machine, at - LAG_MS, hosts.now)) return false;
    return !lastUpdates.has(machine) || (record.newest.get(`${machine}/${app}`) === lastUpdates.get(machine) && hosts.serving(machine, app).lastOffAt(hosts.now) < at);
  }

  #wasWatched({ at }: Reached): boolean {
    const { hosts } = this.#court;
    return hosts.attention.since <= at && hosts.attention.isAttending;
  }

  #take(deployment: Deployment, wave: number, gate: number): Reached | undefined {
    const key = `${deployment.id}/${wave}/${gate}`;
    const reached = this.#reached.get(key);
    this.#reached.delete(key);
    return reached;
  }
}

function limitOf(spec: Asked): number {
  return spec.kind === "webhook" ? 0 : spec.failureLimit;
}
