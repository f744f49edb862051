/**
 * When a submitted deployment begins: when somebody has started it, if it asks for that; at its time, after the one that it is promoted from, and not while another
 * of its app is under way.
 */
import { type AppName, type DeploymentId, deploymentNumber, type Instant } from "@muster/proto/ids.ts";
import { type Labels, type Requirement, selects, whereText, widestSelector } from "@muster/proto/selector.ts";
import { dueAt, type Moment } from "../rollout/moment.ts";
import { awaitsStart, isBroken, isUnderWay, isWayBack, type RolloutState } from "../rollout/state.ts";
import { timeText } from "../rollout/words.ts";
import type { Facts } from "./facts.ts";
import { ofRollout } from "./own-bug.ts";
import { type Promotions, stoodText } from "./promotions.ts";

/** Why it does not begin yet. `until`: when to look again though nothing happens. */
export interface Waiting {
  readonly message: string;
  readonly until: Instant | undefined;
}

/** What a start depends on besides the deployments of its app. */
export interface StartFacts {
  readonly facts: Pick<Facts, "forerunner" | "deployment">;
  readonly promotions: Pick<Promotions, "missing">;
  /** Superseded rollbacks that go on. */
  readonly rollouts: { goingBack(app: AppName): readonly RolloutState[] };
  /** Superseded rollbacks that go on, or not, once it is known what the newer one has left. */
  readonly catchUp: { undecidedBack(app: AppName): readonly DeploymentId[] };
}

export function waitingToStart(state: RolloutState, ofApp: readonly RolloutState[], facts: StartFacts, now: Moment): Waiting | undefined {
  return beforeApproval(state) ?? beforeItsTime(state, now.at) ?? beforePromotion(state, facts, now) ?? queued(state, ofApp, facts, now);
}

/** The one of an app's deployments that begins now. */
export function nextToStart(ofApp: readonly RolloutState[], waiting: (state: RolloutState) => Waiting | undefined): RolloutState | undefined {
  const ready = ofApp.filter((state) => state.phase === "pending" && waiting(state) === undefined);
  return ready.toSorted((a, b) => b.strategy.priority - a.strategy.priority)[0];
}

/** Those that a deployment takes the place of when it begins: the one under way, and older ones that were to come to one of its `machines`. */
export function supersededBy(state: RolloutState, ofApp: readonly RolloutState[], machines: readonly { readonly labels: Labels }[]): readonly RolloutState[] {
  if (state.strategy.onConflict === "queue") return [];
  return ofApp.filter((other) => other !== state && (isUnderWay(other) || (isOlder(other, state) && isForOneOf(other, machines))));
}

/** One that has begun, and was stopped by a fault of the controller before it had a plan, is judged like one that has not. */
function isForOneOf({ strategy: { targets } }: RolloutState, machines: readonly { readonly labels: Labels }[]): boolean {
  const selector = widestSelector(targets);
  return machines.some(({ labels }) => selects(selector, labels));
}

/** First of all reasons: it is the one that somebody must do something about. */
function beforeApproval(state: RolloutState): Waiting | undefined {
  return awaitsStart(state) ? { message: `somebody to start it (muster approve ${state.id})`, until: undefined } : undefined;
}

function beforeItsTime({ strategy: { startAt } }: RolloutState, now: Instant): Waiting | undefined {
  if (startAt === null || now >= startAt) return undefined;
  return { message: `its time: it begins at ${timeText(startAt)} (start_at)`, until: startAt };
}

function beforePromotion({ id, app, release, strategy: { after } }: RolloutState, from: StartFacts, now: Moment): Waiting | undefined {
  if (after === null) return undefined;
  const { deploymentOf, targets, soakMs } = after;
  const what = deploymentOf === app ? release : deploymentOf;
  const where = whereText(targets);
  const found = from.facts.forerunner(deploymentOf, targets, deploymentOf === app ? release : null, id);
  const wanted = `a deployment of ${what} to ${where} to succeed`;
  if (found === undefined) return { message: `${wanted}: there is none yet`, until: undefined };
  const { ended_at: endedAt, ended_attended: ended } = found;
  if (found.phase !== "succeeded" || endedAt === null || ended === null) return { message: `${wanted}: ${found.id} is ${found.phase.replaceAll("_", " ")}`, until: undefined };
  const until = dueAt({ at: endedAt, attended: ended }, soakMs, now);
  if (now.at < until) return { message: stoodText(found, where, soakMs, until), until };
  return from.promotions.missing(after, { ...found, ended_attended: ended }, now);
}

function queued(state: RolloutState, ofApp: readonly RolloutState[], facts: StartFacts, now: Moment): Waiting | undefined {
  if (state.strategy.onConflict === "supersede") return beforeGoneBack(state, ofApp, facts);
  const underWay = ofApp.find(isUnderWay);
  const [rollback] = underWay === undefined ? rollbacks(state.app, ofApp, facts) : [];
  if (rollback !== undefined) return { message: `${rollback.id} (${rollback.release}, superseded) to have gone back`, until: undefined };
  const before = underWay ?? ofApp.find((other) => goesBefore(other, state) && isReady(other, facts, now));
  if (before === undefined) return undefined;
  return { message: `${before.id} (${before.release}, ${standsText(before)}) to end`, until: undefined };
}

/** With the command for whoever must act before it goes on. */
function standsText(state: RolloutState): string {
  const { id, phase, hold } = state;
  if (phase === "rolling" && hold?.kind === "approval") return `awaiting approval: muster approve ${id}`;
  if (phase === "paused" && !isBroken(state)) return `paused: muster resume ${id}`;
  return phase.replaceAll("_", " ");
}

type Rollback = Pick<RolloutState, "id" | "release" | "strategy">;

/** Those under way, to an older release, too, while machines are on their way in that: it may wait for those that are lost or cordoned for as long as there are any. Also what goes on of them after a newer deployment took their place, or will, when that has ended. */
function rollbacks(app: AppName, ofApp: readonly RolloutState[], { facts, rollouts, catchUp }: StartFacts): readonly Rollback[] {
  const undecided = ofApp.some(isUnderWay) ? [] : catchUp.undecidedBack(app);
  return [...ofApp.filter((state) => state.phase === "rolling_back" || (isWayBack(state) && state.moving.size > 0)), ...rollouts.goingBack(app), ...undecided.map((id) => facts.deployment(id)!)];
}

/** A rollback under way is left in the middle only for a deployment that is for all of its machines. Those that have other labels by now go on going back. */
function beforeGoneBack({ app, strategy: { targets } }: RolloutState, ofApp: readonly RolloutState[], facts: StartFacts): Waiting | undefined {
  const rollback = rollbacks(app, ofApp, facts).find((other) => !isWithin(other.strategy.targets, targets));
  if (rollback === undefined) return undefined;
  const isUnderWay = ofApp.some(({ id }) => id === rollback.id);
  return { message: `${rollback.id} (${rollback.release}) to have gone back: it goes to other machines, too${isUnderWay ? `; muster abort ${rollback.id} ends it` : ""}`, until: undefined };
}

/** Whatever the first selects, the second does: it asks for nothing else. */
function isWithin(first: string, second: string): boolean {
  const given = new Set(widestSelector(first).requirements.map(textOf));
  return widestSelector(second).requirements.every((requirement) => given.has(textOf(requirement)));
}

function textOf({ key, operator, values }: Requirement): string {
  return JSON.stringify([key, operator, values]);
}

function isReady(state: RolloutState, facts: StartFacts, now: Moment): boolean {
  // The one that waits for it is not to blame for it.
  return ofRollout(state.id, () => !awaitsStart(state) && beforeItsTime(state, now.at) === undefined && beforePromotion(state, facts, now) === undefined);
}

function goesBefore(other: RolloutState, state: RolloutState): boolean {
  if (other === state || other.phase !== "pending") return false;
  const more = other.strategy.priority - state.strategy.priority;
  return more > 0 || (more === 0 && isOlder(other, state));
}

function isOlder(a: RolloutState, b: RolloutState): boolean {
  return deploymentNumber(a.id) < deploymentNumber(b.id);
}
