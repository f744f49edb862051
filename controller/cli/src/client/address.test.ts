import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliError, EXIT } from "../errors.ts";
import { findController } from "./address.ts";

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
  await given(".muster/dev.json", '{"controller":{"grpc":"127.0.0.1:3"}}');
  const env = { MUSTER_ADDRESS: "127.0.0.1:2" };
  expect(findController("127.0.0.1:1", env, root)).toEqual({ target: "127.0.0.1:1", source: "--address" });
  expect(findController(undefined, env, root)).toEqual({ target: "127.0.0.1:2", source: "MUSTER_ADDRESS" });
  expect(findController(undefined, { MUSTER_ADDRESS: "" }, root)).toEqual({ target: "127.0.0.1:3", source: ".muster/dev.json" });
});

test("takes the nearest .muster/ upwards, and skips one where nothing runs", async () => {
  await given(".muster/controller.json", '{"pid":1,"grpc":"127.0.0.1:4"}');
  await given("a/b/.muster/other.txt", "");
  await mkdir(join(root, "a/b/c"));
  expect(findController(undefined, {}, join(root, "a/b/c"))).toEqual({ target: "127.0.0.1:4", source: "../../../.muster/controller.json" });
  await given("a/.muster/dev.json", '{"controller":{"grpc":"127.0.0.1:5"}}');
  expect(findController(undefined, {}, join(root, "a/b/c")).target).toBe("127.0.0.1:5");
});

test("dev.json speaks before controller.json of the same folder", async () => {
  await given(".muster/dev.json", '{"controller":{"grpc":"127.0.0.1:6"}}');
  await given(".muster/controller.json", '{"grpc":"127.0.0.1:7"}');
  expect(findController(undefined, {}, root).target).toBe("127.0.0.1:6");
});

test("names the three ways, and how to start one, when there is none", () => {
  const error = ending(() => findController(undefined, {}, root));
  expect(error.exit).toBe(EXIT.unreachable);
  expect(error.message).toMatch(/--address.*MUSTER_ADDRESS.*\.muster\/.*muster dev/);
});

test.each(["{", "null", "{}", '{"grpc":4}', '{"controller":{"grpc":"nonsense"}}'])("says that a file with %s names no controller", async (content) => {
  await given(".muster/dev.json", content);
  const error = ending(() => findController(undefined, {}, root));
  expect(error.exit).toBe(EXIT.unreachable);
  expect(error.message).toContain(".muster/dev.json");
});

test.each(["localhost", "localhost:", ":4000", "a:b", "a:0", "a:65536", "http://a:1", "a b:1", "::1:4000"])("refuses %s as an address", (text) => {
  const error = ending(() => findController(text, {}, root));
  expect(error.exit).toBe(EXIT.badInput);
  expect(error.message).toContain(text);
});

test.each(["localhost:4000", "[::1]:4000", "host.example:65535"])("takes %s as an address", (text) => {
  expect(findController(text, {}, root).target).toBe(text);
});
