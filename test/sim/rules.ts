/**
 * What must hold of a row at the moment at which it is written, against everything that was written before it. Each of these says in plain steps what the engine does in
 * clever ones.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { selects } from "@muster/proto/selector.ts";
import type { JournalRow } from "@muster/controller/src/journal/entry.ts";
import type { Plan } from "@muster/controller/src/plan/plan.ts";
import type { OrderKey } from "@muster/controller/src/plan/strategy.ts";
import { Violation } from "./violation.ts";
import { countOf, hasEnded, type Model, type ModelMachine, type ModelRollout, type ModelTarget, type ModelWave, moves } from "./model.ts";
import { simulatedSchedule } from "./schedule.ts";

type RowOf<Kind extends JournalRow["entry"]["kind"]> = Extract<JournalRow["entry"], { readonly kind: Kind }>;

export function checkRow(model: Model, row: JournalRow): void {
  const { entry, at, seq } = row;
  checkPresence(model, entry);
  if (entry.kind === "rollout_started") {
    checkBegin(model, model.of(entry.deployment), at);
    checkOrder(model, model.of(entry.deployment), entry.plan);
  }
  if (entry.kind === "wave_started") checkWaveBegin(model.of(entry.deployment), entry.wave, at);
  if (entry.kind === "wave_finished") checkWaveEnd(model.of(entry.deployment), entry.wave);
  if (entry.kind === "gate_opened") checkGate(model.of(entry.deployment), entry, at);
  if (entry.kind !== "target_assigned") return;
  if ((model.generations.get(entry.machine) ?? 0) >= seq) throw new Violation("generation_rises", `${entry.machine} is told ${seq} after ${model.generations.get(entry.machine)}`);
  checkTold(model, model.of(entry.deployment), entry, at);
}

/** Nothing is written about a machine that is not there, but that it was removed; and whoever joins was not there before. */
function checkPresence(model: Model, entry: JournalRow["entry"]): void {
  const machine = entry.kind === "target_joined" ? entry.target.machine : "machine" in entry ? entry.machine : undefined;
  if (machine === undefined) return;
  const isThere = model.machines.has(machine);
  if (entry.kind === "machine_joined") {
    if (isThere) throw new Violation("labels_are_given", `${machine} joins, and is there already`);
    return;
  }
  if (entry.kind === "target_changed" && entry.state === "removed") {
    if (isThere) throw new Violation("removed_is_left", `${machine} is removed from ${entry.deployment}, and is there`);
    return;
  }
  if (!isThere) throw new Violation("removed_is_left", `${entry.kind} of ${machine}, which is not there`);
  const target = "deployment" in entry && entry.kind !== "target_joined" ? model.of(entry.deployment).targets.get(machine) : undefined;
  if (target?.state === "removed") throw new Violation("removed_is_left", `${entry.kind} of ${machine}, which counts as removed`);
}

/** After a commit: no rollout that goes on, or that could be taken up again, counts on a machine that is not there. */
export function checkAbsence(model: Model): void {
  for (const { id, phase, targets } of model.rollouts.values()) {
    if (phase === "rolled_back" || phase === "superseded") continue;
    for (const { machine, state } of targets.values()) {
      if (state !== "removed" && !model.machines.has(machine)) throw new Violation("removed_is_left", `${machine} was removed from the fleet, and is ${state} in ${id}, which is ${phase}`);
    }
  }
}

/** The wave that has more failures, or more silent machines, than it may. */
export function tripped({ waves }: ModelRollout): string | undefined {
  for (const [index, wave] of waves.entries()) {
    const failed = countOf(wave, "failed");
    const unreachable = countOf(wave, "unreachable");
    const { maxFailures, maxUnreachable } = wave.plan;
    if (failed - wave.acknowledgedFailures > maxFailures) return `wave ${index + 1} has ${failed} failures, ${maxFailures} allowed`;
    if (maxUnreachable !== null && unreachable - wave.acknowledgedUnreachable > maxUnreachable) return `wave ${index + 1} has ${unreachable} unreachable, ${maxUnreachable} allowed`;
  }
  return undefined;
}

/** The alarm that has gone off. */
export function alarmed({ alarms, strategy, isPromoted }: ModelRollout): string | undefined {
  if (isPromoted) return undefined;
  for (const [index, { active, silent }] of alarms.entries()) {
    const { failureLimit, retries, onSilence } = strategy.alarms[index]!;
    if (active > failureLimit) return `alarm ${index + 1} is active for the ${active}th time, ${failureLimit} allowed`;
    if (silent > retries && onSilence === "stop") return `alarm ${index + 1} has not answered ${silent} times`;
  }
  return undefined;
}

function checkBegin(model: Model, rollout: ModelRollout, at: number): void {
  const { id, app, strategy } = rollout;
  for (const other of model.open) {
    if (other.app === app && other !== rollout && other.phase !== "pending") throw new Violation("one_of_an_app", `${id} begins while ${other.id} is ${other.phase}`);
  }
  if (strategy.start === "manual" && !rollout.isStartApproved) throw new Violation("begins_in_time", `${id} begins, and nobody has started it`);
  if (strategy.startAt !== null && at < strategy.startAt) throw new Violation("begins_in_time", `${id} begins ${strategy.startAt - at} ms before its start_at`);
  const { after } = strategy;
  if (after === null) return;
  const stood = [...model.rollouts.values()].some(
    (other) => other !== rollout && other.app === after.deploymentOf && other.strategy.targets === after.targets && other.phase === "succeeded" && other.endedAt + after.soakMs <= at,
  );
  if (!stood) throw new Violation("begins_in_time", `${id} begins, and no deployment of ${after.deploymentOf} to ${after.targets} has succeeded for ${after.soakMs} ms`);
}

/** Of those that answer alike, nobody is in an earlier wave than whoever goes before it; in a wave, of those that are alike well, too. */
function checkOrder(model: Model, { id, app, strategy }: ModelRollout, { waves }: Plan): void {
  if (strategy.order.length === 0) return;
  const isAway = ({ isSilent, isCordoned }: ModelMachine) => isSilent || isCordoned;
  const namesNobody = strategy.waves.every(({ members }) => members.kind === "size");
  const all = waves.flatMap(({ targets }, wave) => targets.map(({ machine }) => ({ machine, wave, known: model.machines.get(machine)! })));
  for (const [index, first] of all.entries()) {
    for (const second of all.slice(index + 1)) {
      const isAlike = isAway(first.known) === isAway(second.known) && (first.wave === second.wave ? first.known.sick.has(app) === second.known.sick.has(app) : namesNobody);
      if (isAlike && goesBefore(strategy.order, second, first)) throw new Violation("in_order", `${id} puts ${first.machine} before ${second.machine}`);
    }
  }
}

interface Placed {
  readonly machine: MachineId;
  readonly known: ModelMachine;
}

/** As far as can be said: a shuffle may put anybody first. Labels here have no numbers in their values. */
function goesBefore(order: readonly OrderKey[], one: Placed, other: Placed): boolean {
  for (const key of order) {
    if (key.kind === "shuffle") return false;
    const [a, b] = [one, other].map(({ machine, known }) => (key.kind === "id" ? Number(/[0-9]+$/.exec(machine)![0]) : known.labels[key.label]));
    if (a === b) continue;
    if (a === undefined || b === undefined) return b === undefined;
    return key.reversed ? a > b : a < b;
  }
  return false;
}

function checkWaveBegin({ id, waves, isPromoted, maySkip, startedAt }: ModelRollout, index: number, at: number): void {
  const before = waves[index - 1];
  if (before !== undefined && before.finishedAt === undefined) throw new Violation("wave_order", `${id} begins wave ${index + 1}, and wave ${index} was not finished`);
  if (isPromoted || maySkip) return;
  const { at: notBefore, afterMs } = waves[index]!.plan;
  if (notBefore !== null && at < notBefore) throw new Violation("begins_in_time", `${id} begins wave ${index + 1} ${notBefore - at} ms early (at)`);
  const since = before?.finishedAt ?? startedAt;
  if (afterMs > 0 && at < since + afterMs) throw new Violation("begins_in_time", `${id} begins wave ${index + 1} ${since + afterMs - at} ms early (after)`);
}

function checkWaveEnd({ id, waves, isPromoted, strategy, phase }: ModelRollout, index: number): void {
  const wave = waves[index]!;
  const { successThreshold } = wave.plan;
  const healthy = countOf(wave, "healthy");
  const isEnough = successThreshold !== null && index < waves.length - 1 && healthy >= successThreshold;
  // Those of earlier waves, too, which may have been finished without them.
  const open = isEnough ? undefined : waves.slice(0, index + 1).flatMap(({ targets }) => targets).find((target) => target.state === "pending" || moves(target));
  if (open !== undefined) throw new Violation("wave_order", `${id} finishes wave ${index + 1} with ${healthy} healthy while ${open.machine} is ${open.state}`);
  const shut = wave.gates.findIndex(({ isOpen }) => !isOpen);
  if (shut >= 0) throw new Violation("gates_hold", `${id} finishes wave ${index + 1} while its gate ${shut + 1} (${wave.plan.gates[shut]!.kind}) is shut`);
  const waits = !isEnough && strategy.offline.kind === "wait" && !wave.waitedOut && !isPromoted && phase === "rolling";
  if (waits && countOf(wave, "unreachable") > 0) throw new Violation("gates_hold", `${id} finishes wave ${index + 1} without waiting for its silent machines (offline)`);
}

function checkGate({ id, waves, isPromoted, maySkip }: ModelRollout, { wave: index, gate: at }: RowOf<"gate_opened">, now: number): void {
  if (isPromoted || maySkip) return;
  const wave = waves[index]!;
  const { reachedAt, go, stop } = wave.gates[at]!;
  const gate = wave.plan.gates[at]!;
  const what = `${id} opens the ${gate.kind} gate of wave ${index + 1}`;
  switch (gate.kind) {
    case "approval":
      throw new Violation("gates_hold", `${what}, which nobody approved`);
    case "soak":
      // A change that lies ahead was stamped before the clock was set back.
      if (now < Math.max(reachedAt, wave.changedAt > now ? 0 : wave.changedAt) + gate.forMs) throw new Violation("gates_hold", `${what} too early`);
      return;
    case "webhook":
      if (stop > 0 || (go === 0 && gate.onSilence !== "go")) throw new Violation("gates_hold", `${what} after ${go} go and ${stop} stop`);
      return;
    case "prometheus":
      if (stop > gate.failureLimit || (go < gate.count && gate.onSilence !== "go")) throw new Violation("gates_hold", `${what} after ${go} within and ${stop} outside of its limits`);
  }
}

function checkTold(model: Model, rollout: ModelRollout, { machine, purpose, state }: RowOf<"target_assigned">, at: number): void {
  const what = `${machine} is told to ${purpose} by ${rollout.id}`;
  const { phase } = rollout;
  if (hasEnded(phase) && phase !== "succeeded") throw new Violation("ended_is_still", `${what}, which is ${phase}`);
  if (phase === "paused" || phase === "pending") throw new Violation("paused_is_still", `${what}, which is ${phase}`);
  if ((purpose === "update") === (phase === "rolling_back")) throw new Violation("ended_is_still", `${what}, which is ${phase}`);
  const target = rollout.targets.get(machine)!;
  if (state !== "unreachable" && !moves(target)) checkRoom(model, rollout, target, purpose, what);
  if (purpose === "update") checkUpdate(model, rollout, target, what, at);
}

/** Only new starts: whoever comes back from silence by itself was chosen by nobody. */
function checkRoom(model: Model, rollout: ModelRollout, target: ModelTarget, purpose: "update" | "revert", what: string): void {
  const { machine } = target;
  const others = [...rollout.targets.values()].filter((other) => other !== target && other.state !== "removed");
  const moving = others.filter(moves);
  const unwell = others.filter((other) => !moves(other) && isUnwell(model, other.machine, rollout.app));
  if (moving.length >= Math.max(1, rollout.maxUnavailable - unwell.length)) {
    throw new Violation("window", `${what} while ${moving.length} are under way and ${unwell.length} unwell, of ${rollout.maxUnavailable}`);
  }
  rollout.lanes.forEach(({ label, max }, index) => {
    const own = target.lane[index];
    const alike = moving.filter(({ lane }) => lane[index] === own).length;
    if (max === null && alike < moving.length) throw new Violation("lanes", `${what} while others with another ${label} are under way`);
    if (max !== null && alike >= max) throw new Violation("lanes", `${what} while ${alike} with ${label}=${own} are under way, ${max} allowed`);
  });
  checkBudgets(model, machine, purpose, what);
}

function checkBudgets(model: Model, machine: MachineId, purpose: "update" | "revert", what: string): void {
  const known = model.machines.get(machine)!;
  for (const [text, { selector, max }] of model.budgets) {
    if (!selects(selector, known.labels)) continue;
    if (max === 0 && purpose === "update") throw new Violation("budgets", `${what} though the budget of "${text}" is 0`);
    let moving = 0;
    let atRest = 0;
    for (const [other, { labels }] of model.machines) {
      if (other === machine || !selects(selector, labels)) continue;
      if (movesAnywhere(model, other)) moving += 1;
      else if (isUnwell(model, other, undefined)) atRest += 1;
    }
    if (moving >= Math.max(1, max - atRest)) throw new Violation("budgets", `${what} while ${moving} of "${text}" are under way and ${atRest} unwell, of ${max}`);
  }
}

function checkUpdate(model: Model, rollout: ModelRollout, target: ModelTarget, what: string, at: number): void {
  const { strategy, isPromoted, waves, wave } = rollout;
  const over = tripped({ ...rollout, waves: rollout.phase === "succeeded" ? waves.map(withoutSilence) : waves });
  if (over !== undefined) throw new Violation("failures_stop", `${what} while ${over}`);
  if (rollout.phase === "rolling" && !isPromoted) {
    const alarm = rollout.alarms.findIndex(({ wasQuiet }) => !wasQuiet);
    if (alarm >= 0) throw new Violation("alarms_stop", `${what}, and alarm ${alarm + 1} was not quiet yet`);
  }
  if (target.wave > wave) throw new Violation("wave_order", `${what} in wave ${target.wave + 1}, and wave ${wave + 1} is under way`);
  const before = waves.slice(0, target.wave).flatMap(({ targets }) => targets).find((other) => other.state === "pending" && isHeldAlike(model, other, target));
  if (before !== undefined) throw new Violation("wave_order", `${what} in wave ${target.wave + 1}, before ${before.machine} of wave ${before.wave + 1}`);
  for (const [id, { from, until }] of model.freezes) if (from <= at && at < until) throw new Violation("closed_is_still", `${what} in the freeze ${id}`);
  if (strategy.window !== null && !isPromoted && !simulatedSchedule.openingOf(strategy.window, at as never).open) throw new Violation("closed_is_still", `${what} outside of its window`);
  const machine = model.machines.get(target.machine)!;
  if (machine.isCordoned) throw new Violation("cordoned_is_left", `${what} and is cordoned`);
  if (machine.isSilent) throw new Violation("cordoned_is_left", `${what} and is silent`);
}

/** What would keep one from its turn would keep the other. Whoever is unavailable already takes no further place in its groups. */
function isHeldAlike(model: Model, one: ModelTarget, other: ModelTarget): boolean {
  const labelsOf = ({ machine }: ModelTarget) => model.machines.get(machine)!.labels;
  return (
    one.lane.join("/") === other.lane.join("/") &&
    movesAnywhere(model, one.machine) === movesAnywhere(model, other.machine) &&
    isUnwell(model, one.machine, undefined) === isUnwell(model, other.machine, undefined) &&
    [...model.budgets.values()].every(({ selector }) => selects(selector, labelsOf(one)) === selects(selector, labelsOf(other)))
  );
}

/** In its tail a rollout passes silent machines over, however many. */
function withoutSilence(wave: ModelWave): ModelWave {
  return { ...wave, plan: { ...wave.plan, maxUnreachable: null } };
}

function isUnwell(model: Model, machine: MachineId, app: string | undefined): boolean {
  const { isSilent, isDrained, sick } = model.machines.get(machine)!;
  return isSilent || isDrained || (app === undefined ? sick.size > 0 : sick.has(app));
}

/** Rollouts that can still change something: those that have not ended, and tails. */
function movesAnywhere(model: Model, machine: MachineId): boolean {
  for (const rollout of model.rollouts.values()) {
    if (hasEnded(rollout.phase) && rollout.phase !== "succeeded") continue;
    const target = rollout.targets.get(machine);
    if (target !== undefined && moves(target)) return true;
  }
  return false;
}
