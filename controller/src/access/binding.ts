/**
 * To which apps and machines an operator is bound, and whether something is within that. Bindings say what one may change; of what one may look at, they
 * keep only the logs and secrets of other apps.
 */
import { status } from "@grpc/grpc-js";
import { type Labels, parseSelector, type Requirement, type Selector, selects } from "@muster/proto/selector.ts";
import { CallError } from "../grpc/answer.ts";
import type { Caller } from "../grpc/caller.ts";
import { globsOf, isAmong, isGlob } from "./app-globs.ts";

/** Both may be empty: no bounds. */
export interface Binding {
  /** Globs, `shop-*,web`. */
  readonly apps: string;
  /** A selector. */
  readonly targets: string;
}

/** What somebody wants to touch. What is left out is not touched. */
export interface Resource {
  readonly app?: string;
  /** All of these, as with a machine that is drained. */
  readonly apps?: readonly string[];
  /** The machines that a deployment selects. */
  readonly selector?: Selector;
  /** Of one machine. */
  readonly labels?: Labels;
}

export type Verdict = { readonly ok: true } | { readonly ok: false; readonly message: string };

const GLOBS_MAX = 50;
const TEXT_CHARS_MAX = 1000;

/** Tidied up, or what is wrong with it. */
export function checkBinding({ apps, targets }: Binding): { readonly ok: true; readonly binding: Binding } | { readonly ok: false; readonly message: string } {
  if (apps.length > TEXT_CHARS_MAX || targets.length > TEXT_CHARS_MAX) return refused(`apps and targets have at most ${TEXT_CHARS_MAX} characters`);
  const globs = globsOf(apps);
  const bad = globs.find((glob) => !isGlob(glob));
  if (bad !== undefined) return refused(`apps: "${bad}" is neither the name of an app nor a pattern of names such as shop-*`);
  if (globs.length > GLOBS_MAX) return refused(`apps: at most ${GLOBS_MAX} patterns`);
  if (globs.length === 0 && apps !== "") return refused(`apps: "${apps}" names no app; leave it empty for all`);
  const parsed = parseSelector(targets);
  if (!parsed.ok) return refused(`targets: the selector "${targets}" can't be read at character ${parsed.offset + 1}: ${parsed.message}`);
  return { ok: true, binding: { apps: globs.join(","), targets: parsed.selector.requirements.length === 0 ? "" : targets.trim() } };
}

export function isBound({ apps, targets }: Binding): boolean {
  return apps !== "" || targets !== "";
}

/** Throws PERMISSION_DENIED with the reason. Every handler that changes an app or a machine asks first. */
export function demand(caller: Caller, resource: Resource): void {
  const verdict = mayTouch(caller, resource);
  if (!verdict.ok) throw new CallError(status.PERMISSION_DENIED, verdict.message);
}

export function mayTouch(caller: Caller, resource: Resource): Verdict {
  switch (caller.kind) {
    case "local":
      return { ok: true };
    case "operator":
      return isWithin(caller, resource);
    case "machine":
    case "anonymous":
      return refused("this is for operators");
  }
}

function isWithin(operator: Binding & { readonly name: string }, { app, apps = app === undefined ? [] : [app], selector, labels }: Resource): Verdict {
  const globs = globsOf(operator.apps);
  const foreign = globs.length === 0 ? undefined : apps.find((name) => !isAmong(name, globs));
  if (foreign !== undefined) return refused(`${operator.name} may touch the apps ${operator.apps} alone, and ${foreign} is none of them`);
  const bounds = parseSelector(operator.targets);
  if (!bounds.ok) return refused(`${operator.name}'s targets "${operator.targets}" can't be read: ${bounds.message}`);
  if (labels !== undefined && !selects(bounds.selector, labels)) return refused(`${operator.name} may touch machines with ${operator.targets} alone, and this is none of them`);
  if (selector !== undefined && !bounds.selector.requirements.every((bound) => selector.requirements.some((one) => implies(one, bound)))) {
    const example = selector.requirements.length === 0 ? operator.targets : `${selector.text},${operator.targets}`;
    return refused(`${operator.name} may touch machines with ${operator.targets} alone, and the selector "${selector.text}" goes beyond them: it has to say so itself, as "${example}" does`);
  }
  return { ok: true };
}

/** Whether every machine that meets `one` meets `bound`. */
function implies(one: Requirement, bound: Requirement): boolean {
  if (one.key !== bound.key) return false;
  switch (bound.operator) {
    case "in":
      return one.operator === "in" && one.values.every((value) => bound.values.includes(value));
    case "notin":
      if (one.operator === "in") return !one.values.some((value) => bound.values.includes(value));
      return one.operator === "absent" || (one.operator === "notin" && bound.values.every((value) => one.values.includes(value)));
    case "exists":
      return one.operator === "in" || one.operator === "exists";
    case "absent":
      return one.operator === "absent";
  }
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}
