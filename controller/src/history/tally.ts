/**
 * Many things of a few kinds: all are counted by kind, and only so many are kept that some can be named. What is counted never depends on how many are named. Pure.
 */

/** As many as are named one by one: enough for a person to begin with. */
export const TALLY_NAMED_MAX = 10;

export interface TallyGroup<Of> {
  /** How many are of this kind. */
  readonly count: number;
  /** The first of them, at least one. */
  readonly first: readonly Of[];
}

export interface Tallied<Of> {
  /** In the order of their first ones. */
  readonly groups: readonly TallyGroup<Of>[];
  /** Some of all, in their order: of each kind the first one, as far as there is room, and then whoever comes first. */
  readonly targets: readonly Of[];
  readonly count: number;
}

interface Ranked<Of> {
  readonly rank: number;
  readonly value: Of;
}

export class Tally<Of> {
  readonly #kindOf: (value: Of) => string;
  readonly #groups = new Map<string, { count: number; readonly first: Ranked<Of>[] }>();
  #count = 0;

  constructor(kindOf: (value: Of) => string) {
    this.#kindOf = kindOf;
  }

  /** In their order. */
  add(value: Of): void {
    const kind = this.#kindOf(value);
    let group = this.#groups.get(kind);
    if (group === undefined) {
      group = { count: 0, first: [] };
      this.#groups.set(kind, group);
    }
    group.count += 1;
    if (group.first.length < TALLY_NAMED_MAX) group.first.push({ rank: this.#count, value });
    this.#count += 1;
  }

  end(): Tallied<Of> {
    const groups = [...this.#groups.values()];
    const others = groups.flatMap(({ first }) => first.slice(1)).sort((a, b) => a.rank - b.rank);
    const named = [...groups.map(({ first }) => first[0]!), ...others].slice(0, TALLY_NAMED_MAX).sort((a, b) => a.rank - b.rank);
    return { groups: groups.map(({ count, first }) => ({ count, first: first.map(({ value }) => value) })), targets: named.map(({ value }) => value), count: this.#count };
  }
}

export function tallied<Of>(values: Iterable<Of>, kindOf: (value: Of) => string): Tallied<Of> {
  const tally = new Tally(kindOf);
  for (const value of values) tally.add(value);
  return tally.end();
}
