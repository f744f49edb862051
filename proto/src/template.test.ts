import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkTemplate, fillTemplate } from "./template.ts";

const values = new Map([
  ["ports.http", "8080"],
  ["machine.id", "web-1"],
  ["labels.zone", "a"],
]);

describe("checkTemplate", () => {
  test("knows the machine, labels, app, version, release_dir and declared ports", () => {
    expect(checkTemplate("${ports.http} ${machine.id} ${labels.any/thing} ${app} ${version} ${release_dir}", { ports: ["http"] })).toEqual([]);
  });

  test("names what it does not know, where it stands and what is allowed", () => {
    expect(checkTemplate("a ${ports.https}", { ports: ["http"] })).toEqual([
      { kind: "unknown", name: "ports.https", offset: 2, allowed: ["machine.id", "app", "version", "release_dir", "secrets_dir", "ports.http", "labels.NAME"] },
    ]);
  });

  test("says where a brace is never closed", () => {
    expect(checkTemplate("x ${app", { ports: [] })).toEqual([{ kind: "unclosed", offset: 2 }]);
  });
});

describe("fillTemplate", () => {
  test("fills in what has a value", () => {
    expect(fillTemplate("http://127.0.0.1:${ports.http}/${labels.zone}", values)).toEqual({ ok: true, text: "http://127.0.0.1:8080/a" });
  });

  test("names the first that has none", () => {
    expect(fillTemplate("${machine.id} ${labels.rack} ${labels.row}", values)).toEqual({ ok: false, missing: "labels.rack" });
  });

  test("takes $${ for ${ and leaves other dollars alone", () => {
    expect(fillTemplate("$${HOME} $HOME $$ ${machine.id}", values)).toEqual({ ok: true, text: "${HOME} $HOME $$ web-1" });
  });

  test("never fills a value in again", () => {
    const nested = new Map([["app", "${version}"]]);
    expect(fillTemplate("${app}", nested)).toEqual({ ok: true, text: "${version}" });
  });

  test("leaves a text without ${ as it is", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes("${")),
        (text) => {
          expect(fillTemplate(text, values)).toEqual({ ok: true, text });
        },
      ),
    );
  });
});
