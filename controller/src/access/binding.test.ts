import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkedSelector, selects } from "@muster/proto/selector.ts";
import type { Caller, Operator } from "../grpc/caller.ts";
import { checkBinding, mayTouch, type Resource } from "./binding.ts";

function operator(apps: string, targets: string): Operator {
  return { kind: "operator", via: "user", name: "anna", role: "deployer", apps, targets, expiresAt: 0, address: "" };
}

function may(apps: string, targets: string, resource: Resource): boolean {
  return mayTouch(operator(apps, targets), resource).ok;
}

describe("apps", () => {
  test.each([
    ["", "anything", true],
    ["shop-*,web", "shop-api", true],
    ["shop-*,web", "web", true],
    ["shop-*,web", "web-2", false],
    ["shop-*", "shop", false],
    ["*-api", "shop-api", true],
    ["*-api", "api", false],
    ["a*b*c", "axxbyyc", true],
    ["a*b*c", "ac", false],
    ["ab*ba", "aba", false],
    ["*", "x", true],
    ["sho?", "shop", false],
  ])("bound to %j, %s: %s", (apps, app, allowed) => {
    expect(may(apps, "", { app })).toBe(allowed);
  });

  test("whoever touches a machine touches all that is meant to run there", () => {
    expect(may("shop-*", "", { apps: ["shop-api", "shop-web"], labels: {} })).toBe(true);
    expect(may("shop-*", "", { apps: ["shop-api", "db"], labels: {} })).toBe(false);
  });

  test("the longest patterns take no time", () => {
    expect(may("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "", { app: "a".repeat(63) })).toBe(false);
  });
});

describe("targets", () => {
  test.each([
    ["env=staging", "env=staging", true],
    ["env=staging", "role=web,env=staging", true],
    ["env=staging", "role=web", false],
    ["env=staging", "", false],
    ["env=staging", "env in (staging,prod)", false],
    ["env in (staging,test)", "env=test", true],
    ["env!=prod", "env=staging", true],
    ["env!=prod", "env!=prod,role=web", true],
    ["env!=prod", "!env", true],
    ["env!=prod", "env notin (prod,test)", true],
    ["env notin (prod,test)", "env!=prod", false],
    ["env", "env=prod", true],
    ["env", "env!=prod", false],
    ["!canary", "!canary,role=web", true],
    ["!canary", "role=web", false],
    ["env=staging,role=web", "env=staging", false],
  ])("bound to %j, a selector %j: %s", (targets, selector, allowed) => {
    expect(may("", targets, { selector: checkedSelector(selector) })).toBe(allowed);
  });

  test("a refusal says what to write", () => {
    expect(mayTouch(operator("", "env=staging"), { selector: checkedSelector("role=web") })).toEqual({
      ok: false,
      message: 'anna may touch machines with env=staging alone, and the selector "role=web" goes beyond them: it has to say so itself, as "role=web,env=staging" does',
    });
  });

  test("one machine is judged by its labels", () => {
    expect(may("", "env=staging", { labels: { env: "staging" } })).toBe(true);
    expect(may("", "env=staging", { labels: { env: "prod" } })).toBe(false);
    expect(may("", "env=staging", { labels: {} })).toBe(false);
  });

  test("a selector that is allowed never selects a machine outside the bounds", () => {
    const value = fc.constantFrom("a", "b", "c");
    const key = fc.constantFrom("x", "y");
    const requirement = fc.oneof(
      fc.tuple(key, fc.constantFrom("in", "notin"), fc.uniqueArray(value, { minLength: 1 })).map(([name, word, values]) => `${name} ${word} (${values.join(",")})`),
      key,
      key.map((name) => `!${name}`),
    );
    const selector = fc.array(requirement, { maxLength: 3 }).map((all) => all.join(","));
    const machine = fc.record({ x: value, y: value }, { requiredKeys: [] });
    fc.assert(
      fc.property(selector, selector, machine, (bounds, wanted, labels) => {
        fc.pre(may("", bounds, { selector: checkedSelector(wanted) }) && selects(checkedSelector(wanted), labels));
        expect(selects(checkedSelector(bounds), labels)).toBe(true);
      }),
    );
  });
});

test("who is local may touch everything, and machines nothing", () => {
  const machine = { kind: "machine", machine: "web-1", membership: 1, address: "" } as Caller;
  expect(mayTouch({ kind: "local", name: "root" }, { app: "web" }).ok).toBe(true);
  expect(mayTouch(machine, { app: "web" }).ok).toBe(false);
  expect(mayTouch({ kind: "anonymous", address: "" }, { app: "web" }).ok).toBe(false);
});

test.each([
  [{ apps: "Shop", targets: "" }, /apps: "Shop" is neither the name of an app nor a pattern/],
  [{ apps: " , ", targets: "" }, /names no app; leave it empty for all/],
  [{ apps: "", targets: "env on (x)" }, /targets: the selector "env on \(x\)" can't be read at character 5/],
  [{ apps: "a".repeat(1001), targets: "" }, /at most 1000 characters/],
])("a binding %j is refused", (binding, message) => {
  expect(checkBinding(binding)).toMatchObject({ ok: false, message: expect.stringMatching(message) });
});

test("a binding is tidied up, and one that bounds nothing is none", () => {
  expect(checkBinding({ apps: "shop-*, web", targets: " env=staging " })).toEqual({ ok: true, binding: { apps: "shop-*,web", targets: "env=staging" } });
  expect(checkBinding({ apps: "", targets: "  " })).toEqual({ ok: true, binding: { apps: "", targets: "" } });
});
