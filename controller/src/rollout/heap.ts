/**
 * A binary heap: the first by an order, in O(log n). Two that are equal come out in any order, so the order should be total.
 */
export class Heap<T> {
  readonly isBefore: (a: T, b: T) => boolean;
  readonly #items: T[] = [];

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#up(this.#items.length - 1);
  }

  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last !== undefined && items.length > 0) {
      items[0] = last;
      this.#down(0);
    }
    return first;
  }

  #up(from: number): void {
    const items = this.#items;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.isBefore(items[index]!, items[parent]!)) return;
      const item = items[index]!;
      items[index] = items[parent]!;
      items[parent] = item;
      index = parent;
    }
  }

  #down(from: number): void {
    const items = this.#items;
    let index = from;
    for (;;) {
      let first = index;
      const left = 2 * index + 1;
      if (left < items.length && this.isBefore(items[left]!, items[first]!)) first = left;
      if (left + 1 < items.length && this.isBefore(items[left + 1]!, items[first]!)) first = left + 1;
      if (first === index) return;
      const item = items[index]!;
      items[index] = items[first]!;
      items[first] = item;
      index = first;
    }
  }
}
