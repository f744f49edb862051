import { expect, test } from "vitest";
import { globsOf, isAmong } from "./app-globs.ts";

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
  expect(isAmong(app, globsOf(apps))).toBe(isIn);
});
