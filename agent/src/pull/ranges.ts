/**
 * Which byte ranges of a pack to ask for. Pure.
 *
 * Always holds: every frame is in exactly one range, the frames of a range rise and do not overlap, gaps inside a range are at most
 * `gapBytesMax`, and a range is at most `rangeBytesMax` long, unless it is a single frame.
 */

export interface Frame {
  readonly frameOffset: number;
  readonly frameBytes: number;
}

export interface Range<F extends Frame> {
  readonly offset: number;
  readonly sizeBytes: number;
  /** By rising offset. */
  readonly frames: readonly F[];
}

export interface RangeLimits {
  readonly gapBytesMax: number;
  readonly rangeBytesMax: number;
}

export function planRanges<F extends Frame>(frames: readonly F[], limits: RangeLimits): readonly Range<F>[] {
  const sorted = [...frames].sort((a, b) => a.frameOffset - b.frameOffset || a.frameBytes - b.frameBytes);
  const ranges: Range<F>[] = [];
  let run: F[] = [];
  for (const frame of sorted) {
    const first = run[0];
    const last = run.at(-1);
    if (first !== undefined && last !== undefined && !joins(first, last, frame, limits)) {
      ranges.push(rangeOf(run));
      run = [];
    }
    run.push(frame);
  }
  if (run.length > 0) ranges.push(rangeOf(run));
  return ranges;
}

function joins(first: Frame, last: Frame, next: Frame, limits: RangeLimits): boolean {
  const gap = next.frameOffset - end(last);
  return gap >= 0 && gap <= limits.gapBytesMax && end(next) - first.frameOffset <= limits.rangeBytesMax;
}

function rangeOf<F extends Frame>(frames: readonly F[]): Range<F> {
  const first = frames[0] as F;
  return { offset: first.frameOffset, sizeBytes: end(frames.at(-1) as F) - first.frameOffset, frames };
}

function end(frame: Frame): number {
  return frame.frameOffset + frame.frameBytes;
}
