/** Which apps a secret is for: names with `*` for any characters, separated by commas. Pure. */

const APPS = /^[a-z0-9*-]{1,63}(?:,[a-z0-9*-]{1,63}){0,31}$/;

export const APPS_RULE = "names of apps, with * for any characters, separated by commas; at most 32";

export function areApps(text: string): boolean {
  return APPS.test(text);
}

export function isAmong(app: string, apps: string): boolean {
  return apps.split(",").some((pattern) => matches(app, pattern.split("*")));
}

/** `parts` stand between the stars. */
function matches(app: string, parts: readonly string[]): boolean {
  const [first = "", ...others] = parts;
  if (others.length === 0) return app === first;
  const last = others.pop()!;
  if (!app.startsWith(first) || !app.endsWith(last) || app.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of others) {
    const found = app.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= app.length - last.length;
}
