/**
 * docs/deployment-file.md says of every key what the schema says, and its examples are right.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { exampleFile, faultLines } from "./example-file.ts";
import { jsonSchemaText } from "./json-schema.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/deployment-file.md"), "utf8");
const blocks = [...page.matchAll(/```(\w+)\n([^]*?)```/g)].map(([, language = "", text = ""]) => ({ language, text }));

describe("docs/deployment-file.md", () => {
  it("has a row for every key, with its default", () => {
    const missing: string[] = [];
    JSON.stringify(JSON.parse(jsonSchemaText()), (name, value: unknown) => {
      if (name !== "properties") return value;
      for (const [key, property] of Object.entries(value as Record<string, { readonly default?: unknown }>)) {
        // A key such as `timeout` has a row in each section that has it.
        const rows = page.split("\n").filter((line) => line.startsWith(`| \`${key}\``));
        const byDefault = property.default === undefined ? "" : JSON.stringify(property.default).replaceAll('"', "").replaceAll(",", ", ");
        if (!rows.some((row) => row.includes(byDefault === "" ? key : `| \`${byDefault}\` |`))) missing.push(`${key} ${byDefault}`);
      }
      return value;
    });
    expect(missing).toEqual([]);
  });

  it("shows files and parts of files that can be read", () => {
    const files = blocks.filter(({ language, text }) => language === "yaml" && /^(?:#.*\n)?\w+:/.test(text)).map(({ text }) => text);
    expect(files).toHaveLength(12);
    for (const text of files) {
      const [section] = /^\w+:/m.exec(text)!;
      const body = text.replace(/^\w+:\n/, "");
      if (section === "app:") expect(faultLines(text)).toEqual([]);
      else if (section === "run:") expect(faultLines(exampleFile({ run: body }))).toEqual([]);
      else if (section === "rollout:") expect(faultLines(exampleFile({ rollout: body }))).toEqual([]);
      else expect(faultLines(exampleFile({ run: "  command: [./app]\n  ports: { http: auto }", end: text }))).toEqual([]);
    }
  });

  it("shows faults as they are told", () => {
    const shown = blocks.find(({ language }) => language === "text")!.text.trimEnd().split("\n");
    const told = faultLines(
      "app: Shop_Web\nversion: 1.4.2\nartifact: ./dist\nrun:\n  command: node server.js\n  env: {}\n\nrollout:\n  targets: role=web,env on (prod)\n  wavs: [1, 100%]\n  min_healthy_time: 6m\n",
    );
    expect(told.map((line) => `muster.yaml:${line.replace(/(allowed here: targets, waves, ).*\)/, "$1…)")}`)).toEqual(shown);
  });
});
