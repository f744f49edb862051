/**
 * The end of a run: whether everything has come to rest, and whether each host rests where its newest assignment says. Faults have ended by then, so whatever has not come to
 * an end never will.
 */
import { type AppState, wanted } from "@muster/agent/machine/state.ts";
import { isAtRest } from "./app.ts";
import type { Machine } from "./machine.ts";
import { type Invariant, Violation } from "./violation.ts";
import type { World } from "./world.ts";

/** A silence, and the time over which a fleet of this size spreads its return. */
const CATCHING_UP_MS = 60_000;

/** What is not at rest yet; undefined when everything is. */
export function restless(world: World): { readonly invariant: Invariant; readonly what: string } | undefined {
  if (world.controller.attendingMs < CATCHING_UP_MS) return { invariant: "ends", what: "the controller has just begun, or was held up" };
  for (const id of world.checks.open) return { invariant: "ends", what: `${id} has not ended: it waits for ${world.controller.waitingOn(id)}` };
  const left = world.oracle.leftBehind();
  if (left !== undefined) return { invariant: "taken_back_is_gone", what: left };
  for (const machine of world.machines.values()) {
    if (machine.isRemoved) continue;
    // Until the controller knows it, others may wait for it.
    if (machine.isGone) {
      if (world.checks.hasJoined(machine.id) && !world.controller.isSilent(machine.id)) return { invariant: "silence_found", what: `${machine.id} is gone, and is not called silent` };
      continue;
    }
    const what = restlessMachine(machine, world);
    if (what !== undefined) return { invariant: "converges", what: `${machine.id} ${what}` };
  }
  return undefined;
}

/** A machine that was assigned nothing yet keeps what one of its name was assigned before. */
function restlessMachine({ agent, id }: Machine, { checks, controller }: World): string | undefined {
  if (agent === undefined) return "has no agent";
  if (!checks.hasJoined(id)) return "has not joined";
  // What is confirmed raises the machine's generation, too; a machine that was assigned nothing since it joined keeps what it has.
  const generation = checks.generationOf(id) === 0 ? 0 : controller.generationOf(id);
  if (generation > 0 && agent.generation !== generation) return `has generation ${agent.generation} of ${generation}`;
  if (!agent.link.isIdle) return "has something to say";
  if (controller.isSilent(id)) return "counts as silent, and speaks";
  for (const app of agent.apps.values()) if (!isAtRest(app.state)) return `has ${app.name} in ${app.state.phase.kind}`;
  return undefined;
}

/** Each host that is there runs what it was assigned last, or says why not; and the tables say the same. */
export function checkConverged(world: World): void {
  const row = world.store.journal.db.prepare("SELECT generation, phase FROM machine_apps WHERE machine = ? AND app = ?");
  for (const machine of world.machines.values()) {
    if (machine.isRemoved || machine.isGone) continue;
    for (const { state } of machine.agent?.apps.values() ?? []) {
      const isAssigned = world.oracle.newest(machine.id, state.app) !== undefined;
      // What an app says beyond its budget of reports is taken later, by what it says last.
      const isHeld = world.store.journal.reports.heldOf(machine.id).some(({ app, generation, phase }) => app === state.app && generation === state.goal?.generation && phase === state.phase.kind);
      const broken = brokenApp(machine, state) ?? (isAssigned && !isHeld ? brokenRecord(state, row.get(machine.id, state.app) as StoredApp | undefined) : undefined);
      if (broken !== undefined) throw new Violation("converges", `${state.app} on ${machine.id}: ${broken}`);
    }
  }
}

function brokenApp(machine: Machine, state: AppState): string | undefined {
  const linked = machine.disk.links.get(state.app);
  const runs = machine.running(state.app);
  switch (state.phase.kind) {
    case "healthy":
    case "unhealthy":
      // What it went back to may be the one that is unhealthy.
      if (linked !== (state.phase.kind === "unhealthy" && state.phase.revertedFor !== undefined ? state.lastGood : wanted(state))?.artifact) return `is ${state.phase.kind} and linked to something else`;
      return runs === undefined || runs === linked ? undefined : "runs something else than it is linked to";
    case "reverted":
      return linked === state.lastGood?.artifact ? undefined : "reverted to something that is not its last good release";
    case "failed":
      return undefined;
    case "removed":
      return linked === undefined && runs === undefined ? undefined : "is removed, and something of it is left";
    case "idle":
      return machine.disk.assignment?.apps.some(({ app }) => app === state.app) === true ? "is idle though it was assigned something" : undefined;
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
    case "reverting":
    case "removing":
      return `is still ${state.phase.kind}`;
  }
}

interface StoredApp {
  readonly generation: number;
  readonly phase: string;
}

function brokenRecord(state: AppState, stored: StoredApp | undefined): string | undefined {
  if (state.goal === undefined) return undefined;
  if (stored === undefined) return `is ${state.phase.kind}, and the controller knows nothing of it`;
  if (stored.generation === state.goal.generation && stored.phase === state.phase.kind) return undefined;
  return `is ${state.phase.kind} with generation ${state.goal.generation}; the tables say ${stored.phase} with ${stored.generation}`;
}
