/**
 * What operators ask about deployments: submit one, steer one. Each is one transaction, and is refused in words when it can't be.
 */
import { type DeploymentId, type ReleaseId, releaseId } from "@muster/proto/ids.ts";
import { checkedSelector } from "@muster/proto/selector.ts";
import { readSigned, signedAlsoBy } from "@muster/proto/trust/release-bytes.ts";
import { hasArchivedTargets } from "../journal/archived-targets.ts";
import type { Entry } from "../journal/entry.ts";
import type { Size, Strategy } from "../plan/strategy.ts";
import { windowOf } from "../plan/plan.ts";
import { sizeText } from "../plan/size.ts";
import type { CommandEvent } from "../rollout/command.ts";
import { goesForward, isEnded, newRollout, type RolloutReason, type RolloutState } from "../rollout/state.ts";
import { Comebacks } from "./comebacks.ts";
import { countMachines, machinePages } from "./fleet-plan.ts";
import { canBeGiven, filesRemoved } from "./givable.ts";
import type { Loop } from "./loop.ts";
import { RolloutBug } from "./own-bug.ts";
import { type Answer, conflict, granted, notFound } from "./refusal.ts";
import { type PinnedSecrets, pinSecrets, staleNotes } from "./secrets.ts";
import { differences, releaseExists, type Submission, type Submitted } from "./submission.ts";

/** How a command came: who gave it, and why; both may be empty. */
export interface Order {
  readonly by: string;
  readonly reason: string;
}

export type Command =
  | { readonly kind: "pause" | "resume" | "abort" | "retry" }
  /** `isAbort`: it was asked for as an abort that takes back what was changed. Default false. */
  | { readonly kind: "rollback"; readonly isAbort?: boolean }
  /** `wave` from 1; 0: the one that it waits at. */
  | { readonly kind: "approve"; readonly wave: number }
  | { readonly kind: "promote"; readonly all: boolean }
  | { readonly kind: "set_max_unavailable"; readonly size: Size };

export class Operators {
  /** What can be taken back or tried again. */
  readonly comebacks: Comebacks;
  readonly #loop: Loop;

  constructor(loop: Loop) {
    this.#loop = loop;
    this.comebacks = new Comebacks(loop, (id, version) => this.#older(id, version));
  }

  recordArtifact(stored: Extract<Entry, { kind: "artifact_stored" }>): void {
    if (this.hasArtifact(stored.artifact)) return;
    this.#loop.commit((append) => append(stored));
  }

  hasArtifact(digest: string): boolean {
    return this.#loop.facts.hasArtifact(digest);
  }

  /**
   * Refuses what can't be carried out; the versions of secrets that the release takes. A release without an artifact is judged by all the rest: so it can be asked before that is sent.
   * `comesUnsigned`: it is all that will be known of it, signatures included.
   */
  check({ app, release, strategy, selector }: Submission, comesUnsigned = false): Answer<PinnedSecrets> {
    const { facts, journal, world, secrets } = this.#loop;
    const id = releaseId(app, release.version);
    const stored = facts.release(id);
    const differing = stored === undefined ? undefined : differences(stored, release.artifact === "" ? { ...release, artifact: stored.artifact } : release);
    if (differing !== undefined) return conflict(releaseExists(id, differing));
    const pinned = pinSecrets(app, id, release, facts.secretsOf(id), secrets);
    if (!pinned.ok) return pinned;
    const distrusted = comesUnsigned ? this.#loop.distrusts(stored ?? release) : undefined;
    if (distrusted !== undefined) return conflict(distrusted);
    const isAnySelected = machinePages(journal, world, app, selector, id).some((page) => page.length > 0);
    if (!isAnySelected) return conflict(`rollout.targets "${strategy.targets}" selects none of the ${countMachines(journal)} machines; muster machines lists them with their labels`);
    return granted(pinned.value);
  }

  /** Creates the release, if it is new, and the deployment; begins it unless it has to wait. `takesBack`: the release that it is there to replace. */
  submit(submission: Submission, by = "", note = "", takesBack?: ReleaseId): Answer<Submitted> {
    const { facts, rollouts } = this.#loop;
    const { app, strategy } = submission;
    const checked = this.check(submission);
    if (!checked.ok) return checked;
    const { artifact, version, signed } = submission.release;
    if (!this.hasArtifact(artifact)) return notFound(`the artifact ${artifact.slice(0, 12)} is not stored; push it first`);
    const read = signed === undefined ? undefined : readSigned(submission.release, signed);
    if (read?.ok === false) return conflict(read.message);
    const id = releaseId(app, version);
    const stored = facts.release(id);
    const release = signedAlsoBy(stored ?? submission.release, signed);
    const distrusted = this.#loop.distrusts(release);
    if (distrusted !== undefined) return conflict(distrusted);
    const pinned = checked.value;
    const deployment = this.#loop.commit((append, now) => {
      if (stored === undefined) append({ kind: "release_created", id, app, release, ...(Object.keys(pinned).length === 0 ? {} : { secrets: pinned }) });
      else if (release.signed !== undefined && release.signed !== stored.signed) append({ kind: "release_signed", id, app, signed: release.signed });
      const deployment = facts.nextDeploymentId();
      append({ kind: "deployment_submitted", deployment, app, release: id, strategy, by, note, ...(takesBack === undefined || takesBack === id ? {} : { takesBack }) });
      rollouts.add(newRollout({ id: deployment, app, release: id, strategy }, now));
      return deployment;
    });
    const state = rollouts.get(deployment);
    const waits = state?.phase === "pending" ? this.#loop.waiting(state)?.message : undefined;
    const stale = staleNotes(id, pinned, this.#loop.secrets);
    return granted({ deployment, notes: waits === undefined ? stale : [`waits for ${waits}`, ...stale] });
  }

  command(id: DeploymentId, command: Command, order: Order): Answer<void> {
    try {
      return this.#steer(id, command, order);
    } catch (error) {
      if (!(error instanceof RolloutBug) || error.deployment !== id) throw error;
      const hasEnded = this.#loop.rollouts.hasEnded(id);
      if (command.kind === "abort" && !hasEnded) return this.#endUnread(id, order);
      const wayOut = hasEnded ? "it has ended: another deployment of the app takes its place" : `muster abort ${id} ends it, whatever it is`;
      return conflict(`${id} can't be ${doneBy(command)}: a fault of the controller itself stops it (${error.message}); ${wayOut}`);
    }
  }

  /** Its tables can't even be read. */
  #endUnread(id: DeploymentId, { by, reason: why }: Order): Answer<void> {
    this.#loop.commit((append) => {
      append({ kind: "command_accepted", deployment: id, command: "abort", detail: "", reason: why, by });
      this.#loop.rollouts.putBroken(id, "aborted", reasonOf({ kind: "abort" }, by, why), append);
    });
    return granted(undefined);
  }

  #steer(id: DeploymentId, command: Command, { by, reason: why }: Order): Answer<void> {
    const { rollouts, journal } = this.#loop;
    const state = rollouts.takeUp(id);
    const readAt = journal.lastSeq;
    if (state === undefined) return notFound(`there is no deployment ${id}`);
    if (command.kind === "pause" && state.phase === "paused") return conflict(`${id} is already paused`);
    if (hasArchivedTargets(journal.db, id)) return conflict(`${id} can't be ${doneBy(command)}: what it did is in the archive by now; muster rollback ${id} --to ${this.comebacks.versionBefore(state) ?? "VERSION"} deploys an older release again`);
    const event = eventOf(state, command, { by, reason: why });
    const refused = this.comebacks.refused(state, event);
    if (refused !== undefined) return conflict(`${id} can't be ${doneBy(command)}: ${refused}`);
    let isFirst = true;
    this.#loop.commit((append, now) => {
      // Not read twice, unless something was written in between, or an earlier attempt has changed it and failed.
      const steered = rollouts.get(id) ?? (isFirst && journal.lastSeq === readAt ? state : rollouts.takeUp(id)!);
      isFirst = false;
      append({ kind: "command_accepted", deployment: id, command: command.kind, detail: detailOf(command), reason: why, by });
      const hadEnded = isEnded(steered.phase);
      rollouts.drive(steered, event, append, now);
      if (hadEnded && !isEnded(steered.phase) && goesForward(steered.phase)) this.#loop.catchUp.takeFromTails(steered, false, append, now);
    });
    if (this.#loop.quarantine.has(id)) this.#takeUpAgain(state);
    this.#loop.askAgain(id);
    return granted(undefined);
  }

  /** It met a bug after its end, and can go on: machines that came meanwhile are looked at. */
  #takeUpAgain({ id, app }: RolloutState): void {
    this.#loop.quarantine.release(id);
    this.#loop.catchUp.changed(app);
    this.#loop.catchUp.lookAtAll();
    this.#loop.tick();
  }

  /** Deploys an older release again, to the machines of a deployment: at once, in one wave, within the same window. Takes the place of what is under way. */
  rollbackTo(id: DeploymentId, version: string, order: Order): Answer<Submitted> {
    try {
      return this.#deployOlder(id, version, order);
    } catch (error) {
      if (!(error instanceof RolloutBug) || error.deployment !== id) throw error;
      return conflict(`${id} can't be rolled back: a fault of the controller itself stops it (${error.message}); deploy the older release from its deployment file`);
    }
  }

  #deployOlder(id: DeploymentId, version: string, order: Order): Answer<Submitted> {
    const older = this.#older(id, version);
    return older.ok ? this.submit(older.value, order.by, noteOf(id, version, order.reason), this.#loop.facts.deployment(id)!.release) : older;
  }

  /** What deploys it again, as far as that can be said before it is submitted. */
  #older(id: DeploymentId, version: string): Answer<Submission> {
    const { facts, rollouts } = this.#loop;
    const state = rollouts.takeUp(id);
    if (state === undefined) return notFound(`there is no deployment ${id}`);
    const target = releaseId(state.app, version);
    const release = facts.release(target);
    if (release === undefined) return notFound(`there is no release ${target}; muster releases ${state.app} lists them`);
    if (!facts.wasHealthy(target)) return conflict(`${target} was never healthy on any machine, so there is nothing to go back to; deploy it from its deployment file`);
    if (!canBeGiven(facts, target)) return conflict(`${filesRemoved(target)}; deploy it from its deployment file`);
    const strategy = straightBack(state.strategy);
    return granted({ app: state.app, release, strategy, selector: checkedSelector(strategy.targets) });
  }
}

function reasonOf(command: Command, by: string, why: string): RolloutReason {
  const who = by === "" ? "an operator" : by;
  const did = isAbortBack(command) ? "aborted it and took it back" : DID[command.kind];
  return { code: "operator", message: `${who} ${did}${why === "" ? "" : `: ${why}`}` };
}

function eventOf(state: RolloutState, command: Command, { by, reason: why }: Order): CommandEvent {
  const reason = reasonOf(command, by, why);
  switch (command.kind) {
    case "pause":
    case "resume":
    case "abort":
    case "rollback":
    case "retry":
      return { kind: command.kind, reason };
    case "approve":
      return { kind: "approve", reason, wave: command.wave === 0 ? null : command.wave - 1 };
    case "promote":
      return { kind: "promote", reason, all: command.all };
    case "set_max_unavailable":
      return { kind: "set_max_unavailable", reason, maxUnavailable: windowOf(command.size, state.targets.size) };
  }
}

function detailOf(command: Command): string {
  switch (command.kind) {
    case "pause":
    case "resume":
    case "abort":
    case "retry":
      return "";
    case "rollback":
      return isAbortBack(command) ? "(abort --revert)" : "";
    case "approve":
      return command.wave === 0 ? "" : `wave ${command.wave}`;
    case "promote":
      return command.all ? "all" : "";
    case "set_max_unavailable":
      return sizeText(command.size);
  }
}

function isAbortBack(command: Command): boolean {
  return command.kind === "rollback" && command.isAbort === true;
}

/** As whoever asked for it calls it. */
function doneBy(command: Command): string {
  return isAbortBack(command) ? DONE.abort : DONE[command.kind];
}

/** Whoever rolls back is in a hurry: no waves, no gates, no alarms, no window, nobody to wait for. */
function straightBack(strategy: Strategy): Strategy {
  const everybody = { members: { kind: "size", size: { kind: "percent", percent: 100 } }, gates: [], at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null } as const;
  return {
    ...strategy,
    waves: [everybody],
    alarms: [],
    maxUnreachable: null,
    offline: { kind: "skip" },
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    onFailure: "pause",
    onConflict: "supersede",
    isWayBack: true,
  };
}

function noteOf(id: DeploymentId, version: string, reason: string): string {
  return `rollback of ${id} to ${version}${reason === "" ? "" : `: ${reason}`}`;
}

const DID: Readonly<Record<Command["kind"], string>> = {
  pause: "paused it",
  resume: "resumed it",
  abort: "aborted it",
  rollback: "rolled it back",
  approve: "approved it",
  promote: "promoted it",
  retry: "retried what had failed",
  set_max_unavailable: "changed max_unavailable",
};
const DONE: Readonly<Record<Command["kind"], string>> = {
  pause: "paused",
  resume: "resumed",
  abort: "aborted",
  rollback: "rolled back",
  approve: "approved",
  promote: "promoted",
  retry: "retried",
  set_max_unavailable: "changed",
};
