/**
 * One line on stderr that says how far a longer step is; only on a terminal, and gone when the step is done.
 */
import { isRedrawable, type CliContext } from "../context.ts";
import type { OutputFormat } from "../usage.ts";
import { truncate } from "../render/text.ts";

interface Progress {
  show(text: string): void;
  end(): void;
}

/** More often than this nobody can read it. */
const INTERVAL_MS = 100;

export async function openProgress(context: CliContext, output: OutputFormat): Promise<Progress> {
  if (output === "json" || !isRedrawable(context.stderr, context.env)) return { show: () => undefined, end: () => undefined };
  const { createLogUpdate } = await import("log-update");
  const frame = createLogUpdate(context.stderr);
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show: (text) => {
      const now = context.clock.now();
      if (now - shownAt < INTERVAL_MS) return;
      shownAt = now;
      frame(truncate(text, context.columns()));
    },
    end: () => {
      frame.clear();
      frame.done();
    },
  };
}
