/**
 * What a deployment waits for now, and what would let it go on: with the command to type where somebody can act. Pure.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Remedies } from "../engine/comebacks.ts";
import { type CommandEvent, isHeldForOtherReasons, refusal } from "../rollout/command.ts";
import { awaitsStart, isEnded, isOvertaken, isSupersededBack, isToRevert, type RolloutState, type Target } from "../rollout/state.ts";
import { hasTail, isTailTripped } from "../rollout/tail.ts";
import { is, listText, totals } from "./words.ts";

export interface Standpoint {
  readonly state: RolloutState;
  /** What it waits for, in words; empty when it has ended. */
  readonly waiting: string;
  /** The newest for its selector that succeeded and changed somebody: machines that come late still have their turn in it. */
  readonly isStanding: boolean;
  /** A later deployment of its app that was carried out; taking this one up again would undo that. */
  readonly later: string | undefined;
  /** Now: who was passed over for it is not always used again when the others had their turn. */
  isCordoned(machine: MachineId): boolean;
}

/** `; muster rollback d-5 --to 1.0 takes it back`; empty where nothing does. */
export function backText(id: DeploymentId, { rollback, rollbackTo }: Remedies): string {
  if (!rollback && rollbackTo === "") return "";
  return `; muster rollback ${id}${rollback ? "" : ` --to ${rollbackTo}`} takes it back`;
}

/** Empty once there is nothing to wait for. */
export function deploymentNow(standpoint: Standpoint): readonly string[] {
  const { state, waiting, isStanding } = standpoint;
  if (isSupersededBack(state)) return backNow(state);
  if (isEnded(state.phase)) return state.phase === "succeeded" && isStanding ? tailNow(standpoint) : [];
  return [...(waiting === "" ? [] : [`it waits for ${waiting}`]), ...ways(state, waiting), ...(state.phase === "rolling" ? awayNow(standpoint) : [])];
}

/** A newer deployment took its place, and these go back all the same. */
function backNow(state: RolloutState): readonly string[] {
  const back = named(state, (target) => isToRevert(target) && target.state !== "unreachable" && !isOvertaken(target));
  return back.length === 0 ? [] : [`${listText(back)} ${back.length === 1 ? "goes" : "go"} back in ${back.length === 1 ? "its" : "their"} turn, at most ${state.maxUnavailable} at once`];
}

/** What operators can do about what it waits for. */
export function ways(state: RolloutState, waiting: string): readonly string[] {
  const { id, phase, hold } = state;
  switch (phase) {
    case "pending":
      return pendingWays(state, waiting);
    case "paused":
      return [
        `muster resume ${id} lets it go on; ${isHeldForOtherReasons(state) ? "what its machines came to meanwhile counts then" : "what has failed so far counts no more"}`,
        ...(canAsk(state, "retry") ? [`muster retry ${id} tries the failed machines again`] : []),
        ...(canAsk(state, "rollback") ? [`muster rollback ${id} takes every machine back to what it ran before`] : []),
        `muster abort ${id} leaves every machine as it is`,
      ];
    case "rolling":
      return hold === null ? [] : holdWays(state, hold);
    case "rolling_back":
      return hold === null ? [] : holdWays(state, hold);
    case "succeeded":
    case "rolled_back":
    case "failed":
    case "aborted":
    case "superseded":
      return [];
  }
}

function pendingWays(state: RolloutState, waiting: string): readonly string[] {
  const { id } = state;
  if (awaitsStart(state)) return [`muster approve ${id} starts it; muster abort ${id} takes it out`];
  if (waiting.startsWith("its time")) return [`it begins then by itself; muster abort ${id} takes it out`];
  return [`it begins by itself after that${waiting.endsWith(") to end") ? " (on_conflict: queue)" : ""}; muster abort ${id} takes it out`];
}

function holdWays({ id }: RolloutState, { kind, message }: NonNullable<RolloutState["hold"]>): readonly string[] {
  const skipAll = `muster promote ${id} --all --reason WHY`;
  if (message.startsWith("somebody to go on")) return [`nothing goes on by itself: muster promote ${id} goes on, muster rollback ${id} takes it back`];
  switch (kind) {
    case "approval":
      return [`muster approve ${id} lets it go on`, `muster rollback ${id} takes it back instead`];
    case "soak":
      return [`it goes on then by itself; muster promote ${id} skips the rest of the soak`];
    case "webhook":
    case "prometheus":
      return [`it asks again by itself; muster promote ${id} goes on without the answer`];
    case "alarm":
      return [`it asks again by itself, and goes on when they are quiet; ${skipAll} goes on without them`];
    case "begin":
      return [`it goes on then by itself; muster promote ${id} lets it begin at once`];
    case "unsound":
      return [`machines that come late get it when it is healthy where it runs; muster rollback ${id} takes it back`];
    case "window":
      return [`it goes on then by itself; ${skipAll} lets it go on outside of its window`];
    case "freeze": {
      const freeze = /\bfreeze (f-[0-9]+)\b/.exec(message)?.[1];
      return [freeze === undefined ? "muster freeze list shows the freezes" : `muster freeze end ${freeze} ends the freeze`];
    }
    case "offline":
      if (message.endsWith("no machine has answered yet")) return [`it goes on with the first of them that is heard; muster abort ${id} ends it`];
      return [`it goes on when they are heard from${/, until /.test(message) && !message.includes("; else it") ? ", or then without them" : ""}; muster promote ${id} goes on without them`];
    case "reports":
      return [`it goes on when they have come in; ${skipAll} goes on without them`];
    case "cordon":
      return [`it goes on with them when they are uncordoned; muster abort ${id} ends it`];
    case "settling":
      return ["it goes on by itself then; each of them has as long for that as its healthy_deadline allows"];
    case "budget":
      return [BUDGET_WAY];
  }
}

const BUDGET_WAY = "muster budget list shows who takes the places; muster budget set changes how many there are";

/** Machines that were passed over, and have their turn later, and those that are lost on their way. */
function awayNow({ state, isCordoned }: Standpoint): readonly string[] {
  const toStart = named(state, (target) => target.state === "unreachable" && target.purpose === null);
  const lost = named(state, (target) => target.state === "unreachable" && target.purpose !== null);
  const cordoned = named(state, (target) => target.state === "skipped" && target.reason?.code === "cordoned" && isCordoned(target.machine));
  const [first] = cordoned;
  return [
    ...(toStart.length === 0 ? [] : [`${listText(toStart)} ${is(toStart.length)} silent and ${toStart.length === 1 ? "has its" : "have their"} turn when heard from again`]),
    ...(lost.length === 0 ? [] : [`${listText(lost)} ${is(lost.length)} silent and ${lost.length === 1 ? "goes" : "go"} on when heard from again`]),
    ...(first === undefined ? [] : [`${listText(cordoned)} ${is(cordoned.length)} cordoned and ${cordoned.length === 1 ? "has its" : "have their"} turn after muster uncordon ${cordoned.length === 1 ? first : "MACHINE"}`]),
  ];
}

function tailNow(standpoint: Standpoint): readonly string[] {
  const { state } = standpoint;
  const { pending } = totals(state);
  const moving = [...state.moving];
  const open = hasTail(state) && !isTailTripped(state);
  return [
    ...(open && moving.length > 0 ? [`${listText(moving)} ${is(moving.length)} on the way: machines that come late, or try again, have their turn though it has succeeded`] : []),
    ...(open && pending > 0 && moving.length === 0 ? [`it waits for the turn of ${listText(named(state, (target) => target.state === "pending"))}`] : []),
    ...(isTailTripped(state) ? [`more late machines have failed than max_failures allows, and the others are left as they are: muster retry ${state.id} goes on`] : []),
    ...awayNow(standpoint),
  ];
}

function named({ targets }: RolloutState, wanted: (target: Target) => boolean): readonly string[] {
  return [...targets.values()].filter(wanted).map(({ machine }) => machine);
}

/** Whether it could be asked for now. */
export function canAsk(state: RolloutState, kind: "retry" | "rollback" | "resume"): boolean {
  const event: CommandEvent = { kind, reason: { code: "operator", message: "" } };
  return refusal(state, event) === undefined;
}
