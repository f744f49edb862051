import { Command } from "commander";
import { expect, test } from "vitest";
import type { OidcOptions } from "./oidc.ts";
import { oidcOf, withOidcOptions } from "./oidc-config.ts";

function read(...args: string[]): OidcOptions | undefined {
  const command = withOidcOptions(new Command()).exitOverride().configureOutput({ writeErr: () => undefined });
  return oidcOf(command.parse(args, { from: "user" }).opts());
}

const ISSUER = ["--oidc-issuer", "https://id.example/"];

test("is nothing where nothing is said", () => {
  expect(read()).toBeUndefined();
});

test("is read with its defaults, and rules keep their order", () => {
  expect(read(...ISSUER, "--oidc-audience", "muster", "--oidc-role", "ops=admin", "--oidc-role", "dev=deployer;targets=env=staging")).toEqual({
    issuer: "https://id.example/",
    audience: "muster",
    clientId: "muster",
    scopes: "openid email profile offline_access",
    roleClaim: "groups",
    rules: [
      { value: "ops", role: "admin", apps: "", targets: "" },
      { value: "dev", role: "deployer", apps: "", targets: "env=staging" },
    ],
  });
});

test.each<[readonly string[], RegExp]>([
  [["--oidc-audience", "muster"], /--oidc-issuer is missing/],
  [ISSUER, /--oidc-audience is missing/],
  [[...ISSUER, "--oidc-audience", "muster"], /--oidc-role is missing/],
  [["--oidc-issuer", "http://id.example"], /is not a URL that begins with https/],
  [["--oidc-role", "ops=root"], /"root" is not a role/],
  [["--oidc-ca", "/nowhere/ca.pem"], /\/nowhere\/ca\.pem can't be read/],
])("%j is refused", (args, message) => {
  expect(() => read(...args)).toThrow(message);
});
