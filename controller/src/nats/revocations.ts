/**
 * Which users of NATS are worth nothing any more. Pure: the whole list, what is added, what may be forgotten.
 *
 * nats-server refuses a user's JWTs that were issued until the second that the list says. A machine's key is never used again once it is revoked, so
 * that second is when its last JWT ends; afterwards the entry means nothing and is forgotten. The list travels in one message, so it is bounded: when
 * it would grow longer, it becomes one entry for everybody, and the machines of good standing get new JWTs.
 */

export interface Revoked {
  /** JWTs of the user that were issued until then, in seconds since 1970. */
  readonly untilS: number;
  /** The last of them has ended by then. */
  readonly endsAtS: number;
}

/** By the user's public key, or `*`. */
export type Revocations = Readonly<Record<string, Revoked>>;

export const EVERYBODY = "*";
/** Some 100 bytes each in the JWT, which goes as one message of at most 1 MiB. */
export const REVOCATIONS_MAX = 5000;
/** The clock of a nats-server elsewhere may be behind. */
const CLOCKS_APART_S = 3600;

export function revoke(list: Revocations, users: readonly { readonly publicKey: string; readonly endsAtS: number }[], nowS: number): Revocations {
  const added = users.map(({ publicKey, endsAtS }) => [publicKey, { untilS: Math.max(endsAtS, nowS), endsAtS: Math.max(endsAtS, nowS) }] as const);
  const longer = prune({ ...list, ...Object.fromEntries(added) }, nowS);
  if (Object.keys(longer).length <= REVOCATIONS_MAX) return longer;
  const endsAtS = Math.max(...Object.values(longer).map((one) => one.endsAtS));
  return { [EVERYBODY]: { untilS: nowS, endsAtS } };
}

export function prune(list: Revocations, nowS: number): Revocations {
  return Object.fromEntries(Object.entries(list).filter(([, { endsAtS }]) => endsAtS + CLOCKS_APART_S > nowS));
}
