/** Patterns of apps' names, as bindings of users and secrets have them: `shop-*,web`. Pure. */

const GLOB = /^[a-z0-9*-]{1,64}$/;

export function isGlob(text: string): boolean {
  return GLOB.test(text);
}

export function globsOf(text: string): readonly string[] {
  return text
    .split(",")
    .map((glob) => glob.trim())
    .filter((glob) => glob !== "");
}

export function isAmong(app: string, globs: readonly string[]): boolean {
  return globs.some((glob) => matches(glob, app));
}

/** `*` stands for any number of characters. Without regular expressions, so that no pattern takes long. */
function matches(glob: string, name: string): boolean {
  const [first = "", ...rest] = glob.split("*");
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
