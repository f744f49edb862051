/**
 * PURE. What becomes of a child of `muster dev` that has ended: started again, left away, or the end of all.
 */

export type ChildRole = "controller" | "agent";

export interface ChildEnd {
  readonly role: ChildRole;
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly uptimeMs: number;
  /** The wait before its last start; 0 for the first. */
  readonly lastDelayMs: number;
  /** Whether the fleet has been complete once. */
  readonly fleetReady: boolean;
}

export type AfterEnd =
  | { readonly kind: "restart"; readonly delayMs: number }
  /** Somebody asked this agent to go. */
  | { readonly kind: "stay_away" }
  /** Starting it again would end the same way. */
  | { readonly kind: "give_up" };

const DELAY_MIN_MS = 500;
const DELAY_MAX_MS = 10_000;
/** Up for so long, a child counts as well, and its next end as the first: what ends at its start ends sooner. */
const SETTLED_MS = 5_000;
/** The programs' exit code for bad input, such as a port in use. */
const BAD_INPUT = 2;

export function afterEnd({ role, exitCode, uptimeMs, lastDelayMs, fleetReady }: ChildEnd): AfterEnd {
  if (exitCode === 0 && role === "agent") return { kind: "stay_away" };
  // An agent that worked before may find its directory taken for a moment; a controller's bad input concerns all.
  if (exitCode === BAD_INPUT && (role === "controller" || !fleetReady)) return { kind: "give_up" };
  const settled = uptimeMs >= SETTLED_MS;
  return { kind: "restart", delayMs: settled || lastDelayMs === 0 ? DELAY_MIN_MS : Math.min(lastDelayMs * 2, DELAY_MAX_MS) };
}
