/**
 * Names of time zones, as the IANA database has them and this Node knows them. Offsets such as `+01:00` are none: they know no summer.
 */
import { suggest } from "./suggest.ts";

export const TIME_ZONE = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/u;

export function isTimeZone(text: string): boolean {
  if (!TIME_ZONE.test(text)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/** The zone that was meant by a slip of the finger, or by its city alone. */
export function nearestTimeZone(text: string): string | undefined {
  const zones = Intl.supportedValuesOf("timeZone");
  const city = `/${text.trim().replaceAll(" ", "_").toLowerCase()}`;
  return zones.find((zone) => zone.toLowerCase().endsWith(city)) ?? suggest(text.trim().replaceAll(" ", "_"), zones);
}
