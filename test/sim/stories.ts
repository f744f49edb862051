/**
 * What people do in a row, one act after another within seconds: what chance alone would hardly put together, and what has gone wrong before. The releases and numbers in
 * them are drawn anew each time.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { Desk } from "./desk.ts";
import type { Random } from "./random.ts";
import type { Character, Releases } from "./releases.ts";
import { plainStrategy, waveOf } from "./strategies.ts";

/** Says what was done. */
export type Step = () => string;

export interface Narrator {
  readonly random: Random;
  readonly releases: Releases;
  readonly desk: Desk;
  readonly apps: readonly string[];
  readonly machines: readonly MachineId[];
  /** Of its releases, so that no other story has the same. */
  readonly name: string;
  /** Notes the number of a deployment that was granted; the newest of them. */
  readonly submitted: (granted?: number) => number;
}

const HALF = { kind: "percent", percent: 50 } as const;
const ALL = { kind: "percent", percent: 100 } as const;
/** The steps of one story, and the pause between two of them. */
export function story(narrator: Narrator): { readonly steps: Step[]; readonly pauseMs: readonly [number, number] } {
  const { random, apps, desk, machines, name } = narrator;
  const app = random.pick(apps);
  const last = () => `d-${narrator.submitted()}` as DeploymentId;
  const good: Character = { kind: "good", readyMs: random.whole(0, 500) };
  const slow: Character = { kind: "good", readyMs: random.whole(8_000, 20_000) };
  const count = { kind: "count", count: random.whole(1, 3) } as const;
  const deploy = (version: string, character: Character, changes: Partial<Strategy> = {}, of = app): Step => () => {
    const { releases } = narrator;
    const answer = desk.deploy(of, releases.define(of, version, character), { ...plainStrategy(), ...changes });
    if (answer?.ok === true) narrator.submitted(Number(answer.value.deployment.slice(2)));
    return `deploy ${of}@${version}: ${answer?.ok === true ? answer.value.deployment : (answer?.refusal.message ?? "no answer")}`;
  };
  const command = (kind: "rollback" | "abort" | "retry", id: () => DeploymentId): Step => () => `${kind} ${id()}: ${desk.command(id(), { kind })?.ok ?? "no answer"}`;
  /** Nobody does anything else until what was begun has shown how it goes. */
  const wait: Step = () => "wait";
  switch (random.pick(["again", "drain", "back to", "abort", "killer", "half dead", "fades", "held up", "slow back", "supersede"] as const)) {
    case "again": {
      // A pipeline runs twice, and somebody rolls back what it did first.
      let first: DeploymentId = "d-0" as DeploymentId;
      const remember: Step = () => {
        first = last();
        return `thinks of ${first}`;
      };
      const targets = random.pick(["role=web", "zone=a", "zone in (a,b)"]);
      const all = { maxUnavailable: ALL };
      return { steps: [deploy(`${name}-1`, good, all), deploy(`${name}-2`, good, all), remember, deploy(`${name}-2`, good, { ...all, targets }), command("rollback", () => first)], pauseMs: [10_000, 30_000] };
    }
    case "drain": {
      const machine = random.pick(machines);
      const drain: Step = () => `drain ${machine}: ${desk.cordon(machine, { drain: true, force: true })?.ok ?? "no answer"}`;
      const uncordon: Step = () => `uncordon ${machine}: ${desk.uncordon(machine)?.ok ?? "no answer"}`;
      // By what is drawn anyway, so that the other half stays as it was for each seed.
      if (machines.indexOf(machine) % 3 !== 2) {
        // The canary is drained in its soak, and is meant for something else, perhaps, when it is used again; or the controller is away in it.
        const [first] = machines;
        const label = (role: string): Step => () => `label ${first} role=${role}: ${desk.label(first!, { role })?.ok ?? "no answer"}`;
        const drainFirst: Step = () => `drain ${first}: ${desk.cordon(first!, { drain: true, force: true })?.ok ?? "no answer"}`;
        const useFirst: Step = () => `uncordon ${first}: ${desk.uncordon(first!)?.ok ?? "no answer"}`;
        const holdUp: Step = () => {
          desk.holdUp(30_000);
          return "hold the controller up for 30000 ms";
        };
        const canary = { order: [{ kind: "id", reversed: false }], waves: [waveOf({ kind: "count", count: 1 }, [{ kind: "soak", forMs: 50_000 }]), waveOf(ALL)], maxUnavailable: ALL } as const;
        const meanwhile = random.pick([[drainFirst, label("db"), wait, wait, useFirst], [drainFirst, wait, wait, wait, useFirst], [holdUp, wait, wait]]);
        return { steps: [label("web"), deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, random.pick([good, slow]), canary), ...meanwhile, wait], pauseMs: [15_000, 25_000] };
      }
      const bad: Character = { kind: "on_machines", how: random.pick(["exits", "never_healthy", "start_failed"] as const), machines: [machine] };
      const carefully = { maxFailures: { kind: "count", count: 0 }, onFailure: "rollback", waves: [waveOf(HALF, [{ kind: "soak", forMs: 40_000 }]), waveOf(ALL)], maxUnavailable: ALL } as const;
      return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), drain, deploy(`${name}-2`, bad, carefully), uncordon], pauseMs: [15_000, 25_000] };
    }
    case "back to": {
      // By what is drawn anyway, so that the others stay as they were for each seed.
      if (slow.readyMs % 3 === 0) {
        // Two wait for their turn, and the later one is urgent.
        const inTurn = (priority: number): Partial<Strategy> => ({ onConflict: "queue", priority, maxUnavailable: count });
        return { steps: [deploy(`${name}-1`, slow, inTurn(0)), deploy(`${name}-2`, good, inTurn(0)), deploy(`${name}-3`, good, inTurn(1)), wait, wait, wait], pauseMs: [3_000, 8_000] };
      }
      const back: Step = () => {
        const answer = desk.rollbackTo(last(), `${name}-1`);
        if (answer?.ok === true) narrator.submitted(Number(answer.value.deployment.slice(2)));
        return `rollback ${last()} to ${name}-1: ${answer?.ok ?? "no answer"}`;
      };
      return { steps: [deploy(`${name}-1`, slow, { maxUnavailable: ALL }), deploy(`${name}-2`, slow, { maxUnavailable: count }), back], pauseMs: [25_000, 40_000] };
    }
    case "abort": {
      const budget: Step = () => `budget: ${desk.setBudget("role=web", count.count)?.ok ?? "no answer"}`;
      const other = random.pick(apps);
      const reversed = { order: [{ kind: "id", reversed: true }] } as const;
      return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), budget, deploy(`${name}-2`, slow, { maxUnavailable: count }), command("abort", last), deploy(`${name}-3`, slow, { maxUnavailable: count, ...reversed }, other)], pauseMs: [3_000, 9_000] };
    }
    case "killer": {
      const killer: Character = { kind: "takes_host", how: random.pick(["dies", "freezes", "is_cut_off"] as const), afterMs: random.whole(2_000, 20_000) };
      const canary = { waves: [waveOf({ kind: "count", count: 1 }, [{ kind: "soak", forMs: 90_000 }]), waveOf(ALL)], maxUnavailable: ALL, maxFailures: { kind: "count", count: 0 } as const, onFailure: random.pick(["rollback", "pause"] as const), maxUnreachable: random.chance(0.5) ? ({ kind: "count", count: 0 } as const) : null };
      return { steps: [deploy(`${name}-1`, killer, canary), wait], pauseMs: [160_000, 200_000] };
    }
    case "half dead": {
      const how = random.pick(["exits", "turns"] as const);
      // What turns does so on the whole first wave, and on nobody else: those are to go back first.
      const on = how === "exits" ? 0.5 : [...machines].sort().slice(0, Math.ceil(machines.length / 2));
      const leaks: Character = { kind: "after_a_while", how, afterMs: random.whole(40_000, 60_000), on };
      const order = [{ kind: "id", reversed: false }] as const;
      const lenient = { maxFailures: ALL, maxUnavailable: ALL, order, waves: [waveOf(HALF), waveOf({ kind: "percent", percent: 80 }, [{ kind: "approval" }]), waveOf(ALL)] };
      const narrow: Step = () => `narrow ${last()}: ${desk.command(last(), { kind: "set_max_unavailable", size: { kind: "count", count: 1 } })?.ok ?? "no answer"}`;
      return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, leaks, lenient), narrow, command("rollback", last), wait], pauseMs: [40_000, 55_000] };
    }
    case "fades": {
      // It is well for longer than is asked for, and then never again, in the middle of its soak.
      const fades: Character = { kind: "after_a_while", how: "turns", afterMs: random.whole(5_000, 15_000) };
      // By what is drawn anyway, so that the others stay as they were for each seed.
      if (fades.afterMs % 3 !== 0) {
        // One is away meanwhile, and waits for its turn when somebody deploys the file before again.
        const [first] = machines;
        const keep: Step = () => `cordon ${first}: ${desk.cordon(first!, { drain: false, force: true })?.ok ?? "no answer"}`;
        const use: Step = () => `uncordon ${first}: ${desk.uncordon(first!)?.ok ?? "no answer"}`;
        const label: Step = () => `label ${first} role=web: ${desk.label(first!, { role: "web" })?.ok ?? "no answer"}`;
        const everywhere = { maxUnavailable: ALL, maxFailures: ALL };
        return { steps: [label, deploy(`${name}-1`, good, everywhere), keep, deploy(`${name}-2`, fades, everywhere), wait, use, deploy(`${name}-1`, good, everywhere), wait], pauseMs: [12_000, 18_000] };
      }
      const soaked = { waves: [waveOf(ALL, [{ kind: "soak", forMs: 200_000 }])], maxUnavailable: ALL, maxFailures: ALL };
      return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, fades, soaked), wait], pauseMs: [110_000, 130_000] };
    }
    case "held up": {
      const forMs = random.whole(70_000, 120_000);
      const holdUp: Step = () => {
        desk.holdUp(forMs);
        return `hold the controller up for ${forMs} ms`;
      };
      // By what is drawn anyway, so that the other half stays as it was for each seed.
      if (forMs % 2 === 1) {
        // Somebody sets the clock in the middle of a soak, again and again, and never by so much that it is a gap.
        const set: Step = () => {
          desk.setClock(12_000);
          return "set the controller's clock 12000 ms ahead";
        };
        const soaked = { waves: [waveOf(HALF, [{ kind: "soak", forMs: 60_000 }]), waveOf(ALL)], maxUnavailable: ALL, maxFailures: ALL };
        return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, good, soaked), set, set, set, wait], pauseMs: [6_000, 12_000] };
      }
      const hasty = { maxUnavailable: count, progressDeadlineMs: 60_000, onFailure: "rollback" } as const;
      return { steps: [deploy(`${name}-1`, slow, hasty), holdUp], pauseMs: [3_000, 15_000] };
    }
    case "slow back": {
      // What failed is known long before it is back on what it ran before.
      const late: Character = { kind: "good", readyMs: random.whole(40_000, 60_000) };
      const bad: Character = { kind: "on_machines", how: random.pick(["exits", "start_failed"] as const), machines: [random.pick(machines)] };
      // By what is drawn anyway, so that the other half stays as it was for each seed.
      if (late.readyMs % 2 === 1) return retried(narrator, { deploy, command, wait, last });
      const patient = { maxUnavailable: ALL, healthyDeadlineMs: 120_000 };
      return { steps: [deploy(`${name}-1`, late, patient), deploy(`${name}-2`, bad, { ...patient, maxFailures: { kind: "count", count: 0 } })], pauseMs: [80_000, 100_000] };
    }
    case "supersede": {
      // By what is drawn anyway, so that the others stay as they were for each seed.
      if (count.count > 1) {
        return { steps: [deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, slow, { maxUnavailable: count }), deploy(`${name}-3`, slow, { maxUnavailable: count, order: [{ kind: "id", reversed: true }] })], pauseMs: [4_000, 12_000] };
      }
      // A fix takes the place of a rollback that has come half its way, and fails on its canary.
      const oneByOne: Step = () => `narrow ${last()}: ${desk.command(last(), { kind: "set_max_unavailable", size: count })?.ok ?? "no answer"}; ${command("rollback", last)()}`;
      const bad: Character = { kind: "broken", how: "exits" };
      const canary = { waves: [waveOf(count), waveOf(ALL)], maxUnavailable: count, maxFailures: { kind: "count", count: 0 }, onFailure: "rollback" } as const;
      return { steps: [deploy(`${name}-1`, slow, { maxUnavailable: ALL }), deploy(`${name}-2`, good, { maxUnavailable: ALL }), oneByOne, deploy(`${name}-3`, bad, canary), wait], pauseMs: [22_000, 26_000] };
    }
  }
}

interface Verbs {
  readonly deploy: (version: string, character: Character, changes?: Partial<Strategy>) => Step;
  readonly command: (kind: "rollback" | "retry", id: () => DeploymentId) => Step;
  readonly wait: Step;
  readonly last: () => DeploymentId;
}

/** One of two canaries fails, and that ends it; something happens to the other one, and then somebody tries again. */
function retried({ random, desk, machines, name }: Narrator, { deploy, command, wait, last }: Verbs): { readonly steps: Step[]; readonly pauseMs: readonly [number, number] } {
  const [first, second] = [...machines].sort();
  const good: Character = { kind: "good", readyMs: random.whole(0, 500) };
  const what = random.pick(["exits", "freezes", "drained", "changed", "waits"] as const);
  const canaries: Character = { kind: "two_canaries", first: second ?? first!, later: first!, how: what === "exits" || what === "freezes" ? what : "stays", afterMs: random.whole(15_000, 25_000) };
  const label = (machine: MachineId): Step => () => `label ${machine} role=web: ${desk.label(machine, { role: "web" })?.ok ?? "no answer"}`;
  const drain: Step = () => `drain ${first}: ${desk.cordon(first!, { drain: true, force: true })?.ok ?? "no answer"}`;
  const uncordon: Step = () => `uncordon ${first}: ${desk.uncordon(first!)?.ok ?? "no answer"}`;
  let failed = "d-0" as DeploymentId;
  const remember: Step = () => {
    failed = last();
    return `thinks of ${failed}`;
  };
  const soaked = {
    order: [{ kind: "id", reversed: false }],
    // With a threshold the canary that starts again does not begin the soak anew.
    waves: [{ ...waveOf({ kind: "count", count: 2 }, [{ kind: "soak", forMs: 60_000 }]), successThreshold: what === "waits" ? ({ kind: "count", count: 1 } as const) : null }, waveOf(ALL)],
    maxUnavailable: ALL,
    maxFailures: { kind: "count", count: 0 },
    onFailure: "abort",
  } as const;
  const meanwhile = { exits: [wait], freezes: [wait, wait], drained: [drain, uncordon, wait], changed: [deploy(`${name}-3`, good, { maxUnavailable: ALL }), command("rollback", last), wait], waits: [wait, wait, wait, wait] }[what];
  const begin = [label(first!), label(second ?? first!), deploy(`${name}-1`, good, { maxUnavailable: ALL }), deploy(`${name}-2`, canaries, soaked), remember];
  return { steps: [...begin, ...meanwhile, command("retry", () => failed), wait, wait, wait, wait, wait], pauseMs: [10_000, 20_000] };
}
