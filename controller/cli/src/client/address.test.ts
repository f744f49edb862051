import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliError, EXIT } from "../errors.ts";
import { findController, howToStart } from "./address.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "muster-address-"));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

async function given(path: string, content: string): Promise<void> {
  await mkdir(join(root, path, ".."), { recursive: true });
  await writeFile(join(root, path), content);
}

function ending(act: () => unknown): CliError {
  try {
    act();
  } catch (error) {
    if (error instanceof CliError) return error;
  }
  throw new Error("it did not end with a CliError");
}

test("--address comes before MUSTER_ADDRESS, which comes before .muster/", async () => {
  await given(".muster/dev.json", '{"controller":{"socket":"/run/3.sock"}}');
  const env = { MUSTER_ADDRESS: "127.0.0.1:2" };
  expect(findController("127.0.0.1:1", env, root)).toEqual({ target: "127.0.0.1:1", source: "--address" });
  expect(findController(undefined, env, root)).toEqual({ target: "127.0.0.1:2", source: "MUSTER_ADDRESS" });
  expect(findController(undefined, { MUSTER_ADDRESS: "" }, root)).toEqual({ target: "unix:/run/3.sock", source: ".muster/dev.json" });
});

test("takes the nearest .muster/ upwards, and skips one where nothing runs", async () => {
  await given(".muster/controller.json", '{"pid":1,"socket":"operators.sock"}');
  await given("a/b/.muster/other.txt", "");
  await mkdir(join(root, "a/b/c"));
  expect(findController(undefined, {}, join(root, "a/b/c"))).toEqual({ target: `unix:${join(root, ".muster/operators.sock")}`, source: "../../../.muster/controller.json" });
  await given("a/.muster/dev.json", '{"controller":{"socket":"/run/5.sock"}}');
  expect(findController(undefined, {}, join(root, "a/b/c"))?.target).toBe("unix:/run/5.sock");
});

test("dev.json speaks before controller.json of the same folder", async () => {
  await given(".muster/dev.json", '{"controller":{"socket":"/run/6.sock"}}');
  await given(".muster/controller.json", '{"socket":"/run/7.sock"}');
  expect(findController(undefined, {}, root)?.target).toBe("unix:/run/6.sock");
});

test("says that there is none, for the last login to be looked for", () => {
  expect(findController(undefined, {}, root)).toBeUndefined();
});

test("takes a socket as an address, from the current folder", () => {
  expect(findController("unix:.muster/operators.sock", {}, root)?.target).toBe(`unix:${join(root, ".muster/operators.sock")}`);
  expect(findController("unix:/run/muster.sock", {}, root)?.target).toBe("unix:/run/muster.sock");
});

test.each(["{", "null", "{}", '{"socket":4}', '{"controller":{"grpc":"127.0.0.1:4000"}}'])("says that a file with %s names no controller", async (content) => {
  await given(".muster/dev.json", content);
  const error = ending(() => findController(undefined, {}, root));
  expect(error.exit).toBe(EXIT.unreachable);
  expect(error.message).toContain(".muster/dev.json");
});

test.each(["localhost", "localhost:", ":4000", "a:b", "a:0", "a:65536", "http://a:1", "a b:1", "unix:", "::1:4000"])("refuses %s as an address", (text) => {
  const error = ending(() => findController(text, {}, root));
  expect(error.exit).toBe(EXIT.badInput);
  expect(error.message).toContain(text);
});

test.each(["localhost:4000", "[::1]:4000", "host.example:65535"])("takes %s as an address", (text) => {
  expect(findController(text, {}, root)?.target).toBe(text);
});

test.each([
  ["../.muster/dev.json", "unix:/home/ada/.muster/controller/operators.sock", " Start it with: muster dev"],
  ["MUSTER_ADDRESS", `unix:${resolve(".muster/controller/operators.sock")}`, " Start it with: muster dev"],
  ["--address", "unix:/var/lib/muster/operators.sock", " Start it with: muster controller --dir /var/lib/muster"],
  ["--address", "unix:/run/7.sock", ""],
  ["--address", "controller.example.com:7400", ""],
])("of %s, %s, it is said how it is started", (source, target, said) => {
  expect(howToStart({ target, source })).toBe(said);
});
