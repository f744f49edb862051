/**
 * Taking a deployment back, and trying again what failed in it: whether that is refused, why, and which command helps. What is advised is asked of the same code that refuses.
 *
 * Reads, and changes nothing.
 */
import { type DeploymentId, deploymentNumber, type ReleaseId } from "@muster/proto/ids.ts";
import { counted } from "@muster/proto/text.ts";
import { isFaultOfDisk } from "../journal/disk-fault.ts";
import { hasArchivedTargets } from "../journal/archived-targets.ts";
import { readRollout } from "../journal/load.ts";
import { inSlices, Slice, SLICE_ROWS, type Steps } from "../journal/slices.ts";
import { type CommandEvent, NONE_FAILED, refusal } from "../rollout/command.ts";
import { isEnded, isOvertaken, isStuckBack, isSupersededBack, isToRevert, isTouched, isUnderWay, type RolloutState, type Target } from "../rollout/state.ts";
import { canBeGiven, filesRemoved } from "./givable.ts";
import type { Loop } from "./loop.ts";
import { RolloutBug } from "./own-bug.ts";
import type { Answer } from "./refusal.ts";
import type { Submission } from "./submission.ts";

/** Commands that would be carried out, and would help. */
export interface Remedies {
  /** `muster rollback ID` */
  readonly rollback: boolean;
  /** The version of `muster rollback ID --to VERSION`, where a plain rollback is refused, or would come to the same release again. Empty: there is none. */
  readonly rollbackTo: string;
  /** `muster retry ID` */
  readonly retry: boolean;
}

const NONE: Remedies = { rollback: false, rollbackTo: "", retry: false };

export class Comebacks {
  readonly #loop: Loop;
  readonly #older: (id: DeploymentId, version: string) => Answer<Submission>;

  /** `older`: what `rollback --to` would deploy. */
  constructor(loop: Loop, older: (id: DeploymentId, version: string) => Answer<Submission>) {
    this.#loop = loop;
    this.#older = older;
  }

  /** Undefined: the command would be carried out. */
  refused(state: RolloutState, event: CommandEvent): string | undefined {
    const refused = refusal(state, event);
    if (refused === NONE_FAILED) return this.#noneFailed(state);
    if (refused === undefined && event.kind === "set_max_unavailable") return this.#changesNothing(state);
    if (refused !== undefined || !isComeback(state, event)) return refused;
    const rival = this.#rival(state);
    if (rival !== undefined) return `${rival.id} (${rival.release}) is under way; abort that first, or use it instead`;
    const later = this.#later(state, event);
    if (later !== undefined) return `${later} of ${state.app} has been carried out since; ${event.kind === "rollback" ? this.#insteadOf(state, later) : "deploy again instead"}`;
    if (isSameAgain(state, event)) return this.#sameAgain(state);
    const removed = this.#removed(state, event);
    if (removed === undefined) return undefined;
    return removed === state.release ? `${filesRemoved(removed)}; deploy it from its deployment file` : this.#withoutFiles(state, removed);
  }

  /** In slices, when it has ended. */
  async remedies(id: DeploymentId): Promise<Remedies> {
    try {
      const state = this.#loop.rollouts.get(id) ?? (await readRollout(this.#loop.journal, id));
      return state === undefined ? NONE : await inSlices(this.#remediesOf(state), new Slice());
    } catch (error) {
      if (isFaultOfDisk(error)) throw error;
      // Whoever takes it up is told of the fault.
      return NONE;
    }
  }

  /** Each question looks at all of its targets, and has a turn of its own. */
  *#remediesOf(state: RolloutState): Steps<Remedies> {
    const isArchived = hasArchivedTargets(this.#loop.journal.db, state.id);
    yield SLICE_ROWS;
    const rollback = this.#canGoBack(state, isArchived);
    yield SLICE_ROWS;
    const rollbackTo = rollback ? "" : (this.versionBefore(state) ?? "");
    yield SLICE_ROWS;
    return { rollback, rollbackTo, retry: !isArchived && this.#can(state, "retry") };
  }

  /** The newest release that was healthy before on machines which are to run this deployment's, and can be deployed again. */
  versionBefore({ id, app }: RolloutState): string | undefined {
    const versions = this.#loop.facts.decisions.releasesBefore(id).map((release) => release.slice(app.length + 1));
    return versions.find((version) => {
      const older = this.#older(id, version);
      return older.ok && this.#loop.distrusts(older.value.release) === undefined;
    });
  }

  #canGoBack(state: RolloutState, isArchived: boolean): boolean {
    return !isArchived && !comesToTheSame(state) && this.#can(state, "rollback");
  }

  /** Not refused. Why it would be is not asked. */
  #can(state: RolloutState, kind: "rollback" | "retry"): boolean {
    const event: CommandEvent = { kind, reason: { code: "operator", message: "" } };
    if (refusal(state, event) !== undefined) return false;
    if (!isComeback(state, event)) return true;
    return this.#rival(state) === undefined && this.#later(state, event) === undefined && !isSameAgain(state, event) && this.#removed(state, event) === undefined;
  }

  /** Nothing failed, then; how its machines are now is another matter. */
  #noneFailed(state: RolloutState): string {
    const { id } = state;
    const { machines, bad } = this.#loop.world.nowOf(id);
    if (bad === 0) return NONE_FAILED;
    const rollback = this.#canGoBack(state, false);
    const rollbackTo = rollback ? "" : (this.versionBefore(state) ?? "");
    const back = rollback ? `muster rollback ${id} takes all of them back, ` : rollbackTo === "" ? "" : `muster rollback ${id} --to ${rollbackTo} takes them back, `;
    return `${NONE_FAILED} in it, though ${bad} of its ${counted(machines, "machine")} ${bad === 1 ? "is" : "are"} not well with it now: muster status ${id} says which; ${back}deploying it again assigns it anew to ${bad === 1 ? "that one" : "those"}`;
  }

  /** A window of one that has succeeded is for machines that come late: another deployment decides about these by now. */
  #changesNothing(state: RolloutState): string | undefined {
    if (state.phase !== "succeeded" || hasToCome(state)) return undefined;
    const { id, app, strategy } = state;
    const newer = this.#loop.facts.standing(app).find(({ selector }) => selector === strategy.targets);
    return newer === undefined || newer.id === id ? undefined : `it has succeeded, and machines that come late get ${newer.id} (${newer.release}), not this one; change that instead`;
  }

  /** A newer deployment decides about machines on which this one failed, and has not told them yet. */
  #laterToTell({ id, app, targets }: RolloutState): DeploymentId | undefined {
    const isNewer = (other: RolloutState): boolean => other.app === app && deploymentNumber(other.id) > deploymentNumber(id);
    const pendingIn = this.#loop.rollouts.all().find((other) => isNewer(other) && [...other.targets.values()].some(({ machine, state }) => state === "pending" && targets.get(machine)?.state === "failed"));
    return pendingIn?.id ?? this.#loop.facts.decisions.laterToTell(id);
  }

  #rival({ id, app }: RolloutState): RolloutState | undefined {
    return this.#loop.rollouts.ofApp(app).find((other) => other.id !== id && isUnderWay(other));
  }

  /** Taking back, or trying again, what a later deployment has changed again would undo that too. */
  #later(state: RolloutState, { kind }: CommandEvent): DeploymentId | undefined {
    const { id, targets } = state;
    if (isSupersededBack(state)) return this.#laterThanStuck(state);
    let touched = 0;
    for (const target of targets.values()) if (isTouched(target)) touched += 1;
    // The tables need not be asked while all that it told anything are its own.
    const later = this.#loop.world.nowOf(id).machines === touched ? undefined : this.#loop.facts.decisions.laterDeployment(id);
    return later ?? (kind === "retry" ? this.#laterToTell(state) : undefined);
  }

  /** A newer one took the place of its rollback: those that could not go back, and are nobody else's by now, go back again. */
  #laterThanStuck({ id, app, targets }: RolloutState): DeploymentId | undefined {
    const owners = [...targets.values()].filter(isStuckBack).map(({ machine }) => this.#loop.world.availabilities.assignedTo(machine, app)?.deployment);
    return owners.includes(id) ? undefined : owners.find((owner) => owner !== undefined);
  }

  #insteadOf(state: RolloutState, later: DeploymentId): string {
    const older = this.versionBefore(state);
    const to = older === undefined ? [] : [`muster rollback ${state.id} --to ${older} deploys ${older} again`];
    const that = this.#canRollBack(later) ? ["roll that back instead"] : [];
    return [...that, ...to].join(", or ") || "deploy the release that is to run there";
  }

  #canRollBack(id: DeploymentId): boolean {
    try {
      const state = this.#loop.rollouts.takeUp(id);
      return state !== undefined && this.#canGoBack(state, hasArchivedTargets(this.#loop.journal.db, id));
    } catch (error) {
      if (error instanceof RolloutBug) return false;
      throw error;
    }
  }

  #sameAgain(state: RolloutState): string {
    return `its machines ran ${state.release} before it, too; ${this.#deployInstead(state)}`;
  }

  /** A release that some machine would be assigned, and that can't be given. */
  #removed(state: RolloutState, { kind }: CommandEvent): ReleaseId | undefined {
    const releases = new Set(kind === "rollback" ? goingBack(state).flatMap(({ previous }) => (previous === null ? [] : [previous])) : [state.release]);
    return [...releases].find((release) => !canBeGiven(this.#loop.facts, release));
  }

  #withoutFiles(state: RolloutState, release: ReleaseId): string {
    const machines = goingBack(state).filter(({ previous }) => previous === release);
    const { length } = machines;
    return `${length === 1 ? `${machines[0]!.machine} ran` : `${counted(length, "machine")} ran`} ${release} before it, and ${filesRemoved(release)}; ${this.#deployInstead(state)}`;
  }

  #deployInstead(state: RolloutState): string {
    const older = this.versionBefore(state);
    return older === undefined ? "deploy the release that is to run there from its deployment file" : `muster rollback ${state.id} --to ${older} deploys ${older} again`;
  }
}

/** The command begins anew what had ended. */
function isComeback({ phase }: RolloutState, { kind }: CommandEvent): boolean {
  return kind === "rollback" || (kind === "retry" && isEnded(phase));
}

/** Some machine is still to take its release, or may be retried. */
function hasToCome({ targets }: RolloutState): boolean {
  return [...targets.values()].some((target) => target.state !== "healthy" && target.state !== "removed" && !isOvertaken(target));
}

/** Its machines would come to the release that they have. */
function isSameAgain(state: RolloutState, { kind }: CommandEvent): boolean {
  return kind === "rollback" && isEnded(state.phase) && comesToTheSame(state);
}

/** Whoever it would take back ran the same release before. */
function comesToTheSame(state: RolloutState): boolean {
  const targets = goingBack(state);
  return targets.length > 0 && targets.every(({ previous }) => previous === state.release);
}

/** Targets that a rollback would assign what they ran before: also those that could not go back in one that has ended. */
function goingBack({ targets }: RolloutState): readonly Target[] {
  return [...targets.values()].filter((target) => (isToRevert(target) && !isOvertaken(target)) || isStuckBack(target));
}
