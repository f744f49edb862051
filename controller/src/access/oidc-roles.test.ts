import { describe, expect, test } from "vitest";
import { claimValues, parseRoleRule, type RoleRule, ruleFor } from "./oidc-roles.ts";

describe("a rule", () => {
  test.each<[string, RoleRule]>([
    ["deployers=deployer", { value: "deployers", role: "deployer", apps: "", targets: "" }],
    ["/ops/admins=admin", { value: "/ops/admins", role: "admin", apps: "", targets: "" }],
    ["shop=deployer;apps=shop-*,web;targets=env in (staging,test),role=web", { value: "shop", role: "deployer", apps: "shop-*,web", targets: "env in (staging,test),role=web" }],
    ["shop=viewer;targets=env=staging", { value: "shop", role: "viewer", apps: "", targets: "env=staging" }],
  ])("%s is read", (text, rule) => expect(parseRoleRule(text)).toEqual({ ok: true, rule }));

  test.each([
    ["deployers", /is not VALUE=ROLE/],
    ["=admin", /is not VALUE=ROLE/],
    ["ops=root", /"root" is not a role; viewer, deployer, admin are/],
    ["ops=admin;app=shop", /is not VALUE=ROLE/],
    ["ops=admin;apps=Shop", /apps: "Shop"/],
    ["ops=admin;targets=(", /targets: the selector/],
  ])("%s is refused", (text, message) => expect(parseRoleRule(text)).toMatchObject({ ok: false, message: expect.stringMatching(message) }));

  test("the first that is met counts", () => {
    const rules = ["b=viewer", "a=admin"].map((text) => parseRoleRule(text)).flatMap((parsed) => (parsed.ok ? [parsed.rule] : []));
    expect(ruleFor(rules, ["a", "b"])?.role).toBe("viewer");
    expect(ruleFor(rules, ["c"])).toBeUndefined();
  });
});

describe("a claim", () => {
  test.each<[string, unknown, readonly string[]]>([
    ["groups", { groups: ["a", "b"] }, ["a", "b"]],
    ["role", { role: "a" }, ["a"]],
    ["realm_access.roles", { realm_access: { roles: ["a"] } }, ["a"]],
    ["https://shop.example/roles", { "https://shop.example/roles": ["a"] }, ["a"]],
    ["groups", {}, []],
    ["groups", { groups: [1, null, "a", {}] }, ["a"]],
    ["groups", { groups: { a: true } }, []],
    ["constructor.name", {}, []],
  ])("%s of %j", (name, claims, values) => expect(claimValues(claims as Record<string, unknown>, name)).toEqual(values));
});
