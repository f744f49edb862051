/** Generated files are what generating gives now, byte for byte. `npm run gen` puts them right. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT, run } from "./tree.ts";

/** All files below a folder, as text, by path. The descriptor is compared as hex. */
function contents(dir: string): Readonly<Record<string, string>> {
  const paths = (readdirSync(dir, { recursive: true }) as readonly string[]).filter((path) => statSync(join(dir, path)).isFile()).sort();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(dir, path)).toString(path.endsWith(".binpb") ? "hex" : "utf8")]));
}

describe("the generated code", () => {
  let proto: string;
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "muster-gen-"));
    proto = join(dir, "proto");
    mkdirSync(proto);
    for (const path of ["buf.yaml", "buf.gen.yaml", "package.json", "muster"]) cpSync(join(ROOT, "proto", path), join(proto, path), { recursive: true });
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** Runs proto's own script, in the copy. */
  function generate(): Readonly<Record<string, string>> {
    const { status, output } = run(proto, "npm", ["run", "--silent", "gen"]);
    expect(status, output).toBe(0);
    return contents(join(proto, "src/gen"));
  }

  test("is that of the .proto files", () => {
    expect(generate()).toEqual(contents(join(ROOT, "proto/src/gen")));
  });

  test("is told from that of other .proto files, in the TypeScript and in the descriptor", () => {
    const path = join(proto, "muster/v1/events.proto");
    writeFileSync(path, readFileSync(path, "utf8").replace("int64 seq = 1;", "int64 sequence = 1;"));
    const changed = generate();
    const real = contents(join(ROOT, "proto/src/gen"));
    const different = Object.keys(real).filter((file) => changed[file] !== real[file]);
    expect(different).toEqual(["descriptor.binpb", "muster/v1/events.ts"]);
  });

  test("comes from .proto files that buf lint passes, and it can fail", () => {
    expect(run(proto, "buf", ["lint"])).toMatchObject({ status: 0 });
    writeFileSync(join(proto, "muster/v1/bad.proto"), `syntax = "proto3"; package muster.v1; message bad_name {}`);
    const { status, stdout } = run(proto, "buf", ["lint"]);
    expect(status).not.toBe(0);
    expect(stdout).toContain("bad.proto");
  });
});

describe("docs/muster.schema.json", () => {
  const check = (root: string) => run(join(root, "controller"), "node", ["src/submit/generate-schema.ts", "--check"]);

  test("is that of the deployment file's schema", () => {
    expect(check(ROOT)).toMatchObject({ status: 0 });
  });

  test("is told from that of another schema", () => {
    const root = mkdtempSync(join(tmpdir(), "muster-schema-"));
    try {
      cpSync(join(ROOT, "controller/src"), join(root, "controller/src"), { recursive: true });
      cpSync(join(ROOT, "controller/package.json"), join(root, "controller/package.json"));
      symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
      mkdirSync(join(root, "docs"));
      const real = readFileSync(join(ROOT, "docs/muster.schema.json"), "utf8");
      writeFileSync(join(root, "docs/muster.schema.json"), real);
      expect(check(root)).toMatchObject({ status: 0 });
      writeFileSync(join(root, "docs/muster.schema.json"), real.replace("health", "wealth"));
      expect(check(root).status).toBe(1);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});
