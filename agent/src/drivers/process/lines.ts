/**
 * Bytes to lines. Pure.
 *
 * Always holds: a line is at most `lineBytesMax` bytes of its source (the rest of a longer one is dropped), without its line end, and valid text:
 * what is not UTF-8 is replaced. Memory is bounded by one line.
 */

const LINE_BYTES_MAX = 16 * 1024;

const NEWLINE = 0x0a;

export interface LineSplitter {
  /** The lines that these bytes end. */
  push(bytes: Uint8Array): string[];
  /** The line that has no end yet, if it has begun; it is not returned again. */
  rest(): string[];
}

export function createLineSplitter(lineBytesMax: number = LINE_BYTES_MAX): LineSplitter {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const begun = new Uint8Array(lineBytesMax);
  let begunBytes = 0;
  let hasBegun = false;

  const take = (bytes: Uint8Array): void => {
    const kept = bytes.subarray(0, lineBytesMax - begunBytes);
    begun.set(kept, begunBytes);
    begunBytes += kept.length;
    hasBegun ||= bytes.length > 0;
  };
  const end = (): string => {
    const text = decoder.decode(begun.subarray(0, begunBytes));
    begunBytes = 0;
    hasBegun = false;
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  };

  return {
    push(bytes) {
      const lines: string[] = [];
      let from = 0;
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        take(bytes.subarray(from, at));
        lines.push(end());
        from = at + 1;
      }
      take(bytes.subarray(from));
      return lines;
    },
    rest: () => (hasBegun ? [end()] : []),
  };
}

/** How many of the wanted lines each of two streams gives: half each, and what one does not need goes to the other. */
export function shareLines(wanted: number, first: number, second: number): readonly [number, number] {
  const ofFirst = Math.min(first, Math.max(Math.ceil(wanted / 2), wanted - second));
  return [ofFirst, Math.min(second, wanted - ofFirst)];
}
