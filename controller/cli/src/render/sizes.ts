/**
 * Sizes for people, in powers of 1000 as disks and networks are sold.
 */

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** `512 B`, `1.4 MB`, `120 MB` */
export function size(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return `${digits} ${UNITS[unit] ?? "TB"}`;
}
