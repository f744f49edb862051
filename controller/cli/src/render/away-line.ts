/**
 * What is said while a lost connection is tried again.
 */
import { plain } from "./text.ts";

/** That it goes on comes first: a narrow terminal cuts the rest. */
export function awayLine({ message }: Error): string {
  return `trying again: ${plain(message)}`;
}
