/**
 * The time zone that was meant by a name that is none.
 */
import { suggest } from "./suggest.ts";

/** By a slip of the finger, or by a city alone. */
export function nearestTimeZone(text: string): string | undefined {
  const zones = Intl.supportedValuesOf("timeZone");
  const name = text.trim().replaceAll(" ", "_");
  return zones.find((zone) => zone.toLowerCase().endsWith(`/${name.toLowerCase()}`)) ?? suggest(name, zones);
}
