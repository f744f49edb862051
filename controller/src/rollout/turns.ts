/**
 * Whose turn it is: the targets that are still to be told, in their order, without ever going through all of them.
 *
 * Targets of one lane (the same values of the labels that limit who moves together) form a queue; the queues stand in a heap by the order of their heads. A lane that
 * is full is set aside under the key of what fills it; a single target that must wait for something of its own (a budget) is set aside alone. Both come back one at
 * a time, since each that goes on may fill up again what it waited for. Derived from the targets, and rebuilt after a restart.
 *
 * `next` costs O(log n), plus once for every target that left its turn by itself and every lane that was set aside.
 */
import { Heap } from "./heap.ts";

/** What keeps a target from its turn: the whole lane, or it alone. At any time a key blocks all lanes that wait behind it or none, but for the last of several. */
export type Blocker = { readonly of: "lane"; readonly keys: readonly string[] } | { readonly of: "target"; readonly key: string };

type BlockerOf<T> = (target: T) => Blocker | undefined;

interface InLane {
  readonly lane: string;
}

interface Lane<T> {
  /** In the order of their turns; those before `first` are done. */
  readonly queue: T[];
  first: number;
  /** Came back later, in no order of their own. */
  readonly returned: Heap<T>;
  /** Its one valid entry in a heap; undefined: it has no targets left. */
  entry: Entry<T> | undefined;
  /** Where that is: among those set aside under each of these keys; none: among the ready. */
  parkedUnder: readonly string[];
}

/** A lane at the place of its head. Void once its lane has another, so that nothing in a heap ever changes its order. */
interface Entry<T> {
  readonly lane: Lane<T>;
  readonly head: T;
}

export class Turns<T extends InLane> {
  readonly #isOpen: (target: T) => boolean;
  readonly #before: (a: T, b: T) => boolean;
  readonly #lanes = new Map<string, Lane<T>>();
  readonly #ready: Heap<Entry<T>>;
  readonly #parkedLanes = new Map<string, Heap<Entry<T>>>();
  /** Keys of `#parkedLanes` that may have room. */
  readonly #freed = new Set<string>();
  readonly #parkedTargets = new Map<string, Heap<T>>();

  /** `isOpen`: the target is still to be told. `before`: the order of turns. */
  constructor(isOpen: (target: T) => boolean, before: (a: T, b: T) => boolean) {
    this.#isOpen = isOpen;
    this.#before = before;
    this.#ready = this.#entries();
  }

  /** Targets in the order of their turns, all after those that were added before. */
  addAll(targets: Iterable<T>): void {
    for (const target of targets) {
      const lane = this.#laneOf(target);
      lane.queue.push(target);
      if (lane.entry === undefined) this.#enter(lane, READY);
    }
  }

  /** A target has its turn again. */
  giveBack(target: T): void {
    const lane = this.#laneOf(target);
    lane.returned.push(target);
    if (lane.entry === undefined) this.#enter(lane, READY);
    else if (headOf(lane) === target) this.#enter(lane, lane.parkedUnder);
  }

  /** The first target that nothing blocks; it stays until `isOpen` denies it. */
  next(blockerOf: BlockerOf<T>): T | undefined {
    this.#unparkTargets(blockerOf);
    this.#unparkLanes(blockerOf);
    for (;;) {
      const entry = this.#firstOf(this.#ready);
      if (entry === undefined) {
        // A lane that came back may have had nobody left: then it is the next one's turn.
        if (this.#unparkLanes(blockerOf)) continue;
        return undefined;
      }
      const { lane, head } = entry;
      if (!this.#isOpen(head)) {
        this.#ready.pop();
        this.#dropDone(lane);
        this.#enter(lane, READY);
        continue;
      }
      const blocker = blockerOf(head);
      if (blocker === undefined) return head;
      this.#ready.pop();
      if (blocker.of === "lane") {
        this.#enter(lane, blocker.keys);
      } else {
        dropHead(lane);
        heapAt(this.#parkedTargets, blocker.key, () => new Heap(this.#before)).push(head);
        this.#enter(lane, READY);
      }
      this.#unparkLanes(blockerOf);
    }
  }

  /** What had filled these lanes has room again. */
  release(key: string): void {
    if (this.#parkedLanes.has(key)) this.#freed.add(key);
  }

  /** The first of the budgets that hold targets back. */
  get parkedBehind(): string | undefined {
    const [first] = this.#parkedTargets.keys();
    return first;
  }

  #unparkTargets(blockerOf: BlockerOf<T>): void {
    for (const [key, targets] of this.#parkedTargets) {
      for (let head = targets.peek(); head !== undefined && !this.#isOpen(head); head = targets.peek()) targets.pop();
      const head = targets.peek();
      if (head !== undefined && isBlocked(blockerOf(head), "target", key)) continue;
      if (head !== undefined) this.giveBack(targets.pop()!);
      if (targets.size === 0) this.#parkedTargets.delete(key);
    }
  }

  /** As long as the first of those behind a key is blocked by it, so are they all. Whether one is ready again. */
  #unparkLanes(blockerOf: BlockerOf<T>): boolean {
    let isReady = false;
    for (const key of this.#freed) {
      const parked = this.#parkedLanes.get(key);
      const first = parked === undefined ? undefined : this.#firstOf(parked);
      if (parked === undefined || first === undefined) {
        this.#parkedLanes.delete(key);
        this.#freed.delete(key);
      } else if (this.#isOpen(first.head) && isBlocked(blockerOf(first.head), "lane", key)) {
        this.#freed.delete(key);
      } else {
        parked.pop();
        this.#enter(first.lane, READY);
        isReady = true;
      }
    }
    return isReady;
  }

  #laneOf({ lane: name }: T): Lane<T> {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { queue: [], first: 0, returned: new Heap(this.#before), entry: undefined, parkedUnder: READY };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** The lane's head takes its place among the ready, or among those behind each of the keys. */
  #enter(lane: Lane<T>, keys: readonly string[]): void {
    const head = headOf(lane);
    const entry = head === undefined ? undefined : { lane, head };
    lane.entry = entry;
    lane.parkedUnder = keys;
    if (entry === undefined) return;
    if (keys.length === 0) this.#ready.push(entry);
    for (const key of keys) heapAt(this.#parkedLanes, key, () => this.#entries()).push(entry);
  }

  #entries(): Heap<Entry<T>> {
    return new Heap((a, b) => this.#before(a.head, b.head));
  }

  #firstOf(entries: Heap<Entry<T>>): Entry<T> | undefined {
    for (let entry = entries.peek(); entry !== undefined; entry = entries.peek()) {
      if (entry.lane.entry === entry) return entry;
      entries.pop();
    }
    return undefined;
  }

  #dropDone(lane: Lane<T>): void {
    for (let head = headOf(lane); head !== undefined && !this.#isOpen(head); head = headOf(lane)) dropHead(lane);
  }
}

const READY: readonly string[] = [];

/** A lane and a budget may have the same name: `zone=a` is both a place and a selector. */
function isBlocked(blocker: Blocker | undefined, of: Blocker["of"], key: string): boolean {
  if (blocker?.of !== of) return false;
  return blocker.of === "lane" ? blocker.keys.includes(key) : blocker.key === key;
}

function headOf<T>({ queue, first, returned }: Lane<T>): T | undefined {
  const planned = queue[first];
  const back = returned.peek();
  if (planned === undefined || back === undefined) return planned ?? back;
  return returned.isBefore(back, planned) ? back : planned;
}

function dropHead<T>(lane: Lane<T>): void {
  if (headOf(lane) === lane.returned.peek()) lane.returned.pop();
  else lane.first += 1;
}

function heapAt<T>(map: Map<string, Heap<T>>, key: string, make: () => Heap<T>): Heap<T> {
  let heap = map.get(key);
  if (heap === undefined) {
    heap = make();
    map.set(key, heap);
  }
  return heap;
}
