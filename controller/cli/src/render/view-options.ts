/**
 * What a view needs to know of the one who looks. Views are pure: the same thing, moment and size give the same lines.
 */
import type { Colors } from "../context.ts";

export interface ViewOptions {
  readonly colors: Colors;
  readonly columns: number;
  /** Waves are folded so that the whole stays below this; undefined when it may be as long as it is. */
  readonly rows?: number;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
}
