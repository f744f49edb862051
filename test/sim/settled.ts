/**
 * The end of a run: whether everything has come to rest, and whether it rests where it should. Faults have ended by then, so whatever has not come to an end never will.
 */
import { type AppState, wanted } from "@muster/agent/machine/state.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { PROJECTION_TABLES } from "@muster/controller/src/journal/schema.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import { isAtRest } from "./app.ts";
import { type Invariant, Violation } from "./violation.ts";
import type { ModelRollout } from "./model.ts";
import { tripped } from "./rules.ts";
import type { Machine } from "./machine.ts";
import type { World } from "./world.ts";

/** What is not at rest yet; undefined when everything is. */
export function restless(world: World): { readonly invariant: Invariant; readonly what: string } | undefined {
  for (const rollout of world.checks.model.open) return { invariant: "ends", what: `${rollout.id} is ${rollout.phase}` };
  for (const machine of world.machines.values()) {
    if (machine.isGone || machine.isRemoved) continue;
    const what = restlessMachine(machine, world.checks.model.machines.get(machine.id)?.newest);
    if (what !== undefined) return { invariant: "converges", what: `${machine.id} ${what}` };
    if (world.controller.fleet.isSilent(machine.id)) return { invariant: "converges", what: `${machine.id} counts as silent, and speaks` };
  }
  const behind = notCaughtUp(world);
  return behind === undefined ? undefined : { invariant: "catches_up", what: behind };
}

/** `generation`: what it was told last; 0: nothing, and so whatever one of its name was told before it is still on its disk. Undefined: it is not known. */
function restlessMachine({ agent }: Machine, generation: number | undefined): string | undefined {
  if (agent === undefined) return "has no agent";
  if (generation === undefined) return "has not joined";
  if (generation > 0 && agent.generation !== generation) return `has generation ${agent.generation} of ${generation}`;
  if (!agent.link.isIdle) return "has something to say";
  for (const app of agent.apps.values()) if (!isAtRest(app.state)) return `has ${app.name} in ${app.state.phase.kind}`;
  return undefined;
}

/** Each machine that is there runs what it was told last, or says why not; and the tables say the same. */
export function checkConverged(world: World): void {
  const row = world.journal.db.prepare(`
    SELECT ma.generation, ma.phase, CASE WHEN t.purpose IS NOT NULL THEN t.state END AS state FROM machine_apps ma
    JOIN assignments a ON a.machine = ma.machine AND a.app = ma.app
    LEFT JOIN targets t ON t.deployment = a.deployment AND t.machine = a.machine AND t.generation = a.generation
    WHERE ma.machine = ? AND ma.app = ?`);
  for (const machine of world.machines.values()) {
    if (machine.isRemoved) continue;
    const told = world.checks.model.machines.get(machine.id)?.told;
    for (const { state } of machine.agent?.apps.values() ?? []) {
      const isTold = told?.has(state.app) === true;
      const broken = brokenApp(machine, state) ?? (isTold ? brokenRecord(state, row.get(machine.id, state.app) as StoredApp | undefined) : undefined);
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
      if (linked !== wanted(state)?.artifact) return `is ${state.phase.kind} and linked to something else`;
      return runs === undefined || runs === linked ? undefined : "runs something else than it is linked to";
    case "reverted":
      return linked === state.lastGood?.artifact ? undefined : "reverted to something that is not its last good release";
    case "failed":
      return undefined;
    case "removed":
      return linked === undefined && runs === undefined ? undefined : "is removed, and something of it is left";
    case "idle":
      return machine.disk.assignment?.apps.some(({ app }) => app === state.app) === true ? "is idle though it was told to run" : undefined;
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
  readonly state: string | null;
}

function brokenRecord(state: AppState, stored: StoredApp | undefined): string | undefined {
  if (state.goal === undefined) return undefined;
  if (stored === undefined) return `is ${state.phase.kind}, and the controller knows nothing of it`;
  if (stored.generation !== state.goal.generation || stored.phase !== state.phase.kind) {
    return `is ${state.phase.kind} with generation ${state.goal.generation}; the tables say ${stored.phase} with ${stored.generation}`;
  }
  return stored.state !== null && ["updating", "reverting", "unreachable"].includes(stored.state) ? `is ${state.phase.kind}; its target is still ${stored.state}` : undefined;
}

/** Whoever was passed over, and is there again, has caught up with what its app stands at, as far as that is for it. */
function notCaughtUp(world: World): string | undefined {
  const { rollouts, machines } = world.checks.model;
  const standing = [...rollouts.values()].filter(({ phase }) => phase === "succeeded").sort((a, b) => b.startOrder - a.startOrder);
  for (const [machine, { labels }] of machines) {
    if (world.machines.get(machine)?.isGone !== false) continue;
    const apps = new Set<string>();
    for (const rollout of standing) {
      const known = rollout.targets.get(machine);
      const target = known?.state === "removed" ? undefined : known;
      if (apps.has(rollout.app) || !(target !== undefined || selects(checkedSelector(rollout.strategy.targets), labels))) continue;
      apps.add(rollout.app);
      if (target === undefined || tripped(rollout) !== undefined || isToldLater(world, rollout, machine)) continue;
      if (!["pending", "unreachable", "skipped", "updating"].includes(target.state)) continue;
      return `${machine} is there, and still ${target.state} in ${rollout.id}, at which ${rollout.app} stands`;
    }
  }
  return undefined;
}

/** A later deployment, whatever became of it, had its own word. */
function isToldLater({ checks }: World, standing: ModelRollout, machine: MachineId): boolean {
  for (const later of checks.model.rollouts.values()) {
    if (later.app === standing.app && later.startOrder > standing.startOrder && later.targets.get(machine)?.wasTold === true) return true;
  }
  return false;
}

/** The journal alone gives the same tables. */
export function checkReplay(journal: Journal, replayed: Journal): void {
  replayed.transaction(() => {
    for (const { entry, at } of journal.read({ fromSeq: 1 })) replayed.append(entry, at);
  });
  for (const table of PROJECTION_TABLES) {
    const rows = (from: Journal) => JSON.stringify(from.db.prepare(`SELECT * FROM ${table}`).all());
    if (rows(replayed) !== rows(journal)) throw new Violation("replay_is_tables", `the table ${table} differs after a replay`);
  }
}
