import fc from "fast-check";
import { expect, test } from "vitest";
import { createLineSplitter, shareLines } from "./lines.ts";

test("lines are the same however the bytes are cut", () => {
  const text = fc.array(fc.string({ unit: "grapheme", maxLength: 8 }).filter((line) => !/[\r\n]/.test(line)));
  fc.assert(
    fc.property(text, fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
      const splitter = createLineSplitter();
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const found: string[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        found.push(...splitter.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      expect(found).toEqual(lines);
      expect(splitter.rest()).toEqual([]);
    }),
  );
});

test("a line is cut at the limit, its rest is dropped, and the next one is whole", () => {
  const splitter = createLineSplitter(4);
  expect(splitter.push(Buffer.from("abcdefgh"))).toEqual([]);
  expect(splitter.push(Buffer.from("ijk\nnext\n"))).toEqual(["abcd", "next"]);
});

test("what is not UTF-8 is replaced, and a carriage return goes with its line end", () => {
  expect(createLineSplitter().push(Buffer.from([0x61, 0xff, 0x62, 0x0d, 0x0a]))).toEqual(["a\ufffdb"]);
});

test("a line without an end is given out when asked for, once", () => {
  const splitter = createLineSplitter();
  splitter.push(Buffer.from("a\nhalf"));
  expect(splitter.rest()).toEqual(["half"]);
  expect(splitter.rest()).toEqual([]);
});

test("two streams share the wanted lines, and what one does not need goes to the other", () => {
  expect(shareLines(10, 100, 100)).toEqual([5, 5]);
  expect(shareLines(9, 100, 100)).toEqual([5, 4]);
  expect(shareLines(10, 2, 100)).toEqual([2, 8]);
  expect(shareLines(10, 100, 0)).toEqual([10, 0]);
  expect(shareLines(10, 1, 1)).toEqual([1, 1]);
  expect(shareLines(0, 5, 5)).toEqual([0, 0]);
});
