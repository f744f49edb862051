/** What a machine has said, or has to say, and is not stored yet. */
import { expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { Owed } from "./owed.ts";

const A = "a" as MachineId;

test("a hello that waits is owed until each that waits has ended, however often one does", () => {
  const owed = new Owed();
  const [endFirst, endSecond] = [owed.awaitHello(A), owed.awaitHello(A)];
  endFirst();
  endFirst();
  expect([owed.has(A), [...owed.machines()]]).toEqual([true, [A]]);
  endSecond();
  expect([owed.has(A), [...owed.machines()]]).toEqual([false, []]);
});

test("reports are owed until they are stored, beside a hello that waits", () => {
  const owed = new Owed();
  owed.note(A, 7);
  owed.note(A, 5);
  expect([owed.has(A, 6), owed.has(A, 7)]).toEqual([true, false]);
  owed.just(A, 3);
  expect([owed.has(A, 2), owed.has(A, 3)]).toEqual([true, false]);
  const end = owed.awaitHello(A);
  owed.just(A, 0);
  expect(owed.has(A, 100)).toBe(true);
  end();
  expect(owed.has(A)).toBe(false);
});
