/** How things are counted, named and cut in what people read. */

/** `1 machine`, `3 machines`. `many`: where that is not `one` with an s. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** `a, b, c and 4 more`. `total`: how many there are, where `names` are only some of them. */
export function firstAndMore(names: readonly string[], most: number, total = names.length): string {
  const shown = names.slice(0, most);
  const left = total - shown.length;
  return `${shown.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
}

/** At most so many UTF-16 units, and so three times as many bytes; what was cut ends in `…`, and never in half a character. */
export function clip(text: string, unitsMax: number): string {
  if (text.length <= unitsMax) return text;
  return `${text.slice(0, unitsMax - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
