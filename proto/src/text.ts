/** How things are counted and named in what people read. */

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
