import { expect, test } from "vitest";
import { plain, plainWithColors, truncate, width, wrap } from "./text.ts";

const ESC = "\u001b";

test("cuts text between characters and says that something is missing", () => {
  expect(truncate("shop-web", 8)).toBe("shop-web");
  expect(truncate("shop-web", 5)).toBe("shop…");
  expect(truncate("日本語テキスト", 6)).toBe("日本…");
  expect(width(truncate("👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 4))).toBeLessThanOrEqual(4);
  expect(truncate("anything", 0)).toBe("");
});

test("wraps at words, and cuts only a word that is too long for a line of its own", () => {
  expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
  expect(wrap("abcdefghij kl", 4)).toEqual(["abcd", "efgh", "ij", "kl"]);
  expect(wrap("", 10)).toEqual([]);
});

test("takes every power over the terminal from what machines say", () => {
  expect(plain(`a${ESC}[31mred${ESC}[0m`)).toBe("ared");
  expect(plain(`${ESC}]0;title\u0007x${ESC}[2Jy`)).toBe("xy");
  expect(plain("one\ntwo\r\nthree\tfour")).toBe("one two three four");
  expect(plain("\u0007\u0000\u009b31m\u202egnp.exe")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
});

test("leaves log lines their tabs and colours, closes what they opened, and takes the rest", () => {
  expect(plainWithColors("a\tb")).toBe("a\tb");
  expect(plainWithColors(`${ESC}[31mred`)).toBe(`${ESC}[31mred${ESC}[0m`);
  expect(plainWithColors(`${ESC}[2J${ESC}[31mred${ESC}[H${ESC}[0m`)).toBe(`${ESC}[31mred${ESC}[0m${ESC}[0m`);
});

test("lets text be UTF-8", () => {
  expect(plain("größer → 日本")).toBe("größer → 日本");
});
