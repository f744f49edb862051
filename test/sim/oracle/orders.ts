/**
 * What people ordered holds: times, freezes, windows, cordons, pauses, approvals, alarms, the order of waves. Each is asked at the moment of a decision about one host.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { selects, checkedSelector, type Labels } from "@muster/proto/selector.ts";
import type { OrderKey } from "@muster/controller/src/plan/strategy.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";
import { alarmKey } from "./outside.ts";
import { hadFailed } from "./passing.ts";
import { StoodFor } from "./promotions.ts";
import { type Decision, type Deployment, ENDED, type Phase } from "./record.ts";

const MINUTE_MS = 60_000;
/** A time without attention that the controller takes for a gap, also if it was two shorter ones of different kinds, as it takes each start. */
const GAP_MS = SILENT_AFTER_MS + 2_000;
/** So long after a gap, at most, the controller waits for machines to be heard, and has looked at the time since. What it is told meanwhile is followed afterwards. */
const HEARD_WITHIN_MS = SILENT_AFTER_MS + 2_000;

export class Orders {
  readonly #court: Court;
  readonly #stoodFor: StoodFor;

  constructor(court: Court) {
    this.#court = court;
    this.#stoodFor = new StoodFor(court);
  }

  /** Whoever asks sees it in no deployment any more, unless one of its name has joined. */
  removed(machine: MachineId): void {
    const { record, controller, complain } = this.#court;
    if (record.machines.has(machine)) return;
    const left = controller.deploymentWith(machine);
    if (left !== undefined) complain("removed_is_left", `${machine} was removed from the fleet, and is ${left.state} in ${left.id}`);
  }

  /** `phase`: of its deployment, before whatever else this moment brings. */
  decided(decision: Decision, deployment: Deployment, phase: Phase): void {
    const { record, controller, complain } = this.#court;
    const { machine, isUpdate } = decision;
    const what = `${machine} is changed by ${deployment.id}`;
    const known = record.machines.get(machine);
    if (known === undefined) return complain("removed_is_left", `${what}, and was removed from the fleet`);
    // Whoever could not be reached goes back when it is heard again.
    const wentBack = phase === "failed" && [...deployment.lastDecisions.values()].some((other) => other !== decision && !other.isUpdate);
    if (!isUpdate && (phase === "rolled_back" || wentBack)) return;
    // What was on its way to a machine that is drained does not come back when that ends.
    if (!isUpdate && known.isDrained) return;
    // What a newer deployment took the place of in the middle of going back goes on, but for what that has still to change.
    if (!isUpdate && phase === "superseded" && deployment.backSince !== undefined) {
      const heir = record.heirOf(deployment, machine, ["rolling", "paused"]);
      if (heir !== undefined && !record.hasOrdered(heir, ["retry"], 0)) complain("paused_is_still", `${what}, which is superseded, and ${heir.id} has still to change it`);
      return;
    }
    if (phase === "paused" || phase === "pending" || (ENDED.includes(phase) && phase !== "succeeded")) complain("paused_is_still", `${what}, which is ${phase}`);
    if (isUpdate === (phase === "rolling_back")) complain("paused_is_still", `${what}, which is ${phase}`);
    if (!isUpdate) return;
    if (phase === "succeeded") this.#checkNewest(decision, deployment, what);
    const wallNow = controller.now;
    // Whoever was away when an older release was asked for has still what that takes back.
    const isInAHurry = record.waysBack.has(deployment.id);
    // What goes back to an older release takes back whatever it was planned for, also when that comes late.
    const isPlannedBack = record.waysBack.has(deployment.id) && deployment.waves.some(({ machines }) => machines.includes(machine));
    if (known.cordonedAt !== undefined) complain("cordoned_is_left", `${what} and is cordoned`);
    if (!isPlannedBack && !selects(checkedSelector(deployment.strategy.targets), known.labels)) complain("unmatched_is_left", `${what}, whose labels do not match ${deployment.strategy.targets}`);
    const isLate = known.joinedAt > (deployment.startedAt ?? Infinity);
    if (isLate && deployment.strategy.lateJoiners === "ignore") complain("late_as_asked", `${what}, which leaves late machines alone, and it joined later`);
    this.#checkWave(decision, deployment, what);
    if (!isInAHurry) for (const { from, until, setAt } of record.freezes.values()) if (setAt <= decision.at && from <= wallNow && wallNow < until) complain("closed_is_still", `${what} in a freeze`);
    const isPromoted = deployment.acts.some((act) => act.what === "promote" && act.detail === "all");
    if (isPromoted) return;
    const { window } = deployment.strategy;
    if (window !== null && !isOpen(window.cron, window.durationMs, wallNow)) complain("closed_is_still", `${what} outside of its window`);
    if (phase === "rolling") this.#checkAlarms(deployment, what);
  }

  /** A machine that a deployment never came to gets its release no more once a newer deployment of another release is for it, even if that finds it running there already. */
  #checkNewest({ machine }: Decision, { app, artifact, startedAt = 0, firstDecisions, lastDecisions }: Deployment, what: string): void {
    const { record, complain } = this.#court;
    if (firstDecisions.get(machine) !== lastDecisions.get(machine)) return;
    const { labels, joinedAt } = record.machines.get(machine)!;
    // Who came while the newer one is under way, be it in the moment in which it began, or is meant for something else since, waits for its end.
    const isFor = ({ phase, startedAt: at = Infinity }: Deployment) => phase === "succeeded" || ((phase === "rolling" || phase === "paused") && joinedAt < at && record.isUntouchedSince(machine, at));
    // What gave to the same machines once more what has been taken back from them since gives it to nobody.
    const isTakenBack = (other: Deployment) => [...record.deployments.values()].some((first) => first.app === app && first.artifact === other.artifact && first.strategy.targets === other.strategy.targets
      && (first.startedAt ?? Infinity) < (other.startedAt ?? 0) && (first.backSince ?? -1) >= (other.startedAt ?? 0));
    const newer = [...record.deployments.values()].find(
      (other) => other.app === app && (other.startedAt ?? -1) > startedAt && other.artifact !== artifact && other.waves.some(({ machines }) => machines.length > 0) && selects(checkedSelector(other.strategy.targets), labels) && isFor(other) && !isTakenBack(other),
    );
    if (newer !== undefined) complain("newest_decides", `${what} in its tail, and ${newer.id} is newer, and is for it`);
  }

  began(deployment: Deployment): void {
    const { record, controller, complain } = this.#court;
    const { id, app, strategy } = deployment;
    for (const other of record.deployments.values()) {
      if (other.app === app && other !== deployment && other.phase !== "pending" && !ENDED.includes(other.phase)) complain("one_of_an_app", `${id} begins while ${other.id} is ${other.phase}`);
    }
    if (strategy.start === "manual" && !deployment.acts.some(({ what }) => what === "approve")) complain("begins_in_time", `${id} begins, and nobody has started it`);
    if (strategy.startAt !== null && controller.now < strategy.startAt) complain("begins_in_time", `${id} begins ${strategy.startAt - controller.now} ms before its start_at`);
    this.#stoodFor.began(deployment);
    if (deployment.wavesFault !== undefined) complain("waves_as_asked", `of ${id} ${deployment.wavesFault}`);
    this.#checkOrder(deployment);
    this.#checkPriority(deployment);
  }

  /** Of those that wait for nothing but for others of their app to end, and began to wait before this moment. */
  #checkPriority({ id, app, strategy }: Deployment): void {
    const { record, hosts, complain } = this.#court;
    if (strategy.onConflict !== "queue") return;
    const waits = ({ strategy: other }: Deployment) => other.onConflict === "queue" && other.start === "auto" && other.startAt === null && other.after === null;
    const before = [...record.deployments.values()].find((other) => other.app === app && other.phase === "pending" && other.submittedAt < hosts.now && waits(other) && other.strategy.priority > strategy.priority);
    if (before !== undefined) complain("priority_first", `${id} begins with priority ${strategy.priority} before ${before.id}, which has ${before.strategy.priority}`);
  }

  /** By the controller's wall clock as it stood then: one that is set back afterwards does not end what has begun. */
  waveBegan({ id, waves, acts }: Deployment, index: number): void {
    const { controller, complain } = this.#court;
    const { at } = waves[index]!;
    if (at === null || controller.now >= at || acts.some(({ what }) => what === "promote" || what === "approve")) return;
    complain("begins_in_time", `wave ${index + 1} of ${id} begins ${at - controller.now} ms before its time (at)`);
  }

  /** Alarms that have gone off stop it at once, or once the machines have been heard after a gap. */
  look(): void {
    this.#stoodFor.look();
    const { record, outside, complain, hosts } = this.#court;
    for (const { phase, strategy, id, acts, rollingSince } of record.deployments.values()) {
      if (phase !== "rolling" || strategy.alarms.length === 0 || acts.some((act) => act.what === "promote" || act.what === "resume" || act.what === "retry")) continue;
      if (hosts.attention.between(rollingSince, hosts.now) < hosts.now - rollingSince) continue;
      // A clock that jumps is a gap that takes no time.
      if (hosts.attention.since > rollingSince && hosts.now - hosts.attention.since < HEARD_WITHIN_MS) continue;
      for (const [index, { failureLimit, onSilence, retries }] of strategy.alarms.entries()) {
        const stops = outside.count(id, alarmKey(index), "stop", rollingSince);
        if (stops > failureLimit && outside.count(id, alarmKey(index), "go", rollingSince) === 0) complain("alarms_stop", `${id} rolls on though alarm ${index + 1} has said stop ${stops} times in a row, ${failureLimit} allowed`);
        const silences = outside.silences(id, alarmKey(index), rollingSince).length;
        if (onSilence === "stop" && silences > retries) complain("alarms_stop", `${id} rolls on though alarm ${index + 1} has had no answer ${silences} times in a row (retries: ${retries}, on_silence: stop)`);
      }
    }
  }

  /** One that stops it was told so, or had no answer where that means the same. */
  alarmStopped({ id, strategy, rollingSince }: Deployment): void {
    const { outside, complain } = this.#court;
    const hasRung = strategy.alarms.some(({ failureLimit, retries, onSilence }, index) => {
      const [stops, silences] = [outside.count(id, alarmKey(index), "stop", rollingSince), outside.count(id, alarmKey(index), "silent", rollingSince)];
      return stops > failureLimit || (onSilence === "stop" && silences > retries);
    });
    if (!hasRung) complain("alarms_stop", `an alarm stops ${id}, and none has said stop more often than its failure_limit, or had no answer more often than its retries where on_silence is stop`);
  }

  /** What was quiet before the controller was away says nothing of the time since. Silence is counted in a row, whenever that was. */
  #checkAlarms({ id, strategy, rollingSince }: Deployment, what: string): void {
    const { outside, complain, hosts, controller } = this.#court;
    const since = Math.max(rollingSince, controller.begunAt, hosts.attention.unbrokenSince(GAP_MS));
    for (const [index, { onSilence, retries }] of strategy.alarms.entries()) {
      const isQuiet = outside.count(id, alarmKey(index), "go", since) > 0 || (onSilence === "go" && outside.count(id, alarmKey(index), "silent", rollingSince) > retries);
      if (!isQuiet) complain("alarms_stop", `${what}, and alarm ${index + 1} has not said that all is well`);
    }
  }

  #checkWave({ machine, at }: Decision, deployment: Deployment, what: string): void {
    const { record, complain, controller, releases } = this.#court;
    const { waves, acts, startedAt } = deployment;
    const index = record.waveOf(deployment, machine);
    const isPromoted = acts.some((act) => act.what === "promote");
    for (const [before, wave] of waves.slice(0, index).entries()) {
      const shut = wave.gates.findIndex((_, gate) => !wave.openGates.has(gate));
      if (wave.finishedAt === undefined) complain("wave_order", `${what} in wave ${index + 1}, and wave ${before + 1} was not finished`);
      if (shut >= 0 && !isPromoted) complain("wave_order", `${what} in wave ${index + 1}, and gate ${shut + 1} of wave ${before + 1} is shut`);
    }
    const wave = waves[index];
    if (wave === undefined || isPromoted || acts.some((act) => act.what === "approve")) return;
    if (wave.begunAt === undefined && !deployment.late.has(machine)) complain("begins_in_time", `${what} in wave ${index + 1}, which has not begun`);
    const since = index === 0 ? startedAt : waves[index - 1]!.finishedAt;
    if (since !== undefined && wave.afterMs > 0 && at - since < wave.afterMs && !deployment.late.has(machine) && controller.clockWasNeverSet) complain("begins_in_time", `${what} ${since + wave.afterMs - at} ms before its wave begins (after)`);
    this.#checkKiller(deployment, index, what, releases.characterOf(deployment.artifact));
  }

  /** A soak longer than what it takes to find silence sees that the release takes its hosts with it. */
  #checkKiller(deployment: Deployment, index: number, what: string, character: ReturnType<Court["releases"]["characterOf"]>): void {
    const { hosts, record, complain } = this.#court;
    const { strategy, waves, app, artifact, firstDecisions } = deployment;
    if (character?.kind !== "takes_host" || character.how === "reboots" || strategy.offline.kind !== "skip") return;
    for (const wave of waves.slice(0, index)) {
      if (!wave.gates.some((gate) => gate.kind === "soak" && gate.forMs >= character.afterMs + 60_000) || wave.successThreshold !== null) continue;
      // A machine that was removed from the fleet is one less, unless it was dead by then; another may have joined under its name.
      const hasTaken = (machine: MachineId) => (record.machines.get(machine)?.joinedAt ?? record.goneUnheard.get(machine) ?? Infinity) <= (firstDecisions.get(machine)?.at ?? -2);
      const took = wave.machines.filter(hasTaken);
      // Whoever resumes goes on without the machines that are known to be lost.
      const resumedAt = deployment.acts.findLast((act) => act.what === "resume")?.at ?? -1;
      const isTaken = (machine: MachineId) => hosts.machines.get(machine)?.serving(app).mishaps.some((mishap) => mishap.what === "took_the_host" && mishap.artifact === artifact && mishap.at + SILENT_AFTER_MS > resumedAt) === true;
      // Of one that had failed before, the file says how many may.
      const isLost = (machine: MachineId) => hosts.unheardMs(machine) > SILENT_AFTER_MS && !hadFailed(this.#court, deployment, firstDecisions.get(machine)!);
      // That it took it nobody could know of one that was not heard since.
      const isKnown = (machine: MachineId) => record.answers.has(firstDecisions.get(machine)!.generation) || hosts.serving(machine, app).since(firstDecisions.get(machine)!.at, hosts.now).some((stretch) => stretch.artifact === artifact && stretch.from + LAG_MS < hosts.lastHeardAt(machine));
      const lost = took.filter((machine) => isTaken(machine) && isLost(machine) && isKnown(machine));
      if (lost.length * 2 >= took.length && lost.length > 0) complain("killer_contained", `${what} in wave ${index + 1}, and its release has taken ${lost.join(", ")} with it`);
    }
  }

  /** Of machines that are alike but for their labels and names, nobody is in an earlier wave than whoever goes before it. */
  #checkOrder({ strategy, waves, id, app, artifact }: Deployment): void {
    const { record, hosts, complain } = this.#court;
    if (strategy.order.length === 0 || !strategy.waves.every(({ members }) => members.kind === "size")) return;
    // Whoever runs it already is watched from the first wave on.
    const runsIt = (machine: MachineId) => hosts.serving(machine, app).artifact === artifact;
    const isPlain = (machine: string) => {
      const known = record.machines.get(machine as never);
      return known !== undefined && known.cordonedAt === undefined && hosts.unheardMs(known.machine) < 20_000 && hosts.hasSettled(known.machine, app, 0) && !runsIt(known.machine);
    };
    const all = waves.flatMap(({ machines }, wave) => machines.filter(isPlain).map((machine) => ({ machine, wave, labels: record.machines.get(machine)!.labels })));
    for (const [index, first] of all.entries()) {
      const wrong = all.slice(index + 1).find((second) => second.wave > first.wave && goesBefore(strategy.order, second, first));
      if (wrong !== undefined) return complain("in_order", `${id} puts ${first.machine} before ${wrong.machine}`);
    }
  }
}

/** For the one kind of expression that simulated strategies use: every N minutes. Plain arithmetic, where the controller has a library. */
function isOpen(cron: string, durationMs: number, now: number): boolean {
  const everyMs = Number(/^\*\/(\d+) \* \* \* \*$/.exec(cron)![1]) * MINUTE_MS;
  return now - Math.floor(now / everyMs) * everyMs < durationMs;
}

interface Placed {
  readonly machine: string;
  readonly labels: Labels;
}

/** As far as can be said: a shuffle may put anybody first. Labels here have no numbers in their values. */
function goesBefore(order: readonly OrderKey[], one: Placed, other: Placed): boolean {
  for (const key of order) {
    if (key.kind === "shuffle") return false;
    const [a, b] = [one, other].map(({ machine, labels }) => (key.kind === "id" ? Number(/[0-9]+$/.exec(machine)![0]) : labels[key.label]));
    if (a === b) continue;
    if (a === undefined || b === undefined) return b === undefined;
    return key.reversed ? a > b : a < b;
  }
  return false;
}
