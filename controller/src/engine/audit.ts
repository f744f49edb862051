/**
 * Holds what the engine has worked out about machines against what a reload works out from the tables: silence, availability, deadlines, budgets, how deployments are now, and what rollouts have noted of their machines. For tests and simulations, which
 * call it between transactions: O(machines × apps).
 */
import { isDeepStrictEqual } from "node:util";
import type { AppName, DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { Fleet, type HeardAt } from "../fleet/fleet.ts";
import type { Availability, MachineAvailability } from "../rollout/availability.ts";
import type { RolloutState } from "../rollout/state.ts";
import type { Schedule } from "./calendar.ts";
import type { Facts } from "./facts.ts";
import { World } from "./world.ts";

const NO_SCHEDULE: Schedule = { openingOf: () => ({ open: true, until: Infinity as Instant }) };

/** Undefined: nothing differs, or something is overdue and has not been looked at yet. */
export function auditMemory(held: World, rollouts: readonly RolloutState[], facts: Facts, now: HeardAt): string | undefined {
  const { attended } = now;
  if (held.overdue.isDue(attended)) return undefined;
  const stored = new World(new Fleet(held.fleet.silentAfterMs), NO_SCHEDULE, facts);
  stored.reload(now);
  for (let due = stored.overdue.takeNext(attended); due !== undefined; due = stored.overdue.takeNext(attended)) stored.declareOverdue(due.machine, due.app, due.generation);
  for (const { id } of facts.machines()) if (!isDeepStrictEqual(ofMachine(held, id), ofMachine(stored, id))) return `${id}: ${difference(ofMachine(held, id), ofMachine(stored, id))}`;
  const deployments = new Set<DeploymentId>();
  for (const { machine, app, deployment } of facts.assignments()) {
    deployments.add(deployment);
    const of = (world: World) => ofApp(world, machine, app);
    if (!isDeepStrictEqual(of(held), of(stored))) return `${machine}/${app}: ${difference(of(held), of(stored))}`;
  }
  for (const id of deployments) if (!isDeepStrictEqual(held.nowOf(id), stored.nowOf(id))) return `${id} now: ${difference(held.nowOf(id), stored.nowOf(id))}`;
  if (!isDeepStrictEqual(held.budgets.list(), stored.budgets.list())) return `budgets: ${difference(held.budgets.list(), stored.budgets.list())}`;
  for (const state of rollouts) {
    const noted = ofTargets(state);
    const right = rightOfTargets(state, (machine) => stored.availabilities.noted(machine, state.app));
    if (!isDeepStrictEqual(noted, right)) return `${state.id}: ${difference(noted, right)}`;
  }
  return undefined;
}

function ofMachine(world: World, machine: MachineId): unknown {
  return { isSilent: world.isSilent(machine), isLost: world.availabilities.isLost(machine), isDrained: world.isDrained(machine), isCordoned: world.isCordoned(machine) };
}

function ofApp(world: World, machine: MachineId, app: AppName): unknown {
  const { availabilities, overdue } = world;
  const { generation, deployment, release } = availabilities.assignedTo(machine, app) ?? {};
  return { ...availabilities.noted(machine, app), answer: availabilities.answerOf(machine, app), generation, deployment, release, selector: world.standingOf(machine, app)?.selector, dueAt: overdue.dueAt(machine, app) };
}

function ofTargets({ availability: { changing, down, failing, goingBack, leftOut } }: RolloutState): Readonly<Record<string, readonly MachineId[]>> {
  const sorted = (those: ReadonlySet<MachineId>): readonly MachineId[] => [...those].sort();
  return { changing: sorted(changing), down: sorted(down), failing: sorted(failing), goingBack: sorted(goingBack), leftOutChanging: sorted(leftOut.changing), leftOutDown: sorted(leftOut.down), leftOutAbsent: sorted(leftOut.absent), leftOutOther: sorted(leftOut.other) };
}

function rightOfTargets({ targets, unchanged, release }: RolloutState, noted: (machine: MachineId) => MachineAvailability): ReturnType<typeof ofTargets> {
  const there = [...targets.values()].filter(({ state }) => state !== "removed").map(({ machine }) => ({ machine, ...noted(machine) }));
  const outside = [...unchanged].filter((machine) => !targets.has(machine)).map((machine) => ({ machine, ...noted(machine) }));
  const leftOut = (how: Availability, isOther = false) => outside.filter((each) => each.is === how && (!isOther || each.release !== release)).map(({ machine }) => machine).sort();
  const those = (is: (each: MachineAvailability) => boolean) => there.filter(is).map(({ machine }) => machine).sort();
  return {
    changing: those(({ is }) => is === "changing"),
    down: those(({ is }) => is === "down"),
    failing: those(({ is, isFailing }) => is === "down" && isFailing === true),
    goingBack: those(({ is, isGoingBack }) => is === "changing" && isGoingBack === true),
    leftOutChanging: leftOut("changing"),
    leftOutDown: leftOut("down"),
    leftOutAbsent: leftOut("absent"),
    leftOutOther: leftOut("available", true),
  };
}

function difference(held: unknown, stored: unknown): string {
  return `memory ${JSON.stringify(held)}, tables ${JSON.stringify(stored)}`;
}
