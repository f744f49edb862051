/**
 * What to try next: never more than the few commands that make sense as things stand.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import { countsOf } from "../output/counts.ts";
import { phaseWord } from "../output/words.ts";
import { padEnd, width } from "./text.ts";

interface Hint {
  readonly command: string;
  readonly purpose: string;
}

/** Empty when there is nothing to do about it. */
export function nextCommands(deployment: Deployment, colors: Colors, { showsTargets = false }: { readonly showsTargets?: boolean } = {}): readonly string[] {
  const hints = hintsFor(deployment).filter(({ command }) => !showsTargets || command !== targetsOf(deployment));
  return hintLines(hints, colors);
}

function targetsOf({ id }: Deployment): string {
  return `muster status ${id} --targets`;
}

/** After `deploy`. */
export function afterSubmission({ id, phase, awaitsStart }: Deployment, colors: Colors): readonly string[] {
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
  );
}

function hintsFor(deployment: Deployment): readonly Hint[] {
  const { id } = deployment;
  const why = { command: `muster why ${id}`, purpose: "each decision, and its reason" };
  const phase = phaseWord(deployment.phase);
  const retry = { command: `muster retry ${id}`, purpose: "let the failed machines take their turn again" };
  switch (phase) {
    case "paused":
      return [
        { command: `muster resume ${id}`, purpose: deployment.reason?.code === "operator" ? "go on" : "go on; the failures and losses so far count no more" },
        ...(hasFailed(deployment) ? [retry] : []),
        rollbackHint(deployment),
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
      if ((deployment.now?.text ?? "") !== "") {
        return [
          { command: targetsOf(deployment), purpose: "how each machine is now" },
          rollbackHint(deployment),
          why,
        ];
      }
      return hasFailed(deployment) ? [retry, why] : [];
    case "failed":
    case "rolled_back":
    case "aborted":
      return [
        ...(phase === "failed" && wentForward(deployment) ? [...(hasFailed(deployment) ? [retry] : []), rollbackHint(deployment)] : []),
        { command: targetsOf(deployment), purpose: "what happened, machine by machine" },
        { command: `muster why ${id}`, purpose: "why, step by step" },
      ];
    case "pending":
      return deployment.awaitsStart ? [startHint(id), { command: `muster abort ${id}`, purpose: "take it back before it begins" }] : [];
    case "rolling":
    case "rolling_back":
    case "superseded":
    case "unspecified":
      return [];
  }
}

/** Where that is nothing, as with the first release of an app, it leaves nothing. */
function rollbackHint({ id, app }: Deployment): Hint {
  return { command: `muster rollback ${id}`, purpose: `take every machine back to what it ran before (remove ${app} where that is nothing)` };
}

/** It left machines with the release, and took none back. */
function wentForward({ counts }: Deployment): boolean {
  const { healthy, failed, unreachable, reverting, reverted } = countsOf(counts);
  return healthy + failed + unreachable > 0 && reverting + reverted === 0;
}

function startHint(id: string): Hint {
  return { command: `muster approve ${id}`, purpose: "let it begin" };
}

function hasFailed({ counts }: Deployment): boolean {
  return countsOf(counts).failed > 0;
}

function hintLines(hints: readonly Hint[], colors: Colors): readonly string[] {
  if (hints.length === 0) return [];
  const columns = Math.max(...hints.map(({ command }) => width(command)));
  return ["", "next:", ...hints.map(({ command, purpose }) => `  ${padEnd(command, columns)}  ${colors.dim(purpose)}`)];
}
