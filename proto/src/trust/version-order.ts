/**
 * Which of two versions is the older: the precedence of semantic versioning (semver.org, 11) for any count of numbers, with or without a `v`.
 * Versions that are not written so have no order, and none is invented.
 */

const NUMBERED = /^v?([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

interface Numbered {
  readonly numbers: readonly bigint[];
  readonly preRelease: readonly string[];
}

/** Negative: `a` is older. Undefined: one of them is no numbered version. */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [read(a), read(b)];
  if (left === undefined || right === undefined) return undefined;
  const length = Math.max(left.numbers.length, right.numbers.length);
  for (let index = 0; index < length; index += 1) {
    const order = compare(left.numbers[index] ?? 0n, right.numbers[index] ?? 0n);
    if (order !== 0) return order;
  }
  return comparePreReleases(left.preRelease, right.preRelease);
}

export function isNumberedVersion(text: string): boolean {
  return NUMBERED.test(text);
}

function read(text: string): Numbered | undefined {
  const match = NUMBERED.exec(text);
  if (match === null) return undefined;
  return { numbers: match[1]!.split(".").map(BigInt), preRelease: match[2]?.split(".") ?? [] };
}

/** A version comes after all its pre-releases. */
function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return compare(b.length, a.length);
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const order = compareIdentifiers(a[index]!, b[index]!);
    if (order !== 0) return order;
  }
  return compare(a.length, b.length);
}

function compareIdentifiers(a: string, b: string): number {
  const [isNumberA, isNumberB] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (isNumberA && isNumberB) return compare(BigInt(a), BigInt(b));
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1;
  return compare(a, b);
}

function compare<T extends string | number | bigint>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
