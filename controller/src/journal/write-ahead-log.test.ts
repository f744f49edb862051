import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { WriteAheadLog } from "./write-ahead-log.ts";

test("while it is short whoever asks may write in a later turn", async () => {
  const log = new WriteAheadLog();
  const written: string[] = [];
  log.whenShort(() => written.push("a"));
  const cancel = log.whenShort(() => written.push("b"));
  cancel();
  expect(written).toEqual([]);
  await nextTurn();
  expect(written).toEqual(["a"]);
});

test("while it is long everybody waits, and then writes once, in order", async () => {
  const log = new WriteAheadLog();
  const written: string[] = [];
  const write = (): unknown => written.push("twice");
  log.isLong = true;
  log.whenShort(() => written.push("a"));
  const cancel = log.whenShort(() => written.push("b"));
  log.whenShort(write);
  log.whenShort(write);
  cancel();
  await nextTurn();
  log.isLong = true;
  await nextTurn();
  expect(written).toEqual([]);
  log.isLong = false;
  expect(written).toEqual([]);
  await nextTurn();
  log.isLong = false;
  await nextTurn();
  expect(written).toEqual(["a", "twice", "twice"]);
});
