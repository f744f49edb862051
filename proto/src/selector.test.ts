import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Labels, parseSelector, selects, widestSelector } from "./selector.ts";

function matches(text: string, labels: Labels): boolean {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.message}`);
  return selects(parsed.selector, labels);
}

describe("a selector", () => {
  const web = { role: "web", env: "prod", "example.com/tier": "1" };
  test.each([
    ["", true],
    ["role=web", true],
    ["role==web", true],
    ["role = web , env=prod", true],
    ["role=db", false],
    ["role!=db", true],
    ["role!=web", false],
    ["missing!=x", true],
    ["env in (prod,staging)", true],
    ["env in ( staging )", false],
    ["env notin (staging)", true],
    ["missing notin (a)", true],
    ["role", true],
    ["!role", false],
    ["!canary", true],
    ["role=web,env in (prod,staging),!canary", true],
    ["example.com/tier=1", true],
    ["role=", false],
    ["in in (in)", false],
  ])("%s selects: %s", (text, expected) => {
    expect(matches(text, web)).toBe(expected);
  });

  test("with an empty value selects the empty label", () => {
    expect(matches("canary=", { canary: "" })).toBe(true);
    expect(matches("canary=,role", { canary: "", role: "x" })).toBe(true);
  });

  test("does not see what labels inherit", () => {
    expect(matches("constructor", {})).toBe(false);
  });
});

describe("a selector that can't be read says where and why", () => {
  test.each([
    ["role=web,", 9, "the end where a label's name was expected"],
    ["=web", 0, '"=" where a label\'s name was expected'],
    ["role=web env=prod", 9, '"env" where "," or the end was expected'],
    ["env in prod", 7, '"prod" where "(" was expected'],
    ["env in (prod", 12, 'the end where "," or ")" was expected'],
    ["env in ()", 8, '")" where a label\'s value was expected'],
    ["role is web", 5, '"is" where one of = == != in notin was expected'],
    ["-role=web", 0, '"-role" is not a label\'s name'],
    ["role=we*b", 5, '"we*b" is not a label\'s value'],
    [`role=${"x".repeat(64)}`, 5, `"${"x".repeat(64)}" is not a label's value`],
    ["!", 1, "the end where a label's name was expected"],
  ])("%s", (text, offset, message) => {
    expect(parseSelector(text)).toEqual({ ok: false, offset, message });
  });

  test("whatever it is, without throwing and within the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab=!(), in\tnot".split("")) }), (text) => {
        const parsed = parseSelector(text);
        if (!parsed.ok) expect(parsed.offset).toBeLessThanOrEqual(text.length);
      }),
    );
  });
});

test("what was kept and can't be read may be for anybody", () => {
  expect(selects(widestSelector("role="), { role: "" })).toBe(true);
  expect(selects(widestSelector("role=web"), { role: "db" })).toBe(false);
  for (const broken of ["role=web,", "role in (", "=", "a=b c"]) expect(selects(widestSelector(broken), { role: "db" })).toBe(true);
});
