/** What is found by halving, where keys rise and some are missing. */

interface Found {
  readonly key: number;
  readonly holds: boolean;
}

/** The last key up to `last` of those for which it holds, or would where one is missing; 0: for none. `next`: the first key from there on. It holds for all before one for which it does. O(log last) questions. */
export function lastWhere(last: number, next: (from: number) => Found | undefined): number {
  let low = 1;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = next(middle);
    if (found?.holds === true) low = found.key + 1;
    else high = middle;
  }
  return low - 1;
}
