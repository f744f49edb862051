/**
 * Generations as they travel: the epoch above, the controller's own number below, so that whatever a controller says after it was restored from a
 * backup is newer than all that was said before. Within one epoch they are in the order of the controller's own numbers.
 */

/** A thousand a second for 34 years. */
const NUMBERS_PER_EPOCH = 2 ** 40;
/** What a double holds without loss. */
export const EPOCH_MAX = 2 ** 13 - 1;

/** 0 stays 0: none. */
export function generationOf(epoch: number, number: number): number {
  return number === 0 ? 0 : epoch * NUMBERS_PER_EPOCH + number;
}

export function epochOf(generation: number): number {
  return Math.floor(generation / NUMBERS_PER_EPOCH);
}

/** The controller's own number. */
export function numberOf(generation: number): number {
  return generation % NUMBERS_PER_EPOCH;
}
