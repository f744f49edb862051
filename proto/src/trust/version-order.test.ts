import fc from "fast-check";
import { expect, test } from "vitest";
import { preAuthEncoding } from "../envelope.ts";
import { compareVersions } from "./version-order.ts";

test("versions stand in the order of semantic versioning, with as many numbers as they have", () => {
  const inOrder = ["0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1", "1.0.1", "1.9", "1.10", "v2", "2024.05.01", "99999999999999999999"];
  for (const [at, older] of inOrder.entries()) {
    for (const newer of inOrder.slice(at + 1)) {
      expect([older, newer, Math.sign(compareVersions(older, newer)!)]).toEqual([older, newer, -1]);
      expect(Math.sign(compareVersions(newer, older)!)).toBe(1);
    }
  }
  for (const [a, b] of [["1", "1.0.0"], ["v1.2", "1.2"], ["1.2+a", "1.2+b"]] as const) expect(compareVersions(a, b)).toBe(0);
});

test("a version without numbers has no order", () => {
  for (const text of ["latest", "3f2a90c", "1.x", "1..2", "", "1.2_3"]) expect(compareVersions(text, "1.0")).toBeUndefined();
});

test("of any two numbered versions, one is older or both are the same", () => {
  const version = fc.tuple(fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }), fc.option(fc.stringMatching(/^[a-z0-9]{1,3}(\.[a-z0-9]{1,3})?$/))).map(([numbers, pre]) => `${numbers.join(".")}${pre === null ? "" : `-${pre}`}`);
  fc.assert(fc.property(version, version, version, (a, b, c) => {
    expect(Math.sign(compareVersions(a, b)!)).toBe(0 - Math.sign(compareVersions(b, a)!));
    if (compareVersions(a, b)! <= 0 && compareVersions(b, c)! <= 0) expect(compareVersions(a, c)!).toBeLessThanOrEqual(0);
  }));
});

test("the encoding that is signed is that of the DSSE specification", () => {
  const text = new TextDecoder().decode(preAuthEncoding("http://example.com/HelloWorld", new TextEncoder().encode("hello world")));
  expect(text).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
});
