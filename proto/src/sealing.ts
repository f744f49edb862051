/**
 * What the secrets of a release are sealed for. Both sides say it, and what was sealed for anything else does not open.
 */

/** HPKE's `info`: names the use of the key. */
export const SEALING_INFO = "muster.v1 secrets";

export interface SealedFor {
  readonly machine: string;
  readonly app: string;
  /** Of the app's entry, as the agent sees it. */
  readonly generation: number;
  /** Of the release. */
  readonly version: string;
  /** Version by name. */
  readonly secrets: Readonly<Record<string, number>>;
}

/** HPKE's `aad`. No name holds a slash, an @ or a comma, so that no two things read the same. */
export function sealingContext({ machine, app, generation, version, secrets }: SealedFor): string {
  const pinned = Object.keys(secrets)
    .toSorted()
    .map((name) => `${name}@${secrets[name]}`);
  return [machine, app, generation, version, pinned.join(",")].join("/");
}
