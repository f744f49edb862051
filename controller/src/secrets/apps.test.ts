import { expect, test } from "vitest";
import { areApps, isAmong } from "./apps.ts";

test.each<[string, string, boolean]>([
  ["web", "web", true],
  ["web", "webs", false],
  ["web", "*", true],
  ["shop-web", "shop-*", true],
  ["shop-", "shop-*", true],
  ["web-shop", "shop-*", false],
  ["a-b-c", "a*c", true],
  ["a-b-c", "*b*", true],
  ["a-b-c", "a*b*c", true],
  ["ab", "a*b*b", false],
  ["aa", "a*a*a", false],
  ["abcb", "a*b*b", true],
  ["a", "a*a", false],
  ["billing", "shop-*,billing", true],
])("%s among %s: %s", (app, apps, isIn) => {
  expect(isAmong(app, apps)).toBe(isIn);
});

test.each([["*", true], ["shop-*,web", true], ["", false], ["a,,b", false], ["a b", false], ["A", false], [Array(33).fill("a").join(","), false]])("%s are apps: %s", (text, are) => {
  expect(areApps(text)).toBe(are);
});
