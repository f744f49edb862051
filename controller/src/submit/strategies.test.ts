/**
 * docs/strategies.md says something of every key of `rollout`, shows what stands in its examples, and each of these is a file that can be deployed.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { faultLines } from "./example-file.ts";
import { jsonSchemaText } from "./json-schema.ts";

const DOCS = join(import.meta.dirname, "../../../docs");
const EXAMPLES = join(DOCS, "strategies");
const page = readFileSync(join(DOCS, "strategies.md"), "utf8");
const files = readdirSync(EXAMPLES).filter((name) => name.endsWith(".yaml"));

describe("docs/strategies", () => {
  test.each(files)("%s is accepted, and its artifact is there", (name) => {
    const text = readFileSync(join(EXAMPLES, name), "utf8");
    expect(faultLines(text)).toEqual([]);
    expect(existsSync(join(EXAMPLES, /^artifact: (.*)$/m.exec(text)![1]!))).toBe(true);
  });

  it("differ in app or version wherever they differ in what is run", () => {
    const releases = files.map((name) => {
      const text = readFileSync(join(EXAMPLES, name), "utf8");
      return { id: /^app: .*\nversion: .*$/m.exec(text)![0], run: text.slice(text.indexOf("artifact:"), text.indexOf("rollout:")) };
    });
    for (const one of releases) for (const other of releases) if (one.id === other.id) expect(one.run).toBe(other.run);
  });
});

describe("docs/strategies.md", () => {
  it("names every key of rollout and of a wave", () => {
    const schema = JSON.parse(jsonSchemaText()) as { readonly properties: { readonly rollout: { readonly properties: Readonly<Record<string, unknown>> } } };
    const keys = Object.keys(schema.properties.rollout.properties);
    expect(keys.length).toBeGreaterThan(15);
    expect([...keys, "size", "soak", "approve", "at", "success_threshold"].filter((key) => !page.includes(`\`${key}`) && !new RegExp(`^ *(?:- \\{ )?${key}:`, "m").test(page))).toEqual([]);
  });

  it("links every example, and no other", () => {
    const linked = [...page.matchAll(/\]\(strategies\/([\w.-]+\.(?:yaml|mjs))\)/g)].map(([, name]) => name!);
    expect([...new Set(linked)].filter((name) => name.endsWith(".yaml")).sort()).toEqual([...files].sort());
    expect(linked.filter((name) => !existsSync(join(EXAMPLES, name)))).toEqual([]);
  });

  it("shows what stands in the examples", () => {
    const shown = [...page.matchAll(/```yaml\n(rollout:\n[^]*?)```/g)].map(([, text]) => withoutRemarks(text!));
    const examples = files.map((name) => withoutRemarks(/^rollout:\n[^]*/m.exec(readFileSync(join(EXAMPLES, name), "utf8"))![0]));
    expect(shown.length).toBeGreaterThan(5);
    expect(shown.filter((text) => !examples.includes(text))).toEqual([]);
  });
});

function withoutRemarks(yaml: string): string {
  return yaml.replaceAll(/ +#.*$/gm, "").trimEnd();
}
