/** The queue of turns against the plainest one there is: the first in order that is open and not blocked. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Heap } from "./heap.ts";
import { Turns } from "./turns.ts";

interface Turn {
  readonly lane: string;
  readonly position: number;
  isOpen: boolean;
}

test("a heap gives back what was put in, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (items) => {
      const heap = new Heap<number>((a, b) => a < b);
      for (const item of items) heap.push(item);
      expect(Array.from(items, () => heap.pop())).toEqual(items.toSorted((a, b) => a - b));
      expect([heap.pop(), heap.peek(), heap.size]).toEqual([undefined, undefined, 0]);
    }),
  );
});

test("next is the first that is open and not blocked, whatever is taken, given back, blocked and released", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom("take", "leave", "giveBack"), index: fc.nat(19) }),
    fc.record({ do: fc.constantFrom("fill", "empty"), key: fc.constantFrom("a", "b", "c", "odd") }),
  );
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", "c"), { minLength: 20, maxLength: 20 }), fc.array(step, { maxLength: 60 }), (lanes, steps) => {
      const all = lanes.map((lane, position): Turn => ({ lane, position, isOpen: true }));
      const full = new Set<string>();
      const turns = new Turns<Turn>((turn) => turn.isOpen, (a, b) => a.position < b.position);
      turns.addAll(all);
      const blockerOf = ({ lane, position }: Turn) => {
        if (full.has(lane)) return { of: "lane", keys: [lane] } as const;
        return full.has("odd") && position % 2 === 1 ? ({ of: "target", key: "odd" } as const) : undefined;
      };
      for (const { do: what, ...at } of steps) {
        const turn = "index" in at ? all[at.index]! : undefined;
        const key = "key" in at ? at.key : "";
        if (what === "take") {
          const next = turns.next(blockerOf);
          if (next !== undefined) next.isOpen = false;
        } else if (what === "leave") turn!.isOpen = false;
        else if (what === "giveBack" && !turn!.isOpen) {
          turn!.isOpen = true;
          turns.giveBack(turn!);
        } else if (what === "fill") full.add(key);
        else if (what === "empty" && full.delete(key)) turns.release(key);
        // What waits for a budget comes back one at a time.
        const wanted = all.find((candidate) => candidate.isOpen && blockerOf(candidate) === undefined);
        const found = turns.next(blockerOf);
        if (wanted === undefined || full.has("odd")) expect(found).toBe(wanted);
        else expect(found).toBeDefined();
      }
    }),
    { numRuns: 1000 },
  );
});

test("a lane that comes back with nobody left does not keep the next one waiting", () => {
  const all: Turn[] = ["a", "b"].map((lane, position) => ({ lane, position, isOpen: true }));
  const turns = new Turns<Turn>((turn) => turn.isOpen, (a, b) => a.position < b.position);
  let isFull = true;
  const blockerOf = () => (isFull ? ({ of: "lane", keys: ["zone"] } as const) : undefined);
  turns.addAll(all);
  expect(turns.next(blockerOf)).toBeUndefined();
  all[0]!.isOpen = false;
  isFull = false;
  turns.release("zone");
  expect(turns.next(blockerOf)).toBe(all[1]);
});
