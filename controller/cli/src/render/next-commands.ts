/**
 * What to try next: never more than the few commands that make sense as things stand.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import { phaseWord } from "../output/words.ts";
import { padEnd, width, wrap } from "./text.ts";

interface Hint {
  readonly command: string;
  readonly purpose: string;
}

interface HintOptions {
  /** Of the terminal. Default: it is none, and no line is broken. */
  readonly columns?: number | undefined;
  /** Each machine stands above. Default false. */
  readonly showsTargets?: boolean;
}

/** Beside a narrower column sentences fall to pieces; then they stand below the command. */
const PURPOSE_COLUMNS_MIN = 20;

/** Empty when there is nothing to do about it. */
export function nextCommands(deployment: Deployment, colors: Colors, { columns, showsTargets = false }: HintOptions = {}): readonly string[] {
  const hints = hintsFor(deployment).filter(({ command }) => !showsTargets || command !== targetsOf(deployment));
  return hintLines(hints, colors, columns);
}

/** Below the picture of one that is watched: what lets it go on, where nothing but a person does. The gate of an approval names its command itself. */
export function nextWhileWatching(deployment: Deployment, colors: Colors, options: HintOptions = {}): readonly string[] {
  const word = phaseWord(deployment.phase);
  return word === "paused" || word === "pending" || word === "rolling" ? nextCommands(deployment, colors, options) : [];
}

function targetsOf({ id }: Deployment): string {
  return `muster status ${id} --targets`;
}

/** After `deploy`. */
export function afterSubmission({ id, phase, awaitsStart }: Deployment, colors: Colors, { columns }: HintOptions = {}): readonly string[] {
  return hintLines(
    [
      ...(awaitsStart ? [startHint(id)] : []),
      { command: `muster watch ${id}`, purpose: "see it happen" },
      { command: `muster status ${id}`, purpose: "see where it stands" },
      phaseWord(phase) === "pending"
        ? { command: `muster abort ${id}`, purpose: "take it back before it begins" }
        : { command: `muster pause ${id}`, purpose: "touch no further machine" },
    ],
    colors,
    columns,
  );
}

function hintsFor(deployment: Deployment): readonly Hint[] {
  const { id } = deployment;
  const why = { command: `muster why ${id}`, purpose: "each decision, and its reason" };
  const phase = phaseWord(deployment.phase);
  const retry = deployment.remedies?.retry === true ? [{ command: `muster retry ${id}`, purpose: "try the failed machines again" }] : [];
  const back = backHints(deployment);
  switch (phase) {
    case "paused":
      return [
        { command: `muster resume ${id}`, purpose: isReleaseToBlame(deployment) ? "go on; the failures and losses so far count no more" : "go on; what its machines came to meanwhile counts then" },
        ...retry,
        ...back,
        { command: `muster abort ${id}`, purpose: "leave every machine as it is" },
        why,
      ];
    case "awaiting_approval":
      return [
        { command: `muster approve ${id}`, purpose: "let the next wave begin" },
        { command: `muster abort ${id} --revert`, purpose: "take the changed machines back instead" },
        why,
      ];
    case "soaking":
      return [{ command: `muster promote ${id}`, purpose: "do not wait for the rest of the soak" }, why];
    case "succeeded":
      if ((deployment.now?.text ?? "") !== "") return [{ command: targetsOf(deployment), purpose: "how each machine is now" }, ...retry, ...back, why];
      return retry.length > 0 ? [...retry, ...back, why] : [];
    case "failed":
    case "rolled_back":
    case "aborted":
      return [
        ...retry,
        ...back,
        { command: targetsOf(deployment), purpose: "what happened, machine by machine" },
        { command: `muster why ${id}`, purpose: "why, step by step" },
      ];
    case "pending":
      return deployment.awaitsStart ? [startHint(id), { command: `muster abort ${id}`, purpose: "take it back before it begins" }] : [];
    case "rolling":
      return awaysHints(deployment, why);
    case "rolling_back":
    case "superseded":
    case "unspecified":
      return [];
  }
}

/** Nothing that would be refused, or that leads nowhere: the controller has looked. */
function backHints({ id, app, remedies }: Deployment): readonly Hint[] {
  if (remedies?.rollback === true) return [{ command: `muster rollback ${id}`, purpose: `take every machine back to what it ran before (remove ${app} where that is nothing)` }];
  const to = remedies?.rollbackTo ?? "";
  return to === "" ? [] : [{ command: `muster rollback ${id} --to ${to}`, purpose: `deploy ${to} again, which its machines ran before` }];
}

/** A promotion that would be refused is not proposed: where no machine has answered yet, nothing is there to go on with. */
function awaysHints({ id, waitingOn }: Deployment, why: Hint): readonly Hint[] {
  const tookIt = /\bmachines? took the release and (?:was|were) lost\b/.test(waitingOn);
  if (!tookIt && !/ to be heard from \(offline: /.test(waitingOn) && !waitingOn.includes(`(muster promote ${id}`)) return [];
  return [
    { command: `muster promote ${id}`, purpose: "go on without the machines that it waits for" },
    ...(tookIt ? [{ command: `muster rollback ${id}`, purpose: "take the changed machines back instead" }] : []),
    why,
  ];
}

function startHint(id: string): Hint {
  return { command: `muster approve ${id}`, purpose: "let it begin" };
}

function hintLines(hints: readonly Hint[], colors: Colors, columns: number | undefined): readonly string[] {
  if (hints.length === 0) return [];
  const room = Math.max(...hints.map(({ command }) => width(command)));
  return ["", "next:", ...hints.flatMap((hint) => hintLine(hint, room, colors, columns))];
}

/** A command is never broken: it is what the user copies. */
function hintLine({ command, purpose }: Hint, room: number, colors: Colors, columns: number | undefined): readonly string[] {
  if (columns === undefined) return [`  ${padEnd(command, room)}  ${colors.dim(purpose)}`];
  const spare = columns - room - 4;
  if (spare < PURPOSE_COLUMNS_MIN) return [`  ${command}`, ...wrap(purpose, columns - 6).map((part) => `      ${colors.dim(part)}`)];
  return wrap(purpose, spare).map((part, index) => `  ${padEnd(index === 0 ? command : "", room)}  ${colors.dim(part)}`);
}

/** Neither an operator nor a fault of the controller paused it: what has failed is excused when it goes on. */
function isReleaseToBlame({ reason }: Deployment): boolean {
  return reason?.code !== "operator" && reason?.code !== "internal";
}
