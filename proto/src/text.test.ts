import { expect, test } from "vitest";
import { clip, counted, firstAndMore } from "./text.ts";

test("one is counted in the singular, and all others in the plural", () => {
  expect([counted(1, "machine"), counted(0, "machine"), counted(3, "machine"), counted(2, "machine is", "machines are")]).toEqual(["1 machine", "0 machines", "3 machines", "2 machines are"]);
});

test("names beyond the first are counted", () => {
  expect([firstAndMore(["a", "b"], 2), firstAndMore(["a", "b", "c"], 2), firstAndMore(["a"], 3, 5), firstAndMore([], 3)]).toEqual(["a, b", "a, b and 1 more", "a and 4 more", ""]);
});

test("what is cut says so, and ends in no half of a character", () => {
  expect([clip("abc", 3), clip("abcd", 3), clip("a😀bc", 3), clip("😀b", 3)]).toEqual(["abc", "ab…", "a…", "😀b"]);
});
