/**
 * "Did you mean …": the closest of some allowed words. Pure.
 */

/** The allowed word that is nearest, when it is near enough to be a slip of the finger; the first of equals. */
export function suggest(found: string, allowed: readonly string[]): string | undefined {
  const wanted = found.toLowerCase();
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const word of allowed) {
    const distance = editDistance(wanted, word.toLowerCase());
    const near = Math.max(1, Math.floor(Math.max(wanted.length, word.length) / 3));
    if (distance <= near && distance < word.length && distance < (best?.distance ?? Infinity)) best = { word, distance };
  }
  return best?.word;
}

/** Damerau-Levenshtein, in the form where no part is edited twice ("optimal string alignment"). Words past this length are no slips. */
const LENGTH_MAX = 64;

function editDistance(a: string, b: string): number {
  if (a === b) return 0;
  if (a.length > LENGTH_MAX || b.length > LENGTH_MAX) return Infinity;
  let before: readonly number[] = [];
  let above: readonly number[] = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let distance = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + cost);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) distance = Math.min(distance, before[column - 2]! + 1);
      current.push(distance);
    }
    before = above;
    above = current;
  }
  return above[b.length]!;
}
