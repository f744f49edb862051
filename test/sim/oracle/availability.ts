/**
 * Windows, lanes and budgets, by the hosts: whenever an agent takes down what answers well because the controller decided something, the others of its deployment and of its
 * groups are counted as they really are, whichever rollout made them so.
 *
 * Always holds: beside those that are *changing* (taken down by a decision, and not done with it) there is room for one more within the limit, those that are *down* for
 * whatever reason counted too; one place is left beside machines that are down, or they would hold a rollout for ever. What the controller could not have known when it
 * decided is not held against it.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import { SILENT_AFTER_MS } from "../controller.ts";
import type { Court } from "./court.ts";
import { answerMs, LAG_MS } from "./hosts.ts";
import { FAILED } from "./passing.ts";
import type { Decision, Deployment } from "./record.ts";

/** An app was taken down by a decision. */
interface Change {
  readonly decision: Decision;
  /** It did not serve anyway. */
  readonly isFree: boolean;
}

/** What a host that is on its way takes up, over all decisions that follow one another there before it is done. */
interface Place {
  readonly window: number;
  /** Generation of the first of them. */
  readonly since: number;
}

type Standing = "serving" | "absent" | "changing" | "down" | "down_lately";

/** What a host says last of an app that does not serve there. */
const DOWN: readonly string[] = ["unhealthy", "failed"];

export class Availability {
  readonly #court: Court;
  /** `machine/app` to the change that it is in. */
  readonly #changes = new Map<string, Change>();
  /** Generation to the place that the decision before had, when that was not done with. */
  readonly #inherited = new Map<number, Place>();
  /** Generations for hosts that were down for another app when they were given them, since when: they cost their groups nothing more. */
  readonly #downBeside = new Map<number, number>();
  /** Generations for hosts that were on their way with another app when they were given them: they had their place in their groups already. */
  readonly #underWayBeside = new Set<number>();
  /** Generations for hosts that had said last that the app is not well there: it may be by now, and they have had no time to say so. */
  readonly #saidDown = new Set<number>();
  /** Generations for hosts that had answered to the decision before, and had said since that they are on their way again: they cost nothing more, whatever still serves there. */
  readonly #anew = new Set<number>();

  constructor(court: Court) {
    this.#court = court;
  }

  decided(decision: Decision, before: Decision | undefined): void {
    const { hosts, record } = this.#court;
    const { machine, app, generation } = decision;
    const downSince = before === undefined || this.#hasAnswered(before) ? this.#downSince(machine, app) : undefined;
    if (downSince !== undefined) this.#downBeside.set(generation, downSince);
    if (this.#isUnderWayOtherwise(decision)) this.#underWayBeside.add(generation);
    if (before === undefined || !hosts.machines.has(machine)) return;
    if (DOWN.includes(record.answers.get(before.generation) ?? "")) this.#saidDown.add(generation);
    // What it has come to may just have arrived: that is known, though the host does not know so yet. What it said before it began anew is not what it has come to.
    const phase = hosts.restingPhase(machine, app, before.generation);
    const hasSaid = phase !== undefined && record.answers.get(before.generation) === phase && !record.owedSince.has(before.generation);
    const hasSettled = hosts.hasSettled(machine, app, before.generation) || hasSaid;
    const isAnew = record.owedSince.has(before.generation) || (!hasSettled && record.answers.has(before.generation));
    if (isAnew) this.#anew.add(generation);
    if (hasSettled) return void this.#changes.delete(`${machine}/${app}`);
    const deployment = record.deployments.get(before.deployment)!;
    const place = this.#inherited.get(before.generation);
    // Whoever is lost has its time anew when it is heard.
    const isOver = this.#hasAnswered(before) || this.#isOverdue({ ...before, at: Math.max(before.at, hosts.heardAgainAt(machine)) }, decision.at);
    this.#inherited.set(generation, { window: Math.max(record.windowOf(deployment, before.at), place?.window ?? 0), since: isOver ? generation : (place?.since ?? before.generation) });
  }

  takesDown(machine: MachineId, app: string, decision: Decision): void {
    const { hosts, record } = this.#court;
    const { now } = hosts;
    const key = `${machine}/${app}`;
    const { generation, at } = decision;
    // Its agent goes back by itself.
    if (this.#changes.get(key)?.decision.generation === generation) return;
    // One that has not answered in its time, or has said that it failed and tries again, is counted as down by then, and has given its place away. So has one that was removed from the fleet.
    const isFree = !record.machines.has(machine) || FAILED.includes(record.answers.get(generation) ?? "") || this.#anew.has(generation) || this.#isOverdue(decision, now) || hosts.serving(machine, app).lastOffAt(now) >= at - (this.#saidDown.has(generation) ? LAG_MS : 0) || hosts.wasUnheard(machine, at, now);
    const deployment = record.deployments.get(decision.deployment)!;
    if (!isFree) {
      const inherited = this.#inherited.get(generation);
      this.#checkWindow(deployment, decision, inherited);
      if (inherited === undefined) {
        this.#checkLanes(deployment, decision);
        if (!this.#downBeside.has(generation) && !this.#underWayBeside.has(generation) && !this.#isDownOtherwise(machine, app, at)) this.#checkBudgets(decision);
      }
    }
    this.#changes.set(key, { decision, isFree });
    if (!isFree) this.#checkNewerWindows(decision);
  }

  #checkWindow(deployment: Deployment, decision: Decision, inherited: Place | undefined): void {
    const { record, hosts, complain } = this.#court;
    const { machine, app } = decision;
    const window = Math.max(record.windowOf(deployment, decision.at), inherited?.window ?? 0);
    const [all, down] = this.#count(record.machinesOf(deployment).filter((other) => other !== machine), (other) => this.#standing(other, app, decision.at));
    const changing = all.filter((other) => !this.#isNewer(other, decision) && !(inherited !== undefined && this.#isBeside(other, decision, inherited)));
    // One that has a place already takes none from beside those that are down, which may be so since.
    const beside = inherited === undefined ? down.length : 0;
    if (changing.length === 0 || changing.length + beside + 1 <= window) return;
    complain("window_holds", `${machine} stops ${app} at ${hosts.now} for ${deployment.id} while ${changing.join(", ")} are changing and ${down.join(", ") || "none"} down, of ${window}`);
  }

  /** By a later deployment than the one that has this decision: it had to leave a place for whoever was on the way then, and it is asked for that. */
  #isNewer(other: MachineId, { app, generation, deployment }: Decision): boolean {
    const change = this.#changes.get(`${other}/${app}`)?.decision;
    return change !== undefined && change.generation > generation && change.deployment !== deployment;
  }

  /** It began after the host had got the place that it has still, by a deployment that does not have the host: that one had to leave no place for it. */
  #isBeside(other: MachineId, { machine, app, deployment: id }: Decision, { since }: Place): boolean {
    const { record } = this.#court;
    const change = this.#changes.get(`${other}/${app}`)?.decision;
    if (change === undefined || change.deployment === id || (this.#inherited.get(change.generation)?.since ?? change.generation) < since) return false;
    return !record.machinesOf(record.deployments.get(change.deployment)!).includes(machine);
  }

  /** A decision that comes late to its host finds others that a later deployment changes: that one knew of it, when it has the host among its own. */
  #checkNewerWindows(decision: Decision): void {
    const { record } = this.#court;
    const { machine, app } = decision;
    for (const [key, { decision: newer, isFree }] of this.#changes) {
      if (isFree || key !== `${newer.machine}/${app}` || !this.#isNewer(newer.machine, decision) || this.#standing(newer.machine, app, newer.at) !== "changing") continue;
      const deployment = record.deployments.get(newer.deployment)!;
      if (record.machinesOf(deployment).includes(machine)) this.#checkWindow(deployment, newer, this.#inherited.get(newer.generation));
    }
  }

  #checkLanes(deployment: Deployment, decision: Decision): void {
    const { record, complain } = this.#court;
    const { machine, app } = decision;
    const { maxUnavailablePer, spread } = deployment.strategy;
    if (maxUnavailablePer.length === 0 && spread === null) return;
    const others = record.machinesOf(deployment).filter((other) => other !== machine && deployment.lastDecisions.get(other)?.generation === record.newest.get(`${other}/${app}`)?.generation);
    const [changing, down] = this.#count(others, (other) => this.#standing(other, app, decision.at));
    const valueOf = (of: MachineId, label: string) => deployment.labels.get(of)?.[label] ?? "";
    for (const { label, max } of maxUnavailablePer) {
      const alike = changing.filter((other) => valueOf(other, label) === valueOf(machine, label));
      const beside = down.filter((other) => valueOf(other, label) === valueOf(machine, label));
      if (alike.length > 0 && alike.length + beside.length + 1 > max) complain("lanes_hold", `${machine} stops ${app} for ${deployment.id} while ${alike.join(", ")} of the same ${label} are changing and ${beside.join(", ") || "none"} down, ${max} allowed`);
    }
    if (spread === null) return;
    const unlike = changing.filter((other) => valueOf(other, spread) !== valueOf(machine, spread));
    if (unlike.length > 0) complain("lanes_hold", `${machine} stops ${app} for ${deployment.id} while ${unlike.join(", ")} of another ${spread} are changing`);
  }

  #checkBudgets(decision: Decision): void {
    const { record, complain } = this.#court;
    const { machine, app, deployment } = decision;
    const own = record.machines.get(machine)?.labels ?? {};
    for (const [text, { max, setAt }] of record.budgets) {
      const selector = checkedSelector(text);
      if (setAt > decision.at || !selects(selector, own)) continue;
      const others = [...record.machines.values()].filter((other) => other.machine !== machine && selects(selector, other.labels) && other.touchedAt <= decision.at);
      const [changing, down] = this.#count(others.map((other) => other.machine), (other) => this.#worst(other, decision));
      if (changing.length === 0 || changing.length + down.length + 1 <= max) continue;
      complain("budgets_hold", `${machine} stops ${app} for ${deployment} while ${changing.join(", ")} of "${text}" are changing and ${down.join(", ") || "none"} down, of ${max}`);
    }
  }

  #count(others: readonly MachineId[], standing: (machine: MachineId) => Standing): readonly [MachineId[], MachineId[]] {
    const changing: MachineId[] = [];
    const down: MachineId[] = [];
    for (const other of others) {
      const stands = standing(other);
      if (stands === "changing") changing.push(other);
      if (stands === "down") down.push(other);
    }
    return [changing, down];
  }

  #standing(machine: MachineId, app: string, decidedAt: number): Standing {
    const { hosts, record } = this.#court;
    const { now } = hosts;
    const known = record.machines.get(machine);
    const serving = hosts.machines.get(machine)?.serving(app);
    if (known === undefined || serving?.hasServed(now) !== true) return "absent";
    if (hosts.unheardMs(machine) >= SILENT_AFTER_MS) return hosts.lastHeardAt(machine) < decidedAt - SILENT_AFTER_MS - LAG_MS ? "down" : "down_lately";
    if (serving.current(now) !== undefined) {
      this.#changes.delete(`${machine}/${app}`);
      return "serving";
    }
    const newest = record.newest.get(`${machine}/${app}`);
    if (newest === undefined || newest.artifact === undefined) return "absent";
    // It was to run nothing then, and is told something by a later deployment.
    if (newest.at > decidedAt && this.#ranNothing(machine, app, decidedAt)) return "absent";
    if (known.isDrained) return known.touchedAt <= decidedAt ? "down" : "down_lately";
    // It was drained when that was decided, and a person has given it its app back since: it starts what was down then, in nobody's place.
    if (known.drainedAt <= decidedAt && known.undrainedAt > decidedAt) return "down";
    // It was lost when that was decided, or a moment before, and is heard again by now: what became of it meanwhile comes after its first word.
    if (hosts.wasUnheard(machine, decidedAt - LAG_MS, decidedAt)) return "down_lately";
    const change = this.#changes.get(`${machine}/${app}`);
    // One that served when it was decided, or since, and has gone by itself, nobody could know of.
    const cameBack = serving.since(decidedAt, now).some(({ from }) => from > decidedAt);
    const wasKnown = !cameBack && change !== undefined && (change.decision.at >= decidedAt || !serving.since(decidedAt - LAG_MS, now).some(({ from }) => from <= decidedAt));
    // What it was told in the same moment has taken nothing down yet.
    const awaited = newest.at >= decidedAt ? change?.decision : newest;
    if (wasKnown && !change.isFree && !hosts.isAtRest(machine, app) && !this.#isOverdue(awaited ?? newest, decidedAt)) return "changing";
    // It has still to say so: a host that lost its power can't before it is up again.
    if (hosts.machines.get(machine)!.disk.reports.length > 0 && record.lastSaidAt(machine, app) < serving.offSince(now)!) return "down_lately";
    // What a host has not been heard with since it went off nobody knows of.
    return serving.offSince(now)! <= Math.min(decidedAt - LAG_MS, hosts.knownUntil(machine)) ? "down" : "down_lately";
  }

  #ranNothing(machine: MachineId, app: string, at: number): boolean {
    const told = [...this.#court.record.deployments.values()].flatMap((deployment) => (deployment.app === app ? (deployment.lastDecisions.get(machine) ?? []) : [])).filter((decision) => decision.at <= at);
    const last = told.reduce<Decision | undefined>((newest, each) => (newest === undefined || each.generation > newest.generation ? each : newest), undefined);
    return last !== undefined && last.artifact === undefined;
  }

  /** It has not answered in its time, and has not been heard to say that it goes back. */
  #isOverdue({ machine, app, at, deployment }: Decision, decidedAt: number): boolean {
    const { hosts, record } = this.#court;
    const host = hosts.machines.get(machine)!;
    const state = host.disk.apps.get(app);
    if (state?.phase.kind === "reverting" && host.trueTime(state.phaseSince) <= Math.min(decidedAt, hosts.knownUntil(machine))) return false;
    return hosts.attention.atMost(at, decidedAt) >= answerMs(record.deployments.get(deployment)!.strategy);
  }

  #worst(machine: MachineId, { at, generation }: Decision): Standing {
    const standings = [...(this.#court.hosts.machines.get(machine)?.apps ?? [])].map((app) => {
      const standing = this.#standing(machine, app, at);
      const change = this.#changes.get(`${machine}/${app}`)?.decision.generation ?? generation;
      // It was down for another app when that was decided, and still when it was itself chosen after it: that cost nothing.
      return standing === "changing" && change > generation && (this.#downBeside.get(change) ?? Infinity) <= at ? "down" : standing;
    });
    // One that is down for another app would be down without that change, too.
    return standings.find((each) => each === "down") ?? standings.find((each) => each === "changing") ?? "serving";
  }

  /** For another app, which has come to nothing there and may never have served, while none of the others is on its way; undefined: it is not. */
  #downSince(machine: MachineId, app: string): number | undefined {
    const { hosts, record } = this.#court;
    const host = hosts.machines.get(machine);
    const others = [...record.newest.values()].filter((other) => other.machine === machine && other.app !== app && other.artifact !== undefined);
    if (host === undefined || !others.every((other) => this.#hasAnswered(other))) return undefined;
    const down = others.filter(({ app: of, generation }) => DOWN.includes(record.answers.get(generation)!) && hosts.serving(machine, of).current(hosts.now) === undefined);
    const since = down.flatMap(({ app: of }) => host.disk.apps.get(of) ?? []).map(({ phaseSince }) => host.trueTime(phaseSince));
    return since.length === 0 ? undefined : Math.min(...since);
  }

  /** It has still to say how another app goes, whose change was decided before, and has time left for that: it is changing, though what ran there before serves while the new one is fetched. */
  #isUnderWayOtherwise({ machine, app, at }: Decision): boolean {
    const { hosts, record } = this.#court;
    if (!hosts.machines.has(machine)) return false;
    return [...record.newest.values()].some((other) => other.machine === machine && other.app !== app && !this.#hasAnswered(other) && !this.#isOverdue(other, at));
  }

  /** It has said how that went, and is done with it. */
  #hasAnswered({ generation }: Decision): boolean {
    const answer = this.#court.record.answers.get(generation);
    return answer !== undefined && answer !== "reverting";
  }

  /** For another app of the same machine, which may never have served there: it costs its groups nothing more. */
  #isDownOtherwise(machine: MachineId, app: string, at: number): boolean {
    const { hosts, record } = this.#court;
    return [...record.newest.values()].some((other) => {
      if (other.machine !== machine || other.app === app || other.artifact === undefined || other.at > at) return false;
      const serving = hosts.serving(machine, other.app);
      return serving.current(hosts.now) === undefined || serving.lastOffAt(hosts.now) >= at - LAG_MS;
    });
  }
}
