import { expect, test } from "vitest";
import { fakeContext } from "../fakes/fake-context.ts";
import { createProgram } from "../program.ts";
import { positionOf } from "./position.ts";
import { commandTree } from "./tree.ts";

const tree = commandTree(createProgram(fakeContext()));

test.each<[string, string | undefined]>([
  ["status ", "deployment"],
  ["status d-7 --at ", "other"],
  ["approve ", "deployment"],
  ["set d-7 ", "choices"],
  ["set d-7 max_unavailable ", "other"],
  ["why ", "subject"],
  ["why web-1 ", "deployment"],
  ["replay --speed max ", "deployment"],
  ["drain --reason disk ", "machine"],
  ["releases ", "app"],
  ["diff ", "release"],
  ["diff shop-web@1 ", "release"],
  ["freeze end ", "freeze"],
  ["freeze add --for ", "other"],
  ["plan -f ", "file"],
  ["status d-", "deployment"],
  ["rollback --reason bad ", "deployment"],
  ["rollback --reason ", "other"],
  ["logs ", "machine"],
  ["logs -n 5 web-1 ", "app"],
  ["logs web-1 shop-web ", undefined],
  ["deploy -f ", "file"],
  ["deploy -f x.yaml --watch ", undefined],
  ["-o ", "choices"],
  ["-o json machine ", "machine"],
  ["machine show ", "machine"],
  ["machine label ", "machine"],
  ["machine label web-1 ", "other"],
  ["artifact push ", "file"],
  ["artifact ", undefined],
  ["dev --dir ", "directory"],
  ["completion ", "choices"],
  ["", undefined],
])("knows what belongs after `muster %s`", (line, kind) => {
  expect(positionOf(tree, line.split(" ")).value?.kind).toBe(kind);
});

test("hands on the machine whose apps are wanted, and the address to ask", () => {
  const wanted = { operands: ["web-1"], address: "127.0.0.1:9" };
  expect(positionOf(tree, ["--address", "127.0.0.1:9", "logs", "web-1", ""])).toMatchObject(wanted);
  expect(positionOf(tree, ["--address=127.0.0.1:9", "logs", "web-1", ""])).toMatchObject(wanted);
});
