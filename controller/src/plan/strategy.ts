/**
 * How a deployment is to be carried out, as its file says it: validated, with every default filled in, and independent of the fleet.
 */

/** A number of machines, or a share of them. */
export type Size = { readonly kind: "count"; readonly count: number } | { readonly kind: "percent"; readonly percent: number };

export interface Strategy {
  /** The selector as written. */
  readonly targets: string;
  /** Cumulative, rising, ending at 100%. */
  readonly waves: readonly Size[];
  /** How many targets may be on the move at once. */
  readonly maxUnavailable: Size;
  readonly minHealthyTimeMs: number;
  readonly healthyDeadlineMs: number;
  readonly progressDeadlineMs: number;
  /** More failed targets than this in a wave trip `onFailure`. */
  readonly maxFailures: Size;
  readonly onFailure: "rollback" | "pause" | "abort";
  readonly onConflict: "queue" | "supersede";
}
